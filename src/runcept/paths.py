"""Where things live, and the checks that make a directory ours. Text in, text out; cheap to import."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping

from runcept.errors import HomeUnsafe

__all__ = [
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
    "runs_directory",
    "settings_path",
    "socket_path",
]

PROJECT_FILE = ".runcept.toml"
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

    A symlink is followed, and what it leads to is checked; errors: HomeUnsafe.
    """
    try:
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.mkdir(path, 0o700)
        except FileExistsError:
            pass
        status = os.stat(path)
    except OSError as error:
        raise _unusable(path, error) from error
    if not stat.S_ISDIR(status.st_mode):
        raise HomeUnsafe(path, "it is not a directory", "Move it away, or set RUNCEPT_HOME.")
    if status.st_uid != os.geteuid():
        raise HomeUnsafe(
            path,
            f"it belongs to uid {status.st_uid}, not to us ({os.geteuid()})",
            "Set RUNCEPT_HOME to a directory of your own.",
        )
    if status.st_mode & 0o022:
        raise HomeUnsafe(path, "others may write to it", f"chmod 700 {path}")


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


def log_path(project: str, process: str) -> str:
    """The log of one process: the newest records; older ones are in its rotations."""
    return os.path.join(logs_directory(project), f"{process}.jsonl")


def ensure_project_directory(project: str) -> None:
    """Make `PROJECT/.runcept/logs`, and the .gitignore that keeps it out of version control."""
    os.makedirs(logs_directory(project), exist_ok=True)
    ignore = os.path.join(project, ".runcept", ".gitignore")
    if not os.path.exists(ignore):
        with open(ignore, "w", encoding="utf-8") as file:
            file.write("*\n")
