"""Who is connected from outside: to which process of ours, and since when not any more. It only looks.

One look at the table of sockets serves all environments. A connection that is open costs nothing more after the first
look, which has to find out whose its ends are: on this machine both ends are in the table, and the other end is inside
where a process of the same environment, or we ourselves, hold it. What is connected from another machine, or from a
container with a network of its own, is outside.

Of a connection that came and went between two looks, the end that was closed first is in the table for another minute,
but nobody holds it any more. It counts where it was seen while it was open, where its other end is on another machine,
and else only where nobody inside could have made it.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from runcept.process import system
from runcept.process.members import census, tree_of
from runcept.process.tcp import ESTABLISHED, LISTEN, MAPPED, TIME_WAIT, TcpSocket, is_wildcard

__all__ = ["Finder", "Party"]

Key = tuple[str, str]
"""The environment and the name of a process."""
_End = tuple[bytes, int, bytes, int]
"""Address and port, and those of its peer."""
_NOBODY_YET = ("", "")
"""Of a listener that nobody has asked about: it may be ours."""
_LOOPBACK = MAPPED + b"\x7f"


class Party(NamedTuple):
    """One living process of ours."""

    environment: str
    name: str
    pid: int
    tag: int
    """What marks all that belongs to it (linux.set_tag)."""
    ports: tuple[int, ...] = ()
    """Those that it was given: its own, whoever listens there for it."""
    is_alone: bool = False
    """Nobody else inside connects to it."""


class _Connection(NamedTuple):
    """One that leads to a listener of this machine."""

    address: bytes
    port: int
    """Of the listener's end."""
    other_end: _End
    """As the table has it; it names the connection."""
    handle: int
    """Of the listener."""
    closed_for: float | None
    """None: it is open."""

    @property
    def is_local(self) -> bool:
        """Both ends are on this machine."""
        peer = self.other_end[0]
        return self.address == peer or (self.address.startswith(_LOOPBACK) and peer.startswith(_LOOPBACK))


class _Inside:
    """The pids of each environment, looked up when somebody needs them."""

    def __init__(self, parties: Iterable[Party]) -> None:
        self._parties = list(parties)

    @cached_property
    def by_process(self) -> dict[Key, list[int]]:
        """All that belongs to each process, also what has left its session and its parent."""
        taken = census()
        tagged: dict[int, list[int]] = {party.tag: [] for party in self._parties if party.tag}
        for pid in taken.entries if tagged else ():
            if (tag := system.tag_of(pid)) in tagged:
                tagged[tag].append(pid)
        return {
            (party.environment, party.name): [*{*tree_of(taken, party.pid), *tagged.get(party.tag, ())}]
            for party in self._parties
        }

    def of(self, environment: str) -> list[int]:
        """All that belongs to an environment, and ourselves: what we connect to is a health check."""
        mine = (pids for (path, _), pids in self.by_process.items() if path == environment)
        return [os.getpid(), *(pid for pids in mine for pid in pids)]

    def everybody(self) -> list[int]:
        """All of them."""
        return [pid for pids in self.by_process.values() for pid in pids]


class Finder:
    """Remembers whose the sockets are that it has seen."""

    def __init__(self) -> None:
        self._owners: dict[int, Key | None] = {}
        """By the handle of a listener."""
        self._held_inside: dict[tuple[str, int], bool] = {}
        """By environment and handle of the other end."""
        self._is_outside: dict[_End, bool] = {}
        """What was found out about a connection while it was open, by its other end."""
        self._pids: frozenset[int] = frozenset()

    def look(self, parties: Sequence[Party], now: float, own_ports: Collection[int] = ()) -> dict[Key, float]:
        """When each process was last connected to from outside, as far as is seen; `now` (monotonic) if it still is.

        `parties`: all living processes of the environments that are asked about. `own_ports`: local ports that the
        health checks have used in the last minutes.
        """
        if self._pids != (pids := frozenset(party.pid for party in parties)):
            self._pids = pids  # what was held by nobody of ours may be held by one that is new
            self._owners = {handle: key for handle, key in self._owners.items() if key is not None}
            self._held_inside = {at: True for at, held in self._held_inside.items() if held}
        inside = _Inside(parties)
        pids_to_ask = () if system.SEES_ALL else inside.everybody()
        listening = system.sockets(pids_to_ask, (LISTEN,))
        given = {port for party in parties for port in party.ports}
        ports = {row.port for row in listening if row.port in given or self._owners.get(row.handle, _NOBODY_YET)}
        connected = system.sockets(pids_to_ask, (ESTABLISHED, TIME_WAIT), ports) if ports else []
        found = list(_connections(listening, connected))
        whose = self._whose(found, parties, inside)
        foreign = [each for each in found if each.other_end[1] not in own_ports or not each.is_local]
        ours = [(key, each) for each in foreign if (key := whose(each)) is not None]
        ends = {row[1:5]: row.handle for row in connected if row.state == ESTABLISHED and row.peer_port in ports}
        self._find_out(ours, ends, inside)
        alone = {(party.environment, party.name) for party in parties if party.is_alone}
        seen: dict[Key, float] = {}
        for key, each in ours:
            if self._counts(key, each, alone):
                seen[key] = max(seen.get(key, 0.0), now - (each.closed_for or 0.0))
        self._forget([*listening, *connected], ours)
        return seen

    def _whose(self, found: Iterable[_Connection], parties: Iterable[Party], inside: _Inside) -> _Whose:
        given = {port: (party.environment, party.name) for party in parties for port in party.ports}
        unknown = {each.handle for each in found if each.port not in given and each.handle not in self._owners}
        if unknown:
            held = system.holders(unknown, inside.everybody())
            of_pid = {pid: key for key, pids in inside.by_process.items() for pid in pids}
            self._owners |= {handle: of_pid.get(held.get(handle, 0)) for handle in unknown}
        return _Whose(given, self._owners)

    def _find_out(self, ours: Sequence[tuple[Key, _Connection]], ends: Mapping[_End, int], inside: _Inside) -> None:
        """Of each open connection, whether it comes from outside."""
        unknown: dict[str, set[int]] = {}
        open_ones = [(key, each, ends.get(each.other_end)) for key, each in ours if each.closed_for is None]
        for key, _, handle in open_ones:
            if handle and (key[0], handle) not in self._held_inside:
                unknown.setdefault(key[0], set()).add(handle)
        for environment, handles in unknown.items():
            held = system.holders(handles, inside.of(environment))
            left = handles - held.keys()
            if (
                left and system.SEES_ALL
            ):  # it may have been closed while we were looking: then nobody knows whose it was
                left &= {row.handle for row in system.sockets((), (ESTABLISHED,), {each.port for _, each in ours})}
            self._held_inside |= {(environment, handle): handle in held for handle in left | held.keys()}
        for key, each, handle in open_ones:
            if handle is None and (not each.is_local or not system.SEES_ALL):
                self._is_outside[each.other_end] = True
            elif handle and (held_inside := self._held_inside.get((key[0], handle))) is not None:
                self._is_outside[each.other_end] = not held_inside

    def _counts(self, key: Key, each: _Connection, alone: Collection[Key]) -> bool:
        known = self._is_outside.get(each.other_end)
        if known is not None or each.closed_for is None:
            return known is True
        return not each.is_local or key in alone

    def _forget(self, table: Iterable[TcpSocket], ours: Iterable[tuple[Key, _Connection]]) -> None:
        handles = {row.handle for row in table}
        names = {each.other_end for _, each in ours}
        self._owners = {handle: key for handle, key in self._owners.items() if handle in handles}
        self._held_inside = {at: held for at, held in self._held_inside.items() if at[1] in handles}
        self._is_outside = {name: outside for name, outside in self._is_outside.items() if name in names}


class _Whose(NamedTuple):
    """Tells to which process a connection leads."""

    given: Mapping[int, Key]
    owners: Mapping[int, Key | None]

    def __call__(self, each: _Connection) -> Key | None:
        return self.given.get(each.port) or self.owners.get(each.handle)


def _connections(listening: Iterable[TcpSocket], connected: Iterable[TcpSocket]) -> Iterator[_Connection]:
    """Those to a listener of this machine, told from the listener's end; once, also where both ends are there."""
    listeners: dict[int, dict[bytes, int]] = {}
    for row in listening:
        listeners.setdefault(row.port, {})[row.address] = row.handle
    for row in connected:
        closed_for = row.closed_for if row.state == TIME_WAIT else None
        if row.port in listeners and (handle := _listener(listeners[row.port], row.address)) is not None:
            other_end = (row.peer_address, row.peer_port, row.address, row.port)
            yield _Connection(row.address, row.port, other_end, handle, closed_for)
        elif closed_for is not None and row.peer_port in listeners:
            handle = _listener(listeners[row.peer_port], row.peer_address)
            there = _Connection(row.peer_address, row.peer_port, row[1:5], handle or 0, closed_for)
            if handle is not None and there.is_local:
                yield there


def _listener(at: Mapping[bytes, int], address: bytes) -> int | None:
    """The handle of the one that is reached by an address: bound to it, or to all of its family, or to all."""
    if address in at:
        return at[address]
    wild = [each for each in at if is_wildcard(each) and (not any(each) or address.startswith(MAPPED))]
    return at[max(wild)] if wild else None
