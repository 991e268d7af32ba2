"""The tour of README.md, typed as it stands there: each command must print what the page says it prints."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from tests.e2e.conftest import Project
from tests.support import free_ports

README = Path(__file__).resolve().parents[2] / "README.md"
PORT = 8000
COLUMNS = 100
SECONDS = 60
ANYTHING = "…"
"""A line that stands for any number of lines."""
NOISE = [
    (re.compile(r"\d\d/\w+/\d{4} \d\d:\d\d:\d\d"), "TIME"),
    (re.compile(r"\b\d+(\.\d+)?(ms|s|m)\b"), "TIME"),
    (re.compile(r"\b\d+(\.\d+)? MiB"), "MEMORY"),
    (re.compile(r"\bCPU\b|\b\d+\.\d%"), ""),  # of a daemon that has just begun there is none yet
    (re.compile(r"\bpid \d+"), "pid PID"),
    (re.compile(r"(?<= )\d{2,7}(?= +TIME)"), "PID"),
    (re.compile(r"\s+"), " "),
]


def tour(port: int) -> tuple[str, list[tuple[str, list[str]]]]:
    """The project file of the section, and its commands, each with the lines that it is said to print; on our port."""
    section = README.read_text(encoding="utf-8").partition("## Five minutes\n")[2].partition("\n## ")[0]
    section = section.replace(str(PORT), str(port))
    (project_file,) = re.findall(r"```toml\n(.*?)```", section, re.DOTALL)
    steps: list[tuple[str, list[str]]] = []
    for block in re.findall(r"```console\n(.*?)```", section, re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                steps.append((line.removeprefix("$ "), []))
            else:
                steps[-1][1].append(line)
    return project_file, steps


def type_at_terminal(project: Project, command: str) -> str:
    """What the command prints in the project's directory, on stdout, which is a terminal, and then on stderr."""
    environ = project.environ | {"TERM": "xterm", "NO_COLOR": "1", "LANG": "C.UTF-8", "COLUMNS": str(COLUMNS)}
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as screen, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            ["bash", "-c", command],
            cwd=project.path,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=errors,
        )
        os.close(theirs)
        written = b"".join(until_closed(screen.fileno())).decode()
        process.wait(SECONDS)
        errors.seek(0)
        written += errors.read()
    return written.replace("\r\n", "\n")


def until_closed(screen: int) -> Iterator[bytes]:
    """All that is written to a terminal until nobody holds its other end any more."""
    deadline = time.monotonic() + SECONDS
    while select.select([screen], [], [], max(0, deadline - time.monotonic()))[0]:
        try:
            yield os.read(screen, 1 << 16)
        except OSError:  # EIO: it is closed
            return
    pytest.fail(f"a command did not end within {SECONDS} s")


def told(lines: list[str]) -> list[str]:
    """The lines as far as they are the same each time: no pids, times and sizes, no blank lines, no layout."""
    same = []
    for line in lines:
        text = line
        for pattern, word in NOISE:
            text = pattern.sub(word, text)
        if text.strip():
            same.append(text.strip())
    return same


def differs(expected: list[str], printed: list[str]) -> str:
    """The first line of the page that was not printed in its place; empty where all were."""
    skipping = False
    at = 0
    for line in expected:
        if line == ANYTHING:
            skipping = True
            continue
        while skipping and at < len(printed) and printed[at] != line:
            at += 1
        if at == len(printed) or printed[at] != line:
            return line
        at, skipping = at + 1, False
    return "" if skipping or at == len(printed) else "nothing more"


def pid_in(printed: str, before: str) -> str:
    """The number behind `before`."""
    found = re.search(rf"{before} +(\d+)", printed)
    assert found, printed
    return found[1]


def test_the_tour_prints_what_the_page_says(project: Project) -> None:
    """Every command of the README's tour, in order; after the daemon was killed the processes have their pids still."""
    (port,) = free_ports(1)
    project_file, steps = tour(port)
    assert len(steps) > 10
    project.path.rename(project.path.with_name("tour"))
    project.path = project.path.with_name("tour")
    project.environ["HOME"] = str(project.path.parent)  # the page's prompt is in ~/tour
    project.write(project_file)
    printed, statuses = "", []
    for command, lines in steps:
        # The page kills the pid that it has just shown; so do we.
        typed = f"kill -9 {pid_in(printed, 'pid')}" if command.startswith("kill") else command
        printed = type_at_terminal(project, typed)
        missing = differs(told(lines), told(printed.splitlines()))
        assert not missing, f"$ {command}\n{printed}\nThe page says here: {missing}"
        if command == "runcept activate":
            with urlopen(f"http://localhost:{port}", timeout=10) as answer:
                assert answer.read() == b"hello\n"
        if command == "runcept status":
            statuses.append(printed)
    before, after = ([pid_in(each, "running  healthy"), pid_in(each, "● ticker  running")] for each in statuses)
    assert before == after


def test_a_page_that_says_something_else_is_noticed() -> None:
    """The comparison forgives pids, times and layout; a word, a line too many and a line too few it does not."""
    page = ["● web     running  healthy  986   207ms", ANYTHING, "1 ready in 261ms"]
    printed = ["● web  running  healthy  12345  3.1s", "○ worker  stopped", "1 ready in 1.2s"]
    assert not differs(told(page), told(printed))
    for wrong in (["● web  starting  healthy  1  2s", *printed[1:]], printed[:2], [*printed, "more"]):
        assert differs(told(page), told(wrong))
