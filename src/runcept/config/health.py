"""The URL of a health check: http(s)://…, tcp://host:port, cmd://…, log://REGEX. Reads it; asks nobody."""

from __future__ import annotations

import re
import warnings
from typing import NamedTuple

from runcept.config.problems import Place, Wrong
from runcept.config.shapes import Shape, text
from runcept.core.check_port import variable_index
from runcept.core.model import Probe
from runcept.errors import nearest

__all__ = ["CheckUrl", "check_url", "parse_check_url"]

_SCHEMES = {"http": Probe.HTTP, "https": Probe.HTTP, "tcp": Probe.TCP, "cmd": Probe.CMD, "log": Probe.LOG}
_FORMS = "A health check is http://host:port/path, tcp://host:port, cmd://COMMAND or log://REGEX."
_AUTHORITY = re.compile(r"(?P<host>\[[^\]\s]*\]|[^\s:/?#@\[\]]+)(?::(?P<port>[^/?#\s]*))?(?P<rest>[/?#]\S*)?")


class CheckUrl(NamedTuple):
    """A health check's URL as written, and what it means."""

    url: str
    probe: Probe
    target: str
    """As `core.model.HealthCheck.target`."""
    port_index: int | None = None
    """Which of its process's ports it asks, where it says $PORT."""


def parse_check_url(url: str) -> CheckUrl:
    """Take a URL apart; Wrong when it is none."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        looks_like_host = re.match(r"[\w.-]+:\d+(/|$)", url)
        raise Wrong(f"{url!r} has no scheme", f"Did you mean http://{url}?" if looks_like_host else _FORMS)
    probe = _SCHEMES.get(scheme)
    if probe is None:
        near = nearest(scheme, list(_SCHEMES))
        hint = f"Did you mean {near}://{rest}?" if near else _FORMS
        raise Wrong(f"a health check cannot be {scheme}://", hint)
    match probe:
        case Probe.HTTP:
            found = _host_and_port(url, rest, "http://host:port/path")
            return CheckUrl(url, probe, url, variable_index(found["port"] or ""))
        case Probe.TCP:
            found = _tcp(url, rest)
            return CheckUrl(url, probe, rest, variable_index(found["port"]))
        case Probe.CMD:
            if not rest.strip():
                raise Wrong("cmd:// has no command", _FORMS)
        case Probe.LOG:
            _check_regex(rest)
    return CheckUrl(url, probe, rest)


def _host_and_port(url: str, rest: str, form: str) -> re.Match[str]:
    if "@" in re.split("[/?#]", rest, maxsplit=1)[0]:
        raise Wrong(f"{url!r} names a user, which a health check cannot", "Use cmd://curl … for a page behind a login.")
    found = _AUTHORITY.fullmatch(rest)
    if not found:
        bare_ipv6 = rest.count(":") > 1 and "[" not in rest
        raise Wrong(
            f"{url!r} is not a URL of a health check",
            "An IPv6 address stands in brackets: [::1]." if bare_ipv6 else f"Write {form}.",
        )
    port = found["port"]
    is_number = port is not None and port.isascii() and port.isdigit() and 1 <= int(port[:9]) <= 65535
    if port is not None and not is_number and variable_index(port) is None:
        raise Wrong(f"{port!r} is not a port", "A port is a number from 1 to 65535; $PORT is the first of `ports`.")
    if found["host"].startswith("["):
        _check_ipv6(found["host"][1:-1])
    return found


def _check_ipv6(address: str) -> None:
    from ipaddress import AddressValueError, IPv6Address

    try:
        IPv6Address(address)
    except AddressValueError as error:
        raise Wrong(f"{address!r} is not an IPv6 address", "Only an IPv6 address stands in brackets.") from error


def _tcp(url: str, rest: str) -> re.Match[str]:
    found = _host_and_port(url, rest, "tcp://host:port")
    if found["port"] is None:
        raise Wrong(f"{url!r} has no port", "Write tcp://host:port.")
    if found["rest"]:
        raise Wrong(f"tcp:// has nothing after the port, but here is {found['rest']!r}", "Write tcp://host:port.")
    return found


def _check_regex(pattern: str) -> None:
    if not pattern:
        raise Wrong("log:// has no regular expression", "Write log://REGEX: a line that matches means healthy.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about syntax that may change: nothing to act on in a project file
            re.compile(pattern)
    except re.error as error:
        where = "" if error.pos is None else f" at its character {error.pos + 1}"
        raise Wrong(
            f"not a regular expression: {error.msg}{where}", "A special character needs a backslash."
        ) from error
    except (OverflowError, RecursionError) as error:
        raise Wrong("not a regular expression that can be used: it is too large") from error


def _read(value: object, place: Place) -> CheckUrl:
    return parse_check_url(text.read(value, place).strip())


check_url = Shape(
    "URL",
    {
        "type": "string",
        "pattern": r"^\s*(https?://\S+|tcp://\S+:(\d+|\$PORT\d*|\$\{PORT\d*\})\s*$|cmd://[\s\S]*\S|log://[\s\S]+)",
    },
    _read,
)
