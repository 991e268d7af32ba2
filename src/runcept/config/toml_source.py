"""A configuration file: read, with every way in which that fails; parsed; its problems tied to lines and columns."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import tomllib
from collections.abc import Callable, Sequence
from typing import Any, Self, TypeVar

from runcept.config.problems import Enough, Path, Place, Problem, Problems, Span, facts, report
from runcept.config.toml_errors import explained
from runcept.errors import ConfigInvalid, ConfigUnreadable

__all__ = ["MAX_BYTES", "TomlSource", "WrittenFloat", "read_text", "read_toml", "scalar"]

T = TypeVar("T")

MAX_BYTES = 1024 * 1024
"""No project file is near this; whatever is longer was named by mistake."""

_TOML_PLACE = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)$")
_KEY_PARTS_MAX = 64  # tomllib takes time and memory in the square of a dotted key's parts: 100 s for 600 KB
_DOTTED = re.compile(rf"(?<![\w\"'-])(?:[\w\"'-]++[ \t]*+\.[ \t]*+){{{_KEY_PARTS_MAX}}}")
_DIGITS = re.compile(r"[0-9][0-9_]{4300,}")


class WrittenFloat(float):
    """A float that remembers how it was written: VERSION = 1.10 is "1.10" to a process, not "1.1"."""

    written: str

    def __new__(cls, text: str) -> Self:
        """Of the text of a TOML float."""
        number = super().__new__(cls, text)
        number.written = text.replace("_", "")
        return number


def scalar(value: object) -> str | None:
    """The text of a string, number or boolean; None for what is none of these."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case WrittenFloat():
            return value.written
        case int() | float():
            return str(value)
        case _:
            return None


class TomlSource:
    """One file: its path, its text and the values in it."""

    def __init__(self, path: str, text: str) -> None:
        """Parse; ConfigInvalid when it is not TOML."""
        self.path = path
        self.text = text.replace("\r\n", "\n")
        self.values = self._parse()

    def read(self, reader: Callable[[Any, Place], T]) -> T:
        """What `reader` makes of the values; ConfigInvalid with all the problems that it recorded, if any."""
        problems = Problems()
        with contextlib.suppress(Enough):
            result = reader(self.values, problems.at())
        if problems.found:
            raise self._located(problems.found)
        return result

    def _located(self, problems: Sequence[Problem]) -> ConfigInvalid:
        from runcept.config.positions import Positions  # 15 ms that a correct file does not cost

        positions = Positions(self.text)
        found = [(problem, positions.find(problem.path, key=problem.at_key)) for problem in problems]
        related = {problem.related for problem in problems if problem.related is not None}
        return self._invalid(found, {path: positions.find(path).line for path in related})

    def _invalid(self, found: list[tuple[Problem, Span]], first_lines: dict[Path, int]) -> ConfigInvalid:
        problems = facts(self.text, found, first_lines)
        return ConfigInvalid(self.path, problems, report(self.path, problems))

    def _parse(self) -> dict[str, Any]:
        for number, line in enumerate(self.text.split("\n"), 1):
            if line.count(".") >= _KEY_PARTS_MAX and (chain := _DOTTED.search(line)):
                raise self._syntax(f"a key of more than {_KEY_PARTS_MAX} parts", "", Span(number, chain.start() + 1))
        try:
            return tomllib.loads(self.text, parse_float=WrittenFloat)
        except tomllib.TOMLDecodeError as error:
            message = str(error)
            place = _TOML_PLACE.search(message)
            message = message[: place.start()] if place else message
            span = Span(int(place[1]), int(place[2])) if place and place[1] else self._end()
            line = self.text.split("\n")[span.line - 1]
            raise self._syntax(*explained(message, line, span.column), span) from error
        except RecursionError as error:
            raise self._syntax("values are nested too deeply", "", Span(1, 1)) from error
        except ValueError as error:  # an integer of more digits than Python converts
            raise self._syntax(*explained(str(error)), self._many_digits()) from error

    def _many_digits(self) -> Span:
        """The first number that is too long for Python."""
        for number, line in enumerate(self.text.split("\n"), 1):
            if found := _DIGITS.search(line):
                return Span(number, found.start() + 1, len(found[0]))
        return Span(1, 1)

    def _syntax(self, message: str, hint: str, span: Span) -> ConfigInvalid:
        return self._invalid([(Problem((), f"not valid TOML: {message}", hint), span)], {})

    def _end(self) -> Span:
        """Just after the last thing in the file."""
        lines = self.text.rstrip().split("\n")
        return Span(len(lines), len(lines[-1]) + 1)


def read_toml(path: str) -> TomlSource:
    """Read and parse one file; FileNotFoundError when there is none, ConfigUnreadable, ConfigInvalid."""
    return TomlSource(path, read_text(path))


def read_text(path: str) -> str:
    """The text of a regular file of ours, in UTF-8, a BOM removed.

    Errors: FileNotFoundError when nothing is there; ConfigUnreadable for a directory, a pipe or a device, a file that
    we may not read, one of over `MAX_BYTES`, one that is not UTF-8, and one that belongs to another user, or is reached
    through a link of his: it would run commands as us. What is root's is trusted; root itself reads only its own.

    As with git's safe.directory it is the owner that counts, not the mode: on file systems that know no modes (WSL's
    drives, shared folders of virtual machines) and in containers with umask 000 every file may be written to by all.
    """
    try:
        # a pipe of this name must not stop us for ever, hence O_NONBLOCK; it changes nothing for a regular file
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            _check(path, os.fstat(descriptor), os.lstat(path).st_uid)
            with open(descriptor, "rb", closefd=False) as file:
                data = file.read(MAX_BYTES + 1)
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        if os.path.islink(path):
            raise ConfigUnreadable(path, f"it is a link to {os.readlink(path)}, which does not exist") from None
        raise
    except OSError as error:
        raise ConfigUnreadable(path, (error.strerror or str(error)).lower()) from error
    except ValueError as error:  # open(2) cannot be asked for such a name
        raise ConfigUnreadable(path, "no file can have this name") from error
    if len(data) > MAX_BYTES:
        raise _too_large(path)
    return _decode(path, data)


def _check(path: str, status: os.stat_result, link_uid: int) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise ConfigUnreadable(path, "it is a directory", "A file of this name is expected.")
    if not stat.S_ISREG(status.st_mode):
        raise ConfigUnreadable(path, "it is not a regular file")
    if others := {status.st_uid, link_uid} - {os.geteuid(), 0}:
        raise ConfigUnreadable(
            path,
            f"it belongs to uid {others.pop()}, not to us ({os.geteuid()}), and would run commands as us",
            "Look at what it does, then make it yours with chown.",
        )
    if status.st_size > MAX_BYTES:
        raise _too_large(path)


def _too_large(path: str) -> ConfigUnreadable:
    return ConfigUnreadable(path, f"it is larger than {MAX_BYTES // 1024**2} MiB", "Is this the right file?")


def _decode(path: str, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigUnreadable(
            path, f"it is not UTF-8: byte 0x{data[error.start]:02x} on line {line}", "Save it as UTF-8."
        ) from error
