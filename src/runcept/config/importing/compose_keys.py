"""Single keys of a compose file's services: ports, restart, healthcheck; and why others have no place here. Pure."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from runcept.config.importing.checks import check, duration, go_seconds, url_in
from runcept.config.importing.interpolation import for_shell, quoted, resolved
from runcept.config.importing.values import Fields, Table
from runcept.config.toml_source import scalar

__all__ = [
    "FILE_REASONS",
    "REASONS",
    "DurationOf",
    "Port",
    "condition_of",
    "health_of",
    "ports_of",
    "restart_of",
    "size_of",
    "watch_of",
]

_RANGE_MAX = 100
_PORT = re.compile(
    r"""(?: (?: [\w.*-]+ | \[[\da-fA-F:]*\] ) : )??             # an address of this machine
        (?: (\d{1,5})? (?:-(\d{1,5}))? : )?                     # published, may be a range
        (\d{1,5}) (?:-(\d{1,5}))? (?: / (\w+) )?""",
    re.VERBOSE | re.ASCII,
)
_LOCAL = "every process is on this machine, at localhost"
_OWN = "it runs as you, on this machine"
_LIMIT = "Runcept limits nothing"
_FILES = "it sees the files of this machine"
REASONS = {
    "image": "no image is used",
    "platform": "no image is used",
    "pull_policy": "no image is used",
    "container_name": "there is no container",
    "hostname": _LOCAL,
    "domainname": _LOCAL,
    "networks": _LOCAL,
    "network_mode": _LOCAL,
    "extra_hosts": "write them into /etc/hosts",
    "external_links": _LOCAL,
    "expose": _LOCAL,
    "dns": _LOCAL,
    "dns_search": _LOCAL,
    "mac_address": _LOCAL,
    "volumes": _FILES,
    "volumes_from": _FILES,
    "tmpfs": _FILES,
    "read_only": _FILES,
    "devices": _FILES,
    "shm_size": _LIMIT,
    "secrets": "point it at the file itself, by env or env_files",
    "configs": "point it at the file itself",
    "user": _OWN,
    "group_add": _OWN,
    "privileged": _OWN,
    "cap_add": _OWN,
    "cap_drop": _OWN,
    "security_opt": _OWN,
    "sysctls": _OWN,
    "userns_mode": _OWN,
    "ipc": _OWN,
    "pid": _OWN,
    "init": "what it leaves behind is stopped with it",
    "tty": "its output is no terminal",
    "stdin_open": "it has no input",
    "deploy": "one copy of each process, without limits",
    "scale": "one copy of each process",
    "mem_limit": _LIMIT,
    "mem_reservation": _LIMIT,
    "memswap_limit": _LIMIT,
    "cpus": _LIMIT,
    "cpu_shares": _LIMIT,
    "pids_limit": _LIMIT,
    "ulimits": "set them in the command: ulimit -n 4096; exec …",
    "labels": "labels are for containers",
    "label_file": "labels are for containers",
    "annotations": "labels are for containers",
    "extends": "that service is in another file: copy what it says",
    "develop": "the files are here already",
    "post_start": "use hooks = { ready = … }",
    "pre_stop": "use hooks = { exited = … }",
    "provider": "docker compose alone can start it",
    "attach": "",  # its lines are in its log anyway
}
FILE_REASONS = {
    "version": "",  # it says nothing
    "networks": _LOCAL,
    "volumes": _FILES,
    "secrets": "point programs at the files themselves, by env or env_files",
    "configs": "point programs at the files themselves",
    "include": "read that file for itself: runcept init --from",
    "models": "docker compose alone can start them",
}
_CONDITIONS = {
    "service_started": "started",
    "service_healthy": "ready",
    "service_completed_successfully": "completed",
}


class Port(NamedTuple):
    """A published port: on this machine and in the container."""

    host: int
    inside: int


class DurationOf:
    """A duration of a table; one that is none is told as not mapped."""

    def __init__(self, fields: Fields, key: str) -> None:
        text = fields.text(key)
        self.value = None if text is None else go_seconds(text)
        if text is not None and self.value is None:
            fields.refuse(key, "not a duration", text)

    @property
    def seconds(self) -> str | None:
        """As a project file has it."""
        return None if self.value is None else duration(self.value)


def ports_of(value: object, known: Mapping[str, str]) -> tuple[list[Port], list[tuple[str, str]]]:
    """The published TCP ports, in order; and what is no such port, with the reason."""
    ports: list[Port] = []
    refused: list[tuple[str, str]] = []
    for each in value if isinstance(value, list) else []:
        written = _long_port(each) if isinstance(each, Table) else scalar(each) or ""
        text = resolved(written, known)
        found = None if text is None else _PORT.fullmatch(text)
        if found is None:
            refused.append((written, "no port is said here" if text is None else "not a port"))
        elif found[5] not in (None, "tcp"):
            refused.append((written, f"{found[5]} ports are not checked"))
        else:
            ports += _range(found)
    return list(dict.fromkeys(ports)), refused


def _long_port(table: Table) -> str:
    published = scalar(table.get("published")) or scalar(table.get("target")) or ""
    protocol = scalar(table.get("protocol"))
    return f"{published}:{scalar(table.get('target')) or ''}{f'/{protocol}' if protocol else ''}"


def _range(found: re.Match[str]) -> list[Port]:
    inside, last = int(found[3]), int(found[4] or found[3])
    host = int(found[1] or inside)
    count = min(max(last - inside, 0) + 1, _RANGE_MAX)
    pairs = [Port(host + number, inside + number) for number in range(count)]
    return [pair for pair in pairs if all(1 <= port <= 65535 for port in pair)]


def condition_of(how: object, fields: Fields, name: str) -> str:
    """The condition of one entry of `depends_on` in its long form."""
    entry = (
        Fields(how, f"depends_on.{name}.", fields.unmapped, fields.line("depends_on"))
        if isinstance(how, Table)
        else None
    )
    if entry is None:
        return "started"
    word = entry.text("condition") or "service_started"
    if word not in _CONDITIONS:
        entry.refuse("condition", "not a condition", word)
    entry.rest({"restart": "`runcept restart --dependents` does that", "required": "what is needed is always started"})
    return _CONDITIONS.get(word, "started")


def restart_of(fields: Fields, keys: dict[str, Any], *, is_task: bool) -> None:
    """`restart`."""
    word = fields.text("restart")
    policy, _, count = (word or "no").partition(":")
    if policy in {"always", "unless-stopped"} and not is_task:
        keys["restart"] = "always"
    elif policy == "on-failure" or (policy in {"always", "unless-stopped"} and is_task):
        keys["restart"] = "on-failure"
    elif policy not in {"no", "false"}:
        fields.refuse("restart", "not a policy", word)
    if count.isdecimal() and count.isascii():
        keys["max_restarts"] = int(count[:9])


def size_of(options: Fields, keys: dict[str, Any]) -> None:
    """`max-size` and `max-file` of docker's json-file driver."""
    log: dict[str, Any] = {}
    text = options.text("max-size")
    if text is not None and (found := re.fullmatch(r"(\d{1,12})([kmg]?)b?", text.strip().lower(), re.ASCII)):
        log["max_size"] = f"{found[1]}{found[2].upper()}iB" if found[2] else int(found[1])
    elif text is not None:
        options.refuse("max-size", "not a size", text)
    if (keep := options.number("max-file")) is not None:
        log["keep"] = max(keep - 1, 0)  # theirs counts the file that is written to
    if log:
        keys["log"] = log
    options.rest({})


def watch_of(fields: Fields, keys: dict[str, Any]) -> None:
    """`develop.watch`: what restarts the container restarts the process; what only copies files is not needed."""
    develop = fields.fields("develop")
    if develop is None:
        return
    globs: list[str] = []
    line = develop.line("watch")
    for each in develop.take("watch") or ():
        rule = Fields(each, "develop.watch.", fields.unmapped, line) if isinstance(each, Table) else None
        if rule is None:
            continue
        action, path = rule.text("action") or "", os.path.normpath(rule.text("path") or ".")
        ignored, included = rule.texts("ignore"), rule.texts("include")
        if action == "sync":
            rule.refuse("action", "the files are here already", f"sync {path}")
        else:
            root = "" if path == "." else f"{path}/"
            file = not included and "." in path.rpartition("/")[2].strip(".")
            globs += [path] if file else [f"{root}{pattern}" for pattern in included or ["**/*"]]
            globs += [f"!{root}{pattern.rstrip('/')}{'/**' if pattern.endswith('/') else ''}" for pattern in ignored]
        rule.rest({"target": "", "exec": "run it before the command: a && b", "initial_sync": ""})
    if globs:
        keys["watch"] = list(dict.fromkeys(globs))
    develop.rest({})


def health_of(fields: Fields, resolve: Callable[[str], str | None], inside: str | None) -> object:
    """`healthcheck` as the value of `health_check`; `inside`: the command that runs another one in the container."""
    table = fields.fields("healthcheck")
    if table is None:
        return None
    test = table.take("test")
    if table.flag("disable") or test is None or (isinstance(test, list) and test[:1] == ["NONE"]):
        table.rest({})
        return None
    timing: dict[str, Any] = {}
    for key in ("interval", "timeout", "start_period"):
        value = DurationOf(table, key)
        if value.value is not None and (value.value >= 0.001 or key == "start_period"):
            timing[key] = value.seconds
    if (retries := table.number("retries")) is not None and retries > 0:
        timing["retries"] = retries
    table.rest({"start_interval": "until it is ready, checks are fast anyway"})
    return check(_test(test, resolve, inside), timing)


def _test(test: object, resolve: Callable[[str], str | None], inside: str | None) -> str:
    words = (
        [text for text in map(scalar, test) if text is not None]
        if isinstance(test, list)
        else ["CMD-SHELL", scalar(test) or ""]
    )
    if words[:1] == ["CMD-SHELL"]:
        text = " ".join(words[1:])
        if inside is not None:
            plain = resolve(text)
            return f"cmd://{inside} sh -c {for_shell(text) if plain is None else quoted(plain)}"
        plain = text.replace("$$", "$")
        return url_in(plain) or f"cmd://{plain}"
    texts = [resolve(text) or text for text in (words[1:] if words[:1] == ["CMD"] else words)]
    if inside is not None:
        return f"cmd://{inside} {' '.join(map(quoted, texts))}"
    return url_in(texts) or f"cmd://{' '.join(map(quoted, texts))}"
