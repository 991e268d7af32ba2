"""The line that tells why a run ended: its last one, or the error of which that is only the last frame. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from runcept.logs.error_blocks import Block, Joiner
from runcept.logs.record import Line

__all__ = ["LINES", "telling"]

LINES = 80
"""Of the end of a run, in which its last error is looked for."""

_NPM = re.compile(
    r"npm (?:error|ERR!) +(?!(?:code|errno|syscall|path|command) |A complete log of this run)(?P<words>.+)"
)


def telling(lines: Sequence[Line]) -> str:
    """Of the last lines of one stream, oldest first, what tells why they are the last; "" where none says anything.

    Python ends with the name of the error; Node.js, Go, Java and Rust end with frames and notes that are the same
    whatever went wrong, and npm with the place of its own log.
    """
    said = [line for line in lines if line.message.strip()]
    if not said:
        return ""
    last = said[-1].message.strip()
    if last.startswith("npm ") and (words := [found["words"] for line in said if (found := _NPM.match(line.message))]):
        return f"npm: {words[0]}"
    block = _last_block(said)
    if block is None or block.lines()[-1].strip() != last:
        return last
    return f"{block.title}: {block.message}" if block.message else block.title


def _last_block(lines: Sequence[Line]) -> Block | None:
    """The last error with a stack: a line of a logger is what it is."""
    joiner = Joiner()
    blocks = [block for line in lines for block in joiner.feed(line)]
    blocks += joiner.finish()
    stacks = [block for block in blocks if block.kind != "log" and block.title]
    return stacks[-1] if stacks else None
