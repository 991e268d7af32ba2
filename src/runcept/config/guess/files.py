"""Text files of a project that may be there."""

from __future__ import annotations

__all__ = ["readable_text"]

_READ_MAX = 256 * 1024  # bytes of a file that are looked at


def readable_text(path: str) -> str:
    """The beginning of a text file; empty when there is none, or none that we may read."""
    try:
        with open(path, encoding="utf-8-sig", errors="replace") as file:
            return file.read(_READ_MAX)
    except OSError:
        return ""
