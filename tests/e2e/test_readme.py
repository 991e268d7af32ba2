"""The tour of README.md, typed as it stands there: each command must print what the page says it prints."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from tests.e2e.conftest import BIN
from tests.support import free_ports

README = Path(__file__).resolve().parents[2] / "README.md"
PORT = 8000
COLUMNS = 96
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


def tour() -> tuple[str, list[tuple[str, list[str]]]]:
    """The project file of the section, and its commands, each with the lines that it is said to print."""
    section = README.read_text(encoding="utf-8").partition("## Five minutes\n")[2].partition("\n## ")[0]
    (project_file,) = re.findall(r"```toml\n(.*?)```", section, re.DOTALL)
    steps: list[tuple[str, list[str]]] = []
    for block in re.findall(r"```console\n(.*?)```", section, re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                steps.append((line.removeprefix("$ "), []))
            else:
                steps[-1][1].append(line)
    return project_file, steps


class Reader:
    """Somebody who reads along: types each command at a terminal in `~/tour`."""

    def __init__(self, home: Path, port: int) -> None:
        self.home, self.port = home, port
        self.project = home / "tour"
        self.project.mkdir()
        self._environ = {
            "HOME": str(home),
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "TERM": "xterm",
            "NO_COLOR": "1",
            "LANG": "C.UTF-8",
        }

    def here(self, text: str) -> str:
        """The text with our port in place of the tour's."""
        return text.replace(str(PORT), str(self.port))

    def type(self, command: str) -> str:
        """What the command prints, on stdout and then on stderr."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
        with subprocess.Popen(
            ["bash", "-c", self.here(command)],
            cwd=self.project,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            os.close(theirs)
            out = b"".join(until_closed(ours)).decode()
            _, err = process.communicate(timeout=60)
        os.close(ours)
        return (out + err).replace("\r\n", "\n").replace(str(self.home), "~")


def until_closed(descriptor: int) -> Iterator[bytes]:
    """All that is written to a terminal until nobody holds its other end any more."""
    while True:
        try:
            yield os.read(descriptor, 1 << 16)
        except OSError:  # EIO: it is closed
            return


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


def pid_of(process: str, status: str) -> str:
    """What a status table says is its pid."""
    found = re.search(rf"^● {process} +running +(?:healthy +)?(\d+) ", status, re.MULTILINE)
    assert found, status
    return found[1]


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """A reader with an empty home; the daemon ends with the tour."""
    made = Reader(tmp_path.resolve(), free_ports(1)[0])
    yield made
    made.type("runcept daemon stop --kill")


def test_the_tour_prints_what_the_page_says(reader: Reader) -> None:
    """Every command of the README's tour, in order; after the daemon was killed the processes have their pids still."""
    project_file, steps = tour()
    assert len(steps) > 10
    (reader.project / ".runcept.toml").write_text(reader.here(project_file), encoding="utf-8")
    statuses: list[str] = []
    for command, lines in steps:
        printed = reader.type(command)
        missing = differs(told([reader.here(line) for line in lines]), told(printed.splitlines()))
        assert not missing, f"$ {command}\n{printed}\nThe page says here: {missing}"
        if command == "runcept activate":
            with urlopen(f"http://localhost:{reader.port}", timeout=10) as answer:
                assert answer.read() == b"hello\n"
        if command == "runcept status":
            statuses.append(printed)
    before, after = statuses
    assert [pid_of(name, before) for name in ("web", "ticker")] == [pid_of(name, after) for name in ("web", "ticker")]


def test_a_page_that_says_something_else_is_noticed() -> None:
    """The comparison forgives pids, times and layout; a word, a line too many and a line too few it does not."""
    page = ["● web     running  healthy  986   207ms", ANYTHING, "1 ready in 261ms"]
    printed = ["● web  running  healthy  12345  3.1s", "○ worker  stopped", "1 ready in 1.2s"]
    assert not differs(told(page), told(printed))
    for wrong in (["● web  starting  healthy  1  2s", *printed[1:]], printed[:2], [*printed, "more"]):
        assert differs(told(page), told(wrong))
