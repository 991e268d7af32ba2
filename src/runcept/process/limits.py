"""How many files we may have open: more than we were given, while those whom we start get what we were given."""

from __future__ import annotations

import resource
from contextlib import suppress

__all__ = ["ENOUGH_FILES", "given_files", "raise_file_limit"]

ENOUGH_FILES = 65_536
_given = resource.getrlimit(resource.RLIMIT_NOFILE)


def raise_file_limit() -> None:
    """A few descriptors for each run and each client pass the usual 1,024 at some hundred: go up to the hard limit."""
    soft, hard = _given
    most = ENOUGH_FILES if hard == resource.RLIM_INFINITY else min(hard, ENOUGH_FILES)
    with suppress(OSError, ValueError):  # macOS has yet another bound: then it stays as it is
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


def given_files() -> int:
    """The soft limit that we were given; getrlimit(2), RLIMIT_NOFILE."""
    return _given[0]
