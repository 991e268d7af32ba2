"""`mcp install | doctor`: Runcept among the servers of a client.

Neither needs a daemon; the server that doctor tries may start one.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Sequence

import click

from runcept.cli.framework import command
from runcept.cli.invocation import Invocation
from runcept.cli.known_projects import path_of
from runcept.cli.layout import Cell, Column, Row, Table
from runcept.cli.mcp_clients.doctor import Examined, Outcome, World, examine
from runcept.cli.mcp_clients.entries import command_of
from runcept.cli.mcp_clients.install import Installation, check_used, plan
from runcept.cli.mcp_clients.install import install as carry_out
from runcept.cli.mcp_clients.merge import Change, merge
from runcept.cli.mcp_clients.our_command import our_command, trusted_programs, warnings_about
from runcept.cli.mcp_clients.table import CLIENTS, SERVER, Scope
from runcept.cli.present import near_path
from runcept.cli.target import current
from runcept.core.printable import printable
from runcept.core.secrets import mask
from runcept.errors import ProjectNotFound, UsageError
from runcept.units import format_duration

__all__ = ["doctor", "install"]

_LOOKS = {
    Outcome.WORKS: Cell("✔", "green"),
    Outcome.FAILS: Cell("✖", "red"),
    Outcome.UNTRIED: Cell("○", "yellow"),
}
_NAMES = click.Choice([*CLIENTS])


@command("install")
@click.argument("client", type=_NAMES)
@click.option("--project", is_flag=True, help="For everybody in this project: a file in it, to be committed.")
@click.option("--user", is_flag=True, help="For you, in every project: a file in your home.")
@click.option("--print", "only_print", is_flag=True, help="Change nothing; show what would be written, and where.")
def install(invocation: Invocation, client: str, project: bool, user: bool, only_print: bool) -> None:
    """Add Runcept to the file in which a client keeps its MCP servers, for this project or for all of yours.

    Everything else in the file stays as it is, comments too, and a copy of it is made first. Without --project and
    --user it is --project where there is a .runcept.toml, else --user.
    """
    if project and user:
        raise UsageError(
            "--project and --user are two files", hint="Give one of them; then the other, if you want both."
        )
    surroundings = invocation.surroundings
    around = None if user else _project(invocation, needed=project)
    scope = Scope.USER if around is None else Scope.PROJECT
    home = _user_home(invocation)
    place = CLIENTS[client].place(scope, home, around, surroundings.environ, sys.platform)
    if scope is Scope.USER and not only_print:
        check_used(CLIENTS[client], place, home, surroundings.environ)
    wanted = our_command(scope, surroundings.cwd, surroundings.environ)
    planned = plan(CLIENTS[client], place, wanted, surroundings.environ)
    planned.warnings += warnings_about(wanted, surroundings.environ)
    if not only_print:
        carry_out(planned, surroundings.cwd, surroundings.environ)
    if invocation.options.json:
        invocation.print_json(_document(planned, written=not only_print))
        return
    if only_print:
        _show(invocation, planned)
    else:
        for line in _told(invocation, planned, chosen=project or user):
            invocation.say(line)
    invocation.warn(planned.warnings)


@command("doctor")
@click.argument("client", type=_NAMES, required=False)
def doctor(invocation: Invocation, client: str | None) -> int:
    """Find every file in which a client has Runcept, start it as that client would, and say what works.

    It is started in the client's directory with hardly any variables, asked for its tools, and ended. Exit status 1:
    something does not work, or no client has it.
    """
    surroundings = invocation.surroundings
    trusted = trusted_programs(surroundings.cwd, surroundings.environ)
    world = World(_user_home(invocation), _project(invocation, needed=False), surroundings.environ, trusted)
    asked = [CLIENTS[client]] if client else [*CLIENTS.values()]
    found = [examined for each in asked for examined in examine(each, world)]
    ok = bool(found) and all(each.outcome is not Outcome.FAILS for each in found)
    if invocation.options.json:
        invocation.print_json({"entries": found, "ok": ok})
    elif found:
        _print_found(invocation, found)
    else:
        invocation.say(f"{CLIENTS[client].title if client else 'no client'} has {'no ' if client else ''}Runcept here")
        invocation.say(f"`runcept mcp install {client or 'CLIENT'}` adds it.")
    return 0 if ok else 1


def _user_home(invocation: Invocation) -> str:
    """Where the files of this user's programs are."""
    return invocation.surroundings.environ.get("HOME") or os.path.expanduser("~")


def _project(invocation: Invocation, *, needed: bool) -> str | None:
    """The project that -e names, or that is around us; None where there is none. Errors: ProjectNotFound."""
    try:
        return path_of(invocation, current(invocation, present=True))
    except ProjectNotFound:
        if needed or invocation.options.environment is not None:
            raise
        return None


def _near(invocation: Invocation, path: str) -> str:
    return near_path(path, invocation.surroundings.cwd, invocation.surroundings.environ.get("HOME"))


def _line(arguments: Sequence[str]) -> str:
    """As one would type it; what looks like a secret is masked."""
    return mask(shlex.join(arguments))


def _document(planned: Installation, *, written: bool) -> dict[str, object]:
    return {
        "client": planned.client.name,
        "scope": planned.place.scope,
        "file": planned.file,
        "change": planned.merged.change,
        "written": written and planned.merged.change is not Change.UNCHANGED,
        "command": planned.command.arguments,
        "environ": planned.command.environ,
        "text": _text(planned),
        "own_command": planned.own_command or None,
        "backup": planned.backup,
        "warnings": planned.warnings,
    }


def _text(planned: Installation) -> str:
    """The entry as a file of its own: what one would write by hand."""
    return merge("", planned.client, planned.place, planned.client.entry(planned.command)).text


def _show(invocation: Invocation, planned: Installation) -> None:
    """--print: what would be written, as one would write it by hand, and where."""
    file = _near(invocation, planned.file)
    if planned.merged.change is Change.UNCHANGED:
        invocation.say(f"{file} has it already:")
    elif planned.own_command:
        invocation.say(f"`{_line(planned.own_command)}` would write this into {file}:")
    elif planned.merged.change is Change.REPLACED:
        invocation.say(f"in {file} this would take the place of {_before(planned)}:")
    else:
        invocation.say(f"this would be written into {file}:")
    invocation.print(_text(planned).rstrip("\n"))


def _told(invocation: Invocation, planned: Installation, *, chosen: bool) -> Iterator[str]:
    """What was done, for whom, and what is left to do."""
    client, scope, change = planned.client, planned.place.scope, planned.merged.change
    whom = "in this project" if scope is Scope.PROJECT else "in all of your projects"
    there, other = ("a", "--user") if scope is Scope.PROJECT else ("no", "--project")
    why = "" if chosen else f" (there is {there} .runcept.toml here; or {other})"
    has = "has Runcept already" if change is Change.UNCHANGED else "has Runcept"
    yield f"{client.title} {has} {whom}{why}"
    file = _near(invocation, planned.file)
    if change is Change.UNCHANGED:
        yield f"  {file} is as it was"
        return
    replaced = f", in place of {_before(planned)}" if change is Change.REPLACED else ""
    how = f" by `{client.program} mcp add`" if planned.own_command else ""
    yield f"  {change} in {file}{how}: {_line(planned.command.arguments)}{replaced}"
    if planned.backup is not None:
        yield f"  what the file was is in {_near(invocation, planned.backup)}"
    yield client.then.get(scope) or f"Start {client.title} anew."
    yield f"`runcept mcp doctor {client.name}` tries it."


def _before(planned: Installation) -> str:
    return _line(command_of(planned.merged.before)) or f"another {SERVER}"


def _print_found(invocation: Invocation, found: Sequence[Examined]) -> None:
    columns = [Column("CLIENT"), Column("SCOPE", 2), Column("FILE"), Column("COMMAND", 1), Column("STATE", 3)]
    Table(columns, [_row(invocation, each) for each in found], remark="RESULT").print(invocation)
    for hint in dict.fromkeys(each.hint for each in found if each.hint):
        whose = ", ".join(dict.fromkeys(each.title for each in found if each.hint == hint))
        invocation.tell(f"  hint: {whose}: {printable(hint, color=False)}")


def _row(invocation: Invocation, each: Examined) -> Row:
    look = _LOOKS[each.outcome]
    cells = [
        Cell(each.title, "bold"),
        Cell(each.scope, "dim"),
        Cell(_near(invocation, each.file)),
        Cell(_line(each.command), "dim"),
        Cell(each.outcome, look.style),
    ]
    return Row(cells, look, Cell(_result(each), "dim" if each.outcome is Outcome.WORKS else look.style))


def _result(each: Examined) -> str:
    if each.outcome is not Outcome.WORKS:
        return each.reason
    took = "" if each.seconds is None else f" in {format_duration(each.seconds)}"
    return f"{each.tools} tools{took}{f'; {each.reason}' if each.reason else ''}"
