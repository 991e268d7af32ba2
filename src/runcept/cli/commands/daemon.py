"""`daemon start | stop | restart | status | logs`. Only `start` and `restart` start one."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import click

from runcept.api.messages import DaemonStatus, StopDaemon
from runcept.cli import daemon_log as daemon_log_file
from runcept.cli.framework import Entry, Group, command
from runcept.cli.invocation import Invocation
from runcept.cli.layout import Cell, print_cells
from runcept.cli.log_files import reading
from runcept.cli.parameters import lines_option
from runcept.client.autostart import ensure_daemon, is_held, stderr_path
from runcept.client.connection import Connection
from runcept.core.printable import printable
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
    found = _not_running(invocation)
    if connection := Connection.if_running(invocation.home):
        with connection:
            try:
                found = connection.call("daemon_status")
            except DaemonUnreachable as error:
                if not error.has_died:
                    raise
    _print(invocation, found)


@command("logs")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now on.")
@lines_option(100)
def logs(invocation: Invocation, lines: int | None, follow: bool) -> None:
    """Show the last lines of the daemon's own log; what it said before it had one comes first."""
    path = daemon_log(invocation.home)
    with reading(path):
        before, _ = daemon_log_file.tail(stderr_path(invocation.home), lines)
        own, end = daemon_log_file.tail(path, lines)
    newest = deque([*before, *own], maxlen=lines)
    found = [*map(daemon_log_file.record, newest)]
    if not follow:
        if invocation.options.json:
            invocation.print_json({"lines": found})
        else:
            _print_records(invocation, found)
        return
    for record in chain(found, map(daemon_log_file.record, daemon_log_file.follow(path, end, invocation.nobody_reads))):
        invocation.write_json(record) if invocation.options.json else _print_records(invocation, [record])
        invocation.surroundings.stdout.flush()
    raise BrokenPipeError  # it goes on for ever where somebody reads


def _print_records(invocation: Invocation, records: Iterable[dict[str, Any]]) -> None:
    for record in records:
        for line in daemon_log_file.readable(record):
            invocation.print(printable(line, color=False))


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
        print_cells(invocation, [*_cells(status, verbose=invocation.options.verbose)], " · ")
        invocation.warn(status.warnings)


def _cells(status: DaemonStatus, *, verbose: bool) -> Iterator[Cell]:
    yield Cell("the daemon runs", "green")
    yield Cell(f"pid {status.pid}")
    yield Cell(f"version {status.version}" if verbose else "")
    yield Cell("" if status.uptime_seconds is None else f"up {format_duration(status.uptime_seconds)}")
    yield Cell(_count(status.processes, "process", "processes") + " of " + _count(status.environments, "project"))
    yield Cell("" if status.memory_bytes is None else format_size(status.memory_bytes), "dim")


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
