"""What one start costs the keeper: two FIFOs, a spool, a session, a record on disk, besides fork and exec.

Up to half of it is the file system's: for some seconds after many files were deleted, ext4 takes ten times as long to
make one. So a figure taken after a pause is the one to compare.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from statistics import median

from benchmarks.measure import Figure, print_table, seconds
from runcept.process.keeper_link import KeeperLink

__all__ = ["TITLE", "figures"]

COUNT = 200
TITLE = "One start, asked of the keeper directly"
COMMAND = ["sleep", "1000000"]


async def through_keeper(home: str, count: int) -> list[float]:
    """Seconds that each of `count` starts takes, one after the other; a fresh keeper, which ends with them."""
    over = asyncio.Event()
    ended = []

    def exited(key: str, *_: object) -> None:
        ended.append(key)
        if len(ended) == count:
            over.set()

    link = await KeeperLink.connect(home, None, lambda *_: None, exited, lambda: None)
    took, pids = [], []
    for number in range(count):
        directory = os.path.join(home, "runs", str(number))
        begun = time.perf_counter()
        held = await link.spawn(
            key=str(number), directory=directory, argv=COMMAND, env={"PATH": os.environ["PATH"]}, cwd="/"
        )
        took.append(time.perf_counter() - begun)
        pids.append(held.pid)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    await over.wait()
    for key in ended:
        await link.release(key)
    await link.shutdown()
    return took


def directly() -> float:
    """Seconds that subprocess takes for one."""
    started: list[subprocess.Popen[bytes]] = []
    took = seconds(lambda: started.append(subprocess.Popen(COMMAND, start_new_session=True)))
    started[0].kill()
    started[0].wait()
    return took


def figures() -> Iterator[Figure]:
    """Both."""
    with tempfile.TemporaryDirectory(prefix="runcept-bench-", ignore_cleanup_errors=True) as home:
        os.chmod(home, 0o700)
        took = asyncio.run(through_keeper(home, COUNT))
    own = median(directly() for _ in range(COUNT))
    yield Figure("spawn", median(took), "s", own, "subprocess with a session of its own")


if __name__ == "__main__":
    raise SystemExit(not print_table(TITLE, figures()))
