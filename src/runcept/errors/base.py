"""What every error is, and the one that looks like an error of the daemon."""

from __future__ import annotations

__all__ = ["RemoteError", "RunceptError", "nearest"]


def nearest(word: str, choices: list[str]) -> str | None:
    """The one of `choices` that a typist of `word` most likely meant, or None."""
    from difflib import get_close_matches  # 6 ms: only where there is an error

    typed = max(3, len(word) // 2)  # who types "events" has not left out half of "environments"
    lowered = {choice.lower(): choice for choice in choices if abs(len(choice) - len(word)) <= typed}
    found = get_close_matches(word.lower(), list(lowered), n=1, cutoff=0.6)
    return lowered[found[0]] if found else None


class RunceptError(Exception):
    """Base of all errors. `fields` are the facts, in JSON types, that a script may act on."""

    code: str = "failed"
    exit_status: int = 1
    hint: str = ""

    def __init__(self, message: str, *, hint: str | None = None, **fields: object) -> None:
        super().__init__(message)
        self.message = message
        self.fields = fields
        if hint is not None:
            self.hint = hint

    def as_dict(self) -> dict[str, object]:
        """`{"code", "message", "hint", ...fields}`: the value of `error` in JSON output."""
        return {"code": self.code, "message": self.message, "hint": self.hint, **self.fields}


class RemoteError(RunceptError):
    """An error that the daemon answered with; it looks like the one that was raised there."""

    def __init__(self, code: str, message: str, hint: str, exit_status: int, fields: dict[str, object]) -> None:
        super().__init__(message, hint=hint, **fields)
        self.code = code
        self.exit_status = exit_status
