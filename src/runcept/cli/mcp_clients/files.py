"""The files of clients on the disk: read as they are, and replaced as a whole or not at all.

They are other programs' files, and often under version control or links into a directory of dotfiles. So a link is
followed, the mode is kept, and what was there lies beside it before anything changes.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from runcept.errors import ConfigUnreadable, RunceptError

__all__ = ["BACKUP", "back_up", "read", "replace"]

BACKUP = ".runcept-backup"
"""What is put behind the name of a file for the copy of what it was."""
_BYTES_MAX = 64 << 20
"""~/.claude.json holds what was typed in every project; nothing of the kind is near this."""
_FOR_US = 0o600


def read(path: str) -> str | None:
    """The text of a file with its line ends, and its byte order mark where it has one; None where there is none.

    Errors: ConfigUnreadable.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe must not stop us for ever
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ConfigUnreadable(path, "it is not a regular file")
            data = file.read(_BYTES_MAX + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigUnreadable(path, (error.strerror or str(error)).lower()) from error
    if len(data) > _BYTES_MAX:
        raise ConfigUnreadable(path, f"it is larger than {_BYTES_MAX >> 20} MiB", "Is this the right file?")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        why = f"it is not UTF-8: byte 0x{data[error.start]:02x} on line {line}"
        raise ConfigUnreadable(path, why, "Save it as UTF-8.") from error


def back_up(path: str, text: str) -> str:
    """Put a copy of a file beside it; gives its path. Errors: RunceptError."""
    place = os.path.realpath(path)
    with _told(path):
        _write(place + BACKUP, text, os.stat(place), private=True)
    return place + BACKUP


def replace(path: str, before: str | None, after: str, *, private: bool) -> None:
    """Make `after` what is in the file, where it still is `before`.

    A file that is new, and the directories it needs, are `private`, or as the umask says. Errors: RunceptError.
    """
    place = os.path.realpath(path)
    with _told(path):
        os.makedirs(os.path.dirname(place), mode=0o700 if private else 0o777, exist_ok=True)
        if read(place) != before:
            hint = "Its program has just written to it: try again."
            raise RunceptError(f"{path} was changed meanwhile, and is left as it is", hint=hint, path=path)
        _write(place, after, None if before is None else os.stat(place), private=private)


@contextmanager
def _told(path: str) -> Iterator[None]:
    """Say in our words what the system says about the file."""
    try:
        yield
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        hint = "Check who owns it and its directory, whether they may be written to, and whether the disk is full."
        raise RunceptError(f"{path} cannot be written: {why}", hint=hint, path=path) from error


def _write(place: str, text: str, like: os.stat_result | None, *, private: bool) -> None:
    """All of it or nothing, on the disk before it takes the place of what is there; mode and owner as of `like`."""
    fresh = f"{place}.{os.getpid()}"
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FOR_US if private else 0o666)
        with open(descriptor, "w", encoding="utf-8") as file:
            if like is not None:
                if os.geteuid() == 0:  # root may be at work in the home of somebody else
                    os.fchown(descriptor, like.st_uid, like.st_gid)
                os.fchmod(descriptor, stat.S_IMODE(like.st_mode))
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        os.replace(fresh, place)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(fresh)
