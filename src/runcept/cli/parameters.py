"""Arguments and options that several commands have."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

from runcept.units import duration

__all__ = [
    "complete_environment",
    "lines_option",
    "name_argument",
    "names_argument",
    "optional_name_argument",
    "optional_names_argument",
    "path_and_names_argument",
    "path_argument",
    "timeout_option",
    "waiting_options",
]


F = TypeVar("F", bound=Callable[..., Any])


def complete_environment(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[Any]:
    """What -e may be: an environment or a directory.

    Directories come first: click's script for bash forgets what it was told before them.
    """
    from runcept.cli import complete

    return [*complete.directories(incomplete), *complete.environments(ctx, incomplete)]


def _complete_name(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[Any]:
    from runcept.cli import complete

    return complete.processes(ctx, incomplete)


def _complete_path_or_name(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[Any]:
    from runcept.cli import complete

    return [*complete.directories(incomplete), *complete.processes(ctx, incomplete)]


def _to_seconds(_: click.Context, __: click.Parameter, value: str) -> float:
    try:
        return duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _to_count(_: click.Context, __: click.Parameter, value: str) -> int | None:
    if value == "all":
        return None
    if not re.fullmatch("[0-9]{1,9}", value):
        raise click.BadParameter(f"{value!r} is not a number of lines")
    return int(value)


def timeout_option(function: F) -> F:
    """--timeout: `timeout` in seconds."""
    words = "Wait at most so long."
    return click.option(
        "--timeout", callback=_to_seconds, default="60s", show_default=True, metavar="TIME", help=words
    )(function)


def waiting_options(function: F) -> F:
    """--no-wait and --timeout: `no_wait`, and `timeout` in seconds."""
    return click.option("--no-wait", is_flag=True, help="Return at once.")(timeout_option(function))


def lines_option(default: int) -> Callable[[F], F]:
    """-n, --lines: how many of the last lines; None: all."""
    return click.option(
        "-n",
        "--lines",
        callback=_to_count,
        default=str(default),
        show_default=True,
        metavar="N|all",
        help="How many of the last lines.",
    )


name_argument = click.argument("name", metavar="NAME", shell_complete=_complete_name)
names_argument = click.argument("names", nargs=-1, required=True, metavar="NAME…", shell_complete=_complete_name)
optional_name_argument = click.argument("name", required=False, metavar="[NAME]", shell_complete=_complete_name)
optional_names_argument = click.argument("names", nargs=-1, metavar="[NAME…]", shell_complete=_complete_name)
path_and_names_argument = click.argument(
    "names", nargs=-1, metavar="[PATH] [NAME…]", shell_complete=_complete_path_or_name
)
path_argument = click.argument("path", required=False, metavar="[PATH]", type=click.Path())
