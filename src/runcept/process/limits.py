"""How many files we may have open: more than we were given, while those whom we start get what we were given.

Where even that is little, we take no more runs than leave room for looking after them.
"""

from __future__ import annotations

import asyncio
import errno
import resource
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

__all__ = ["ENOUGH_FILES", "clients_that_fit", "given_files", "patiently", "raise_file_limit", "runs_that_fit"]

ENOUGH_FILES = 65_536
_A_RUN = 5
"""Descriptors that a run takes: its log, its commit, the two files of a segment, and its process."""
_OURS = 34
"""Those of ours: about 18 for good, the others for clients, probes and looks at processes."""
_PAUSE = 0.1
T = TypeVar("T")
_given = resource.getrlimit(resource.RLIMIT_NOFILE)


def raise_file_limit() -> None:
    """A few descriptors for each run and each client pass the usual 1,024 at some hundred: go up to the hard limit."""
    soft, hard = _given
    most = ENOUGH_FILES if hard == resource.RLIM_INFINITY else min(hard, ENOUGH_FILES)
    with suppress(OSError, ValueError):  # macOS has yet another bound: then it stays as it is
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


def runs_that_fit() -> int:
    """How many runs can be looked after with the descriptors that we may have; one in any case."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, ((ENOUGH_FILES if soft == resource.RLIM_INFINITY else soft) - _OURS) // _A_RUN)


def clients_that_fit() -> int:
    """How many may be connected to us at a time: a quarter of the descriptors."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (ENOUGH_FILES if soft == resource.RLIM_INFINITY else soft) // 4


async def patiently(look: Callable[[], T]) -> T:
    """What `look` gives, tried again and again while no descriptor is left for it: a wrong answer would be worse."""
    while True:
        try:
            return look()
        except OSError as error:
            if error.errno not in {errno.EMFILE, errno.ENFILE}:
                raise
        await asyncio.sleep(_PAUSE)


def given_files() -> int:
    """The soft limit that we were given; getrlimit(2), RLIMIT_NOFILE."""
    return _given[0]
