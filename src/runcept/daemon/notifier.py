"""Shows on the desktop that processes have failed, by the program that the desktop has for it. Nothing waits for it.

The program runs with the environment that the project was activated from: that leads to the desktop, if there is one.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable, Coroutine, Mapping
from html import escape
from typing import Any

from runcept.core.model import State
from runcept.core.printable import printable
from runcept.core.secrets import mask, secret_values
from runcept.daemon.capture import why
from runcept.daemon.engine import Engine
from runcept.daemon.environment import Environment
from runcept.daemon.surroundings import login_environ
from runcept.database.queries import StoredEvent
from runcept.process import members
from runcept.process.commands import last_line, run_command
from runcept.scheduler.notices import Notice, Notices

__all__ = ["Notifier"]

_log = logging.getLogger(__name__)
_LIMIT_SECONDS = 10.0
_LINE_MAX = 200


def _notify_send(program: str, notice: Notice) -> list[str]:
    """Its body is markup, and C escapes in it count (desktop-notifications 1.2; g_strcompress of GLib)."""
    body = escape(notice.body, quote=False).replace("\\", "\\\\")
    return [program, "--app-name=Runcept", "--icon=dialog-error", "--", notice.title, body]


def _osascript(program: str, notice: Notice) -> list[str]:
    """The words are arguments of the script, and no part of it."""
    show = "display notification (item 2 of argv) with title (item 1 of argv)"
    return [program, "-e", "on run argv", "-e", show, "-e", "end run", notice.title, notice.body]


_PROGRAMS: Mapping[str, Callable[[str, Notice], list[str]]] = {"notify-send": _notify_send, "osascript": _osascript}


class Notifier:
    """For all projects whose settings have `notify`."""

    def __init__(self, home: str, engine: Engine, spawn_task: Callable[[Coroutine[Any, Any, None]], Any]) -> None:
        self._home = home
        self._engine = engine
        self._spawn_task = spawn_task
        self._notices: dict[str, Notices] = {}
        self._told: set[str] = set()
        """The projects in whose history it stands that nothing can be shown."""
        engine.listen(self._heard)

    def _heard(self, event: StoredEvent) -> None:
        environment = self._engine.environments.get(event.environment or "")
        if event.kind != "failed" or event.process is None or environment is None or not environment.project.notify:
            return
        notices = self._notices.setdefault(environment.path, Notices())
        is_waited_for = notices.deadline is not None
        notices.failed(event.process, event.message, self._engine.now())
        if not is_waited_for:
            self._spawn_task(self._show(environment.path, notices))

    async def _show(self, path: str, notices: Notices) -> None:
        """Show what has failed, when it is time."""
        now = self._engine.now()
        await asyncio.sleep(max(0.0, (notices.deadline or now) - now))
        environment = self._engine.environments.get(path)
        lives = {} if environment is None else environment.lives
        failed = {name for name, life in lives.items() if life.state is State.FAILED}
        name = "" if environment is None else environment.project.name
        notice = notices.take(name, failed, self._engine.now())
        if notice is None or environment is None:
            return
        if trouble := await self._shown(environment, notice):
            _log.warning("%s: %s", path, trouble)
            if path not in self._told:
                self._told.add(path)
                self._engine.record("notify", trouble, "supervisor", environment)
        else:
            self._told.discard(path)

    async def _shown(self, environment: Environment, notice: Notice) -> str:
        """Why it could not be shown; empty where it was."""
        environ = dict(environment.environ if environment.environ is not None else await login_environ())
        found = {name: shutil.which(name, path=environ.get("PATH", "")) for name in _PROGRAMS}
        chosen = next(((name, program) for name, program in found.items() if program), None)
        if chosen is None:
            return f"failures are not shown on the desktop: there is neither {' nor '.join(_PROGRAMS)} on the PATH"
        name, program = chosen
        said = bytearray()
        tag = members.tag({"environment": environment.path, "program": name}, self._home)
        command = _PROGRAMS[name](program, notice)
        try:
            async with asyncio.timeout(_LIMIT_SECONDS):
                code = await run_command(command, cwd="/", env=environ, umask=environment.umask, tag=tag, said=said)
        except TimeoutError:
            return f"a failure could not be shown on the desktop: {name} did not end within {_LIMIT_SECONDS:g}s"
        except OSError as error:
            return f"a failure could not be shown on the desktop: {name}: {why(error)}"
        if code == 0:
            return ""
        last = printable(mask(last_line(said), secret_values(environ)), color=False)[:_LINE_MAX]
        return f"a failure could not be shown on the desktop: {name} exited with {code}" + (f": {last}" if last else "")
