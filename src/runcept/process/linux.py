"""Facts about processes and sockets from /proc, proc(5). `portable` is the twin, function by function. It only looks.

A process may go at any moment between two looks, so nothing here raises where it has; and one of another user is passed
over where the kernel hides it.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress

from runcept.process import sock_diag
from runcept.process.entry import Entry
from runcept.process.tcp import CLOSED_SECONDS, ESTABLISHED, LISTEN, MAPPED, TIME_WAIT, TcpSocket

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

_TAG = 10  # RLIMIT_LOCKS of asm-generic/resource.h, which no kernel since 2.4.25 obeys, getrlimit(2)
NO_TAG = (0, resource.RLIM_INFINITY)
"""What is found where there is no tag of ours."""
_LOOKS_MAX = 20
_TICK = 1 / os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def boot_id() -> str:
    """Changes with every boot."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def entry(pid: int) -> Entry | None:
    """One row, with the start time in clock ticks since the boot; also of a zombie; None where there is none to see."""
    try:
        descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
    except (FileNotFoundError, ProcessLookupError, PermissionError):  # the last: of another user, under hidepid=1
        return None
    try:
        fields = (
            os.read(descriptor, 4096).rpartition(b")")[2].split()
        )  # from the third on: the second may hold anything
    except ProcessLookupError:
        return None
    finally:
        os.close(descriptor)
    return Entry(
        pid=pid,
        parent=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
        start_time=int(fields[19]),
        is_zombie=fields[0] in (b"Z", b"X"),
        cpu_seconds=(int(fields[11]) + int(fields[12])) * _TICK,
        children_cpu_seconds=(int(fields[13]) + int(fields[14])) * _TICK,
        memory_bytes=int(fields[21]) * _PAGE,
    )


def entries() -> Iterable[Entry]:
    """All rows that can be seen: every process that lived when the last look at the names began, at least.

    Looking takes milliseconds, in which a process may have been born and its parent have died; so names are looked at
    again until none is new. A chain that forks ever anew cannot slip through between two rows.
    """
    seen: set[str] = set()
    for _ in range(_LOOKS_MAX):
        new = {name for name in os.listdir("/proc") if name.isdigit()} - seen
        if not new:
            return
        seen |= new
        yield from filter(None, map(entry, map(int, new)))


def command_of(pid: int) -> str:
    """Its command line as one would type it, its name in brackets where it has none, "" where it is gone or hidden."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().rstrip(b"\0").split(b"\0")
        if words != [b""]:
            return b" ".join(words).decode(errors="replace")
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as name:
            return f"[{name.read().strip()}]"
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""


def carries(pid: int, marker: Mapping[str, str]) -> bool | None:
    """Whether all these variables were in its environment when it was executed; None where it has ended meanwhile."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            content = file.read()
    except PermissionError:
        return False
    except (FileNotFoundError, ProcessLookupError):
        return None
    if not content and ((now := entry(pid)) is None or now.is_zombie):
        return None
    variables = set(content.split(b"\0"))
    return all(f"{name}={value}".encode(errors="surrogateescape") in variables for name, value in marker.items())


def set_tag(pid: int, tag: int) -> None:
    """Mark a process of ours, and all that it forks from now on, whatever they execute and leave: 0.5 us.

    The tag is a soft resource limit that means nothing: it is inherited, nobody looks at it, and we may read it. Where
    somebody has lowered its hard limit there is none, and members are found by what else is known of them.
    """
    with suppress(ProcessLookupError, PermissionError, ValueError):
        resource.prlimit(pid, _TAG, (tag, resource.prlimit(pid, _TAG)[1]))


def tag_of(pid: int) -> int | None:
    """The tag of a process of ours; None where it has ended, or is not ours. Who has none has an arbitrary number."""
    try:
        return resource.prlimit(pid, _TAG)[0]
    except (ProcessLookupError, PermissionError):
        return None


def listening(pids: Iterable[int], only: Collection[int] | None = None) -> dict[int, set[int]]:
    """The TCP ports, of any address, that each of the processes listens on; pids without any are left out.

    `only`: look for these ports alone.
    """
    rows = sockets((), (LISTEN,))
    ports = {b"socket:[%d]" % row.handle: row.port for row in rows if only is None or row.port in only}
    found = {pid: {ports[inode] for inode in _inodes(pid) if inode in ports} for pid in pids} if ports else {}
    return {pid: theirs for pid, theirs in found.items() if theirs}


SEES_ALL = True
"""`sockets` tells of everybody's."""


def sockets(pids: Collection[int], states: Collection[int], ports: Collection[int] = ()) -> list[TcpSocket]:
    """The TCP sockets in one of these states, at least those of the processes; with `ports`, of those at either end."""
    del pids
    try:
        return sock_diag.sockets(states, ports)
    except OSError:
        found = _sockets_of_tables()
    return [row for row in found if row.state in states and (not ports or row.port in ports or row.peer_port in ports)]


def holders(handles: Collection[int], pids: Iterable[int]) -> dict[int, int]:
    """Which of the processes holds a socket, by its handle; one that none of them holds is left out."""
    wanted = {b"socket:[%d]" % handle: handle for handle in handles}
    found: dict[int, int] = {}
    for pid in pids:
        for link in _inodes(pid):
            if link in wanted:
                found.setdefault(wanted[link], pid)
        if len(found) == len(wanted):
            break
    return found


def _sockets_of_tables() -> Iterable[TcpSocket]:
    """As `sock_diag.sockets`, from proc_net_tcp of the kernel's documentation."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table, "rb") as file:
                rows = file.read().splitlines()[1:]
        except FileNotFoundError:  # a kernel without IPv6
            continue
        for row in rows:
            fields = row.split(None, 10)
            if (state := int(fields[3], 16)) in {ESTABLISHED, TIME_WAIT, LISTEN}:
                left = int(fields[5].rpartition(b":")[2], 16) * _TICK
                closed_for = CLOSED_SECONDS - left if state == TIME_WAIT else 0.0
                yield TcpSocket(state, *_end(fields[1]), *_end(fields[2]), int(fields[9]), closed_for)


def _end(text: bytes) -> tuple[bytes, int]:
    """Address and port of "0100007F:1F90": words in the order of the machine."""
    address, _, port = text.partition(b":")
    raw = bytes.fromhex(address.decode())
    if sys.byteorder == "little":
        raw = b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4))
    return raw if len(raw) == len(MAPPED) + 4 else MAPPED + raw, int(port, 16)


def _inodes(pid: int) -> Iterable[bytes]:
    directory = b"/proc/%d/fd/" % pid
    try:
        descriptors = os.listdir(directory)
    except (FileNotFoundError, PermissionError, ProcessLookupError):
        return
    for descriptor in descriptors:
        try:
            yield os.readlink(directory + descriptor)
        except PermissionError:
            return
        except (FileNotFoundError, ProcessLookupError):
            continue  # closed meanwhile
