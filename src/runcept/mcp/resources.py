"""What a client may read and watch: the status, the project file and the logs of each project, and the file's schema.

    runcept://schema                          JSON Schema of a .runcept.toml
    runcept://projects/{project}/status       the project and its processes, JSON
    runcept://projects/{project}/config       its .runcept.toml, with secrets masked
    runcept://projects/{project}/logs/{process}   the last lines of a process

{project} is the percent-encoded path of its directory, or the name of a known project.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from urllib.parse import quote, unquote

import msgspec

from runcept.api import messages as m
from runcept.client.calls import call
from runcept.config.schema import json_schema
from runcept.core.secrets import mask
from runcept.core.views import EnvironmentView
from runcept.errors import DaemonUnreachable, LogNotReadable, ProjectNotFound
from runcept.logs.reader import read
from runcept.mcp import answers
from runcept.paths import PROJECT_FILE, log_path

__all__ = [
    "SCHEMA",
    "TEMPLATES",
    "Content",
    "Place",
    "Resource",
    "listed",
    "log_uri",
    "parsed",
    "read_resource",
    "status_uri",
]

SCHEMA = "runcept://schema"
_PROJECTS = "runcept://projects/"
_LINES = 200
_BYTES = 32_000
_REACH = 8 << 20


class Resource(NamedTuple):
    """One thing that can be read."""

    uri: str
    name: str
    title: str
    mime_type: str


class Place(NamedTuple):
    """What a URI names: "status", "config" or "logs" of a project; the process for logs."""

    project: str
    kind: str
    process: str = ""


class Content(NamedTuple):
    """What is there."""

    mime_type: str
    text: str


TEMPLATES: Sequence[Resource] = (
    Resource(_PROJECTS + "{project}/status", "status", "Status of a project", "application/json"),
    Resource(_PROJECTS + "{project}/config", "config", "Project file of a project", "application/toml"),
    Resource(_PROJECTS + "{project}/logs/{process}", "log", "Log of a process", "text/plain"),
)
"""With {project} and {process} to be filled in."""


def status_uri(project: str) -> str:
    """Of the project at this path."""
    return f"{_PROJECTS}{quote(project, safe='')}/status"


def log_uri(project: str, process: str) -> str:
    """Of a process of the project at this path."""
    return f"{_PROJECTS}{quote(project, safe='')}/logs/{quote(process, safe='')}"


def parsed(uri: str) -> Place | None:
    """What a URI names; None for what is none of ours."""
    if not uri.startswith(_PROJECTS):
        return None
    match [unquote(part) for part in uri.removeprefix(_PROJECTS).split("/")]:
        case [project, ("status" | "config") as kind] if project:
            return Place(project, kind)
        case [project, "logs", process] if project and process and "/" not in process and "\0" not in process:
            return Place(project, "logs", process)
    return None


async def listed(home: str) -> list[Resource]:
    """The schema, and what there is of each known project. No daemon is started for it."""
    try:
        known: m.EnvironmentList = await call(home, "environments", m.Environments(actor="mcp"), start=False)
        everything: m.Processes = await call(home, "ps", m.NoParams(actor="mcp"), start=False)
    except DaemonUnreachable:
        return [_SCHEMA]
    found = [_SCHEMA]
    for project in known.environments:
        names = [view.name for view in everything.processes if view.environment == project.path]
        found += _of_project(project, names)
    return found


def _of_project(project: EnvironmentView, processes: Sequence[str]) -> Iterator[Resource]:
    status, name = status_uri(project.path), project.name
    yield Resource(status, f"{name}.status", f"Status of {name}", "application/json")
    yield Resource(
        status.removesuffix("status") + "config", f"{name}.config", f"Project file of {name}", "application/toml"
    )
    for process in processes:
        yield Resource(log_uri(project.path, process), f"{name}.{process}.log", f"Log of {process}", "text/plain")


async def read_resource(home: str, uri: str) -> Content | None:
    """The content of a URI; None where it names nothing. Errors: those of `status`."""
    if uri == SCHEMA:
        return Content("application/schema+json", json.dumps(json_schema(), indent=2))
    place = parsed(uri)
    if place is None:
        return None
    view: EnvironmentView = await call(home, "status", m.Status(environment=place.project, actor="mcp"))
    if place.kind == "status":
        return Content("application/json", msgspec.json.format(msgspec.json.encode(view)).decode())
    if place.kind == "config":
        return Content("application/toml", await asyncio.to_thread(_config, view.path))
    if place.process not in {each.name for each in view.processes or []}:
        return None
    return Content("text/plain", await asyncio.to_thread(_log, view.path, place.process))


def _config(project: str) -> str:
    path = os.path.join(project, PROJECT_FILE)
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return mask(file.read())
    except OSError as error:
        raise ProjectNotFound(project, upwards=False) from error


def _log(project: str, process: str) -> str:
    try:
        page = read({process: log_path(project, process)}, lines=_LINES, reach=_REACH)
    except LogNotReadable as error:
        return str(error)
    lines = answers.bounded([answers.line_text(line) for line in page.lines], _BYTES, newest_last=True)
    missing = len(page.lines) - len(lines)
    return "\n".join(([f"… {missing} lines left out"] if missing else []) + lines)


_SCHEMA = Resource(SCHEMA, "schema", "Schema of .runcept.toml", "application/schema+json")
