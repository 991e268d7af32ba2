"""With few descriptors: how many runs are taken, and that a look for which there is none left is made later."""

from __future__ import annotations

import asyncio
import errno
import resource
from collections.abc import Iterator

import pytest

from runcept.process.limits import patiently, runs_that_fit


@pytest.fixture
def _limit() -> Iterator[None]:
    """The soft limit as it was, when the test is over."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("_limit")
@pytest.mark.parametrize(("files", "runs"), [(64, 6), (256, 44), (1024, 198), (30, 1)])
def test_runs_leave_room_to_look_after_them(files: int, runs: int) -> None:
    """Five descriptors each, and some of ours; one in any case, which then fails where it fails."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    assert runs_that_fit() == runs


def test_a_look_waits_for_a_descriptor_and_for_nothing_else() -> None:
    """That there are no processes, since none could be looked at, would be a lie."""
    failures = [OSError(errno.EMFILE, "too many"), OSError(errno.ENFILE, "too many")]

    def look() -> str:
        if failures:
            raise failures.pop()
        return "seen"

    assert asyncio.run(patiently(look)) == "seen"
    failures.append(PermissionError(errno.EACCES, "no"))
    with pytest.raises(PermissionError):
        asyncio.run(patiently(look))
