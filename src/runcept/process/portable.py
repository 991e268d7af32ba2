"""Facts about processes and sockets from psutil, for systems without /proc: the twin of `linux`. It only looks."""

from __future__ import annotations

import os
import socket
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import psutil

from runcept.process.entry import Entry
from runcept.process.tcp import ESTABLISHED, LISTEN, MAPPED, TcpSocket

__all__ = [
    "NO_TAG",
    "SEES_ALL",
    "boot_id",
    "carries",
    "command_of",
    "entries",
    "entry",
    "holders",
    "listening",
    "set_tag",
    "sockets",
    "tag_of",
]

NO_TAG: tuple[int, ...] = ()
"""What is found where there is no tag of ours."""


def boot_id() -> str:
    """Changes with every boot."""
    return f"booted-at-{psutil.boot_time():.0f}"


def entry(pid: int) -> Entry | None:
    """One row, with the start time in hundredths of a second since the epoch; also of a zombie; None for none."""
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            is_zombie = process.status() == psutil.STATUS_ZOMBIE
            cpu = process.cpu_times()
            return Entry(
                pid=pid,
                parent=process.ppid(),
                group=os.getpgid(pid),
                session=os.getsid(pid),
                start_time=int(process.create_time() * 100),
                is_zombie=is_zombie,
                cpu_seconds=cpu.user + cpu.system,
                children_cpu_seconds=cpu.children_user + cpu.children_system,
                memory_bytes=0 if is_zombie else process.memory_info().rss,
            )
    except (psutil.Error, ProcessLookupError, PermissionError):  # gone, or another user's: then none of ours
        return None


def entries() -> Iterable[Entry]:
    """All rows that can be seen."""
    for pid in psutil.pids():
        if found := entry(pid):
            yield found


def command_of(pid: int) -> str:
    """Its command line as one would type it, its name in brackets where it has none, "" where it is gone."""
    try:
        process = psutil.Process(pid)
        return " ".join(process.cmdline()) or f"[{process.name()}]"
    except psutil.Error:
        return ""


def carries(pid: int, marker: Mapping[str, str]) -> bool | None:
    """Whether all these variables were in its environment when it was executed; None where it has ended meanwhile."""
    try:
        environ = psutil.Process(pid).environ()
    except psutil.NoSuchProcess:  # a zombie too
        return None
    except psutil.Error:
        return False
    return all(environ.get(name) == value for name, value in marker.items())


def listening(pids: Iterable[int], only: Collection[int] | None = None) -> dict[int, set[int]]:
    """The TCP ports, of any address, that each of the processes listens on; pids without any are left out."""
    found: dict[int, set[int]] = {}
    for pid in pids:
        try:
            connections = psutil.Process(pid).net_connections("tcp")
        except psutil.Error:
            continue
        ports = {each.laddr.port for each in connections if each.status == psutil.CONN_LISTEN}
        if theirs := ports if only is None else ports & set(only):
            found[pid] = theirs
    return found


SEES_ALL = False
"""`sockets` tells of those that it is asked for."""
_STATES = {psutil.CONN_ESTABLISHED: ESTABLISHED, psutil.CONN_LISTEN: LISTEN}


def sockets(pids: Collection[int], states: Collection[int], ports: Collection[int] = ()) -> list[TcpSocket]:
    """The TCP sockets of the processes in one of these states; with `ports`, of those at either end.

    One that was closed is nobody's, and not told of.
    """
    found = []
    for pid in pids:
        try:
            connections = psutil.Process(pid).net_connections("tcp")
        except psutil.Error:
            continue
        for each in connections:
            state, here, there = _STATES.get(each.status, 0), _end(each.laddr), _end(each.raddr)
            if state in states and (not ports or here[1] in ports or there[1] in ports):
                found.append(TcpSocket(state, *here, *there, pid, 0.0))
    return found


def _end(told: Sequence[Any]) -> tuple[bytes, int]:
    """Address and port; psutil tells of none by an empty tuple."""
    address, port = told or ("::", 0)
    if ":" in address:
        return socket.inet_pton(socket.AF_INET6, address.partition("%")[0]), port
    return MAPPED + socket.inet_pton(socket.AF_INET, address), port


def holders(handles: Collection[int], pids: Iterable[int]) -> dict[int, int]:
    """Which of the processes holds a socket, by its handle: that is the pid."""
    return {pid: pid for pid in pids if pid in handles}


def set_tag(pid: int, tag: int) -> None:
    """Mark a process: there is nothing to do it with."""
    del pid, tag


def tag_of(pid: int) -> int | None:
    """The tag of a process: there is none."""
    del pid
    return None
