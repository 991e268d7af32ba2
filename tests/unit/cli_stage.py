"""A stage for the command line: one call of `run` with surroundings of our own, and what it said."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runcept.cli.app import run
from runcept.cli.surroundings import Surroundings

__all__ = ["Said", "Stage"]


@dataclass(frozen=True)
class Said:
    """What one command line came to."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on stdout."""
        return json.loads(self.out)


@dataclass
class Stage:
    """Where the command line runs; `terminal` is whether stdout leads to one."""

    cwd: Path
    home: Path
    terminal: bool = False
    width: int = 80
    environ: Mapping[str, str] = field(default_factory=dict)
    stdin: str = ""
    stdin_is_terminal: bool = False

    def run(self, *arguments: str) -> Said:
        """Run `runcept ARGUMENTS` in this process."""
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
        surroundings = Surroundings(
            cwd=str(self.cwd),
            environ={"RUNCEPT_HOME": str(self.home), "HOME": str(self.home.parent), "PATH": "/usr/bin", **self.environ},
            stdin=io.StringIO(self.stdin),
            stdout=out,
            stderr=err,
            stdin_is_terminal=self.stdin_is_terminal,
            stdout_is_terminal=self.terminal,
            width=self.width,
        )
        status = run(arguments, surroundings)
        return Said(status, *(stream.buffer.getvalue().decode() for stream in (out, err)))  # type: ignore[attr-defined]
