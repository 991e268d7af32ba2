"""A health check of the port that its run was given: $PORT, $PORT0, $PORT1… in place of the port of a URL. Pure.

`cmd://` needs none of this: the shell has these variables. Nowhere else in a URL does a dollar mean anything here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from runcept.core.model import HealthCheck, Probe

__all__ = ["resolved", "variable_index"]

_VARIABLE = r"\$(?:PORT(?P<bare>0|[1-9][0-9]{,3}|)|\{PORT(?P<braced>0|[1-9][0-9]{,3}|)\})"
_WHOLE = re.compile(_VARIABLE)
_IN_PLACE = re.compile(rf"^(?P<before>(?:\w+://)?[^/?#]*:){_VARIABLE}(?=[/?#]|$)")


def variable_index(port: str) -> int | None:
    """Of what stands for a port in a URL: 0 for $PORT and ${PORT0}, 1 for $PORT1; None where it is no such variable."""
    found = _WHOLE.fullmatch(port)
    return None if found is None else _index(found)


def resolved(check: HealthCheck, ports: Sequence[int]) -> HealthCheck:
    """The check with the port of the run; as it is where it names none, or the run was given too few."""
    found = _IN_PLACE.match(check.target) if check.probe in {Probe.HTTP, Probe.TCP} else None
    if found is None or _index(found) >= len(ports):
        return check
    port = str(ports[_index(found)])
    url, target = (_IN_PLACE.sub(rf"\g<before>{port}", text) for text in (check.url, check.target))
    return msgspec.structs.replace(check, url=url, target=target)


def _index(found: re.Match[str]) -> int:
    return int(found["bare"] or found["braced"] or 0)
