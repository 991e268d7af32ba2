"""What error blocks look like, as data: which lines begin one, which go on with it, and where its name stands. No I/O.

A block is read by a machine whose table is `STATES`: the first step of its state that matches the next line takes the
line along and leads to another state. A line that no step matches may stand between (output of another thread, one more
line of a message): it is taken along once a `far` step matches behind it, and else does not belong to the block.

Formats: Python's traceback module, with chains (PEP 3134), groups (PEP 654) and faulthandler; V8's stack trace API as
Node.js prints it; Go's runtime; java.lang.Throwable.printStackTrace; Rust's std::panic; and lines of loggers.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from runcept.logs.level import SEVERE, severe

__all__ = ["EXACT_NEEDLES", "NEEDLES", "STATES", "Opening", "Step", "opening"]

_SHORTEST = "err"  # is in the record of every line of stderr
_WORDS = [word for word in SEVERE - {_SHORTEST} if not any(each in word for each in SEVERE - {word, _SHORTEST})]
NEEDLES = (
    *(word.encode() for word in sorted(_WORDS)),
    *(b"xception", b"traceback", b"rejection"),
    *(b'"err', b"=err", b"[err", b"merr"),  # the last: behind a colour
    *(b'":50', b'":60', b'": 50', b'": 60'),
)
"""In the raw record, made lower case, of one of the first lines of each block or of its last one; or there is one of
`EXACT_NEEDLES` in the record as it is."""
EXACT_NEEDLES = (_SHORTEST.upper().encode(),)


class Step(NamedTuple):
    """One row: a line that `pattern` matches goes on with the block, and is followed by those of the state `to`.

    Named groups of the pattern: `title` and `message`, the last of which name the error where the row is `names`, else
    the first; `site`, a frame.
    """

    pattern: re.Pattern[str]
    to: str
    far: bool = False
    """Also behind lines that say nothing."""
    names: bool = False


class Opening(NamedTuple):
    """What the first line of a block tells. Without a title the block is one only if a title comes."""

    kind: str
    state: str
    title: str = ""
    message: str = ""
    site: str = ""
    stack: str = ""
    """The stack trace that a JSON record holds, with its newlines."""


def _step(pattern: str, to: str, *, far: bool = False, names: bool = False) -> Step:
    return Step(re.compile(pattern), to, far, names)


# An exception as its line names it; not the level with which another line begins.
_PYTHON_NAME = r"(?!(?:TRACE|DEBUG|INFO|WARN|WARNING|ERROR|CRITICAL|FATAL)\b)(?P<title>[A-Za-z_][\w.]*)"
_STACK_NAME = r"(?P<title>(?:[A-Za-z_$][\w$]*[./])*[\w$]*(?:Error|Exception|Rejection))(?: \[\w+\])?"
_THROWN = _STACK_NAME + r"(?:: (?P<message>.*))?$"
_FRAME = r"\s+at (?:async )?(?P<site>\S.*)"
_CAUSE = r"\s*(?:Caused by|Suppressed): "
_CHAIN = (
    r"(?:During handling of the above exception, another exception occurred"
    r"|The above exception was the direct cause of the following exception):$"
)
_PYTHON_FRAME = r'\s*File "(?P<site>[^"]*", line \d+,? in .*)'

STATES: dict[str, tuple[Step, ...]] = {
    "python": (
        _step(_PYTHON_FRAME, "python", far=True),
        _step(r"\s", "python"),
        _step(_PYTHON_NAME + r"(?:: (?P<message>.*))?$", "python raised", far=True, names=True),
    ),
    "python raised": (_step(_CHAIN, "python chained", far=True), _step(r"\s+(?![|+] |File )\S", "python raised")),
    "python chained": (
        _step(r"\s*Traceback \(most recent call last\):$", "python", far=True),
        _step(r"\s*\+ Exception Group Traceback \(", "python group", far=True),
    ),
    "python group": (
        _step(_CHAIN, "python chained", far=True),
        _step(r"\s{2}\| " + _PYTHON_NAME + r"(?:: (?P<message>.*))?$", "python group", far=True, names=True),
        _step(r"\s+\|\s+" + _PYTHON_FRAME, "python group", far=True),
        _step(r"\s+[|+]", "python group", far=True),
    ),
    "python source": (_step(r"\s", "python source"), _step(r"(?P<title>\w+Error): (?P<message>.*)", "end", names=True)),
    "python fatal": (
        _step(r'\s+File "(?P<site>[^"]*", line \d+ in .*)', "python fatal", far=True),
        _step(r"(?:Current thread|Thread) 0x|Extension modules: |Python runtime state: ", "python fatal", far=True),
        _step(r"\s", "python fatal"),
    ),
    "node source": (_step(r"\s*[\^~]+\s*$", "node thrown", far=True),),
    "node thrown": (
        _step(_THROWN, "stack head", far=True, names=True),
        _step(r"(?:Uncaught:?\s*)?(?P<title>\S.*)", "stack", far=True, names=True),
    ),
    "stack head": (
        _step(_FRAME, "stack", far=True),
        _step(r"Caused by:|Node\.js v", "stack head", far=True),
        _step(r"\s+\S", "stack head"),
    ),
    "stack": (
        _step(_FRAME, "stack", far=True),
        _step(_CAUSE, "stack", far=True),
        _step(r"\s+\.\.\. \d|\(Use `node |Node\.js v\d", "stack", far=True),
        _step(r"\s+\S|[}\]]", "stack"),
    ),
    "go": (
        _step(r"goroutine \d+ .*\]:$", "go call", far=True),
        _step(r"\[signal |created by |exit status \d", "go", far=True),
        _step(r"\s+\S|r\w+ +0x", "go"),
    ),
    "go call": (
        _step(r"goroutine \d+ .*\]:$", "go call", far=True),
        _step(r"\t\S+:\d+|created by |\.\.\.", "go call", far=True),
        _step(r"(?P<site>[\w./$*()\[\]{}·-]+)\(.*\)$", "go call", far=True),
        _step(r"exit status \d", "end", far=True),
        _step(r"r\w+ +0x", "go call"),
    ),
    "rust message": (_step(r"(?P<message>.*\S.*)", "rust"),),
    "rust": (
        _step(r"\s+\d+: +\S|\s+at \S|stack backtrace:$|note: |thread .* panicked while ", "rust", far=True),
        _step(r"\s+\S", "rust"),
    ),
    "log": (
        _step(_FRAME, "stack", far=True),
        _step(r"Caused by:", "log", far=True),
        _step(r'\s+(?![|+] |File ")\S', "log"),
        _step(r".*\b(?:DETAIL|HINT|STATEMENT|CONTEXT|QUERY|LOCATION):  ", "log"),  # PostgreSQL
    ),
    "npm": (_step(r"npm (?:ERR!|error)(?: |$)", "npm"),),
    "webpack": (_step(r"(?P<title>\S[^:]{0,60}): (?P<message>.*)", "log", names=True),),
    "end": (),
}

_OPENINGS: tuple[tuple[str, str, re.Pattern[str]], ...] = tuple(
    (kind, state, re.compile(pattern))
    for kind, state, pattern in (
        ("python", "python", r"\s*(?P<title>Traceback) \(most recent call last\):$"),
        ("python", "python group", r"\s*\+ (?P<title>Exception Group) Traceback \(most recent call last\):$"),
        ("python", "python source", r'\s*File "(?P<site>[^"]*", line \d+)$'),
        ("python", "python fatal", r"(?P<title>Fatal Python error): (?P<message>.*)"),
        ("go", "go", r"(?P<title>panic|fatal error): (?P<message>.*)"),
        ("go", "go", r".*http: (?P<title>panic) serving \S+: (?P<message>.*)"),
        ("rust", "rust", r"thread .*(?P<title>panic)ked at '(?P<message>.*)', (?P<site>\S+?):\d+:\d+$"),
        ("rust", "rust message", r"thread .*(?P<title>panic)ked at (?P<site>\S+?):\d+:\d+:$"),
        ("node", "node source", r"(?P<site>(?:file://|node:|/|[A-Za-z]:\\)\S+:\d+)$"),
        ("log", "npm", r"(?P<title>npm (?:ERR!|error)) (?P<message>.*)"),
        ("log", "webpack", r"(?P<title>ERROR) (?P<message>in \S*[\w)\]](?: \d+:\d+\S*)?)$"),
        ("node", "stack head", r"(?:Exception in thread \".*\" )?(?:Uncaught )?" + _THROWN),
        ("node", "stack head", r"[^{].*?: " + _THROWN),
    )
)
_LEAD_IN = re.compile(r"Exception (?:ignored )?in\b|\w.*[Ee]xception was never retrieved$|Error in atexit")


def opening(text: str, level: str | None = None) -> Opening | None:
    """What a block begins with that has `text` as its first line; None where it begins none.

    `level` is what the record itself says, in logs of old.
    """
    found = severe(text)
    if found is not None and not found.is_severe:
        return None
    for kind, state, pattern in _OPENINGS:
        if match := pattern.match(text):
            if found is not None and state == "stack head":
                break  # a logger's line that ends in an exception: its level and words say more
            groups = match.groupdict()
            return Opening(kind, state, *(groups.get(each) or "" for each in ("title", "message", "site")))
    if found is not None:
        return Opening("log", "log", found.title, found.message, stack=found.stack)
    if _LEAD_IN.match(text):
        return Opening("log", "log", "error", text)
    if level is not None and (of_record := severe(f"{level.upper()} {text}")) is not None and of_record.is_severe:
        return Opening("log", "log", of_record.title, text)
    return None
