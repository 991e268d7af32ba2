"""The console script `runcept` (and `runit`): all else is imported inside, so that an interrupt is always quiet."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line of this process and exit with its status."""
    try:
        from runcept.cli.app import run
        from runcept.cli.surroundings import Surroundings

        status = run(sys.argv[1:], Surroundings.of_this_process())
    except KeyboardInterrupt:  # before there was a command to interrupt
        status = 130
    _forget_closed_output()
    sys.exit(status)


def _forget_closed_output() -> None:
    """Keep the interpreter from complaining, as it ends, about output that nobody reads any more."""
    import os

    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
