"""`logs`: what the processes wrote, read from disk. No daemon is needed, unless -e gives a project's name.

With --clear they are emptied: by the daemon, which may be writing to them, where one runs.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import click
from click.core import ParameterSource

from runcept.api.messages import ClearedLogs, ClearLogs, Use
from runcept.cli import log_files
from runcept.cli.framework import command
from runcept.cli.invocation import Invocation
from runcept.cli.known_projects import path_of
from runcept.cli.log_lines import Painter
from runcept.cli.parameters import lines_option, optional_names_argument
from runcept.cli.target import current
from runcept.client.connection import Connection
from runcept.errors import LogNotRemovable, RunceptError, UsageError
from runcept.logs.record import Line

__all__ = ["logs"]

_TELL_SECONDS = 0.25
"""For the daemon to hear of it: one that is stuck does not keep anybody from the logs."""


def _to_run(_: click.Context, __: click.Parameter, value: str | None) -> int | str | None:
    if value is None or value == "last":
        return value
    if not re.fullmatch("[0-9]{1,9}", value):
        raise click.BadParameter("expected the number of a run, or last")
    return int(value)


@command("logs")
@optional_names_argument
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now on.")
@lines_option(100)
@click.option("--since", metavar="TIME", help='Only from then on: "10m" (ago), "12:30", "2026-11-22 08:00".')
@click.option("--until", metavar="TIME", help="Only up to then.")
@click.option("--grep", metavar="REGEX", help="Only lines in which it is found.")
@click.option("--stream", type=click.Choice(["stdout", "stderr"]), help="Only this stream.")
@click.option("--run", metavar="N|last", callback=_to_run, help="Only this run of each process.")
@click.option("--errors", is_flag=True, help="Only errors, each once, the newest first; -n counts them (10).")
@click.option("--clear", is_flag=True, help="Remove all that the named processes have written so far.")
@click.option("-t", "--timestamps", is_flag=True, help="Show when each line was written.")
@click.option("--no-prefix", is_flag=True, help="Only what the processes wrote: no names, no records of Runcept.")
@click.option("--no-color", is_flag=True, help="As --color never.")
def logs(
    invocation: Invocation, names: Sequence[str], follow: bool, clear: bool, no_color: bool, **choice: Any
) -> None:
    """Show what the processes wrote, those named or all merged by time, while they run and after.

    Lines of stderr have a ! before them, and Runcept's own records a *. Names may be globs.
    """
    from runcept.logs import reader

    if no_color:
        invocation.options.color = "never"
    project = path_of(invocation, current(invocation))
    everybody = log_files.known(project)
    chosen = log_files.chosen(project, everybody, names)
    if clear:
        _clear(invocation, project, chosen if names else {})
        return
    _tell_use(invocation, project)
    no_prefix, timestamps = choice.pop("no_prefix"), choice.pop("timestamps")
    if choice.pop("errors"):
        _errors(invocation, project, chosen, choice)
        return
    width = invocation.surroundings.width if invocation.drawn else None
    look = {"color": invocation.color, "width": width, "prefix": not no_prefix, "timestamps": timestamps}
    painter = Painter([*chosen], everybody, **look)
    if no_prefix:
        choice["stream"] = choice["stream"] or reader.OUTPUT
    choice["tell_runs"] = invocation.options.json
    is_whole = choice["lines"] is None and not invocation.options.json
    if follow or is_whole:
        _show_all(invocation, project, chosen, choice, painter, is_endless=follow)
        return
    with log_files.reading(project):
        page = reader.read(chosen, **choice)
    if invocation.options.json:
        invocation.print_json(page)
        return
    for line in page.lines:
        invocation.surroundings.stdout.buffer.write(painter.output(line))
    invocation.surroundings.stdout.buffer.write(painter.rest())


def _tell_use(invocation: Invocation, project: str) -> None:
    """Whoever reads logs uses the project; the daemon would not hear of it. Once: a stream that is open is no use."""
    with suppress(RunceptError):
        if (connection := Connection.if_running(invocation.home)) is not None:
            with connection:
                connection.call("use", Use(environment=project), patience=_TELL_SECONDS)


def _show_all(
    invocation: Invocation,
    project: str,
    chosen: Mapping[str, str],
    choice: dict[str, Any],
    painter: Painter,
    *,
    is_endless: bool,
) -> None:
    """Show lines as they are read: until --until, or until nobody reads them; or until there are no more by now."""
    if not is_endless and choice["until"] is None:
        choice["until"] = time.time()  # whoever writes faster than we read would keep us for ever
    stdout = invocation.surroundings.stdout.buffer
    for line in _followed(invocation, project, chosen, choice, is_endless=is_endless):
        if invocation.options.json:
            invocation.write_json(line)
        else:
            stdout.write(painter.output(line))
    stdout.write(painter.rest())


def _followed(
    invocation: Invocation, project: str, chosen: Mapping[str, str], choice: Mapping[str, Any], *, is_endless: bool
) -> Iterator[Line]:
    """The lines. They are shown after each look: at once, not one by one."""
    from runcept.logs.reader import follow

    def shown() -> bool:
        invocation.surroundings.stdout.flush()
        if invocation.nobody_reads():
            raise BrokenPipeError
        return not is_endless

    with log_files.reading(project):
        yield from follow(chosen, **choice, stop=shown)


def _errors(invocation: Invocation, project: str, chosen: Mapping[str, str], choice: dict[str, Any]) -> None:
    """Tell what went wrong."""
    from runcept.cli.error_items import ERRORS, print_errors

    for each in sorted({"follow", "timestamps", "no_prefix"} & _given()):
        raise UsageError(f"--errors goes without --{each.replace('_', '-')}", hint="It tells each error once.")
    if "lines" not in _given():
        choice["lines"] = ERRORS
    print_errors(invocation, project, chosen, **choice)


def _given() -> set[str]:
    """The options and arguments that the user wrote."""
    context = click.get_current_context()
    return {each for each in context.params if context.get_parameter_source(each) is ParameterSource.COMMANDLINE}


def _clear(invocation: Invocation, project: str, chosen: Mapping[str, str]) -> None:
    """Empty the logs: the daemon does it between two lines."""
    if not chosen or _given() - {"names", "clear"}:
        raise UsageError("--clear takes names and no other option", hint="Write '*' for all processes.")
    connection = Connection.if_running(invocation.home)
    if connection is not None:
        with connection:
            cleared: ClearedLogs = connection.call("clear_logs", ClearLogs(environment=project, names=[*chosen]))
    else:
        from runcept.logs.rotation import remove

        for name, path in chosen.items():
            try:
                remove(path)
            except OSError as error:
                raise LogNotRemovable(name, path, (error.strerror or str(error)).lower()) from error
        cleared = ClearedLogs(environment=project, cleared=[*chosen])
    if invocation.options.json:
        invocation.print_json(cleared)
    else:
        invocation.say(f"cleared {', '.join(chosen)}")
