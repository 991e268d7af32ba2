"""A process of ours that a managed process may have started, and that is no part of that run: it serves everybody.

Else the stop of that one process would take daemon or host along, with every command that the host runs.
"""

from __future__ import annotations

import os

from runcept.process import cgroups
from runcept.process.system import set_tag

__all__ = ["stand_apart"]


def stand_apart() -> None:
    """Put off what this process has inherited of a run: its tag (linux.set_tag), and its control group."""
    set_tag(os.getpid(), 0)
    cgroups.leave()
