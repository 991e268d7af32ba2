"""A process that a project seems to have, and how it is written into a new project file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from graphlib import CycleError, TopologicalSorter

import msgspec

__all__ = ["Proposal", "name_from", "readable_text", "settle", "toml_string", "write_process"]

_READ_MAX = 256 * 1024  # bytes of a file that are looked at


class Proposal(msgspec.Struct, frozen=True):
    """One process. An inactive one is written as a comment, for a person to decide about."""

    name: str
    command: str
    source: str
    """Where it comes from: "package.json, script dev"; empty: from nothing."""
    active: bool = True
    note: str = ""
    """What a person should know before they keep it."""
    working_dir: str = ""
    depends_on: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    auto_port: bool = False
    health_check: str = ""
    stop_signal: str = ""
    suggestions: tuple[str, ...] = ()
    """Lines that may be right, written as comments."""


def readable_text(path: str) -> str:
    """The beginning of a text file; empty when there is none, or none that we may read."""
    try:
        with open(path, encoding="utf-8-sig", errors="replace") as file:
            return file.read(_READ_MAX)
    except OSError:
        return ""


def name_from(text: str, fallback: str) -> str:
    """The nearest thing to `text` that can be the name of a project or a process."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:64] or fallback


def toml_string(text: str) -> str:
    """A basic string: TOML knows the escapes of JSON, and wants DEL escaped too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def settle(proposals: Iterable[Proposal]) -> list[Proposal]:
    """What can stand in one file: each name active once, the first one winning; dependencies exist, in no circle."""
    settled: list[Proposal] = []
    taken: set[str] = set()
    for each in proposals:
        if not each.command.strip() or "\0" in each.command:
            continue
        active = each.active and each.name not in taken
        taken |= {each.name} if active else set()
        settled.append(msgspec.structs.replace(each, active=active))
    linked = [
        msgspec.structs.replace(
            each, depends_on=tuple(dict.fromkeys(name for name in each.depends_on if name in taken - {each.name}))
        )
        for each in settled
    ]
    return linked if _is_acyclic(linked) else [msgspec.structs.replace(each, depends_on=()) for each in linked]


def _is_acyclic(proposals: Sequence[Proposal]) -> bool:
    try:
        TopologicalSorter({each.name: each.depends_on for each in proposals if each.active}).prepare()
    except CycleError:
        return False
    return True


def write_process(each: Proposal) -> str:
    """Its `[[process]]` table."""
    lines = ["[[process]]", f"name = {toml_string(each.name)}", f"command = {toml_string(each.command)}"]
    texts = {"working_dir": each.working_dir, "health_check": each.health_check, "stop_signal": each.stop_signal}
    lines += [f"{key} = {toml_string(value)}" for key, value in texts.items() if value]
    if each.auto_port:
        lines.append('ports = "auto"')
    elif each.ports:
        lines.append(f"ports = {list(each.ports)}")
    if each.depends_on:
        lines.append(f"depends_on = [{', '.join(map(toml_string, each.depends_on))}]")
    lines += [f"# {suggestion}" for suggestion in each.suggestions]
    if not each.active:
        lines = [f"# {line}" for line in lines]
    heading = " ".join([*([f"From {each.source}."] if each.source else []), each.note]).strip()
    return "\n".join([f"# {''.join(c if c.isprintable() else ' ' for c in heading)}", *lines])
