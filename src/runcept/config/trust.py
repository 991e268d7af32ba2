"""Which project files their owner has looked at: `auto_activate` acts on these alone, and only as they were then.

One file a project in the home's `trusted/`, named by a hash of the project's path and replaced as a whole: two who
trust at once need no lock, and a file that is damaged is as if it were not there. No daemon is asked.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from enum import StrEnum
from hashlib import sha256

import msgspec

from runcept.errors import RunceptError
from runcept.paths import ensure_home, ensure_private, trusted_directory
from runcept.units import instant

__all__ = ["Standing", "Trust", "revoke", "standing", "trust", "trusted"]


class Standing(StrEnum):
    """What a project file is to us."""

    TRUSTED = "trusted"
    CHANGED = "changed"
    """Another text was trusted."""
    UNKNOWN = "unknown"


class Trust(msgspec.Struct, frozen=True):
    """That the text of a project's file was trusted."""

    path: str
    """The canonical directory of the project."""
    sha256: str
    """Of the text, in UTF-8."""
    trusted_at: str


_trusts = msgspec.json.Decoder(Trust)


def trust(home: str, path: str, text: str) -> Trust:
    """Trust the project file in the directory `path` as long as its text is this. Errors: HomeUnsafe, RunceptError."""
    ensure_home(home)
    given = Trust(path, _digest(text), instant(time.time()))
    place = _place(home, path)
    fresh = f"{place}.{os.getpid()}"
    try:
        with suppress(FileExistsError):
            os.mkdir(os.path.dirname(place), 0o700)
        try:
            with open(fresh, "wb", opener=_private) as file:
                file.write(msgspec.json.encode(given) + b"\n")
            os.replace(fresh, place)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(fresh)
    except OSError as error:
        raise _not_written(place, error) from error
    return given


def revoke(home: str, path: str) -> bool:
    """Trust it no more; whether it was trusted. Errors: RunceptError."""
    place = _place(home, path)
    try:
        os.unlink(place)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise _not_written(place, error) from error
    return True


def standing(home: str, path: str, text: str) -> Standing:
    """How the project file in the directory `path`, with this text, stands. Errors: HomeUnsafe."""
    found = _read(home, os.path.basename(_place(home, path)))
    if found is None:
        return Standing.UNKNOWN
    return Standing.TRUSTED if found.sha256 == _digest(text) else Standing.CHANGED


def trusted(home: str) -> list[Trust]:
    """All that was trusted and not revoked, by path. Errors: HomeUnsafe."""
    try:
        names = os.listdir(trusted_directory(home))
    except OSError:  # nothing was trusted yet
        return []
    found = (_read(home, name) for name in names)
    return sorted((each for each in found if each is not None), key=lambda each: each.path)


def _read(home: str, name: str) -> Trust | None:
    place = os.path.join(trusted_directory(home), name)
    try:
        with open(place, "rb") as file:
            data = file.read()
        found = _trusts.decode(data)
    except (OSError, ValueError):  # not there, or damaged
        return None
    ensure_private(home)  # what another user may have written there says nothing
    return found if place == _place(home, found.path) else None


def _place(home: str, path: str) -> str:
    return os.path.join(trusted_directory(home), f"{_digest(path)}.json")


def _digest(text: str) -> str:
    return sha256(text.encode(errors="surrogateescape")).hexdigest()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _not_written(place: str, error: OSError) -> RunceptError:
    why = (error.strerror or str(error)).lower()
    hint = "Check who owns its directory, whether it may be written to, and whether its disk is full."
    return RunceptError(f"{place} cannot be written: {why}", hint=hint, path=place)
