"""`mcp install`: what is to become of a client's file, and then doing it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from runcept.cli.mcp_clients import files
from runcept.cli.mcp_clients.merge import Change, Merged, find, merge, place_of, unreadable
from runcept.cli.mcp_clients.mistakes import Mistake
from runcept.cli.mcp_clients.table import SERVER, Client, Command, Place, Scope
from runcept.config.problems import Problem, Span, facts, report
from runcept.errors import ClientFileInvalid, ClientNotFound

__all__ = ["Installation", "check_used", "install", "plan"]

_OWN_COMMAND_SECONDS = 60.0


@dataclass(slots=True)
class Installation:
    """What is to be done; once it is done, what was. `before` is None where there is no file."""

    client: Client
    place: Place
    command: Command
    file: str
    before: str | None
    merged: Merged
    warnings: list[str]
    own_command: list[str]
    """The client's own command that does it; empty where the file is changed by us."""
    backup: str | None = None


def check_used(client: Client, place: Place, home: str, environ: Mapping[str, str]) -> None:
    """Errors: ClientNotFound, where nothing tells that this user has the client.

    A client that is not there, or was mistyped, shall leave no files in the home.
    """
    directory = os.path.dirname(place.paths[0])
    signs = [*place.paths, *([] if os.path.realpath(directory) == os.path.realpath(home) else [directory])]
    if not any(map(os.path.exists, signs)) and shutil.which(client.program, path=environ.get("PATH", "")) is None:
        raise ClientNotFound(client.name, client.title, client.program, signs[-1])


def plan(client: Client, place: Place, command: Command, environ: Mapping[str, str]) -> Installation:
    """Find out what is there, and what it should become. Errors: ClientFileInvalid, ConfigUnreadable."""
    file, before = _file(client, place)
    merged = _merged(file, before, client, place, command)
    own = _own_command(client, place, command, environ) if merged.change is Change.ADDED else []
    return Installation(client, place, command, file, before, merged, _warnings(file, before, client), own)


def install(planned: Installation, cwd: str, environ: Mapping[str, str]) -> None:
    """Do it. Errors: RunceptError."""
    if planned.merged.change is Change.UNCHANGED or (planned.own_command and _added_itself(planned, cwd, environ)):
        return
    private = planned.place.scope is not Scope.PROJECT
    if planned.before is not None:
        planned.backup = files.back_up(planned.file, planned.before)
    files.replace(planned.file, planned.before, planned.merged.text, private=private)


def _added_itself(planned: Installation, cwd: str, environ: Mapping[str, str]) -> bool:
    """Whether the client's own command has done it; where not, the plan is for what is there now, with a warning."""
    if planned.before is not None:
        planned.backup = files.back_up(planned.file, planned.before)
    why = _run(planned.own_command, cwd, environ)
    before = files.read(planned.file)
    merged = _merged(planned.file, before, planned.client, planned.place, planned.command)
    if merged.change is Change.UNCHANGED:
        return True
    planned.warnings.append(f"`{planned.client.program} mcp add` did not do it ({why}), so the file itself was changed")
    planned.before, planned.merged, planned.own_command = before, merged, []
    return False


def _run(command: list[str], cwd: str, environ: Mapping[str, str]) -> str:
    """Run it to its end, or for a minute; what it said last."""
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_OWN_COMMAND_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    said = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
    return f"exit code {done.returncode}{f': {said[-1]}' if said else ''}"


def _own_command(client: Client, place: Place, command: Command, environ: Mapping[str, str]) -> list[str]:
    if not client.adds_itself or place.scope is not Scope.USER:
        return []
    program = shutil.which(client.program, path=environ.get("PATH", ""))
    variables = [part for key, value in command.environ.items() for part in ("-e", f"{key}={value}")]
    add = ["mcp", "add", "--scope", "user", SERVER, *variables, "--", *command.arguments]
    return [program, *add] if program else []


def _file(client: Client, place: Place) -> tuple[str, str | None]:
    """The file that has the entry, else the first that is there, else the one that the client would make."""
    found = [(path, text) for path in place.paths if (text := files.read(path)) is not None]
    for path, text in found:
        if _has_entry(text, client, place):
            return path, text
    return found[0] if found else (place.paths[0], None)


def _has_entry(text: str, client: Client, place: Place) -> bool:
    try:
        return find(text, client, place) is not None
    except Mistake:  # it is told once the file is to be changed
        return False


def _merged(file: str, before: str | None, client: Client, place: Place, command: Command) -> Merged:
    text = before or ""
    try:
        return merge(text, client, place, client.entry(command))
    except Mistake as mistake:
        line, column = place_of(text, mistake.at)
        problem = Problem((), mistake.message, mistake.hint)
        problems = facts(text.replace("\r\n", "\n"), [(problem, Span(line, column))], {})
        raise ClientFileInvalid(file, line, column, problems, report(file, problems)) from mistake


def _warnings(file: str, before: str | None, client: Client) -> list[str]:
    mistake = unreadable(before or "", client)
    if mistake is None:
        return []
    line, _ = place_of(before or "", mistake.at)
    return [f"{mistake.message}, as {os.path.basename(file)} has on line {line}: it ignores the file"]
