"""Which level a line of a logger has: level words, brackets, logfmt, JSON, and `error: …` of command lines. No I/O."""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec

__all__ = ["Severity", "severe"]


class Severity(NamedTuple):
    """The level that a line states, and what it says beside it."""

    is_severe: bool
    title: str = ""
    """ERROR, FATAL, …; or the type of an exception that a JSON record tells."""
    message: str = ""
    stack: str = ""
    """The stack trace that a JSON record holds, with its newlines."""


_HEAD = 160  # characters: where a level stands, if a line has one
_JSON_MAX = 64 << 10

_SEVERE = frozenset(
    ("error", "erro", "err", "fatal", "fata", "critical", "crit", "severe", "panic", "dpanic", "emerg", "alert")
)
_FULL = {"erro": "error", "err": "error", "fata": "fatal", "crit": "critical"}
_NUMBERS = {50: "ERROR", 60: "FATAL"}  # pino, bunyan
_WORD = re.compile(
    r"""(?:^|[\s\[(<|:])
    (?P<word>TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR|ERRO|ERR|FATAL|FATA|CRITICAL|CRIT|SEVERE|PANIC|EMERG|ALERT)
    (?=[\s\]):>|,\[/!-]|$)
    | \[(?P<bracketed>(?i:trace|debug|info|notice|warn|warning|error|fatal|critical|crit|emerg|alert))\]""",
    re.VERBOSE,
)
_LOGFMT = re.compile(r"(?:^|\s)(?:level|lvl|severity)=\"?(?P<word>[A-Za-z]+)")
_LOGFMT_MESSAGE = re.compile(r"(?:^|\s)(?:msg|message|error|err)=(?:\"(?P<quoted>(?:[^\"\\]|\\.)*)\"|(?P<plain>\S+))")
_SAID = re.compile(
    r"(?:^|[\s\]>#])(?P<word>(?:(?:[Uu]ncaught|[Uu]nhandled|[Ff]atal|[Ii]nternal|[Ss]erver) )*"
    r"(?:[Ee]rror|[Ff]atal|[Pp]anic|[Ee]xception))(?: TS\d+)?(?::|,(?= can't)) (?=\S)"
)
_JSON_LEVEL = re.compile(r"\"(?:level|severity|lvl|levelname|log\.level)\"\s*:\s*(?:\"(?P<word>\w+)\"|(?P<number>\d+))")
_BETWEEN = re.compile(r"^(?:/[\w.-]*)?[\s\])>|:!-]*")


def severe(text: str) -> Severity | None:
    """What a line states about itself; None where it states no level."""
    if text.startswith("{"):
        return _of_json(text)
    if (found := _LOGFMT.search(text)) is not None:
        message = _LOGFMT_MESSAGE.search(text)
        said = (message["quoted"] or message["plain"] or "") if message else text
        return _severity(found["word"], said)
    head = text[:_HEAD]
    if (found := _WORD.search(head)) is not None:
        return _severity(found["word"] or found["bracketed"], text[found.end() :])
    if (found := _SAID.search(head)) is not None:
        return Severity(True, found["word"], text[found.end() :].strip())
    return None


def _severity(word: str, message: str) -> Severity:
    lower = word.lower()
    return Severity(lower in _SEVERE, _FULL.get(lower, lower).upper(), _BETWEEN.sub("", message, count=1).rstrip())


def _of_json(text: str) -> Severity | None:
    if (found := _JSON_LEVEL.search(text)) is None:
        return None
    number = int(found["number"][:4]) if found["number"] else 0
    if number and number not in _NUMBERS:
        return Severity(False)
    told = _severity(found["word"] or _NUMBERS[number], text)
    if not told.is_severe or len(text) > _JSON_MAX:
        return told
    try:
        record = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return told
    if not isinstance(record, dict):
        return told
    message, cause, stack = _first(record, ("msg", "message", "event")), "", ""
    for key in ("err", "error", "exception", "exc_info", "stack", "stacktrace", "stack_trace"):
        value = record.get(key)
        if isinstance(value, dict):
            named = _first(value, ("type", "name", "class")), _first(value, ("message",))
            cause = cause or ": ".join(filter(None, named))
            value = _first(value, ("stack", "stacktrace"))
        if isinstance(value, str):
            stack, cause = (value, cause) if "\n" in value else (stack, cause or value)
    said = f"{message}: {cause}" if message and cause and cause not in message else message or cause or text
    return told._replace(message=said, stack=stack)


def _first(record: dict[str, object], keys: tuple[str, ...]) -> str:
    return next((value for key in keys if isinstance(value := record.get(key), str) and value), "")
