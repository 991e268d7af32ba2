"""The ports of a process that are kept while it sleeps: who connects waits in the kernel's queue for the next run.

No program has to know of it. A filter, seccomp(2), has the kernel ask us about each bind(2) of a run and of all that it
starts. Of a socket that is bound to a port of the door we keep a copy, pidfd_getfd(2). The next run gets that very
socket, with all who wait in its queue, in place of the one that it has just made, seccomp_unotify(2). So nobody ever
finds the port closed, and nothing stands between the program and its clients.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import select
import selectors
import socket
import struct
from collections.abc import Callable
from functools import partial
from typing import Any

__all__ = ["Doors", "can_ask", "install"]

_MACHINES = {"x86_64": (0xC000003E, 49, 317), "aarch64": (0xC00000B7, 200, 277)}
"""linux/audit.h: the architecture; the numbers of bind and seccomp."""
_PIDFD_GETFD, _NEW_LISTENER, _NO_NEW_PRIVS = 438, 8, 38
_RECEIVE, _SEND, _IS_VALID, _ADD = 0xC0502100, 0xC0182101, 0x40082102, 0x40182103  # linux/seccomp.h
_ALLOW, _ASK = 0x7FFF0000, 0x7FC00000
_LOAD, _IS, _RETURN = 0x20, 0x15, 0x06  # linux/filter.h
_FAMILIES = {socket.AF_INET: 8, socket.AF_INET6: 28}
"""Bytes of an address that tell it."""
_QUEUE = 4096
_libc = ctypes.CDLL(None, use_errno=True)


def can_ask() -> bool:
    """Whether this kernel asks us, and lets us give a program another descriptor: Linux 5.9 or newer."""
    system, _, release, _, machine = os.uname()
    return system == "Linux" and machine in _MACHINES and [int(part) for part in release.split(".")[:2]] >= [5, 9]


def install(report: int) -> None:
    """In the child, before the exec: have the kernel ask, and send the descriptor where it does to our parent."""
    machine, bind, seccomp = _MACHINES[os.uname().machine]
    steps = [(_LOAD, 0, 0, 4), (_IS, 0, 6, machine), (_LOAD, 0, 0, 0), (_IS, 0, 4, bind)]
    # Its third argument, the length of the address, tells Internet sockets from most others: in_, in6_ and _storage.
    steps += [(_LOAD, 0, 0, 32), (_IS, 3, 0, 16), (_IS, 2, 0, 28), (_IS, 1, 0, 128), (_RETURN, 0, 0, _ALLOW)]
    steps += [(_RETURN, 0, 0, _ASK)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(code)))
    asked = _libc.syscall(seccomp, 1, _NEW_LISTENER, program)
    if asked < 0:  # only root may without giving up that a program becomes another user, prctl(2)
        _libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)
        asked = _libc.syscall(seccomp, 1, _NEW_LISTENER, program)
    with socket.socket(fileno=report) as parent:
        if asked >= 0:  # else somebody else is asked already, or it is forbidden: then it runs without a door
            socket.send_fds(parent, [b"!"], [asked])
            os.close(asked)


class Doors:
    """All doors, by the names that the daemon gives them. `tell`: an event, and of which door."""

    def __init__(self, control: selectors.BaseSelector, tell: Callable[[str, str], None], *, can_hold: bool) -> None:
        self.control, self.tell, self.can_hold = control, tell, can_hold
        self.named: dict[str, Door] = {}

    def as_dict(self) -> dict[str, Any]:
        """What is told at the hello: the doors, with whether a run has bound their ports."""
        return {"doors": {key: door.bound for key, door in self.named.items()}, "can_hold": self.can_hold}

    def open(self, request: dict[str, Any], report: tuple[socket.socket, socket.socket] | None) -> None:
        """A run has been forked, which has a door where it is to `report`."""
        if report:
            report[1].close()
            self._door(request["door"]).open(request["ports"], report[0])

    def do(self, message: dict[str, Any]) -> None:
        """What may be asked of a door."""
        match message:
            case {"op": "hold", "door": key, "addresses": addresses}:
                self._door(key).hold(addresses)
            case {"op": "refuse", "door": key, "answer": answer, "close": close}:
                self._door(key).refuse(answer.encode())
                if close:
                    self.named.pop(key).close()
            case _:
                raise ValueError("no such request")

    def _door(self, key: str) -> Door:
        return self.named.setdefault(key, Door(self.control, partial(self._told, key)))

    def _told(self, key: str, event: str) -> None:
        self.tell(event, key)


class Door:
    """The kept sockets of one process.

    `tell` is called with "knock" when somebody connects while it is held, and with "bound" when a run has a port.
    """

    def __init__(self, control: selectors.BaseSelector, tell: Callable[[str], None]) -> None:
        self.control, self.tell = control, tell
        self.ports: list[int] = []
        self.sockets: dict[bytes, socket.socket] = {}
        self.bound = self.lending = False
        """`lending`: they are of an earlier run, whose addresses the next one is to have, whatever it asks for first:
        many a server looks at other addresses before it takes its own."""

    def open(self, ports: list[int], report: socket.socket) -> None:
        """A run begins that may have them; `report` brings the descriptor where the kernel asks."""
        self._watch(on=False)
        self.ports, self.bound = ports, False
        self.control.register(report, selectors.EVENT_READ, lambda: self._begin(report))

    def hold(self, addresses: list[list[object]]) -> None:
        """Nobody has them any more: tell of who connects. Where no run has left any, bind `addresses`; OSError."""
        try:
            if not self.sockets:
                self._bind_all(addresses)
            for each in self.sockets.values():
                each.setblocking(False)
                each.listen(_QUEUE)  # also what a program has shut down, which stays bound
        except OSError:
            self._drop()
            raise
        self.lending = True
        self._watch(on=True)

    def refuse(self, answer: bytes) -> None:
        """Turn away all who wait; who speaks HTTP is told `answer`."""
        for each in self.sockets.values():
            each.setblocking(False)
            with contextlib.suppress(OSError):  # nobody waits any more
                while True:
                    _turn_away(each.accept()[0], answer)

    def close(self) -> None:
        """Give the ports up, for good."""
        self.ports = []
        self._drop()

    def _drop(self) -> None:
        self._watch(on=False)
        while self.sockets:
            self.sockets.popitem()[1].close()
        self.lending = False

    def _watch(self, *, on: bool) -> None:
        for each in self.sockets.values():
            with contextlib.suppress(KeyError, ValueError, OSError):  # it is, or is not, watched already
                if on:
                    self.control.register(each, selectors.EVENT_READ, self._knock)
                else:
                    self.control.unregister(each)

    def _knock(self) -> None:
        self._watch(on=False)
        self.tell("knock")

    def _bind_all(self, addresses: list[list[object]]) -> None:
        for host, port in addresses:
            family = socket.AF_INET6 if ":" in str(host) else socket.AF_INET
            try:
                made = socket.create_server((str(host), int(str(port))), family=family)
            except OSError:
                if family == socket.AF_INET or not self.sockets:  # there may be no IPv6 here
                    raise
            else:
                self.sockets[f"{host} {port}".encode()] = made

    def _begin(self, report: socket.socket) -> None:
        self.control.unregister(report)
        with report, contextlib.suppress(OSError):
            if received := socket.recv_fds(report, 1, 1, socket.MSG_DONTWAIT)[1]:
                self.control.register(received[0], selectors.EVENT_READ, lambda: self._asked(received[0]))
                return
        self._drop()  # it cannot be given them, so they must not be in its way
        self._has_bound()

    def _asked(self, asked: int) -> None:
        """Answer one question. What we may not see, or is no affair of ours, the kernel does as if it had not asked."""
        poll = select.poll()
        poll.register(asked, select.POLLIN)
        if not any(events & select.POLLIN for _, events in poll.poll(0)):  # all that it was about have ended
            self.control.unregister(asked)
            os.close(asked)
            return
        question = bytearray(80)
        with contextlib.suppress(OSError):  # who asked was killed meanwhile
            fcntl.ioctl(asked, _RECEIVE, question)
            number, thread, *_, descriptor, address, length, _, _, _ = struct.unpack("QIIiIQ6Q", question)
            try:
                result, by_itself = self._bind(asked, number, thread, descriptor, address, length)
            except Exception:  # noqa: BLE001  whatever it was: the program waits, and the keeper is to live
                self._has_bound()  # for all that we can tell
                result, by_itself = 0, True
            fcntl.ioctl(asked, _SEND, struct.pack("QqiI", number, 0, -result, by_itself))

    def _bind(  # noqa: PLR0917  as the kernel asks
        self, asked: int, number: int, thread: int, descriptor: int, address: int, length: int
    ) -> tuple[int, bool]:
        """(errno or 0, whether the kernel is to do it). OSError: we cannot tell."""
        with open(f"/proc/{thread}/mem", "rb", 0) as memory:
            fcntl.ioctl(asked, _IS_VALID, struct.pack("Q", number))  # it is that thread's still
            memory.seek(address)
            place = memory.read(length)
        family, port = struct.unpack_from("H", place)[0], struct.unpack_from(">H", place, 2)[0]
        if family not in _FAMILIES or port not in self.ports:
            return 0, True
        with open(f"/proc/{thread}/status", encoding="utf-8", errors="replace") as status:
            pid = next(int(line.split()[1]) for line in status if line.startswith("Tgid:"))
        with open(f"/proc/{thread}/fdinfo/{descriptor}", encoding="ascii") as about:
            flags = next(int(line.split()[1], 8) for line in about if line.startswith("flags:"))
        own, key = _copy(pid, descriptor), place[: _FAMILIES[family]]
        if own.type != socket.SOCK_STREAM:
            own.close()
            return 0, True
        kept = self.sockets.get(key)
        self.lending &= kept is None
        if self.lending:
            kept = next(iter(self.sockets.values()), None)
        if kept is not None:
            own.close()
            os.set_blocking(kept.fileno(), not flags & os.O_NONBLOCK)
            added = struct.pack("QIIII", number, 1, kept.fileno(), descriptor, flags & os.O_CLOEXEC)
            fcntl.ioctl(asked, _ADD, added)
        elif result := self._take(own, key, place):
            return result, False
        self._has_bound()
        return 0, False

    def _has_bound(self) -> None:
        self.bound = True
        self.tell("bound")

    def _take(self, own: socket.socket, key: bytes, place: bytes) -> int:
        """Bind what is to be kept; 0 or an errno. What the program has closed since, and we not, is not in its way."""
        for last in (False, True):
            if _libc.bind(own.fileno(), place, len(place)) == 0:
                self.sockets[key] = own
                return 0
            result = ctypes.get_errno()
            if last or result != errno.EADDRINUSE:
                break
            self._drop()
        own.close()
        return result


def _copy(pid: int, descriptor: int) -> socket.socket:
    process = os.pidfd_open(pid)
    try:
        copied = _libc.syscall(_PIDFD_GETFD, process, descriptor, 0)
        if copied < 0:
            raise OSError(ctypes.get_errno(), "pidfd_getfd")
        return socket.socket(fileno=copied)
    finally:
        os.close(process)


def _turn_away(connection: socket.socket, answer: bytes) -> None:
    with connection, contextlib.suppress(OSError):  # it has left
        if b" HTTP/1." in connection.recv(1 << 16, socket.MSG_DONTWAIT):
            connection.send(answer, socket.MSG_DONTWAIT)
            connection.shutdown(socket.SHUT_WR)
