"""How wide a text is on a terminal. Pure."""

from __future__ import annotations

from unicodedata import combining, east_asian_width

__all__ = ["cut", "width_of"]


def width_of(text: str) -> int:
    """Columns that a terminal needs for it; a tab counts as one."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def cut(text: str, width: int, end: str = "") -> str:
    """The text, or as much of its beginning as is not wider with `end` behind it; that too only where there is room."""
    if width_of(text) <= width:
        return text
    room = width - width_of(end)
    kept = text[: max(room, 0)]
    while width_of(kept) > room > 0:
        kept = kept[:-1]
    return kept + end if room >= 0 else ""


def _columns(character: str) -> int:
    if combining(character):
        return 0
    return 2 if east_asian_width(character) in "WF" else 1
