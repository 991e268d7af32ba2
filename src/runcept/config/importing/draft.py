"""A project as a foreign file suggests it, and what is done so that it can stand in a project file. Looks at no files.

Whatever a format's module puts into a draft, `settle` makes it valid: a value that Runcept would refuse, a dependency
that leads nowhere or in a circle, a name that comes twice. What is lost by that is Unmapped, with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any, NamedTuple

import msgspec

from runcept.config.importing.values import Unmapped, brief
from runcept.config.problems import Problems
from runcept.config.schema import PROCESS, PROJECT
from runcept.config.shapes import WRONG, read
from runcept.config.tables import Table

__all__ = ["Draft", "Need", "Proposal", "name_from", "names_for", "settle"]

_READY = "ready"


class Need(NamedTuple):
    """An entry of `depends_on`."""

    name: str
    condition: str = _READY
    key: str = "depends_on"
    """What the foreign file calls it, for when it cannot be kept."""
    line: int = 0


class Proposal(msgspec.Struct, frozen=True):
    """One process. An inactive one is written as a comment, for a person to decide about."""

    name: str
    command: str | list[str]
    source: str = ""
    """Where it comes from: "package.json, script dev"; empty: from nothing."""
    active: bool = True
    note: str = ""
    """What a person should know before they keep it; sentences."""
    needs: tuple[Need, ...] = ()
    keys: dict[str, Any] = {}
    """Further keys of the process and their values, as TOML has them."""
    suggestions: tuple[str, ...] = ()
    """Lines that may be right, written as comments."""
    unmapped: tuple[Unmapped, ...] = ()
    lines: dict[str, int] = {}
    """Where in the foreign file the values of `keys` are from, as far as one wants to know."""


class Draft(msgspec.Struct, frozen=True):
    """What a foreign file says."""

    processes: tuple[Proposal, ...] = ()
    project: dict[str, Any] = {}
    """Keys of `[project]` and their values; `name` among them where the file gives one."""
    unmapped: tuple[Unmapped, ...] = ()
    """Of the file as a whole."""


def name_from(text: str, fallback: str) -> str:
    """The nearest thing to `text` that can be the name of a project or a process."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:64] or fallback


def names_for(originals: Iterable[str], fallback: str) -> dict[str, str]:
    """A name of its own for each of the names that a foreign file gives."""
    given: dict[str, str] = {}
    plain = [text for text in dict.fromkeys(originals) if name_from(text, "") == text]
    taken = set(plain)
    for text in originals:
        name = name_from(text, fallback)
        if text not in plain:
            name = _free(name, taken)
        given.setdefault(text, name)
        taken.add(given[text])
    return given


def _free(name: str, taken: set[str]) -> str:
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name[:58]}-{number}"
    return found


def settle(draft: Draft, problems_of_files: Mapping[str, str]) -> Draft:
    """What can stand in one file. `problems_of_files`: why an env file cannot be read, by its path as written."""
    lost = list(draft.unmapped)
    project, refused = _valid(PROJECT, draft.project, problems_of_files)
    lost += refused
    processes: list[Proposal] = []
    taken: set[str] = set()
    for each in draft.processes:
        if why := _cannot_run(each):
            lost.append(Unmapped(each.name, brief(each.command), why, 0))
            lost += [msgspec.structs.replace(one, key=f"{each.name}.{one.key}") for one in each.unmapped]
            continue
        keys, refused = _valid(PROCESS, each.keys, problems_of_files)
        refused = [msgspec.structs.replace(one, line=each.lines.get(one.key.partition(".")[0], 0)) for one in refused]
        active = each.active and each.name not in taken
        taken |= {each.name} if active else set()
        unmapped = (*each.unmapped, *refused)
        processes.append(msgspec.structs.replace(each, keys=keys, active=active, unmapped=unmapped))
    return Draft(tuple(_linked(processes, taken)), project, tuple(lost))


def _cannot_run(each: Proposal) -> str:
    """Why it can be no process at all; empty: it can."""
    if not each.command or (isinstance(each.command, str) and not each.command.strip()):
        return "it has no command"
    problems = Problems()
    PROCESS.read({"name": each.name, "command": each.command}, problems.at())
    return problems.found[0].message if problems.found else ""


def _valid(
    table: Table, keys: Mapping[str, Any], problems_of_files: Mapping[str, str]
) -> tuple[dict[str, Any], list[Unmapped]]:
    """The keys whose values the reader of project files takes, and the others with its reason."""
    shapes = {key.name: key.shape for key in table.keys}
    kept: dict[str, Any] = {}
    lost: list[Unmapped] = []
    for key, value in keys.items():
        if key == "env_files":
            files, bad = _readable(value, problems_of_files)
            lost += bad
            kept |= {key: files} if files else {}
        elif key == "env":
            env, bad = _environment(value)
            lost += bad
            kept |= {key: env} if env else {}
        else:
            problems = Problems()
            if read(shapes[key], value, problems.at()) is WRONG or problems.found:
                lost.append(Unmapped(key, brief(value), problems.found[0].message, 0))
            else:
                kept[key] = value
    return kept, lost


def _readable(files: Sequence[str], problems: Mapping[str, str]) -> tuple[list[str], list[Unmapped]]:
    bad = [Unmapped("env_files", brief(file), problems[file], 0) for file in files if file in problems]
    return [file for file in dict.fromkeys(files) if file not in problems], bad


def _environment(variables: Mapping[str, str]) -> tuple[dict[str, str], list[Unmapped]]:
    good, bad = {}, []
    for name, content in variables.items():
        if not name or "=" in name or "\0" in name + content:
            bad.append(Unmapped(f"env.{name}", brief(content), "no environment variable can be so", 0))
        else:
            good[name] = content
    return good, bad


def _linked(processes: Sequence[Proposal], names: set[str]) -> list[Proposal]:
    """Dependencies that exist, each once, in no circle: of a circle the last one to be written is left out."""
    graph: dict[str, list[str]] = {}
    linked = []
    for each in processes:
        kept: dict[str, Need] = {}
        lost = []
        for need in each.needs:
            if need.name == each.name or need.name not in names:
                why = "a process cannot depend on itself" if need.name == each.name else "there is no such process here"
                lost.append(Unmapped(need.key, need.name, why, need.line))
            elif need.name not in kept:
                graph[each.name] = [*kept, need.name]
                if each.active and not _is_acyclic(graph):
                    lost.append(Unmapped(need.key, need.name, "it would lead in a circle", need.line))
                else:
                    kept[need.name] = need
        graph[each.name] = list(kept) if each.active else graph.get(each.name, [])
        linked.append(msgspec.structs.replace(each, needs=tuple(kept.values()), unmapped=(*each.unmapped, *lost)))
    return linked


def _is_acyclic(graph: Mapping[str, Sequence[str]]) -> bool:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError:
        return False
    return True
