"""One command line in this process: where the entry has no host, and in a child of the host."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from runcept.cli.app import run
from runcept.cli.surroundings import Surroundings

__all__ = ["run_here"]


def run_here(arguments: Sequence[str]) -> int:
    """Run it with what this process was given. Gives the exit status; all output has been handed over by then."""
    status = run(arguments, Surroundings.of_this_process())
    _forget_closed_output()
    return status


def _forget_closed_output() -> None:
    """Keep the interpreter from complaining, as it ends, about output that nobody reads any more."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
