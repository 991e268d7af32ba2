"""The only module that imports rich at its top: consoles for the two streams of an invocation."""

from __future__ import annotations

from rich.console import Console

from runcept.cli.invocation import Invocation

__all__ = ["console", "error_console"]


def console(invocation: Invocation) -> Console:
    """Draws on stdout."""
    return _console(invocation, invocation.color, error=False)


def error_console(invocation: Invocation) -> Console:
    """Draws on stderr."""
    return _console(invocation, invocation.error_color, error=True)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to whoever runs the command: rich's own would end the process with a status of its choice."""
        raise  # noqa: PLE0704  called where the BrokenPipeError was caught


def _console(invocation: Invocation, color: bool, *, error: bool) -> Console:
    surroundings = invocation.surroundings
    return _Console(
        file=surroundings.stderr if error else surroundings.stdout,
        width=surroundings.width,
        force_terminal=True,
        color_system="standard" if color else None,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=False,
        legacy_windows=False,
        _environ=dict(surroundings.environ),
    )
