"""Text of other programs, made safe for a terminal. Pure."""

from __future__ import annotations

import re

from runcept.core.plain import ANSI

__all__ = ["escaped", "printable"]

_RESET = "\x1b[0m"
_SGR = re.compile(r"\x1b\[[0-9;:]*m")  # ECMA-48: the CSI that ends in m
# C0 and C1 controls, also as bytes that are not UTF-8 (lone surrogates); separators of lines; what reorders text,
# so that it reads otherwise than it is: the embeddings, overrides and isolates of Unicode's bidirectional algorithm.
_CONTROL = re.compile("[\x00-\x08\x0a-\x1a\x1c-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\udc80-\udc9f]")


def printable(message: str, *, color: bool) -> str:
    """The message with nothing in it that acts on a terminal or breaks the line.

    Its own colours are kept where `color`, and ended. Of a line that was overwritten by carriage returns (a progress
    bar), what was to be seen last.
    """
    if message.isprintable():
        return message
    text = message.rstrip("\r").rpartition("\r")[2]
    if "\x1b" in text:
        text = ANSI.sub(lambda found: found[0] if color and _SGR.fullmatch(found[0]) else "", text)
        if "\x1b" in text:
            text += _RESET
    return _CONTROL.sub(_escaped, text)


def escaped(text: str) -> str:
    """Every character that acts on a terminal as its escape of JSON, in which it stands in a string alone."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _escaped(found: re.Match[str]) -> str:
    number = ord(found[0])
    if number < 0x2000:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0xD800 else f"\\x{number - 0xDC00:02x}"
