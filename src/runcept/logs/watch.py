"""Waiting for a line: a regular expression over finished lines, a block at a time. It does no I/O."""

from __future__ import annotations

import re
from collections.abc import Callable

from runcept.core.plain import plain
from runcept.errors import PatternInvalid

__all__ = ["Watch", "compile_pattern"]

_WHOLE_TEXT = re.compile(r"\\[AZ]")


def compile_pattern(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """`re.compile` whose error is one a user can read: PatternInvalid."""
    try:
        return re.compile(pattern, flags)
    except (re.error, OverflowError, RecursionError) as error:
        raise PatternInvalid(pattern, str(error)) from error


class Watch:
    r"""Calls back once, with the text of the first line in which the pattern is found.

    A line is searched as a person sees it: without ANSI escapes and without the carriage return that ends some;
    `^` and `$` are its ends, no match spans two lines, bytes that are not UTF-8 are U+FFFD.
    """

    def __init__(self, pattern: str, callback: Callable[[str], None]) -> None:
        self._line = compile_pattern(pattern)
        # With ^ and $ at every line a block can be searched as a whole; \A and \Z would mean its ends.
        self._block = None if _WHOLE_TEXT.search(pattern) else compile_pattern(pattern, re.MULTILINE)
        self._callback = callback

    def search(self, block: bytes) -> bool:
        """Look through finished lines, newlines between them; true once the line was found and told."""
        line = self._find(plain(block.decode("utf-8", "replace")))
        if line is None:
            return False
        self._callback(line)
        return True

    def _find(self, text: str) -> str | None:
        if self._block is None:
            return next((line for line in text.split("\n") if self._line.search(line)), None)
        at = 0
        while at <= len(text) and (found := self._block.search(text, at)):
            start = text.rfind("\n", 0, found.start()) + 1
            end = text.find("\n", found.start()) % (len(text) + 1)  # -1: the last line
            if self._line.search(line := text[start:end]):  # else the match spans lines
                return line
            at = end + 1
        return None
