"""Text of other programs as a person sees it. Pure."""

from __future__ import annotations

import re

__all__ = ["ANSI", "plain"]

# ECMA-48: CSI …final, OSC … terminated by BEL or ST, other strings, and escapes of two bytes. None goes on in the next
# line.
ANSI = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)?|[PX^_][^\x1b\n]*(?:\x1b\\)?|[ -/]*[0-~])?"
)
_ENDS = re.compile(r"(?<!\r)\r++(?=\n|\Z)")


def plain(text: str) -> str:
    """One line or several, without escapes and without the carriage returns that end some."""
    if "\x1b" in text:
        text = ANSI.sub("", text)
    return _ENDS.sub("", text) if "\r" in text else text
