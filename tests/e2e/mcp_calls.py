"""What an assistant gets: the calls of the MCP tools against a real daemon, without the protocol around them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.conftest import Project, fresh_project

from runcept.mcp.calls import Answer, Caller, Calls

__all__ = ["Assistant", "assistant_at_work", "process"]


def process(name: str, command: str | list[str], **keys: Any) -> str:
    """A `[[process]]` that is started by name alone; JSON of strings, lists and numbers is TOML."""
    lines = {"name": name, "command": command, "autostart": False, **keys}
    return "[[process]]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in lines.items())


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + "}"
    return json.dumps(value)


class Assistant:
    """One client, working in a directory of its own within a home that it may share."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.told: list[tuple[float, float, str]] = []
        """The progress that it heard of."""

    @property
    def path(self) -> Path:
        return self.project.path

    def write(self, *processes: str, head: str = "") -> None:
        """Make these the project file."""
        self.project.write(f'[project]\nname = "{self.path.name}"\n{head}\n' + "\n".join(processes))

    def __call__(self, tool: str, **arguments: Any) -> Answer:
        """One call of a tool, in an event loop of its own."""
        return asyncio.run(self.call(tool, **arguments))

    async def call(self, tool: str, **arguments: Any) -> Answer:
        """The same from within an event loop."""
        calls = Calls(str(self.project.home), Caller(str(self.path)))
        return await calls.perform(tool, arguments, self._hear)

    async def _hear(self, done: float, total: float, words: str) -> None:
        self.told.append((done, total, words))

    def neighbour(self, name: str) -> Assistant:
        """Another one, with another project in the same home."""
        path = self.path.parent / name
        path.mkdir()
        return Assistant(Project(path, self.project.home, self.project.environ))


@contextmanager
def assistant_at_work() -> Iterator[Assistant]:
    """A home whose daemon runs, which no command line has told an environment; afterwards nothing may be left of it."""
    with fresh_project() as project:
        project.run("daemon", "start")
        yield Assistant(project)
