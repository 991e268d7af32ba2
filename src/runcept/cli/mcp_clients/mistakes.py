"""What is wrong with the text of a client's file, before it is known whose file it is. Pure."""

from __future__ import annotations

__all__ = ["Mistake"]


class Mistake(ValueError):
    """The text is not of its format, or holds something else where servers belong; `at` counts characters from 0."""

    def __init__(self, message: str, at: int, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.at = at
        self.hint = hint
