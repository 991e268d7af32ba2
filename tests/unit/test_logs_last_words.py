"""Which line of a run's last ones tells why they are the last, from what crashed programs really print."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from runcept.logs.last_words import LINES, telling
from runcept.logs.record import Line

CRASHES = Path(__file__).parent.parent / "crashes"


def told(lines: Sequence[str]) -> str:
    return telling([Line(None, "web", "stderr", 1, line) for line in lines])


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("go-deadlock", "fatal error: all goroutines are asleep - deadlock!"),
        ("go-panic", "panic: runtime error: index out of range [5] with length 2"),
        ("java-caused", "java.lang.RuntimeException: the shop cannot open"),
        ("java-suppressed", "java.io.IOException: no paper"),
        ("node-code", "Error: ENOENT: no such file or directory, open '/nowhere/prices.json'"),
        ("node-rejection", "Error: upstream is gone"),
        ("node-syntax", "SyntaxError: Unexpected token '='"),
        ("node-thrown-value", "out of tea"),
        ("node-uncaught", "TypeError: Cannot read properties of undefined (reading 'value')"),
        ("python-chained", "RuntimeError: the shop cannot open"),
        ("python-fatal", "Fatal Python error: Segmentation fault"),
        ("python-group", "ExceptionGroup: unhandled errors in a TaskGroup (2 sub-exceptions)"),
        ("python-plain", "ZeroDivisionError: division by zero"),
        ("python-syntax", "SyntaxError: invalid syntax"),
        ("rust-panic", "panic: index out of bounds: the len is 2 but the index is 5"),
    ],
)
def test_an_error_is_told_by_its_name(name: str, line: str) -> None:
    """Not by the last of its frames, nor by the version of the interpreter."""
    assert told((CRASHES / f"{name}.txt").read_text().splitlines()[-LINES:]) == line


@pytest.mark.parametrize("name", ["node-logged", "python-thread", "rust-backtrace"])
def test_what_comes_after_an_error_is_what_tells(name: str) -> None:
    """The program went on: these crashes were not its end."""
    assert told((CRASHES / f"{name}.txt").read_text().splitlines()) == "goes on"


def test_a_line_of_a_logger_is_told_as_it_is() -> None:
    """It has no stack, and its words are its own."""
    line = "2026-11-26 10:05:30,290 CRITICAL shop.orders: the till is empty"
    assert told(["begins", line]) == line


@pytest.mark.parametrize(
    ("lines", "line"),
    [
        (['npm error Missing script: "dev"', "npm error", "npm error To see a list:"], "Missing script"),
        (["npm ERR! code ENOENT", "npm ERR! syscall open", "npm ERR! enoent Could not read it"], "enoent Could"),
    ],
)  # fmt: skip
def test_npm_is_told_by_its_first_words(lines: list[str], line: str) -> None:
    """It always ends with the place of its own log."""
    end = ["npm error A complete log of this run can be found in: /home/a/.npm/_logs/debug-0.log"]
    assert told(lines + end).startswith(f"npm: {line}")


def test_without_words_nothing_is_told() -> None:
    """Blank lines are none."""
    assert told([]) == told(["", "   ", "\t"]) == ""
    assert told(["the last", "", " "]) == "the last"
