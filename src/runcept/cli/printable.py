"""Text of other programs, made safe for a terminal. Pure."""

from __future__ import annotations

import re

__all__ = ["printable"]

_RESET = "\x1b[0m"
# ECMA-48: CSI …final, OSC … terminated by BEL or ST, other two-byte escapes; SGR is the CSI that ends in m.
_ESCAPE = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[PX^_][^\x1b]*(?:\x1b\\)?|[ -/]*[0-~])?"
)
_SGR = re.compile(r"\x1b\[[0-9;:]*m")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1a\x1c-\x1f\x7f-\x9f]")


def printable(message: str, *, color: bool) -> str:
    """The message with nothing in it that moves a cursor; its own colours are kept where `color`, and ended.

    Of a line that was overwritten by carriage returns (a progress bar), what was to be seen last.
    """
    if message.isprintable():
        return message
    text = message.rstrip("\r").rpartition("\r")[2]
    if "\x1b" in text:
        text = _ESCAPE.sub(lambda found: found[0] if color and _SGR.fullmatch(found[0]) else "", text)
        if "\x1b" in text:
            text += _RESET
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
