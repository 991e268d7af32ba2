"""Watches files: those of processes with `watch`, and the project files of active environments with `auto_reload`.

It says what has changed, and decides nothing: when a process is restarted is the matter of `scheduler.filewatch`, what
an edited project file does that of `daemon.reload`. While nobody asks for it nothing is imported and nothing runs.
For an environment that does there is one thread, in which watchfiles waits for inotify(7) or its like. It is given each
directory by itself and not the tree above them, of which most may be ignored; so when a directory comes or goes, the
list is made anew.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from runcept.core.globs import Globs
from runcept.core.model import Project
from runcept.daemon.engine import Engine
from runcept.daemon.environment import Environment
from runcept.paths import PROJECT_FILE

if TYPE_CHECKING:
    from watchfiles._rust_notify import RustNotify

    from runcept.daemon.trees import Tree

__all__ = ["Files"]

_log = logging.getLogger(__name__)
_STEP_MS = 50
"""How often the thread looks whether something was told; so long after the last change it tells what it has."""
_GATHER_MS = 2_000
"""It gathers no longer than this: to find out what ten thousand changes mean takes half a second."""
_LOOK_MS = 2_000
"""How often it looks whether a directory was replaced, which nobody tells; and at everything, where it has to poll."""
_QUIET_SECONDS = 0.2
"""So long after its last change a project file is read."""
_AGAIN_SECONDS = 0.1
"""After a change in the tree: more directories come."""
_RETRY_SECONDS = 30.0
_TICK_SECONDS = 0.01
"""The clock of file systems is that much behind."""
_ADDED, _DELETED = 1, 3
_NO_PROJECT = Project(path="", name="")


class _Needs(NamedTuple):
    """What is to be watched for an environment."""

    project: Project
    processes: frozenset[str]
    is_reloaded: bool

    def __bool__(self) -> bool:
        return bool(self.processes) or self.is_reloaded


_NOTHING = _Needs(_NO_PROJECT, frozenset(), is_reloaded=False)


class Files:
    """The watches of all environments. `on_project_file` is called when the file of one has changed."""

    def __init__(
        self,
        engine: Engine,
        on_project_file: Callable[[Environment], None],
        spawn_task: Callable[[Coroutine[Any, Any, None]], Any],
    ) -> None:
        self._engine = engine
        self._on_project_file = on_project_file
        self._spawn_task = spawn_task
        self._watches: dict[str, _Watch] = {}
        """By path of the environment."""

    def begin(self) -> None:
        """Watch from now on what there is, and what comes; what has changed since a run was started counts."""
        self._engine.watch(self._changed)
        for environment in list(self._engine.environments.values()):
            lives = (environment.lives[name] for name in environment.watching)
            starts = [life.started_at for life in lives if life.wanted and life.started_at is not None]
            self._changed(environment, min(starts, default=None))

    def end(self) -> None:
        """End every thread."""
        for watch in self._watches.values():
            watch.end()

    def _changed(self, environment: Environment, since: float | None = None) -> None:
        """Something about it has changed: mostly nothing that matters here."""
        watch = self._watches.get(environment.path)
        if watch is None:
            if not _needs(self._engine, environment):
                return
            watch = self._watches[environment.path] = _Watch(
                self._engine, environment.path, self._on_project_file, self._spawn_task
            )
        watch.look(since)


def _needs(engine: Engine, environment: Environment) -> _Needs:
    project = environment.project
    if engine.environments.get(environment.path) is not environment:
        return _NOTHING
    lives = environment.lives
    watched = frozenset(name for name in environment.watching if lives[name].wanted)
    is_reloaded = project.auto_reload and environment.is_active
    return _Needs(project, watched, is_reloaded) if watched or is_reloaded else _NOTHING


class _Watch:
    """The watch of one environment."""

    def __init__(
        self,
        engine: Engine,
        path: str,
        on_project_file: Callable[[Environment], None],
        spawn_task: Callable[[Coroutine[Any, Any, None]], Any],
    ) -> None:
        self._engine = engine
        self._path = path
        self._on_project_file = on_project_file
        self._spawn_task = spawn_task
        self._needs = _NOTHING
        """What is watched, or is about to be."""
        self._tree: Tree | None = None
        self._thread: _Thread | None = None
        self._since = 0.0
        """When it was asked to watch for another process, or earlier: files may have changed already."""
        self._is_stale = False
        self._is_busy = False
        self._reading: asyncio.TimerHandle | None = None
        self._looking: asyncio.TimerHandle | None = None

    def look(self, since: float | None = None) -> None:
        """Watch what is needed now; of what is new, changes count from now on, or from an instant (epoch seconds)."""
        environment = self._engine.environments.get(self._path)
        needs = _NOTHING if environment is None else _needs(self._engine, environment)
        if needs == self._needs and not self._is_stale:
            return
        if needs.processes - self._needs.processes and not self._since:
            self._since = time.time() if since is None else since
        if self._is_busy:
            return
        self._is_busy = True
        self._spawn_task(self._adjust(needs))

    def end(self) -> None:
        """Watch nothing any more."""
        if self._thread is not None:
            self._thread.end()
            self._thread = None
        for timer in (self._reading, self._looking):
            if timer is not None:
                timer.cancel()

    async def _adjust(self, needs: _Needs) -> None:
        try:
            await self._set_up(needs)
        except Exception as error:  # noqa: BLE001  whatever it was: all else goes on, and it is said where one looks
            _log.exception("%s: files are not watched", self._path)
            self._say(f"changes of files are not seen: {error}")
            self._look_later(_RETRY_SECONDS)
        finally:
            self._is_busy = False
        self.look()

    async def _set_up(self, needs: _Needs) -> None:
        before, self._needs, self._is_stale = self._needs, needs, False
        since, self._since, begun = self._since, 0.0, time.time()
        if not needs:
            self._tree = None
            self.end()
            self._say("")
            return
        globs = {name: Globs(needs.project.process(name).watch, self._path) for name in sorted(needs.processes)}
        files = [os.path.join(self._path, PROJECT_FILE), *needs.project.env_files] if needs.is_reloaded else []
        known = self._tree if needs == before else None
        scope, notify, trouble, untold = await asyncio.to_thread(_prepare, self._path, globs, files, known)
        handed_over = self._thread is not None
        thread = _Thread(notify, scope, asyncio.get_running_loop(), self._heard)
        if self._thread is not None:
            self._thread.end()
        self._thread, self._tree = thread, scope.tree
        self._say(trouble)
        self._heard(untold)
        if handed_over:  # the last thread takes what it has gathered and not told with it
            since = min(since or begun, begun) - _GATHER_MS / 1000
        if handed_over or needs.processes - before.processes:
            early = await asyncio.to_thread(scope.changed_since, since)
            self._heard(early._replace(is_of_project=False, is_of_tree=False))
        if needs.is_reloaded and (handed_over or not before.is_reloaded):
            self._read_later()  # it may have been edited while nobody watched

    def _say(self, trouble: str) -> None:
        environment = self._engine.environments.get(self._path)
        if environment is not None and environment.watch_trouble != trouble:
            environment.watch_trouble = trouble
            self._engine.tell(environment)

    # -------------------------------------------------------------------------------- what has changed

    def _heard(self, news: _News) -> None:
        environment = self._engine.environments.get(self._path)
        if environment is None:
            return
        if news.is_of_project:
            self._read_later()
        if news.is_of_tree:
            self._look_later(_AGAIN_SECONDS)
        for name, meant in news.files.items():
            self._engine.files_changed(environment, name, meant.paths, max(0.0, time.time() - meant.at))

    def _look_later(self, seconds: float) -> None:
        if self._looking is not None:
            self._looking.cancel()
        self._looking = asyncio.get_running_loop().call_later(seconds, self._look_again)

    def _look_again(self) -> None:
        self._is_stale = True
        self.look()

    def _read_later(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
        self._reading = asyncio.get_running_loop().call_later(_QUIET_SECONDS, self._read)

    def _read(self) -> None:
        environment = self._engine.environments.get(self._path)
        if environment is not None and self._needs.is_reloaded:
            self._on_project_file(environment)


class _Meant(NamedTuple):
    """Changed files that a process is to be restarted for."""

    paths: list[str]
    """Relative to the project."""
    at: float
    """When the last of them changed, in seconds since the epoch."""


class _News(NamedTuple):
    """What changes mean."""

    files: dict[str, _Meant]
    """By process."""
    is_of_project: bool = False
    """The project file, or an env file."""
    is_of_tree: bool = False
    """A directory has come, gone, or become another one; or git ignores something else."""


class _Scope(NamedTuple):
    """What is watched of one project, and what changes there mean. Used by one thread at a time."""

    path: str
    globs: Mapping[str, Globs]
    """By process."""
    project_files: frozenset[str]
    tree: Tree

    def news(self, changes: Collection[tuple[int, str]], *, untold: bool = False) -> _News:
        """What these mean; the loop would be held up by a burst of thousands. `untold`: they came with a directory."""
        from runcept.daemon.trees import is_noise

        paths = {path for _, path in changes}
        real = [path for path in paths if not is_noise(os.path.relpath(path, self.path))]
        meant = {name: self._meant(globs, real, untold=untold) for name, globs in self.globs.items()}
        return _News(
            files={name: files for name, files in meant.items() if files is not None},
            is_of_project=not paths.isdisjoint(self.project_files),
            is_of_tree=any(self._is_of_tree(kind, path) for kind, path in changes),
        )

    def changed_since(self, instant: float) -> _News:
        """What has changed after the instant, in seconds since the epoch, as the files themselves tell."""
        found = _files_in(self.tree.directories)
        return self.news({(0, path) for path in found if _changed_at(path) > instant})

    def _meant(self, globs: Globs, paths: Collection[str], *, untold: bool) -> _Meant | None:
        ignored = self.tree.ignored
        meant = [each for each in paths if globs.match(each) and (each in globs.files or each not in ignored)]
        if not meant:
            return None
        at = time.time() if untold else max(map(_changed_at, meant))
        return _Meant([os.path.relpath(each, self.path) for each in meant], at)

    def _is_of_tree(self, kind: int, path: str) -> bool:
        if os.path.basename(path) == ".gitignore":
            return True
        if kind == _ADDED:
            return os.path.isdir(path) and not os.path.islink(path)
        return kind == _DELETED and path in self.tree.directories


def _prepare(
    path: str, globs: Mapping[str, Globs], files: Collection[str], known: Tree | None
) -> tuple[_Scope, RustNotify, str, _News]:
    """In a thread: find the directories, watch them, and say what of it does not work.

    Since a `known` tree, what came or went with a directory nobody has told: it is news. OSError; RuntimeError.
    """
    from runcept.daemon.trees import DIRECTORIES_MAX, TooMany, look

    try:
        tree = look(path, globs.values(), [os.path.dirname(file) for file in files])
    except TooMany:
        raise RuntimeError(
            f"they are in more than {DIRECTORIES_MAX} directories; name narrower ones in `watch`"
        ) from None
    scope = _Scope(path, globs, frozenset(files), tree)
    notify, trouble = _notifier(list(tree.directories))
    if known is None:
        return scope, notify, trouble, _News({})
    gone = known.directories.keys() - tree.directories.keys()
    came = _files_in(each for each, now in tree.directories.items() if known.directories.get(each) != now)
    return (
        scope,
        notify,
        trouble,
        scope.news({(0, each) for each in came | gone}, untold=True)._replace(is_of_tree=False),
    )


def _files_in(directories: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for directory in directories:
        with suppress(OSError), os.scandir(directory) as entries:  # it may be gone again
            found.update(entry.path for entry in entries if not entry.is_dir(follow_symlinks=False))
    return found


def _changed_at(path: str) -> float:
    """When a file was written to or put in its place, inode(7): its ctime, which nobody can set; now, if it is gone."""
    try:
        return os.lstat(path).st_ctime + _TICK_SECONDS
    except OSError:
        return time.time()


def _notifier(directories: list[str]) -> tuple[RustNotify, str]:
    """What tells of changes; where the system has no room for that, by looking at everything now and then."""
    from watchfiles._rust_notify import RustNotify, WatchfilesRustInternalError

    def make(*, polling: bool) -> RustNotify:
        there = [directory for directory in directories if os.path.isdir(directory)]
        return RustNotify(there, False, polling, _LOOK_MS, False, False)

    try:
        return make(polling=False), ""
    except FileNotFoundError:  # one has gone since it was found
        return make(polling=False), ""
    except (OSError, WatchfilesRustInternalError) as error:
        _log.warning("files are polled: %s", error)
        limit = (
            "fs.inotify.max_user_instances" if "Too many open files" in str(error) else "fs.inotify.max_user_watches"
        )
        return make(polling=True), (
            f"changes of files are seen up to {_LOOK_MS // 1000}s late: the system watches no more files for this "
            f"user; raise {limit} with sysctl"
        )


class _Thread:
    """Waits for changes and tells the event loop what they mean."""

    def __init__(
        self, notify: RustNotify, scope: _Scope, loop: asyncio.AbstractEventLoop, heard: Callable[[_News], None]
    ) -> None:
        self._notify = notify
        self._scope = scope
        self._loop = loop
        self._heard = heard
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="files", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Soon; nothing more is told."""
        self._ended.set()

    def _run(self) -> None:
        while not self._ended.is_set():
            changes = self._notify.watch(_GATHER_MS, _STEP_MS, _LOOK_MS, self._ended)
            news = _News({})
            if isinstance(changes, set):
                news = self._scope.news(changes)
            elif changes == "timeout" and any(_identity(path) != known for path, known in self._roots()):
                news = _News({}, is_of_tree=True)
            if any(news) and not self._ended.is_set():
                self._loop.call_soon_threadsafe(self._tell, news)
        self._notify.close()

    def _tell(self, news: _News) -> None:
        if not self._ended.is_set():
            self._heard(news)

    def _roots(self) -> list[tuple[str, object]]:
        """Of the directories, those whose parent is not among them: what becomes of the others, that one tells."""
        directories = self._scope.tree.directories
        return [(path, known) for path, known in directories.items() if os.path.dirname(path) not in directories]


def _identity(path: str) -> object:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
