"""Which level a line of a logger has: level words, brackets, logfmt, JSON, and `error: …` of command lines. No I/O."""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec

__all__ = ["SEVERE", "Severity", "severe"]


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

SEVERE = frozenset(
    (
        *("error", "erro", "err", "fatal", "fata", "critical", "crit", "severe"),
        *("panic", "dpanic", "emergency", "emerg", "alert"),
    )
)
"""The words of the levels that count as an error."""
_MILD = frozenset(("trace", "debug", "info", "notice", "warn", "warning"))
_FULL = {"erro": "error", "err": "error", "fata": "fatal", "crit": "critical", "emergency": "emerg"}
_NUMBERS = {50: "ERROR", 60: "FATAL"}  # pino, bunyan
_LEVELS = "|".join(sorted(SEVERE | _MILD, key=len, reverse=True))
_WORD = re.compile(
    rf"""(?:^|[\s\[(<|:]) (?P<word>{_LEVELS.upper()}) (?=[\s\]):>|,\[/!-]|$)
    | \[(?P<bracketed>(?i:{_LEVELS}))\]""",
    re.VERBOSE,
)
_LOGFMT = re.compile(r"(?:^|\s)(?:level|lvl|severity)=\"?(?P<word>[A-Za-z]+)")
_LOGFMT_MESSAGE = re.compile(r"(?:^|\s)(?:msg|message|error|err)=(?:\"(?P<quoted>(?:[^\"\\]|\\.)*)\"|(?P<plain>\S+))")
_SAID = re.compile(
    r"(?:^|[\s\]>#])(?P<word>(?:(?:[Uu]ncaught|[Uu]nhandled|[Ff]atal|[Ii]nternal|[Ss]erver) )*"
    r"(?:[Ee]rror|[Ff]atal|[Pp]anic|[Ee]xception))(?: TS\d+|\[E\d+\])?(?::|,(?= can't)) (?=\S)"
)
_LEVEL_KEYS = ("level", "severity", "lvl", "levelname", "log.level")
_JSON_LEVEL = re.compile(rf"\"(?:{'|'.join(map(re.escape, _LEVEL_KEYS))})\": ?(?:\"(?P<word>\w+)\"|(?P<number>\d+))")
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
    return Severity(lower in SEVERE, _FULL.get(lower, lower).upper(), _BETWEEN.sub("", message, count=1).rstrip())


def _of_json(text: str) -> Severity | None:
    """A level within another value, of which there may be several, counts where the record itself has none."""
    told = [_of_level(found["word"] or int(found["number"][:4]), text) for found in _JSON_LEVEL.finditer(text)]
    if not any(each.is_severe for each in told) or len(text) > _JSON_MAX:
        return told[0] if told else None
    try:
        record = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return told[0]
    if not isinstance(record, dict):
        return told[0]
    own = next((record[key] for key in _LEVEL_KEYS if isinstance(record.get(key), int | str)), None)
    of_record = told[0] if own is None else _of_level(own, text)
    return _of_record(record, of_record, text) if of_record.is_severe else of_record


def _of_level(level: str | int, message: str) -> Severity:
    return _severity(_NUMBERS.get(level, "") if isinstance(level, int) else level, message)


def _of_record(record: dict[str, object], told: Severity, text: str) -> Severity:
    """With what it says, and its stack."""
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
