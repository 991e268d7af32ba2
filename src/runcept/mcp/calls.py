"""Performs the calls of one client: arguments to an operation, its outcome to an answer with a verdict.

What a model can mend is an answer with an error in it. Nothing lasts longer than WAIT_MAX; what a call began goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from runcept.api import messages as m
from runcept.client import inquiry, line_wait
from runcept.client.asking import asked
from runcept.client.calls import call
from runcept.client.connection import Connection, rest
from runcept.config.discovery import find_project
from runcept.core.views import EnvironmentView, Health, ProcessView, State
from runcept.errors import (
    ConfirmationNeeded,
    DaemonUnreachable,
    ProcessNotFound,
    ProjectNotFound,
    RunceptError,
    UsageError,
)
from runcept.logs.error_search import find_errors
from runcept.logs.reader import LogPage, read
from runcept.mcp import answers
from runcept.mcp import arguments as a
from runcept.mcp.tools import TOOLS
from runcept.paths import log_path, logs_directory

__all__ = ["Answer", "Caller", "Calls", "Report"]

_log = logging.getLogger(__name__)
_WATCHED_SECONDS = 1.2
"""A process without a health check is looked at for so long after its start: many fail within their first second."""
_ASKED_MAX = 5
"""Processes that are not as they should be, of which the last words are read."""
_REACH = 64 << 20
"""Bytes of the end of a log in which lines are looked for that a filter picks."""
_ERRORS_BYTES = 2500
"""Of the errors that come with an explanation."""
_PATTERN_MAX = 100
_TELL_SECONDS = 2.0
_DIGEST_MAX = 20

Report = Callable[[float, float, str], Awaitable[None]]
"""Tell the client how far a call is: done, of how much, and what is being waited for."""


class Caller(NamedTuple):
    """Where a client works: what it means when it names no project."""

    cwd: str | None
    """None: it has no directory here, and has to name the project."""
    environment: str | None = None
    """The project that it was started for."""


class Answer(NamedTuple):
    """What goes back to the model."""

    text: str
    structure: dict[str, Any]
    is_error: bool = False


class Calls:
    """The tools by name, for one caller."""

    def __init__(self, home: str, caller: Caller) -> None:
        self._home = home
        self._caller = caller
        self._methods: Mapping[str, Callable[[Any, Report], Awaitable[Answer]]] = {
            "activate_environment": self._activate,
            "deactivate_environment": self._deactivate,
            "list_environments": self._environments,
            "get_environment_status": self._status,
            "start_process": self._start,
            "stop_process": self._stop,
            "restart_process": self._restart,
            "list_processes": self._list,
            "get_process_logs": self._logs,
            "get_process_status": self._process,
            "list_all_processes": self._everything,
            "kill_all_processes": self._kill_all,
            "wait_for_process": self._wait,
            "search_logs": self._search,
            "explain_process": self._explain,
        }

    async def perform(self, tool: str, arguments: Mapping[str, Any] | None, report: Report) -> Answer:
        """One call of a tool that exists. It raises nothing but what cancels it."""
        try:
            return await self._methods[tool](a.convert(arguments, TOOLS[tool].arguments), report)
        except RunceptError as error:
            failure = answers.error_of(error)
        except Exception:  # noqa: BLE001
            # A defect of ours in one call must not end the host; its text may hold what is nobody's business.
            _log.exception("%s failed", tool)
            failure = answers.Failure("internal", "internal error of Runcept; the log of its MCP host has it")
        return Answer(failure.text(), {"error": msgspec.to_builtins(failure)}, is_error=True)

    # -------------------------------------------------------------------------------------------- places

    def environment(self, given: str | None) -> str:
        """The path, or the name, of the project that is meant. ProjectNotFound."""
        chosen = given or self._caller.environment
        if chosen is None and self._caller.cwd is None:
            raise UsageError("it is not said which project is meant", hint="Give `environment`: a path or a name.")
        if chosen is not None and not chosen.startswith(("/", ".", "~")) and "/" not in chosen:
            return chosen
        place = os.path.join(self._caller.cwd or "/", os.path.expanduser(chosen or "."))
        try:
            return find_project(place)
        except ProjectNotFound as error:
            if chosen is not None and os.path.isdir(place):
                return os.path.realpath(place)  # its file may be gone while it runs; the daemon knows
            hint = "Give `environment`: a path or a name from list_environments; or write a .runcept.toml there."
            raise UsageError(str(error), hint=hint) from error

    def directory(self, given: str | None) -> str:
        """The directory that is meant, with a project in it or without. UsageError where it does not exist."""
        if given is None and self._caller.cwd is None:
            raise UsageError("it is not said which directory is meant", hint="Give `directory`: an absolute path.")
        place = os.path.realpath(os.path.join(self._caller.cwd or "/", os.path.expanduser(given or ".")))
        if not os.path.isdir(place):
            raise UsageError(f"{place} is not a directory", hint="Give `directory`: an absolute path.")
        return place

    def _asked(self, given: a.OfEnvironment, seconds: float) -> dict[str, Any]:
        """What every request has that starts or stops something."""
        environment = self.environment(given.environment)
        return {"environment": environment, "timeout": _limited(seconds), "progress": True, "actor": "mcp"}

    # ------------------------------------------------------------------------------------ start and stop

    async def _activate(self, given: a.Activate, report: Report) -> Answer:
        params = m.Activate(names=given.names, **self._asked(given, given.timeout))
        return await self._started("activate", params, report)

    async def _start(self, given: a.Start, report: Report) -> Answer:
        params = m.Start(names=[given.name], **self._asked(given, given.timeout))
        return await self._started("start", params, report)

    async def _restart(self, given: a.Restart, report: Report) -> Answer:
        asked = self._asked(given, given.timeout)
        params = m.Restart(names=[given.name], dependents=given.dependents, **asked)
        return await self._started("restart", params, report)

    async def _started(self, method: str, params: m.Waiting, report: Report) -> Answer:
        outcome: m.Outcome = await self._changing(method, params, report)
        views = await self._watched(outcome.processes)
        troubled = [view for view in views if not _is_well(view)]
        problems = await asyncio.gather(*map(self._problem, troubled[:_ASKED_MAX]))
        problems += [answers.problem_of(view, ()) for view in troubled[_ASKED_MAX:]]
        ok = outcome.ok and not troubled
        structure = msgspec.to_builtins(msgspec.structs.replace(outcome, processes=views, ok=ok))
        structure["problems"] = msgspec.to_builtins(problems)
        return Answer(answers.outcome_text(views, problems, timed_out=outcome.timed_out), structure)

    async def _changing(self, method: str, params: m.Params, report: Report) -> Any:
        """Ask, and tell of each process that changes meanwhile."""
        seen: dict[str, ProcessView] = {}
        told: set[asyncio.Task[None]] = set()

        def on_change(change: m.Change) -> None:
            for view in change.processes:
                seen[view.name] = view
            settled = sum(view.state in _SETTLED for view in seen.values())
            words = "; ".join(answers.sentence(view) for view in change.processes)
            task = asyncio.ensure_future(report(settled, len(seen), answers.plain(words)))
            told.add(task)
            task.add_done_callback(told.discard)

        result = await call(self._home, method, params, on_change)
        if told:
            await asyncio.wait(told)
        return result

    async def _watched(self, views: Sequence[ProcessView]) -> list[ProcessView]:
        """The processes as they are after their first moments: what nobody asks for its health may end at once."""
        young = [
            view
            for view in views
            if view.state is State.RUNNING and view.health is Health.NONE and _age(view) < _WATCHED_SECONDS
        ]
        later = dict(zip((view.name for view in young), await asyncio.gather(*map(self._grown, young)), strict=True))
        return [later.get(view.name, view) for view in views]

    async def _grown(self, view: ProcessView) -> ProcessView:
        left = max(0.0, _WATCHED_SECONDS - _age(view))
        params = m.Wait(environment=view.environment, name=view.name, until="exited", timeout=left, actor="mcp")
        waited: m.Waited = await call(self._home, "wait", params)
        return waited.process

    async def _problem(self, view: ProcessView) -> answers.Problem:
        is_blamed = (view.reason or "").startswith("dependency ")  # then its own last words are of another day
        found = inquiry.Evidence() if is_blamed else await asyncio.to_thread(inquiry.evidence, view)
        return answers.problem_of(view, found.output)

    async def _stop(self, given: a.Start, report: Report) -> Answer:
        params = m.Stop(names=[given.name], **self._asked(given, given.timeout))
        return self._stopped(await self._changing("stop", params, report))

    async def _deactivate(self, given: a.Deactivate, report: Report) -> Answer:
        params = m.Deactivate(**self._asked(given, given.timeout))
        return self._stopped(await self._changing("deactivate", params, report))

    async def _kill_all(self, given: a.KillAll, report: Report) -> Answer:
        if not given.confirm:
            raise ConfirmationNeeded("kill_all_processes")
        params = m.KillAll(timeout=_limited(given.timeout), progress=True, actor="mcp")
        return self._stopped(await self._changing("kill_all", params, report))

    @staticmethod
    def _stopped(outcome: m.Outcome | m.Processes) -> Answer:
        text = answers.outcome_text(outcome.processes, (), timed_out=outcome.timed_out)
        return Answer(text, msgspec.to_builtins(outcome))

    # -------------------------------------------------------------------------------------------- looks

    async def _environments(self, given: a.Environments, _: Report) -> Answer:
        params = m.Environments(text=given.text, active=given.active, actor="mcp")
        found: m.EnvironmentList = await call(self._home, "environments", params)
        active = sum(each.state == "active" for each in found.environments)
        lines = [f"{len(found.environments)} projects, {active} active."]
        lines += [f"{each.name} ({each.path}) is {each.state}." for each in found.environments]
        return Answer("\n".join(lines), msgspec.to_builtins(found))

    async def _status(self, given: a.OfEnvironment, _: Report) -> Answer:
        view = await self._view(given.environment)
        return Answer(answers.environment_text(view), msgspec.to_builtins(view))

    async def _list(self, given: a.OfEnvironment, _: Report) -> Answer:
        view = await self._view(given.environment)
        processes = msgspec.to_builtins(view.processes)
        return Answer(answers.environment_text(view), {"environment": view.path, "processes": processes})

    async def _process(self, given: a.Named, _: Report) -> Answer:
        environment = await self._view(given.environment)
        view = _of(environment, given.name)
        return Answer(answers.sentence(view) + ".", msgspec.to_builtins(view))

    async def _view(self, environment: str | None) -> EnvironmentView:
        params = m.Status(environment=self.environment(environment), actor="mcp")
        view: EnvironmentView = await call(self._home, "status", params)
        return view

    async def _everything(self, _: a.Nothing, __: Report) -> Answer:
        found: m.Processes = await call(self._home, "ps", m.NoParams(actor="mcp"))
        living = [view for view in found.processes if view.pid is not None]
        text = answers.outcome_text(living, (), timed_out=False) if living else "No process runs."
        return Answer(text, msgspec.to_builtins(found))

    async def _explain(self, given: a.Named, _: Report) -> Answer:
        params = m.Explain(environment=self.environment(given.environment), name=given.name, actor="mcp")
        told: m.Explanation = await call(self._home, "explain", params)
        found = await asyncio.to_thread(inquiry.explained, told)
        problem = answers.problem_of(told.root, found.output)
        structure = msgspec.to_builtins(found)
        structure["errors"] = answers.errors_told(found.errors, _ERRORS_BYTES)
        structure["output"] = problem.output
        structure["advice"] = found.fix
        return Answer(answers.explained_text(told, problem, found.fix, inquiry.time_here), structure)

    # ------------------------------------------------------------------------------------------- waiting

    async def _wait(self, given: a.Wait, report: Report) -> Answer:
        seconds = _limited(given.timeout)
        environment = self.environment(given.environment)
        if given.until == "line":
            params = m.Wait(environment=environment, name=given.name, timeout=seconds, actor="mcp")
            waiting = self._wait_for_line(params, given.pattern)
        else:
            params = m.Wait(environment=environment, name=given.name, until=given.until, timeout=seconds, actor="mcp")
            waiting = call(self._home, "wait", params)
        waited: m.Waited = await _told(waiting, report, seconds, f"waiting for {given.name}")
        structure = msgspec.to_builtins(waited)
        view = waited.process
        text = answers.waited_text(view, waited.outcome, seconds)
        if isinstance(waited, line_wait.Matched):
            structure["line"]["message"] = line = answers.plain(waited.line.message)
            text = f"It wrote: {line}"
        elif waited.outcome != given.until and not _is_well(view):
            problem = await self._problem(view)
            text = answers.outcome_text([view], [problem], timed_out=waited.outcome == "timeout")
            structure["problems"] = [msgspec.to_builtins(problem)]
        return Answer(text, structure)

    async def _wait_for_line(self, params: m.Wait, pattern: str) -> m.Waited:
        if not pattern:
            raise UsageError("there is no pattern", hint="With until=line give `pattern`, a regular expression.")
        has_gone = threading.Event()

        def wait(daemon: Connection, elapsed: float) -> m.Waited:
            return line_wait.wait_for_line(daemon, rest(params, elapsed), pattern, has_gone.is_set)

        try:
            return await asyncio.to_thread(asked, self._home, os.environ, wait)
        finally:
            has_gone.set()

    # -------------------------------------------------------------------------------------------- lines

    async def _logs(self, given: a.Logs, _: Report) -> Answer:
        environment, paths = await self._log_files(given.environment, given.name)
        filters: dict[str, Any] = {"since": given.since, "stream": given.stream, "run": given.run}
        page = await asyncio.to_thread(read, paths, lines=given.lines + 1, after=given.cursor, reach=_REACH, **filters)
        return _lines_answer({"environment": environment, "cursor": page.cursor}, page, given, f"of {given.name}")

    async def _search(self, given: a.Search, _: Report) -> Answer:
        environment, paths = await self._log_files(given.environment, given.name)
        times: dict[str, Any] = {"since": given.since, "until": given.until}
        if not given.pattern:
            most, size = min(given.lines, _DIGEST_MAX), given.max_bytes // 2
            found = await asyncio.to_thread(find_errors, paths, items=most, size=size, **times)
            missing, complete = found.left_out.errors, all(each.complete for each in found.searched)
            size = given.max_bytes
            return Answer(*answers.errors_answer(found.errors, environment, size, missing, complete=complete))
        page = await asyncio.to_thread(read, paths, lines=given.lines + 1, grep=given.pattern, reach=_REACH, **times)
        pattern = answers.plain(given.pattern, _PATTERN_MAX)
        words = f"in which {pattern} is found (in the last {_REACH >> 20} MiB of each log)"
        return _lines_answer({"environment": environment}, page, given, words)

    async def _log_files(self, environment: str | None, name: str | None) -> tuple[str, dict[str, str]]:
        """The project's path, and the logs of the process, or all. The daemon is not needed, but hears of it."""
        place = self.environment(environment)
        view: EnvironmentView | None = None
        is_path = place.startswith("/")  # what a name means only the daemon knows
        with contextlib.suppress(*([DaemonUnreachable] if is_path else [])):
            view = await call(self._home, "status", m.Status(environment=place, actor="mcp"), start=not is_path)
        path = view.path if view else place
        known = _logged(path)
        known |= {each.name: each.log_path for each in (view.processes or [] if view else [])}
        if name is None:
            return path, known
        if name not in known:
            raise ProcessNotFound(name, os.path.basename(path), path, [*known])
        return path, {name: known[name]}


_SETTLED = frozenset({State.RUNNING, State.EXITED, State.FAILED, State.STOPPED})


def _limited(seconds: float) -> float:
    """What is left for the wait itself."""
    return min(seconds, a.WAIT_MAX - _WATCHED_SECONDS - 1)


def _age(view: ProcessView) -> float:
    return view.uptime_seconds or 0.0


def _is_well(view: ProcessView) -> bool:
    return view.state in {State.RUNNING, State.EXITED} and view.health is not Health.UNHEALTHY


def _of(environment: EnvironmentView, name: str) -> ProcessView:
    processes = environment.processes or []
    for view in processes:
        if view.name == name:
            return view
    raise ProcessNotFound(name, environment.name, environment.path, [each.name for each in processes])


def _logged(path: str) -> dict[str, str]:
    """The logs that a project has, by process."""
    try:
        names = sorted(os.listdir(logs_directory(path)))
    except OSError:
        return {}
    stems = [name.removesuffix(".jsonl") for name in names if name.endswith(".jsonl")]
    return {stem: log_path(path, stem) for stem in stems}


def _lines_answer(head: dict[str, Any], page: LogPage, given: a.Logs | a.Search, words: str) -> Answer:
    more = len(page.lines) > given.lines
    lines = page.lines[more:]
    return Answer(*answers.lines_answer(lines, head, given.max_bytes, more=more, of=words))


async def _told(waiting: Awaitable[Any], report: Report, seconds: float, words: str) -> Any:
    """The result of a wait; every two seconds the client hears that it is still being waited."""
    task = asyncio.ensure_future(waiting)
    begun = time.monotonic()
    try:
        while not (await asyncio.wait([task], timeout=_TELL_SECONDS))[0]:
            await report(time.monotonic() - begun, seconds, words)
        return task.result()
    finally:
        task.cancel()
