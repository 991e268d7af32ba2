"""Real shells on a pseudo-terminal, with the hook in them or without."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pexpect
import psutil
from tests.e2e.conftest import Project
from tests.support import program

__all__ = ["SHELLS", "Shell", "shell"]

SHELLS = ("bash", "zsh", "fish")
_START = {
    "bash": ["--norc", "--noprofile", "-i"],
    "zsh": ["-f", "-i", "-o", "no_zle", "-o", "no_prompt_sp"],
    "fish": ["--no-config", "-i", "-C", "function fish_prompt; end; function fish_greeting; end"],
}
_LOAD = {
    "bash": 'eval "$(runcept hook bash)"',
    "zsh": 'eval "$(runcept hook zsh)"',
    "fish": "runcept hook fish | source",
}
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[=>78]|\(B)")
_SECONDS = 20


class Shell:
    """One interactive shell; `name` is bash, zsh or fish."""

    def __init__(self, name: str, child: Any) -> None:
        self.name = name
        self.child = child
        self._asked = 0

    def do(self, *lines: str) -> list[str]:
        """Type the lines, each at a prompt of its own. What the terminal then shows, without escapes, line by line."""
        shown: list[str] = []
        for line in lines:
            self._asked += 1
            self.child.send(f'{line}\necho "mark"{self._asked}\n')
            self.child.expect(rf"mark{self._asked}\r?\n", timeout=_SECONDS)
            shown += _ESCAPE.sub("", self.child.before).replace("\r", "\n").split("\n")
        return [each.rstrip() for each in shown]

    def said(self, *lines: str) -> list[str]:
        """Type the lines; what Runcept says meanwhile, before the prompts."""
        return [each.removeprefix("runcept: ") for each in self.do(*lines) if each.startswith("runcept: ")]

    def load(self) -> list[str]:
        """Take the hook in, as a startup file does; what Runcept says."""
        return self.said(_LOAD[self.name])

    def status(self) -> str:
        """The exit status of the last command of the user, as the next one sees it."""
        self._asked += 1
        self.child.sendline(f'echo "st"atus{self._asked}=${"status" if self.name == "fish" else "?"}')
        self.child.expect(rf"status{self._asked}=(\d+)", timeout=_SECONDS)
        return str(self.child.match[1])

    def type(self, line: str) -> None:
        """Type a line and wait for nothing."""
        self.child.sendline(line)

    def children_so_far(self) -> int:
        """A number that grows with each child that the shell has had and waited for: their page faults, proc(5)."""
        stat = Path(f"/proc/{self.child.pid}/stat").read_text(encoding="utf-8")
        assert not psutil.Process(self.child.pid).children()
        return int(stat.rpartition(")")[2].split()[8])


@contextmanager
def shell(
    project: Project, name: str, *, load: bool = True, columns: int = 400, at: Path | None = None
) -> Iterator[Shell]:
    """A shell that begins outside of the project, or `at` a directory; the test is skipped where it is not installed.

    Its prompt is empty, so that what is shown are the answers alone.
    """
    outside = project.path.parent
    own = {"HOME": str(outside), "TERM": "xterm", "PS1": "", "PROMPT": "", "LC_ALL": "C.UTF-8", "fish_history": ""}
    environ = {**project.environ, **own}
    environ.pop("PROMPT_COMMAND", None)
    child = pexpect.spawn(
        program(name),
        _START[name],
        cwd=str(at or outside),
        env=environ,
        dimensions=(40, columns),
        encoding="utf-8",
        timeout=_SECONDS,
        echo=False,
    )
    child.delaybeforesend = None
    made = Shell(name, child)
    try:
        made.do("echo begun")
        if load:
            assert made.load() == []
        yield made
    finally:
        child.close(force=True)
