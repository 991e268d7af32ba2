"""Where a project is that -e or an argument names. The daemon is asked only where that is a name, not a path."""

from __future__ import annotations

import os

from runcept.api.messages import EnvironmentList, Environments
from runcept.cli.invocation import Invocation
from runcept.errors import EnvironmentAmbiguous, EnvironmentNotFound

__all__ = ["path_of"]


def path_of(invocation: Invocation, environment: str) -> str:
    """The directory of what `target` gives. Errors: EnvironmentNotFound, EnvironmentAmbiguous."""
    if os.path.isabs(environment):
        return environment
    listed: EnvironmentList = invocation.call("environments", Environments())
    paths = [each.path for each in listed.environments if each.name == environment]
    if len(paths) > 1:
        raise EnvironmentAmbiguous(environment, paths)
    if not paths:
        raise EnvironmentNotFound(environment, [each.name for each in listed.environments])
    return paths[0]
