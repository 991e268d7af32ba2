"""Takes over an edited project file: compares it with what is in force, and touches only what is new, gone or changed.

Whoever asks for it, or the file itself where the project has `auto_reload`. What was removed is stopped first, so that
a process that has only got another name finds its port free; then what has changed is restarted, and what is new is
started. A file that cannot be taken over changes nothing: that is said to who asked, in the history, and in `status`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from typing import Any, NamedTuple

import msgspec

from runcept.api import messages as m
from runcept.config.project import load_project
from runcept.config.settings import load_settings
from runcept.core.changes import Changes, compare
from runcept.core.model import Project
from runcept.core.views import ProcessView, ReloadError
from runcept.daemon.engine import Engine
from runcept.daemon.environment import Environment
from runcept.daemon.inquiries import Inquiries, Notify, is_good, is_settled, last_run
from runcept.errors import ConfigError, DaemonStopping, ProjectNotFound, RunceptError
from runcept.paths import PROJECT_FILE, log_path
from runcept.units import instant

__all__ = ["Reloads"]

_log = logging.getLogger(__name__)
_REMOVED = "removed from the project file"
_CHANGED = "changed in the project file: {keys}"
_LONG_SECONDS = 3600.0
_MISSING_SECONDS = 1.0
"""A file that is not there may be written again at once, as some editors do."""


def _is_there(path: str) -> bool:
    return os.path.exists(os.path.join(path, PROJECT_FILE))


class _Edit(NamedTuple):
    """A project file as it is now, beside what is in force."""

    environment: Environment | None
    """None where nobody has asked about it before."""
    project: Project
    changes: Changes


class Reloads:
    """Reads project files again."""

    def __init__(self, home: str, engine: Engine, inquiries: Inquiries) -> None:
        self._home = home
        self._engine = engine
        self._inquiries = inquiries
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False

    def close(self) -> None:
        """The daemon is about to end: nothing is started any more."""
        self._is_closed = True

    async def reload(self, params: m.Reload, notify: Notify) -> m.Reloaded:
        """Somebody asks for it. ConfigError, NotFound, DaemonStopping."""
        if self._is_closed:
            raise DaemonStopping
        edit = self._read(self._inquiries.path(params.environment), params.actor)
        if params.dry_run:
            known = edit.environment
            views = [] if known is None else self._views(known)
            path, changes = edit.project.path, edit.changes
            return m.Reloaded(environment=path, processes=views, ok=True, changes=changes, dry_run=True)
        return await self._reload(edit, params, notify)

    async def _reload(self, edit: _Edit, params: m.Reload, notify: Notify) -> m.Reloaded:
        changes = edit.changes
        environment = self._add(edit.project)
        self._engine.capture(environment, params.environ, params.umask, activated=False)
        self._engine.touch(environment, params.actor)
        started = [*changes.restarts, *changes.starts]
        touched = [*changes.stops, *started]
        unwatch = (
            self._engine.watch(self._inquiries.reporter(notify, environment, touched)) if params.progress else None
        )
        try:
            work = self._begin(environment, edit, params.actor)

            def is_over() -> bool:  # what another edit drops meanwhile is nobody's to wait for
                there = environment.lives
                return work.done() and all(
                    is_settled(environment, name) and not there[name].restarting for name in started if name in there
                )

            work.add_done_callback(lambda _: self._engine.tell(environment))
            finished = not params.wait or await self._engine.wait_until(is_over, params.timeout)
        finally:
            if unwatch is not None:
                unwatch()
        lives = environment.lives
        are_good = work.done() and all(name in lives and is_good(environment, name) for name in started)
        are_gone = not any(name in lives and lives[name].is_up for name in changes.stops)
        return m.Reloaded(
            environment=environment.path,
            processes=self._views(environment),
            ok=not params.wait or (are_good and are_gone),
            timed_out=not finished,
            changes=changes,
        )

    def _views(self, environment: Environment) -> list[ProcessView]:
        return self._inquiries.views(environment, environment.lives, self._inquiries.measure([environment]))

    async def file_changed(self, environment: Environment) -> None:
        """The file of a project with `auto_reload`, or an env file of it, has changed, or may have."""
        if not _is_there(environment.path):
            await asyncio.sleep(_MISSING_SECONDS)
        if self._is_closed or not environment.is_active:
            return
        try:
            edit = self._read(environment.path, "supervisor")
        except (ConfigError, ProjectNotFound) as error:
            _log.info("%s: not reloaded: %s", environment.path, error)
            return
        if not edit.changes.are_none or environment.reload_error is not None:
            await self._begin(self._add(edit.project), edit, "supervisor")

    # ------------------------------------------------------------------------------------------ reading

    def _read(self, path: str, actor: str) -> _Edit:
        """The project file in a directory. ConfigError, ProjectNotFound: then it is kept what is wrong with it."""
        environment = self._engine.environments.get(path)
        try:
            project = load_project(os.path.join(path, PROJECT_FILE), load_settings(self._home))
        except (ConfigError, ProjectNotFound) as error:
            if environment is not None and environment.is_active:
                self._refuse(environment, error, actor)
            raise
        if environment is None:
            return _Edit(None, project, compare(None, project, {}))
        return _Edit(environment, project, compare(environment.project, project, environment.lives))

    def _refuse(self, environment: Environment, error: RunceptError, actor: str) -> None:
        facts = error.fields.get("problems")
        problems: list[dict[str, Any]] = facts if isinstance(facts, list) else []
        message, hint = error.message, error.hint
        if problems:
            first, more = problems[0], len(problems) - 1
            message = f"{error.fields['path']}:{first['line']}:{first['column']}: {first['message']}"
            message += f" (and {more} more problem{'s' if more > 1 else ''})" if more else ""
            hint = first["hint"] or error.hint
        known = environment.reload_error
        environment.reload_error = ReloadError(message, hint, error.code, instant(time.time()), problems)
        if known is None or (known.message, known.problems) != (message, problems):
            self._engine.record("reload_failed", f"nothing is changed: {message}", actor, environment)
        self._engine.tell(environment)

    def _add(self, project: Project) -> Environment:
        return self._engine.add(project, lambda name: last_run(log_path(project.path, name)))

    # -------------------------------------------------------------------------------------------- doing

    def _begin(self, environment: Environment, edit: _Edit, actor: str) -> asyncio.Task[None]:
        """Stop, restart and start what the edit says; over once all of it is under way."""
        changes = edit.changes
        if not changes.are_none:
            self._engine.record("reloaded", changes.sentence(), actor, environment)
        self._engine.resume(environment)  # what waits may wait for something else now
        if changes.stops:
            self._engine.stop(environment, changes.stops, actor, _REMOVED)
        else:
            self._start(environment, changes, actor)
        work = asyncio.create_task(self._go_on(environment, changes, actor))
        self._tasks.add(work)  # a reload goes on, whoever listens
        work.add_done_callback(self._ended)
        return work

    def _ended(self, work: asyncio.Task[None]) -> None:
        self._tasks.discard(work)
        if not work.cancelled() and (error := work.exception()):
            _log.error("a reload failed", exc_info=error)

    async def _go_on(self, environment: Environment, changes: Changes, actor: str) -> None:
        """Behind the end of what was removed: start, and forget that."""
        if not changes.stops:
            return
        removed = [environment.lives[name] for name in changes.stops]
        while not await self._engine.wait_until(lambda: not any(life.is_up for life in removed), _LONG_SECONDS):
            pass
        # another request may have come meanwhile: to stop everything, or with a file that has them again
        if all(life.stop_reason == _REMOVED for life in removed) and not self._is_closed:
            self._start(environment, changes, actor)
        if gone := environment.leftovers & {life.name for life in removed}:
            project = environment.project
            left = tuple(process for process in project.processes if process.name not in gone)
            self._add(msgspec.structs.replace(project, processes=left))

    def _start(self, environment: Environment, changes: Changes, actor: str) -> None:
        lives = environment.lives
        wanted = [each for each in changes.changed if each.restarts and each.name in lives and lives[each.name].wanted]
        reasons = {each.name: _CHANGED.format(keys=", ".join(each.keys)) for each in wanted}
        if reasons:
            self._engine.restart(environment, reasons, actor, reasons)
        if starts := [name for name in changes.starts if name in lives]:
            self._engine.start(environment, starts, actor)
