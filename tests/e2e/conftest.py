"""A project of its own, with a home of its own, and the real `runcept` of this virtual environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

BIN = Path(sys.executable).parent


@dataclass
class Project:
    """A project directory and a home under one temporary directory; `run` is how a person uses them."""

    path: Path
    home: Path
    environ: dict[str, str]

    def write(self, text: str) -> None:
        """Make `text` the project file."""
        (self.path / ".runcept.toml").write_text(text, encoding="utf-8")

    def run(self, *arguments: str, ok: bool = True, timeout: float = 90) -> subprocess.CompletedProcess[str]:
        """`runcept ARGUMENTS` in the project's directory; with `ok`, an exit status that is not 0 fails the test."""
        done = subprocess.run(
            [BIN / "runcept", *arguments],
            cwd=self.path,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if ok and done.returncode:
            pytest.fail(f"{' '.join(arguments)} exited {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done

    def json(self, *arguments: str, ok: bool = True) -> Any:
        """The one JSON document that `runcept --json ARGUMENTS` prints."""
        return json.loads(self.run("--json", *arguments, ok=ok).stdout)

    def processes(self) -> dict[str, dict[str, Any]]:
        """What `status` says of each process, by name."""
        return {each["name"]: each for each in self.json("status")["processes"]}

    def log(self, *names: str) -> str:
        """The messages of the processes so far, one a line."""
        return "\n".join(line["message"] for line in self.json("logs", "-n", "10000", *names)["lines"])

    def left_behind(self) -> list[psutil.Process]:
        """Living processes that belong to this home or project: daemon, keeper, managed ones and what they started."""
        return [process for process in psutil.process_iter() if self._owns(process)]

    def _owns(self, process: psutil.Process) -> bool:
        try:
            environ, arguments = process.environ(), process.cmdline()
            dead = process.status() == psutil.STATUS_ZOMBIE
        except psutil.Error:  # it ended meanwhile, or is not ours
            return False
        ours = environ.get("RUNCEPT_ENVIRONMENT") == str(self.path) or any(str(self.home) in each for each in arguments)
        return ours and not dead


@contextmanager
def fresh_project() -> Iterator[Project]:
    """A project in a home of its own; afterwards its daemon is stopped, and nothing of it may be alive."""
    with tempfile.TemporaryDirectory(prefix="runcept-test-") as directory:
        root = Path(os.path.realpath(directory))
        (root / "project").mkdir()
        environ = {key: value for key, value in os.environ.items() if not key.startswith("RUNCEPT")}
        for name in ("COLUMNS", "LINES", "NO_COLOR", "PAGER"):  # we would obey them, and pytest-xdist sets some
            environ.pop(name, None)
        environ |= {"RUNCEPT_HOME": str(root / "home"), "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
        made = Project(root / "project", root / "home", environ)
        yield made
        try:
            made.run("daemon", "stop", "--kill", timeout=30)
        finally:
            _, left = psutil.wait_procs(made.left_behind(), timeout=10)
            known = {each: each.info["cmdline"] for each in psutil.process_iter(["cmdline"])}
            for process in left:
                process.kill()
        assert not left, f"the daemon was stopped and these still ran: {[known.get(each) for each in left]}"


@pytest.fixture
def project() -> Iterator[Project]:
    """A fresh project; when the test is over its daemon is stopped, and nothing of it may be alive."""
    with fresh_project() as made:
        yield made
