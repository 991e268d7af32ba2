"""Where clients have Runcept configured, and whether it works there: each entry is started as its client would."""

from __future__ import annotations

import os
import pwd
import shutil
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from runcept.cli.mcp_clients import files
from runcept.cli.mcp_clients.entries import Planned, Untried, command_of, planned
from runcept.cli.mcp_clients.handshake import Broken
from runcept.cli.mcp_clients.merge import find, place_of, unreadable
from runcept.cli.mcp_clients.mistakes import Mistake
from runcept.cli.mcp_clients.probe import Launch, probe
from runcept.cli.mcp_clients.table import SERVER, Client, Place, Scope
from runcept.core.secrets import mask
from runcept.errors import ConfigUnreadable

__all__ = ["LIMIT_SECONDS", "Examined", "Outcome", "World", "examine"]

LIMIT_SECONDS = 20.0
"""For start, initialize and tools/list together: a daemon that has to start first takes 2 s on a slow machine."""
_DESKTOP_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
"""What a program that was started from the desktop has at least; macOS gives it no more."""


class Outcome(StrEnum):
    """What is known of an entry; UNTRIED is no failure."""

    WORKS = "works"
    FAILS = "fails"
    UNTRIED = "untried"


@dataclass(frozen=True, slots=True)
class World:
    """Where the doctor is: `project` is that around it, if any; `trusted` are names and paths of our own script."""

    home: str
    project: str | None
    environ: Mapping[str, str]
    trusted: Collection[str]
    limit_seconds: float = LIMIT_SECONDS


@dataclass(slots=True)
class Examined:
    """One entry, or a file that should hold one and cannot be read; `reason` is what there is to say beside."""

    client: str
    title: str
    scope: Scope
    file: str
    cwd: str
    command: list[str] = field(default_factory=list)
    outcome: Outcome = Outcome.FAILS
    reason: str = ""
    hint: str = ""
    server: str | None = None
    version: str | None = None
    tools: int | None = None
    seconds: float | None = None


def examine(client: Client, world: World) -> Iterator[Examined]:
    """Every entry of the client, tried one after the other."""
    for scope in client.scopes(world.project):
        place = client.place(scope, world.home, world.project, world.environ, sys.platform)
        for path in place.paths:
            examined = Examined(client.name, client.title, scope, path, place.cwd)
            if _read(examined, client, place, world):
                examined.reason = mask(examined.reason)
                yield examined


def _read(examined: Examined, client: Client, place: Place, world: World) -> bool:
    """Whether the file is one to be told of; then what comes of its entry is filled in."""
    try:
        text = files.read(examined.file)
    except ConfigUnreadable as error:
        examined.reason, examined.hint = error.message.removeprefix(f"{examined.file}: "), error.hint
        return True
    if text is None or SERVER not in text:
        return False
    try:
        entry = find(text, client, place)
        if entry is None:
            return False
        examined.command = command_of(entry.value)
        if mistake := unreadable(text, client):
            raise mistake
    except Mistake as mistake:
        line, column = place_of(text, mistake.at)
        examined.reason, examined.hint = f"line {line}, column {column}: {mistake.message}", mistake.hint
        return True
    plan = planned(entry.value, client, place, world.trusted)
    if isinstance(plan, Planned):
        _try(examined, plan, client, world)
    else:
        examined.outcome = Outcome.UNTRIED if isinstance(plan, Untried) else Outcome.FAILS
        examined.reason, examined.hint = plan
    return True


def _try(examined: Examined, plan: Planned, client: Client, world: World) -> None:
    examined.command, examined.cwd = plan.arguments, plan.cwd
    path, remark = _path(plan.arguments[0], client, world)
    started = time.monotonic()
    verdict = probe(Launch(plan.arguments, plan.cwd, _bare(world, path) | plan.environ), world.limit_seconds)
    if isinstance(verdict, Broken):
        examined.reason, examined.hint = verdict.reason, verdict.hint.replace("CLIENT", client.name)
        return
    examined.outcome, examined.reason, examined.hint = Outcome.WORKS, *remark
    examined.server, examined.version, examined.tools = verdict
    examined.seconds = round(time.monotonic() - started, 3)


def _path(program: str, client: Client, world: World) -> tuple[str, tuple[str, str]]:
    """The PATH that the client gives, and (reason, hint) where that depends on how the client is started."""
    of_shell = world.environ.get("PATH") or _DESKTOP_PATH
    if not client.is_desktop:
        return of_shell, ("", "")
    if "/" in program or shutil.which(program, path=_DESKTOP_PATH) or not shutil.which(program, path=of_shell):
        return _DESKTOP_PATH, ("", "")
    said = f"started from the desktop, {client.title} may not find it: it is on the PATH of your shell alone"
    return of_shell, (said, f"`runcept mcp install {client.name} --user` writes its path.")


def _bare(world: World, path: str) -> dict[str, str]:
    """The variables of a client that gives as little as possible."""
    account = _account()
    given = {"HOME": world.home, "PATH": path, "USER": account, "LOGNAME": account}
    return {key: value for key, value in given.items() if value}


def _account() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a container may know no name for us
        return ""
