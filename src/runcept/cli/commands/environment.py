"""`activate`, `deactivate`: a project as a whole."""

from __future__ import annotations

import os
from collections.abc import Sequence

from runcept.api.messages import Activate, Deactivate
from runcept.cli.framework import command
from runcept.cli.invocation import Invocation
from runcept.cli.outcome import DOWN, UP, perform
from runcept.cli.parameters import path_and_names_argument, path_argument, waiting_options
from runcept.cli.shell_environment import captured
from runcept.cli.target import is_process, of_arguments, of_path
from runcept.errors import UsageError

__all__ = ["activate", "deactivate"]


@command("activate")
@path_and_names_argument
@waiting_options
def activate(invocation: Invocation, names: Sequence[str], no_wait: bool, timeout: float) -> int:
    """Start the project, or the named processes and what they need, and wait until each is ready or has failed.

    What runs already is left alone. An argument that holds a / or names a directory is the path of a project; names
    may be globs.
    """
    target = of_arguments(invocation, names, present=True)
    params = Activate(
        environment=target.environment,
        names=target.names,
        wait=not no_wait,
        timeout=timeout,
        progress=not invocation.options.json,
        environ=captured(invocation.surroundings.environ),
        umask=invocation.surroundings.umask,
    )
    return perform(invocation, "activate", params, UP, f"activating {os.path.basename(target.environment)}")


@command("deactivate")
@path_argument
@waiting_options
def deactivate(invocation: Invocation, path: str | None, no_wait: bool, timeout: float) -> int:
    """Stop everything in the project, what depends on others first."""
    if path is not None and is_process(invocation, path):
        raise UsageError(f"{path} is a process, and deactivate takes a project", hint=f"Write `runcept stop {path}`.")
    environment = of_path(invocation, path)
    params = Deactivate(
        environment=environment, wait=not no_wait, timeout=timeout, progress=not invocation.options.json
    )
    return perform(invocation, "deactivate", params, DOWN, f"deactivating {os.path.basename(environment)}")
