"""The environment of the asking shell, as managed processes should get it. Pure."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["captured", "of_the_terminal"]

_OF_THE_TERMINAL = frozenset({
    "_", "COLUMNS", "LINES", "OLDPWD", "PWD", "SHLVL", "STY", "TMUX", "TMUX_PANE", "VTE_VERSION", "WINDOW", "WINDOWID",
})  # fmt: skip
"""True of the shell or its window alone: wrong for a process in another directory and without a terminal."""
_TERMINAL = frozenset({
    "COLORTERM", "COLUMNS", "GPG_TTY", "LINES", "SSH_TTY", "STY", "TERM", "TERMINFO", "TERM_PROGRAM",
    "TERM_PROGRAM_VERSION", "TMUX", "TMUX_PANE", "VTE_VERSION", "WINDOW", "WINDOWID",
})  # fmt: skip
"""True of the terminal that a command runs on, whose environment it may have from elsewhere."""


def captured(environ: Mapping[str, str]) -> dict[str, str]:
    """Everything but our own variables, the terminal's, and the few that are not UTF-8, which JSON cannot carry."""
    return {
        key: value
        for key, value in environ.items()
        if not key.startswith(("RUNCEPT_", "_RUNCEPT_")) and key not in _OF_THE_TERMINAL and _is_utf8(key + value)
    }


def of_the_terminal(environ: Mapping[str, str]) -> dict[str, str | None]:
    """What is true of the terminal; None for what is not set."""
    found = {name: environ.get(name) for name in _TERMINAL}
    return {name: value if value is None or _is_utf8(value) else None for name, value in found.items()}


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # os.environ keeps other bytes as lone surrogates
        return False
    return True
