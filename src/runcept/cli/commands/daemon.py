"""`daemon start | stop | restart | status | logs`. Only `start` and `restart` start one."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

import click
import msgspec

from runcept.api.messages import DaemonStatus, StopDaemon
from runcept.cli.framework import Entry, Group, command
from runcept.cli.invocation import Invocation
from runcept.cli.layout import Cell, print_cells
from runcept.cli.parameters import lines_option
from runcept.cli.printable import printable
from runcept.client.autostart import ensure_daemon, is_held, stderr_path
from runcept.client.connection import Connection
from runcept.errors import DaemonUnreachable
from runcept.paths import daemon_log, ensure_home, socket_path
from runcept.units import format_duration, format_size

__all__ = ["daemon"]

_MODULE = "runcept.cli.commands.daemon"
_END_SECONDS = 30.0
_POLL_SECONDS = 0.01
_ENTRIES = {
    "start": Entry(_MODULE, "start", "Commands", "Start it, if it does not run."),
    "stop": Entry(_MODULE, "stop", "Commands", "Stop every process, then the daemon."),
    "restart": Entry(_MODULE, "restart", "Commands", "Start it anew; processes keep running."),
    "status": Entry(_MODULE, "status", "Commands", "Whether it runs, and what it costs."),
    "logs": Entry(_MODULE, "logs", "Commands", "Its own log."),
}

daemon = Group(
    "daemon", _ENTRIES, {}, help="The process that runs the others. It starts by itself when a command needs it."
)


@command("start")
@click.option("--foreground", is_flag=True, help="Stay on this terminal until interrupted.")
def start(invocation: Invocation, foreground: bool) -> None:
    """Start the daemon, if it does not run."""
    if foreground:
        ensure_home(invocation.home)
        invocation.surroundings.stdout.flush()
        os.execv(sys.executable, [sys.executable, "-m", "runcept.daemon", invocation.home, "--foreground"])  # noqa: S606  no shell wanted
    _print(invocation, invocation.call("daemon_status"))


@command("stop")
@click.option("--kill", is_flag=True, help="Give the processes no time: SIGKILL at once.")
def stop(invocation: Invocation, kill: bool) -> None:
    """Stop every process, then the daemon."""
    status = _end(invocation, StopDaemon(processes=True, kill=kill))
    if invocation.options.json:
        invocation.print_json(_not_running(invocation))
    else:
        invocation.say("the daemon is not running" if status is None else "the daemon was stopped")


@command("restart")
def restart(invocation: Invocation) -> None:
    """End the daemon and start it anew; the processes keep running, and their logs lose nothing."""
    _end(invocation, StopDaemon(processes=False))
    _print(invocation, invocation.call("daemon_status"))


@command("status")
def status(invocation: Invocation) -> None:
    """Show whether the daemon runs, and what it costs. Starts none."""
    connection = Connection.if_running(invocation.home)
    if connection is None:
        _print(invocation, _not_running(invocation))
        return
    with connection:
        _print(invocation, connection.call("daemon_status"))


@command("logs")
@lines_option(100)
def logs(invocation: Invocation, lines: int) -> None:
    """Show the last lines of the daemon's own log; what it said before it had one comes first."""
    both = (stderr_path(invocation.home), daemon_log(invocation.home))
    found = [line for path in both for line in _tail(path, lines)][-lines:] if lines else []
    if invocation.options.json:
        invocation.print_json({"lines": [_record(line) for line in found]})
        return
    for line in found:
        for part in _readable(_record(line)):
            invocation.print(part)


def _record(line: str) -> dict[str, Any]:
    """A line of the log as its fields; of the daemon's stderr, as a message alone."""
    try:
        record = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return {"message": line}
    return record if isinstance(record, dict) else {"message": line}


def _readable(record: dict[str, Any]) -> Iterator[str]:
    head = "  ".join(str(record[key]) for key in ("ts", "level", "message") if key in record)
    for line in (head, *str(record.get("traceback", "")).splitlines()):
        yield printable(line, color=False)


def _end(invocation: Invocation, params: StopDaemon) -> DaemonStatus | None:
    """End the daemon and wait until it is gone; None where none ran. Errors: DaemonUnreachable when it stays.

    One that is just starting, or was killed and left a keeper with living processes, is waited for or started first.
    """
    connection = Connection.if_running(invocation.home)
    if connection is None:
        if not is_held(invocation.home):
            return None
        connection = ensure_daemon(invocation.home, invocation.surroundings.environ)
    with connection:
        ended: DaemonStatus = connection.call("daemon_stop", params, patience=None)
        deadline = time.monotonic() + _END_SECONDS
        connection.wait_closed(_END_SECONDS)
    while ended.pid is not None and _lives(ended.pid):
        if time.monotonic() > deadline:
            raise DaemonUnreachable(ended.socket, f"pid {ended.pid} was told to end and has not")
        time.sleep(_POLL_SECONDS)
    return ended


def _lives(pid: int) -> bool:
    """Whether it runs: a zombie, which waits for a slow init to collect it, does not."""
    import psutil

    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _not_running(invocation: Invocation) -> DaemonStatus:
    return DaemonStatus(running=False, socket=socket_path(invocation.home))


def _print(invocation: Invocation, status: DaemonStatus) -> None:
    if invocation.options.json:
        invocation.print_json(status)
    elif not status.running:
        invocation.say("the daemon is not running")
    elif not invocation.options.quiet:
        print_cells(invocation, [*_cells(status)], " · ")
        invocation.warn(status.warnings)


def _cells(status: DaemonStatus) -> Iterator[Cell]:
    yield Cell("the daemon runs", "green")
    yield Cell(f"pid {status.pid}")
    yield Cell(f"version {status.version}")
    yield Cell("" if status.uptime_seconds is None else f"up {format_duration(status.uptime_seconds)}")
    yield Cell(_count(status.processes, "process", "processes") + " of " + _count(status.environments, "project"))
    yield Cell("" if status.memory_bytes is None else format_size(status.memory_bytes), "dim")


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _tail(path: str, count: int) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="backslashreplace") as file:
            return [line.rstrip("\n") for line in deque(file, maxlen=count)]
    except FileNotFoundError:
        return []
