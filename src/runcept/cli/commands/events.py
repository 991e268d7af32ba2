"""`events`: what has happened, when, and who asked for it."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

import click

from runcept.api.messages import EnvironmentList, Environments, Event, EventList, Events
from runcept.cli.event_lines import EventPainter
from runcept.cli.framework import command
from runcept.cli.invocation import Invocation
from runcept.cli.parameters import lines_option, optional_names_argument
from runcept.cli.present import short_path
from runcept.cli.project_names import declared
from runcept.cli.target import current
from runcept.client.history import follow as following
from runcept.client.history import last
from runcept.core.history import KINDS
from runcept.errors import ProjectNotFound, UsageError
from runcept.logs.when import parse_when
from runcept.units import instant

__all__ = ["events"]


@command("events")
@optional_names_argument
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens from now on.")
@lines_option(100)
@click.option("--since", metavar="TIME", help='Only from then on: "10m" (ago), "12:30", "2026-11-22 08:00".')
@click.option("--until", metavar="TIME", help="Only up to then.")
@click.option(
    "--kind",
    "kinds",
    type=click.Choice([*KINDS]),
    multiple=True,
    metavar="KIND",
    help="Only this, such as failed; may be repeated.",
)
@click.option("--all", "everywhere", is_flag=True, help="Of all projects.")
def events(
    invocation: Invocation, names: Sequence[str], follow: bool, lines: int | None, everywhere: bool, **choice: Any
) -> None:
    """Show what has happened to the project and its processes, and to the daemon: when, why, and who asked.

    With NAME, to these processes alone; names may be globs. With --json -f, one object a line.
    """
    now = time.time()
    begin, end = (None if text is None else parse_when(text, now) for text in (choice["since"], choice["until"]))
    params = Events(
        environment=_environment(invocation, everywhere=everywhere),
        processes=[*names],
        kinds=[*choice["kinds"]],
        since=None if begin is None else instant(begin),
        until=None if end is None else instant(end),
    )

    def ask(page: Events) -> EventList:
        answer: EventList = invocation.call("events", page)
        return answer

    found, cursor = last(ask, params, lines)
    if invocation.options.json and not follow:
        invocation.print_json({"events": found})
        return
    painter = _painter(invocation, everywhere=everywhere)
    is_path = params.environment is not None and os.path.isabs(params.environment)
    painter.make_room(found, [*declared(params.environment)] if params.environment and is_path else [])
    _show(invocation, painter, found)
    if follow:
        _follow(invocation, painter, params, cursor, end)
    elif not found and lines != 0:
        is_chosen = names or any(choice.values())
        invocation.say("nothing of that has happened" if is_chosen else "nothing has happened yet")


def _environment(invocation: Invocation, *, everywhere: bool) -> str | None:
    if everywhere:
        if invocation.options.environment is not None:
            raise UsageError("--all goes without -e", hint="It shows the events of every project.")
        return None
    try:
        return current(invocation)
    except ProjectNotFound as error:
        if invocation.options.environment is None:
            error.hint = "Name a project with -e PATH, or see the events of all with --all."
        raise


def _painter(invocation: Invocation, *, everywhere: bool) -> EventPainter:
    width = invocation.surroundings.width if invocation.drawn else None
    if not everywhere or invocation.options.json:
        return EventPainter(color=invocation.color, width=width)
    listed: EnvironmentList = invocation.call("environments", Environments())
    names = [each.name for each in listed.environments]
    labels = {each.path: each.name for each in listed.environments if names.count(each.name) == 1}
    home = invocation.surroundings.environ.get("HOME")
    return EventPainter(
        color=invocation.color, width=width, label=lambda path: labels.get(path) or short_path(path, home)
    )


def _show(invocation: Invocation, painter: EventPainter, found: Sequence[Event]) -> None:
    for event in found:
        if invocation.options.json:
            invocation.write_json(event)
        else:
            invocation.print(painter.text(event))


def _follow(invocation: Invocation, painter: EventPainter, params: Events, cursor: int, until: float | None) -> None:
    """Show each as it happens: until --until, or until nobody reads them. Another daemon may come in between."""

    def pause() -> None:
        invocation.surroundings.stdout.flush()
        if invocation.nobody_reads():
            raise BrokenPipeError

    def lost() -> None:
        if not invocation.options.quiet:
            invocation.tell("runcept: the daemon has ended; what happens under the next one will be shown")

    pause()
    for event in following(invocation.home, params, cursor, until=until, pause=pause, lost=lost):
        _show(invocation, painter, [event])
