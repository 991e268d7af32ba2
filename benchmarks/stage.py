"""A home and a project of their own, with the installed command to run in them; gone with their daemon at the end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runcept.client.connection import Connection

__all__ = ["Stage", "stage"]

RUNCEPT = Path(sys.executable).with_name("runcept")


class Stage:
    """`project` holds the project file, `home` everything else."""

    def __init__(self, directory: Path, project_file: str) -> None:
        self.home = str(directory / "home")
        self.project = directory / "project"
        self.project.mkdir()
        self.project.joinpath(".runcept.toml").write_text(project_file, encoding="utf-8")
        self._environ = os.environ | {"RUNCEPT_HOME": self.home}

    def runcept(self, *arguments: str) -> str:
        """What the command prints; CalledProcessError where it fails."""
        done = subprocess.run(
            [RUNCEPT, *arguments], cwd=self.project, env=self._environ, check=True, stdout=subprocess.PIPE, text=True
        )
        return done.stdout

    def document(self, *arguments: str) -> Any:
        """The JSON that it prints."""
        return json.loads(self.runcept("--json", *arguments))

    def connection(self) -> Connection:
        """To the daemon, which runs."""
        return Connection(self.home)


@contextmanager
def stage(project_file: str) -> Iterator[Stage]:
    """A fresh one, on which nothing has run yet."""
    with tempfile.TemporaryDirectory(prefix="runcept-bench-", ignore_cleanup_errors=True) as directory:
        made = Stage(Path(directory).resolve(), project_file)
        try:
            yield made
        finally:
            made.runcept("daemon", "stop", "--kill")
