"""Runs a command of a project file beside its processes: a health check, a hook. Each in a session of its own.

Decides nothing. Who runs one gives it a tag (linux.set_tag), by which all that it started is found whatever it did.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence

from runcept.process.system import set_tag

__all__ = ["OUTPUT_MAX", "last_line", "run_command"]

OUTPUT_MAX = 65_536
"""Bytes of its output that are kept, the last ones; as many as a pipe holds, pipe(7)."""
_READ_PAUSE = 0.01
"""Seconds between two reads: a command that floods its output waits for us, and we do nothing else for it."""
_starting = asyncio.Lock()
_IN_DIRECTORY = ("/bin/sh", "-c", 'cd "$1" && shift && exec "$@"', "sh")
"""Followed by the directory and the command. The event loop waits for the execution of what it starts, so that is this
shell: a directory on a server that is gone holds up the shell, which has nothing of ours open, and has a timeout."""


async def run_command(
    argv: Sequence[str], *, cwd: str, env: Mapping[str, str], umask: int, tag: int, said: bytearray
) -> int:
    """Run it to its end, without input; its exit status, or a signal's number below zero. OSError.

    `said` gets the end of what it writes. Whoever cancels this kills it, with its group. What it leaves behind goes on,
    with the tag and without anybody who reads its output.
    """
    # A pipe of our own: with asyncio's, wait() would wait for whoever inherited it, not for the command alone.
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    output = _Output(reading, said)
    try:
        try:
            async with _starting:  # it inherits the tag from us, so it has it from its first instant on
                set_tag(os.getpid(), tag)
                try:
                    process = await asyncio.create_subprocess_exec(
                        *_IN_DIRECTORY,
                        cwd,
                        *argv,
                        cwd="/",
                        env=dict(env),
                        stdin=asyncio.subprocess.DEVNULL,
                        stdout=writing,
                        stderr=writing,
                        start_new_session=True,
                        umask=umask,
                    )
                finally:
                    set_tag(os.getpid(), 0)
        finally:
            os.close(writing)
        try:
            code = await process.wait()
        finally:
            if process.returncode is None:  # else its pid may be anybody's; what it has left carries the tag
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
    finally:
        output.end()
        os.close(reading)
    return code


class _Output:
    """What a command writes: the end of it is kept."""

    def __init__(self, reading: int, said: bytearray) -> None:
        self._reading = reading
        self._said = said
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        self._loop.add_reader(reading, self._take)

    def _take(self) -> None:
        self._loop.remove_reader(self._reading)
        if self._read():
            self._pause = self._loop.call_later(_READ_PAUSE, self._loop.add_reader, self._reading, self._take)

    def _read(self) -> bool:
        """Whether there may be more."""
        try:
            chunk = os.read(self._reading, OUTPUT_MAX)
        except BlockingIOError:
            return True
        self._said += chunk
        del self._said[:-OUTPUT_MAX]
        return bool(chunk)

    def end(self) -> None:
        """Take what the pipe holds, and no more."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._reading)
        self._read()


def last_line(said: bytes | bytearray) -> str:
    """The last line that is not blank; "" where there is none."""
    lines = said.decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
