"""Control groups, cgroups(7), of the second version: what nothing of a run can leave, where one can be made.

That takes root, or a part of the tree that was delegated to the user; elsewhere runs are held together by what
`members` knows alone, which also catches what has the right to leave a group. A group lies below the group of the
daemon that made it, in a directory of its home, and is named after the run. No controller is enabled: it is for
finding and killing. Nothing here fails: where there is no group, or it is gone, there is nothing to be done.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from hashlib import blake2b

__all__ = ["groups_of", "kill", "leave", "make", "pids", "remove"]

_OURS = "runcept-"


def groups_of(home: str) -> str | None:
    """The directory for the groups of this home, made where there is none; None: groups cannot be made here."""
    own = _own()
    if own is None:
        return None
    directory = os.path.join(own, _OURS + blake2b(os.fsencode(home), digest_size=6).hexdigest())
    try:
        os.makedirs(directory, exist_ok=True)
        return directory if os.access(os.path.join(directory, "cgroup.procs"), os.W_OK) else None
    except OSError:
        return None


def make(groups: str | None, name: str) -> str | None:
    """A new group of the directory `groups`; None where none can be made."""
    if groups is None:
        return None
    group = os.path.join(groups, name)
    try:
        os.mkdir(group)
    except OSError:
        return None
    return group


def pids(group: str | None) -> list[int]:
    """The processes of a group and of what they have made below it, zombies left out."""
    found: list[int] = []
    for directory in _subtree(group):
        with suppress(OSError), open(os.path.join(directory, "cgroup.procs"), encoding="ascii") as file:
            found += map(int, file.read().split())
    return found


def kill(group: str | None) -> None:
    """SIGKILL to all of a group at one blow, which no fork escapes; from Linux 5.14 on."""
    if group is not None:
        with suppress(OSError), open(os.path.join(group, "cgroup.kill"), "w", encoding="ascii") as file:
            file.write("1")


def remove(group: str | None) -> None:
    """Remove a group that is empty, with what was made below it."""
    for directory in [*_subtree(group)][::-1]:
        with suppress(OSError):
            os.rmdir(directory)


def leave() -> None:
    """Leave the group of a run: a daemon that a managed process has started is not a part of it."""
    own = _own()
    if own is None or f"/{_OURS}" not in own:
        return
    above = own[: own.index(f"/{_OURS}")]
    with suppress(OSError), open(os.path.join(above, "cgroup.procs"), "w", encoding="ascii") as file:
        file.write("0")


def _own() -> str | None:
    """The directory of our own group; None where the kernel has no cgroup2, or it is not mounted."""
    try:
        with open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as file:
            path = next(line[3:].rstrip("\n") for line in file if line.startswith("0::"))
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            mounts = [line.split() for line in file if " - cgroup2 " in line]
    except (OSError, StopIteration):
        return None
    for mount in mounts:  # proc_pid_mountinfo(5): the fourth field is what of the tree is mounted at the fifth
        root, point = mount[3], mount[4]
        if path == root or path.startswith(root.rstrip("/") + "/"):
            return os.path.normpath(point + "/" + path[len(root.rstrip("/")) :])
    return None


def _subtree(group: str | None) -> Iterator[str]:
    """The group and all below it, each before what is below it."""
    if group is not None:
        for directory, _, _ in os.walk(group):
            yield directory
