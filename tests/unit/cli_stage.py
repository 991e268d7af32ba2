"""A stage for the command line: one call of `run` with surroundings of our own, and what it said.

With it a project, `shop`, and the answers of a daemon about it.
"""

from __future__ import annotations

import io
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runcept.cli.app import run
from runcept.cli.surroundings import Surroundings
from runcept.client.testing import Notify, ScriptedDaemon
from runcept.core.views import EnvironmentView, ProcessView, State
from runcept.errors import RunceptError

__all__ = ["PROJECT", "Said", "Stage", "answering", "environment", "failing", "process", "shop_stage"]

PROJECT = """
[project]
name = "shop"
[[process]]
name = "web"
command = "true"
[[process]]
name = "worker"
command = "true"
"""


@dataclass(frozen=True)
class Said:
    """What one command line came to."""

    status: int
    data: bytes
    err: str

    @property
    def out(self) -> str:
        """What is on stdout, as text."""
        return self.data.decode("utf-8", "backslashreplace")

    @property
    def json(self) -> Any:
        """The one document on stdout."""
        return json.loads(self.out)


@dataclass
class Stage:
    """Where the command line runs; `terminal` is whether stdout leads to one, `errors_at_terminal` whether stderr."""

    cwd: Path
    home: Path
    terminal: bool = False
    errors_at_terminal: bool = False
    width: int = 80
    environ: Mapping[str, str] = field(default_factory=dict)
    stdin: str = ""
    stdin_is_terminal: bool = False

    def run(self, *arguments: str) -> Said:
        """Run `runcept ARGUMENTS` in this process."""
        with (
            tempfile.TemporaryFile("w+", encoding="utf-8") as out,
            tempfile.TemporaryFile("w+", encoding="utf-8") as err,
        ):
            surroundings = Surroundings(
                cwd=str(self.cwd),
                environ={
                    "RUNCEPT_HOME": str(self.home),
                    "HOME": str(self.home.parent),
                    "PATH": "/usr/bin",
                    **self.environ,
                },
                stdin=io.StringIO(self.stdin),
                stdout=out,
                stderr=err,
                stdin_is_terminal=self.stdin_is_terminal,
                stdout_is_terminal=self.terminal,
                stderr_is_terminal=self.errors_at_terminal,
                width=self.width,
            )
            status = run(arguments, surroundings)
            for stream in (out, err):
                stream.seek(0)
            return Said(status, out.buffer.read(), err.buffer.read().decode())


def shop_stage(directory: Path) -> Stage:
    """In a project of two processes, beside a home that is not there yet."""
    (directory / "shop").mkdir()
    (directory / "shop" / ".runcept.toml").write_text(PROJECT)
    return Stage(cwd=Path(os.path.realpath(directory / "shop")), home=directory / "home")


def process(stage: Stage, name: str, state: State = State.RUNNING, **facts: Any) -> ProcessView:
    """A process of the project."""
    return ProcessView(environment=str(stage.cwd), name=name, state=state, **facts)


def environment(stage: Stage, *processes: ProcessView) -> EnvironmentView:
    """The project, active, with these processes."""
    return EnvironmentView(path=str(stage.cwd), name="shop", state="active", processes=list(processes))


def answering(stage: Stage, **script: object) -> ScriptedDaemon:
    """A daemon that answers each method with what is given for it."""
    return ScriptedDaemon(str(stage.home), script)


def failing(error: RunceptError) -> Callable[[Any, Notify], object]:
    """The answer that is an error."""

    def fail(_: Any, __: Notify) -> object:
        raise error

    return fail
