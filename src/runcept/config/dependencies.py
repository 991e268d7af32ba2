"""`depends_on` over a whole file: names that exist, none twice, none itself, no cycle. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

from runcept.config.problems import Place
from runcept.core.model import Dependency
from runcept.errors import nearest

__all__ = ["check_dependencies", "dependencies_of"]


def dependencies_of(table: Mapping[str, Any]) -> tuple[Dependency, ...]:
    """The entries of a process's `depends_on` that are right, as the model has them."""
    return tuple(Dependency(**entry) for entry in table["depends_on"] if "name" in entry)


def check_dependencies(tables: Sequence[Mapping[str, Any]], names: Sequence[str], place: Place) -> None:
    """Record what is wrong with each `depends_on`; `tables` is in the order of the file, `names` are all that exist."""
    needs: dict[str, dict[str, Place]] = {}  # what each process needs, and where it says so
    for index, table in enumerate(tables):
        own = table.get("name", "")
        seen: set[str] = set()
        for number, entry in enumerate(table.get("depends_on", ())):
            here = place / index / "depends_on" / number
            name = entry.get("name", "")
            if name and _is_usable(name, own, seen, names, here):
                needs.setdefault(own, {})[name] = here
            seen.add(name)
    _check_cycles(needs, list(names))


def _is_usable(name: str, own: str, earlier: Collection[str], names: Sequence[str], place: Place) -> bool:
    if name == own:
        place.problem(f"{name} depends on itself")
    elif name in earlier:
        place.problem(f"{name} is listed twice")
    elif name not in names:
        near = nearest(name, list(names))
        place.problem(
            f"there is no process {name}", f"Did you mean {near}?" if near else f"The file has: {', '.join(names)}."
        )
    else:
        return True
    return False


def _check_cycles(needs: dict[str, dict[str, Place]], names: list[str]) -> None:
    """Record each cycle as a path, at the entry that leads from its first process to the next; go on without it."""
    while True:
        try:
            TopologicalSorter(needs).prepare()
        except CycleError as error:
            circle: list[str] = error.args[1][:0:-1]  # each needs the next; graphlib lists each before what needs it
            first = min(range(len(circle)), key=lambda index: names.index(circle[index]))
            path = [*circle[first:], *circle[:first], circle[first]]
            here = needs[path[0]].pop(path[1])
            here.problem(f"the dependencies go in a circle: {' → '.join(path)}")
        else:
            return
