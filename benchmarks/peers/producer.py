"""The program whose output is kept: what others run, so it imports nothing of here, and is a file to be started.

    producer.py block|line PLACE NAME SOURCE SIZE SECONDS     lines of SIZE bytes from SOURCE, as fast as they are taken
    producer.py slow PLACE NAME                               ten lines a second, until it is ended

It says in PLACE/NAME.ready that it runs, waits for PLACE/go, and says in PLACE/NAME.done what it has written.
"""

from __future__ import annotations

import json
import os
import sys
import time

BLOCK = 65_536
"""Bytes of one write where output is block-buffered: what a pipe holds. A block ends where it ends, within a line."""
BUFFER = 1_000_000  # a multiple of the sizes of lines


def fast(how: str, place: str, name: str, source: str, limits: tuple[int, float]) -> None:
    """Write to the end of the source, or for so long; `limits` are bytes of a line and seconds."""
    size, seconds = limits
    step = BLOCK if how == "block" else size
    buffer = memoryview(bytearray(BUFFER))
    written = 0
    with open(source, "rb", buffering=0) as file:
        say(place, f"{name}.ready", str(os.getpid()))
        while not os.path.exists(f"{place}/go"):
            time.sleep(0.005)
        began = time.monotonic()
        while time.monotonic() - began < seconds and (count := file.readinto(buffer)):
            for start in range(0, count, step):
                write(buffer[start : min(start + step, count)])
            written += count
    used = os.times()
    facts = {"began": began, "lines": written // size, "cpu": used.user + used.system}
    say(place, f"{name}.done", json.dumps(facts))


def slow(place: str, name: str) -> None:
    """Write a line each tenth of a second."""
    say(place, f"{name}.ready", str(os.getpid()))
    number = 0
    while True:
        write(memoryview(b"%010d a line of a process that has something to say now and then\n" % number))
        number += 1
        time.sleep(0.1)


def write(data: memoryview) -> None:
    """All of it: a tool may have made our end of the pipe such that a write takes a part."""
    while data:
        data = data[os.write(1, data) :]


def say(place: str, name: str, text: str) -> None:
    """Have a file in the place, whole from the first moment on."""
    path = f"{place}/{name}"
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        file.write(text)
    os.rename(f"{path}.new", path)


if __name__ == "__main__":
    if sys.argv[1] == "slow":
        slow(sys.argv[2], sys.argv[3])
    else:
        kind, directory, program, file, line, limit = sys.argv[1:]
        fast(kind, directory, program, file, (int(line), float(limit)))
