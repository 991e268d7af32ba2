"""Processes from a Procfile: `name: command` lines, as foreman and Heroku read them."""

from __future__ import annotations

import os
import re

from runcept.config.guess.proposal import Proposal, name_from, readable_text

__all__ = ["from_procfile"]

_LINE = re.compile(r"([A-Za-z0-9_-]+):[ \t]*(\S.*)")


def from_procfile(directory: str) -> list[Proposal]:
    """The lines of Procfile.dev, else of Procfile, that name a command."""
    for file in ("Procfile.dev", "Procfile"):
        found = [
            _proposal(match[1], match[2].strip(), file)
            for line in readable_text(os.path.join(directory, file)).split("\n")
            if (match := _LINE.match(line))
        ]
        if found:
            return found
    return []


def _proposal(name: str, command: str, file: str) -> Proposal:
    wants_port = re.search(r"\$PORT\b|\$\{PORT\b", command) is not None
    release = name == "release"
    return Proposal(
        name_from(name, "process"),
        command,
        file,
        active=not release,
        note="It is for deployments." if release else "",
        auto_port=wants_port,
        suggestions=("ports = [5000]  # in place of any free one",) if wants_port else (),
    )
