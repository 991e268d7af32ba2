"""Where things live, and the checks that make a directory ours. Text in, text out; cheap to import."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from contextlib import suppress

from runcept.errors import HomeUnsafe

__all__ = [
    "PROCESS_NAME",
    "PROJECT_FILE",
    "SOCKET_PATH_MAX",
    "daemon_log",
    "database",
    "ensure_home",
    "ensure_private",
    "ensure_project_directory",
    "home",
    "log_path",
    "logs_directory",
    "project_of",
    "runs_directory",
    "settings_path",
    "socket_path",
    "trusted_directory",
]

PROJECT_FILE = ".runcept.toml"
PROCESS_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
"""A regular expression: the name of a process is that of its log as well, and must not lead out of its directory."""
SOCKET_PATH_MAX = 107  # bytes: sockaddr_un.sun_path is 108 with its NUL, unix(7)
_TEMPORARY = "/tmp"  # noqa: S108  fixed on purpose: every client finds it with a bare environment; checked in ensure_private


def home(environ: Mapping[str, str] = os.environ) -> str:
    """`$RUNCEPT_HOME`, else `~/.runcept`, absolute. Errors: HomeUnsafe where the system knows no home of ours."""
    if chosen := environ.get("RUNCEPT_HOME"):
        return os.path.abspath(chosen)
    chosen = os.path.join(_of_user(environ), ".runcept")
    if chosen.startswith("~"):  # a directory of that name is not what anybody means
        raise HomeUnsafe(chosen, "there is no HOME, and no home directory of ours", "Set RUNCEPT_HOME to a directory.")
    return os.path.abspath(chosen)


def _of_user(environ: Mapping[str, str]) -> str:
    return environ.get("HOME") or os.path.expanduser("~")


def ensure_home(path: str) -> None:
    """Make the home (0700) on first use, or raise HomeUnsafe."""
    ensure_private(path)
    for part in ("logs", "runs"):
        try:
            os.makedirs(os.path.join(path, part), mode=0o700, exist_ok=True)
        except OSError as error:
            raise _unusable(os.path.join(path, part), error) from error


def ensure_private(path: str) -> None:
    """Make the directory (0700), or check that only we can change what it holds, as ssh does for its own.

    A symlink of ours, or of root's, is followed, and what it leads to is checked; errors: HomeUnsafe.
    """
    try:
        _make_parents(os.path.dirname(path))
        with suppress(FileExistsError):
            os.mkdir(path, 0o700)
        link, status = os.lstat(path), os.stat(path)
    except OSError as error:
        raise _unusable(path, error) from error
    if not stat.S_ISDIR(status.st_mode):
        raise HomeUnsafe(path, "it is not a directory", "Move it away, or set RUNCEPT_HOME.")
    if stat.S_ISLNK(link.st_mode) and link.st_uid not in {os.geteuid(), 0}:  # it could lead elsewhere at any moment
        raise HomeUnsafe(path, f"it is a link that uid {link.st_uid} made", "Set RUNCEPT_HOME to where it leads.")
    if status.st_uid != os.geteuid():
        raise HomeUnsafe(
            path,
            f"it belongs to uid {status.st_uid}, not to us ({os.geteuid()})",
            "Set RUNCEPT_HOME to a directory of your own.",
        )
    if status.st_mode & 0o022:
        raise HomeUnsafe(path, "others may write to it", f"chmod 700 {path}")


def _make_parents(directory: str) -> None:
    """For us alone, whatever the umask: who could write there could put another home in the place of ours."""
    if not os.path.isdir(directory):
        _make_parents(os.path.dirname(directory))
        with suppress(FileExistsError):
            os.mkdir(directory, 0o700)


def _unusable(path: str, error: OSError) -> HomeUnsafe:
    why = (error.strerror or str(error)).lower()
    return HomeUnsafe(path, why, "Set RUNCEPT_HOME to a directory you can write to.")


def socket_path(home_path: str, name: str = "daemon") -> str:
    """The control socket of a home; where that path would be too long for unix(7), a hashed name in /tmp/runcept-UID.

    It depends on the home and the uid alone, so that every client finds the same one.
    """
    direct = os.path.join(home_path, f"{name}.sock")
    if len(os.fsencode(direct)) <= SOCKET_PATH_MAX:
        return direct
    from hashlib import sha256  # 2 ms that almost no command needs

    digest = sha256(os.fsencode(home_path)).hexdigest()[:32]
    return os.path.join(_TEMPORARY, f"runcept-{os.geteuid()}", f"{digest}-{name}.sock")


def settings_path(home_path: str, environ: Mapping[str, str] = os.environ) -> str:
    """The global settings file: the home's config.toml, else `~/.runit/config.toml` if that exists."""
    own = os.path.join(home_path, "config.toml")
    other = os.path.join(_of_user(environ), ".runit", "config.toml")
    return other if not os.path.exists(own) and os.path.exists(other) else own


def database(home_path: str) -> str:
    """The SQLite file that holds the state."""
    return os.path.join(home_path, "runcept.db")


def daemon_log(home_path: str) -> str:
    """The daemon's own log."""
    return os.path.join(home_path, "logs", "daemon.log")


def runs_directory(home_path: str) -> str:
    """The directory that holds one directory a run: its FIFOs, spool and exit record."""
    return os.path.join(home_path, "runs")


def logs_directory(project: str) -> str:
    """The directory of a project's logs."""
    return os.path.join(project, ".runcept", "logs")


def trusted_directory(home_path: str) -> str:
    """The directory that holds one file for each project file that was trusted."""
    return os.path.join(home_path, "trusted")


def log_path(project: str, process: str) -> str:
    """The log of one process: the newest records; older ones are in its rotations."""
    return os.path.join(logs_directory(project), f"{process}.jsonl")


def project_of(log: str) -> str:
    """The project whose log this is, as `log_path` gives it. ValueError for another path."""
    project = os.path.dirname(os.path.dirname(os.path.dirname(log)))
    if os.path.dirname(log) != logs_directory(project):
        raise ValueError(f"{log} is no PROJECT/.runcept/logs/NAME.jsonl")
    return project


def ensure_project_directory(project: str) -> None:
    """Make `PROJECT/.runcept/logs`, for us alone, and the .gitignore that keeps it out of version control.

    Either may be a link of ours to a directory of ours. PermissionError where it is another user's: what is written
    there would be his to read, and his links would have us write to files of ours that he cannot write to himself.
    FileNotFoundError where the project's directory is gone: that is not made again.
    """
    if not os.path.isdir(project):
        raise FileNotFoundError(errno.ENOENT, "the project's directory is gone", project)
    for directory in (os.path.join(project, ".runcept"), logs_directory(project)):
        with suppress(FileExistsError):
            os.mkdir(directory, 0o700)
        for status in (os.lstat(directory), os.stat(directory)):
            if status.st_uid != os.geteuid():
                raise PermissionError(errno.EPERM, f"it belongs to uid {status.st_uid}, not to us", directory)
    with (
        suppress(FileExistsError),
        open(os.path.join(project, ".runcept", ".gitignore"), "x", encoding="utf-8") as file,
    ):
        file.write("*\n")
