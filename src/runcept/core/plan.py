"""The dependency graph of a project: what comes with what, in which order. Pure; the graph has no cycle by then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from graphlib import TopologicalSorter

from runcept.core.life import Life
from runcept.core.model import Project, State
from runcept.errors import ProcessNotFound

__all__ = ["Plan"]


class Plan:
    """Answers about one project's graph. Orders are stable: ties are broken by the order of the file."""

    def __init__(self, project: Project) -> None:
        self.project = project
        graph = {process.name: [needed.name for needed in process.depends_on] for process in project.processes}
        self.order: tuple[str, ...] = tuple(TopologicalSorter(graph).static_order())
        """Every process after all that it depends on."""
        self._dependencies = {name: frozenset(needed) for name, needed in graph.items()}
        self._dependents: dict[str, set[str]] = {name: set() for name in graph}
        for name, needed in graph.items():
            for dependency in needed:
                self._dependents[dependency].add(name)
        self._position = {name: index for index, name in enumerate(self.order)}
        self._neighbours = {
            name: frozenset({name}) | self._dependencies[name] | self._dependents[name] for name in graph
        }

    def dependents(self, name: str) -> frozenset[str]:
        """What depends on it directly."""
        return frozenset(self._dependents[name])

    def neighbours(self, name: str) -> frozenset[str]:
        """It, what it depends on, and what depends on it, all directly."""
        return self._neighbours[name]

    def sort(self, names: Iterable[str]) -> list[str]:
        """The names, dependencies first."""
        return sorted(names, key=self._position.__getitem__)

    def with_dependencies(self, names: Iterable[str]) -> list[str]:
        """The names and all that they need, dependencies first."""
        return self._closure(names, self._dependencies)

    def with_dependents(self, names: Iterable[str]) -> list[str]:
        """The names and all that needs them, dependencies first."""
        return self._closure(names, self._dependents)

    def select(self, patterns: Iterable[str]) -> list[str]:
        """The processes that names and globs mean, in order; ProcessNotFound for one that means none."""
        known = [process.name for process in self.project.processes]
        chosen: set[str] = set()
        for pattern in patterns:
            matches = [name for name in known if name == pattern] or [n for n in known if fnmatchcase(n, pattern)]
            if not matches:
                raise ProcessNotFound(pattern, self.project.name, self.project.path, known)
            chosen.update(matches)
        return self.sort(chosen)

    def autostarted(self) -> list[str]:
        """What `activate` starts when no names are given, without dependencies."""
        return self.sort(process.name for process in self.project.processes if process.autostart)

    def blaming(self, names: Iterable[str], lives: Mapping[str, Life]) -> list[str]:
        """What is wanted and has failed because one of the names has, directly or by way of others; in order."""
        chosen = set(names)
        found: set[str] = set()
        for name in self.order:
            life = lives.get(name)
            if life is not None and life.wanted and life.state is State.FAILED and life.blamed in chosen | found:
                found.add(name)
        return self.sort(found)

    def _closure(self, names: Iterable[str], edges: dict[str, frozenset[str]] | dict[str, set[str]]) -> list[str]:
        found: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting.extend(edges[name])
        return self.sort(found)
