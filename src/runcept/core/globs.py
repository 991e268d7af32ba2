"""Globs of files to watch: which files they mean, and in which directories such files can be. Pure; paths are POSIX.

`*`, `?` and `[…]` stand for characters of one name, `**` for any directories, `{a,b}` for one of several texts. A glob
whose last name has no wildcard means that file, or all that is below that directory. A `!` before a glob excludes what
it means, wherever it stands in the list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fnmatch import translate
from itertools import takewhile
from posixpath import dirname

__all__ = ["ALTERNATIVES_MAX", "Globs", "alternatives"]

ALTERNATIVES_MAX = 256
"""What the braces of one glob may stand for."""

_Part = str | re.Pattern[str] | None
"""A name as it is, a name with wildcards, or any number of directories."""
_BRACES = re.compile(r"\{([^{}]*,[^{}]*)\}")
_WILD = re.compile(r"[*?[]")


def alternatives(glob: str) -> list[str]:
    """What its braces stand for. ValueError where that is more than `ALTERNATIVES_MAX`."""
    waiting, found = [glob], []
    while waiting:
        text = waiting.pop(0)
        braces = _BRACES.search(text)
        if braces is None:
            found.append(text)
        else:
            waiting += [text[: braces.start()] + each + text[braces.end() :] for each in braces[1].split(",")]
        if len(waiting) + len(found) > ALTERNATIVES_MAX:
            raise ValueError(f"its braces stand for more than {ALTERNATIVES_MAX} globs")
    return found


class Globs:
    """The `watch` of one process; `base` is the directory of its project."""

    def __init__(self, globs: Sequence[str], base: str) -> None:
        self._included = [_parts(base, each) for glob in globs if glob[:1] != "!" for each in alternatives(glob)]
        self._excluded = [_parts(base, each) for glob in globs if glob[:1] == "!" for each in alternatives(glob[1:])]
        self.files = frozenset(_path(parts) for parts in self._included if all(isinstance(part, str) for part in parts))
        """Those named without a wildcard: who names a file means it, whether or not git ignores it."""
        self.roots = sorted(
            {_path([*takewhile(lambda part: isinstance(part, str), parts)]) for parts in self._included}
        )
        """Files and directories at and below which all lies that is meant."""

    def match(self, path: str) -> bool:
        """Whether the file is meant."""
        names = _names(path)
        return any(_means(parts, names) for parts in self._included) and not any(
            _means(parts, names) for parts in self._excluded
        )

    def may_hold(self, directory: str) -> bool:
        """Whether a file that is meant could be in the directory, or below it."""
        names = _names(directory)
        return any(_leads(parts, names) for parts in self._included) and not any(
            _covers(parts, names) for parts in self._excluded
        )

    def directories_of_files(self) -> Iterator[str]:
        """Where the files are that are named without a wildcard."""
        yield from map(dirname, self.files)


def _parts(base: str, glob: str) -> list[_Part]:
    parts: list[_Part] = [] if glob.startswith("/") else [*_names(base)]
    for name in glob.split("/"):
        if name == "..":
            del parts[-1:]
        elif name == "**":
            parts += [None] if parts[-1:] != [None] else []
        elif name not in {"", "."}:
            parts.append(re.compile(translate(name)) if _WILD.search(name) else name)
    return parts


def _names(path: str) -> list[str]:
    return [name for name in path.split("/") if name]


def _path(parts: Sequence[_Part]) -> str:
    return "/" + "/".join(part for part in parts if isinstance(part, str))


def _is(part: _Part, name: str) -> bool:
    return part == name if isinstance(part, str) else part is not None and part.match(name) is not None


def _places(parts: Sequence[_Part], names: Sequence[str]) -> Iterator[set[int]]:
    """How many of the parts may be used up: before the first name, and behind each."""
    at = {0}
    while True:
        for place in range(len(parts)):  # a `**` may stand for no directory
            if place in at and parts[place] is None:
                at.add(place + 1)
        yield at
        if not names:
            return
        name, names = names[0], names[1:]
        at = {
            p if parts[p] is None else p + 1 for p in at if p < len(parts) and (parts[p] is None or _is(parts[p], name))
        }


def _means(parts: Sequence[_Part], names: Sequence[str]) -> bool:
    """Whether they mean a file of these names."""
    *above, whole = _places(parts, names)
    if len(parts) in whole and (parts[-1:] != [None] or any(len(parts) in at for at in above)):
        return True
    return isinstance(parts[-1], str) and any(len(parts) in at for at in above)


def _leads(parts: Sequence[_Part], names: Sequence[str]) -> bool:
    """Whether they could mean something below a directory of these names."""
    *above, whole = _places(parts, names)
    return (
        any(place < len(parts) for place in whole)
        or _covers(parts, names)
        or (isinstance(parts[-1], str) and any(len(parts) in at for at in above))
    )


def _covers(parts: Sequence[_Part], names: Sequence[str]) -> bool:
    """Whether they mean everything below a directory of these names."""
    if isinstance(parts[-1], re.Pattern):
        return False
    return any(len(parts) in at for at in _places(parts, names))
