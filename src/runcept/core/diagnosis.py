"""What the last words of a program mean, for who has not met them before: one sentence to act on. Pure.

Only what is certain enough to act on is said. The sentences are about the program, not about Runcept; what Runcept
knows itself (a command that does not exist, a port that is taken) is in the reason and the hint of a process already.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from runcept.core.views import ProcessView, State

__all__ = ["diagnose", "diagnose_output"]

_Rule = tuple[re.Pattern[str], Callable[[re.Match[str], Sequence[str]], str]]

_ENDED = re.compile(r"^exit code \d+: ")
"""Before the line that tells why, in a reason; it may stand far above the last lines."""
_FRAME = re.compile(r'^\s*File "([^"]+)", line (\d+)|^(/\S+?|\w\S*\.[cm]?[jt]sx?):(\d+)$')


def diagnose(view: ProcessView, output: Sequence[str]) -> str:
    """A sentence about a process that is not as it should be, from the last lines it wrote; "" where nothing is known.

    `output`: lines without escapes of terminals, oldest first.
    """
    return _never_ready(view) if view.state is State.STARTING else diagnose_output(view, output)


def diagnose_output(view: ProcessView, output: Sequence[str]) -> str:
    """The same, from the lines, the reason and the exit code alone."""
    for line in reversed([*output, _ENDED.sub("", view.reason or "")]):
        for pattern, sentence in _RULES:
            if found := pattern.search(line):
                return sentence(found, output)
    return _EXIT_CODES.get(view.exit_code or 0, "")


def _never_ready(view: ProcessView) -> str:
    listening = f" It listens on {', '.join(map(str, view.ports))}." if view.ports else ""
    return (
        "It runs, but its health check has not succeeded yet: either it needs longer, or the check asks in the wrong "
        f"place.{listening}"
    )


def _place(output: Sequence[str]) -> str:
    """Where an interpreter says the mistake is: ` (app.py, line 3)`, or nothing."""
    for line in reversed(output):
        if found := _FRAME.search(line):
            path, number = (found[1], found[2]) if found[1] else (found[3], found[4])
            return f" in {path}, line {number}"
    return ""


def _python_module(found: re.Match[str], _: Sequence[str]) -> str:
    name = found[1].split(".")[0]
    return (
        f"Python has no module {name}: install it into the environment that the command runs in, "
        "or have the command use the right one (such as .venv/bin/python)."
    )


def _node_module(found: re.Match[str], _: Sequence[str]) -> str:
    name = found[1]
    if name.startswith((".", "/")):
        return f"Node.js finds no file {name}: look at the path, or build the project first."
    return f"Node.js finds no package {name}: install the project's packages first (npm install, or its like)."


def _syntax(found: re.Match[str], output: Sequence[str]) -> str:
    return f"The program has a syntax error{_place(output)}: {found[2] or found[1]}."


def _address(found: re.Match[str], _: Sequence[str]) -> str:
    ports = re.findall(r"(?:port\D{0,3}|:|', )(\d{2,5})\b", found.string, re.IGNORECASE)  # the time of day comes first
    port = f" {ports[-1]}" if ports else ""
    return (
        f"Another program listens on its port{port} already: stop that one, or use another port. With `ports` in the "
        "project file Runcept tells which program it is."
    )


def _refused(found: re.Match[str], _: Sequence[str]) -> str:
    places = re.findall(r"(?:[\w.-]+|\[[0-9a-f:]+\]):\d{2,5}\b", found.string)
    where = f" to {places[-1]}" if places else ""
    return f"It could not connect{where}: does what listens there run, and is it in its `depends_on`?"


def _said(sentence: str) -> Callable[[re.Match[str], Sequence[str]], str]:
    return lambda found, _: sentence.format(*found.groups())


_RULES: Sequence[_Rule] = (
    (re.compile(r"(?:ModuleNotFoundError|python[\d.]*): No module named '?([\w.]+)"), _python_module),
    (re.compile(r"Cannot find (?:module|package) '([^']+)'"), _node_module),
    (re.compile(r"^(SyntaxError|IndentationError|TabError)(?:: (.+))?$"), _syntax),
    (
        re.compile(
            r"(?i)(?:address|connection) (?:is )?(?:already )?in use|EADDRINUSE|bind.*in use"
            r"|\bport(?: \d+)? (?:is|was) .*\bin use\b"
        ),
        _address,
    ),
    (re.compile(r"(?i)ECONNREFUSED|connection refused"), _refused),
    (
        re.compile(r"MemoryError|heap out of memory|was out of memory$|OutOfMemoryError|[Cc]annot allocate memory"),
        _said("It ran out of memory: give it more, or have it use less."),
    ),
    (
        re.compile(r"(?:^|: )([^\s:]+): (?:command )?not found$"),
        _said("The shell found no command {0}: install it, or write its path."),
    ),
    (
        re.compile(r"cannot load such file -- (\S+)"),
        _said("Ruby finds no library {0}: install the project's gems first (bundle install)."),
    ),
    (
        re.compile(r"(?:no required module provides|cannot find module providing) package ([^\s;:]+)"),
        _said("Go finds no package {0}: add it to go.mod first (go get {0}, or go mod tidy)."),
    ),
    (
        re.compile(r"Could not find or load main class (\S+)|ClassNotFoundException: (\S+)"),
        lambda found, _: (
            f"Java finds no class {found[1] or found[2]}: build the project first, or look at its class path."
        ),
    ),
    (
        re.compile(
            r"No such file or directory: '?([^'\s]+)|no such file or directory, \w+ '([^']+)'"
            r"|'?([^\s:']+)'?(?::|: \[Errno 2\]| \() ?[Nn]o such file or directory\)?$"
        ),
        lambda found, _: f"It needs {found[1] or found[2] or found[3]}, which does not exist.",
    ),
    (
        re.compile(r"PermissionError: .*: '([^']+)'|(?:EACCES: )?[Pp]ermission denied(?:, \w+)? '([^']+)'"),
        lambda found, _: f"It may not use {found[1] or found[2]}: look at the owner and the mode of that file.",
    ),
)

_EXIT_CODES = {
    126: "The shell may not execute the command: it is not executable (chmod +x), or it is a directory.",
    127: "The shell did not find the command: install it, or write its path.",
}
