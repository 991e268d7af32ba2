"""What the hook of a shell calls when a project is entered: one line on stderr, and the activation where it may be.

Only a daemon that runs is asked, and only for what it knows: to look is no use of the project, and makes none known.
Nothing here fails, and nothing waits for long: a prompt is waiting.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import NamedTuple

from runcept.api.messages import EnvironmentList, Environments
from runcept.cli.invocation import Invocation, paint
from runcept.cli.present import counted
from runcept.cli.target import project_directory
from runcept.client.connection import Connection
from runcept.core.columns import cut, width_of
from runcept.core.printable import printable
from runcept.core.views import EnvironmentView, ProcessView, State
from runcept.errors import ConfigError, ProjectNotFound, RunceptError
from runcept.paths import PROCESS_NAME, PROJECT_FILE

__all__ = ["enter_project"]

_PATIENCE = 0.5
"""Seconds for the answer of a daemon that is stuck or stopped."""
_ACTIVATE = "`runcept activate` starts it"
_Part = tuple[str, str]
"""A text, and its colour."""


class _Declared(NamedTuple):
    """What the file says of itself, read leniently."""

    name: str
    text: str
    auto_activate: bool


def enter_project(invocation: Invocation, path: str) -> None:
    """Say how the project is that `path` is in, and activate it where its file says so and is trusted."""
    try:
        directory = project_directory(invocation, path)
        view = _known(invocation.home, directory)
        if view is not None and view.state == "active":
            _tell(invocation, f"{view.name} is active", _state(view.processes or []))
        else:
            _tell(invocation, *_inactive(invocation, directory))
    except ProjectNotFound:  # it was removed since the shell saw it
        return
    except ConfigError as error:
        _tell(invocation, f"{_near(invocation, error)}; `runcept validate` tells more")
    except RunceptError as error:
        _tell(invocation, error.message)


def _known(home: str, directory: str) -> EnvironmentView | None:
    """The project as a running daemon has it; None where none runs, or does not know it."""
    connection = Connection.if_running(home)
    if connection is None:
        return None
    with connection:
        asked = Environments(text=directory, processes=True)
        listed: EnvironmentList = connection.call("environments", asked, patience=_PATIENCE)
    return next((each for each in listed.environments if each.path == directory), None)


def _state(processes: Sequence[ProcessView]) -> Sequence[_Part]:
    """`4 running, 1 failed (worker: exit code 1)`."""
    parts: list[_Part] = []
    for text, style in counted(processes):
        parts += [(", " if parts else ": ", ""), (text, style)]
        if text.endswith(State.FAILED):
            whys = [f"{each.name}: {each.reason}" for each in processes if each.state is State.FAILED]
            parts.append((f" ({'; '.join(whys)})", ""))
    return parts


def _inactive(invocation: Invocation, directory: str) -> tuple[str, Sequence[_Part]]:
    """Activate it, or say why not: the sentence, and the parts behind it."""
    declared = _declared(directory)
    resting = f"{declared.name} is not active"
    if not declared.auto_activate:
        return f"{resting}; {_ACTIVATE}", ()
    from runcept.config.trust import Standing, standing

    match standing(invocation.home, directory, declared.text):
        case Standing.UNKNOWN:
            return f"{resting}; after `runcept trust`, entering it starts it", ()
        case Standing.CHANGED:
            changed = f"its {PROJECT_FILE} has changed since you trusted it"
            return f"{resting}: {changed}; `runcept trust` after you have looked at it", ()
    _check(invocation, directory)
    _activate(invocation, directory)
    return f"activating {declared.name}…", ()


def _declared(directory: str) -> _Declared:
    """Errors: ConfigUnreadable, also for a file of another user; ConfigInvalid where it is not TOML."""
    from runcept.config.toml_source import TomlSource, read_text

    file = os.path.join(directory, PROJECT_FILE)
    try:
        text = read_text(file)
    except FileNotFoundError:
        raise ProjectNotFound(directory, upwards=False) from None
    project = TomlSource(file, text).values.get("project")
    own = project if isinstance(project, dict) else {}
    name = str(own.get("name"))
    is_name = re.fullmatch(PROCESS_NAME, name)
    return _Declared(name if is_name else os.path.basename(directory), text, own.get("auto_activate") is True)


def _check(invocation: Invocation, directory: str) -> None:
    """Where the file is wrong, that is told here: who activates it has gone by then. Errors: ConfigError."""
    from runcept.config.project import load_project
    from runcept.config.settings import load_settings

    load_project(directory, load_settings(invocation.home))


def _activate(invocation: Invocation, directory: str) -> None:
    """Have another process activate it, for which no prompt waits; only what goes wrong there is said, on stderr."""
    from runcept.cli.mcp_clients.our_command import our_script

    script = our_script(invocation.surroundings.cwd, invocation.surroundings.environ)
    command = [script, "activate", "--no-wait", "--quiet", directory]
    nothing = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1)]
    os.posix_spawn(script, command, invocation.surroundings.environ, file_actions=nothing, setsid=True)


def _near(invocation: Invocation, error: ConfigError) -> str:
    from runcept.cli.present import near_path

    path = str(error.fields.get("path", ""))
    near = near_path(path, invocation.surroundings.cwd, invocation.surroundings.environ.get("HOME"))
    return error.message.replace(path, near) if path else error.message


def _tell(invocation: Invocation, sentence: str, parts: Sequence[_Part] = ()) -> None:
    """One line to stderr; on a terminal no wider than that."""
    room = invocation.surroundings.width if invocation.surroundings.stderr_is_terminal else None
    line = ""
    for text, color in (("runcept:", "dim"), (f" {sentence}", ""), *parts):
        said = printable(text, color=False)
        if room is not None:
            said = cut(said, room, "…")
            room -= width_of(said)
        line += paint(said, color if said and invocation.error_color else "")
    invocation.tell(line)
