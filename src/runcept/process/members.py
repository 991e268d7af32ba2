"""Which processes belong to a run, even where its main process has ended, has left its session or hidden its parent.

One look at the process table serves any number of runs: `census()`, then `members_of()` for each. It only looks.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

from runcept.process import system
from runcept.process.entry import Entry

__all__ = [
    "Census",
    "Member",
    "census",
    "members",
    "members_of",
    "named",
    "recently",
    "rest",
    "tag",
    "tagged",
    "tree_of",
]

_CENSUS_SHARED = 0.005
"""Seconds for which a census is news, or as long as it took: a thousand runs that stop at once need few."""


_CENSUS_REST = 3
"""From one census to the next, in what it costs."""


@dataclass(frozen=True, slots=True)
class Member:
    """A living process of a run. `start_time` is in the unit of `identity.start_time`."""

    pid: int
    start_time: int
    command: str
    """Its command line, for a person."""
    parent: int = 0


@dataclass(slots=True)
class Census:
    """The process table at one moment; `taken_at` is monotonic and `cost` the seconds that it took."""

    entries: dict[int, Entry] = field(default_factory=dict)
    children: dict[int, list[Entry]] = field(default_factory=lambda: defaultdict(list))
    groups: dict[int, list[Entry]] = field(default_factory=lambda: defaultdict(list))
    sessions: dict[int, list[Entry]] = field(default_factory=lambda: defaultdict(list))
    tags: dict[int, list[Entry]] | None = None
    """By tag, where somebody has asked for it."""
    strays: list[Entry] = field(default_factory=list)
    """Those whose parent was gone before it could be looked at."""
    taken_at: float = 0.0
    cost: float = 0.0


def census() -> Census:
    """Look at all processes: about 7 µs each on Linux, slower through psutil elsewhere."""
    begun = time.monotonic()
    taken = Census()
    for entry in system.entries():
        taken.entries[entry.pid] = entry
        taken.children[entry.parent].append(entry)
        taken.groups[entry.group].append(entry)
        taken.sessions[entry.session].append(entry)
    taken.strays = [entry for entry in taken.entries.values() if entry.parent and entry.parent not in taken.entries]
    taken.taken_at = begun
    taken.cost = time.monotonic() - begun
    return taken


def tag(marker: Mapping[str, str], home: str = "") -> int:
    """The number that marks the processes of a run (see linux.set_tag), made of what names it.

    `home` is part of the name: another home may run the same project, and its processes are not ours to end.
    """
    name = "\0".join([home, *marker.values()])
    return int.from_bytes(blake2b(name.encode(errors="surrogateescape"), digest_size=7).digest())


def tagged(numbers: Collection[int], since: float) -> dict[int, list[Member]]:
    """What carries one of these tags, by tag, as a look tells that was begun at `since` (monotonic) or later.

    Those of which nothing lives are left out.
    """
    taken = _look(since)
    found = {}
    for number in numbers:
        living = [entry for entry in _tagged(taken, number, {os.getpid()}) if not entry.is_zombie]
        if living:
            found[number] = [Member(e.pid, e.start_time, system.command_of(e.pid), e.parent) for e in living]
    return found


def named(found: Iterable[Member]) -> str:
    """For a sentence: pids and commands."""
    return ", ".join(f"pid {member.pid} ({member.command})" for member in found)


def tree_of(taken: Census, pid: int) -> dict[int, Entry]:
    """The living of its session and its process group, and all their descendants: also where `pid` itself is gone."""
    found = _with_descendants(taken, _session_and_group(taken, pid), frozenset())
    return {entry.pid: entry for entry in found if not entry.is_zombie}


def members_of(
    taken: Census,
    pid: int,
    keeper_pid: int,
    marker: Mapping[str, str],
    exclude: Collection[int] = (),
    *,
    start_time: int | None = None,
    home: str = "",
    group: Collection[int] = (),
) -> list[Member]:
    """What belongs to the run whose main process is, or was, `pid`.

    Its session, its process group, the pids of its control `group`, what carries the tag of the run, orphans (children
    of the keeper that carry the run's `marker` in their environment), what was seen to be one of these before, and all
    descendants; never the keeper, the daemon, a zombie, or what is in `exclude`: the main processes of other runs. Give
    the main process's `start_time` where no keeper holds its zombie: its pid may be another's by now.
    """
    known = _lineages.get(pid, set())
    number = tag(marker, home)
    barred = frozenset(exclude) | {keeper_pid, os.getpid()}
    roots = []
    if start_time is None or _is(taken, pid, start_time):
        roots = _session_and_group(taken, pid)
    elif pid not in taken.entries:  # who has had the pid meanwhile may have left a session and a group of this number
        roots = [entry for entry in _session_and_group(taken, pid) if system.tag_of(entry.pid) in {number, None}]
    roots += [taken.entries[seen] for seen, started in known if _is(taken, seen, started)]
    roots += [entry for each in group if (entry := taken.entries.get(each) or system.entry(each))]
    claimed = {entry.pid: entry for entry in _with_descendants(taken, roots, barred)}
    roots += _tagged(taken, number, barred | claimed.keys())
    gone: list[Entry] = []
    for entry, carries in _orphans(taken, keeper_pid, marker, number, barred | claimed.keys()):
        (roots if carries else gone).append(entry)
    found = {e.pid: e for e in _with_descendants(taken, roots, barred) if not e.is_zombie}
    if found:
        _lineages[pid] = {(entry.pid, entry.start_time) for entry in found.values()}
    else:
        _lineages.pop(pid, None)
    found = {entry.pid: entry for entry in gone} | found
    return [Member(e.pid, e.start_time, system.command_of(e.pid), e.parent) for e in found.values()]


def members(
    pid: int,
    keeper_pid: int,
    marker: Mapping[str, str],
    exclude: Collection[int] = (),
    *,
    start_time: int | None = None,
    home: str = "",
    group: Collection[int] = (),
    since: float | None = None,
) -> list[Member]:
    """`members_of` a census begun at `since` (monotonic) or later, which others may have asked for; else of now."""
    taken = _look(since)
    return members_of(taken, pid, keeper_pid, marker, exclude, start_time=start_time, home=home, group=group)


def _look(since: float | None) -> Census:
    global _last  # noqa: PLW0603  one look serves all who ask at the same time
    if since is None or _last.taken_at < since:
        _last = census()
    return _last


def recently() -> float:
    """The instant (monotonic) of a moment ago: who may be told what was so then does not need a census of his own."""
    return time.monotonic() - _last.cost - max(_CENSUS_SHARED, _last.cost)


def rest(since: float) -> float:
    """Seconds to wait before asking for a census begun at `since` or later, so that others come to share it.

    0 where there is one, or one is due: they take a third of our time at most, however many runs end one by one.
    """
    due = _last.taken_at + _CENSUS_REST * _last.cost
    return 0.0 if _last.taken_at >= since else max(0.0, due - time.monotonic())


_last = Census()
_lineages: dict[int, set[tuple[int, int]]] = {}
"""Who was found to belong to a main process: an orphan that has cleared its environment is known by that alone."""


def _session_and_group(taken: Census, pid: int) -> list[Entry]:
    itself = [taken.entries[pid]] if pid in taken.entries else []
    return [*itself, *taken.sessions.get(pid, ()), *taken.groups.get(pid, ())]


def _orphans(
    taken: Census, keeper_pid: int, marker: Mapping[str, str], number: int, known: Collection[int]
) -> Iterable[tuple[Entry, bool]]:
    """Those that carry the marker, and no other tag: below the keeper, or below a parent that went during the census.

    With False, one that ended before it could be asked: it may have left a child that the census has not seen, so there
    has to be another look. What it has in this one is not claimed with it, since it may have been anybody: when the
    keeper of another home is killed, all that it held is below it for a moment yet.
    """
    waiting = [*taken.children.get(keeper_pid, ()), *taken.strays]
    while waiting:
        entry = waiting.pop()
        if entry.pid in known:
            continue
        carries = False if entry.is_zombie else system.carries(entry.pid, marker)
        if carries is not False and system.tag_of(entry.pid) in {number, None, *system.NO_TAG}:
            yield entry, carries is True
        else:
            waiting += taken.children.get(entry.pid, ())


def _tagged(taken: Census, number: int, known: Collection[int]) -> Iterable[Entry]:
    """Whatever was forked below its main process, which no fork, exec, session or empty environment hides."""
    if taken.tags is None:
        taken.tags = defaultdict(list)
        for entry in taken.entries.values():
            if found := system.tag_of(entry.pid):
                taken.tags[found].append(entry)
    return [entry for entry in taken.tags.get(number, ()) if entry.pid not in known]


def _is(taken: Census, pid: int, start_time: int) -> bool:
    return pid in taken.entries and taken.entries[pid].start_time == start_time


def _with_descendants(taken: Census, roots: Iterable[Entry], barred: frozenset[int]) -> Iterable[Entry]:
    waiting, seen = list(roots), set(barred)
    while waiting:
        entry = waiting.pop()
        if entry.pid not in seen:
            seen.add(entry.pid)
            yield entry
            waiting += taken.children.get(entry.pid, ())
