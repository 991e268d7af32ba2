"""The directories that have to be watched for some globs, and what git ignores in them.

Only where a glob could mean something is looked into, and not into what git ignores: a `node_modules` of ten thousand
directories costs nothing. Reads directories and .gitignore files; called in a thread.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from typing import NamedTuple

from pathspec import GitIgnoreSpec

from runcept.core.globs import Globs
from runcept.paths import PROJECT_FILE

__all__ = ["DIRECTORIES_MAX", "Ignored", "TooMany", "Tree", "is_noise", "look"]

DIRECTORIES_MAX = 20_000
"""Of one project: more are not watched at all."""
_NEVER = frozenset({".git", ".hg", ".svn", ".runcept", "node_modules", "__pycache__", ".venv"})
_NOISE = re.compile(r"4913|\.#.*|#.*#|.*~|.*\.sw[a-z]|.*\.py[co]|.*___jb_\w+___|\.DS_Store|\.goutputstream-.*")
"""Files that editors, systems and Python make beside the real ones."""

Identity = tuple[int, int]
"""Device and inode of a directory: by another it has been replaced."""


class TooMany(Exception):
    """More than `DIRECTORIES_MAX` directories would have to be watched."""


class Tree(NamedTuple):
    """What was found."""

    directories: dict[str, Identity]
    ignored: Ignored


class Ignored:
    """What git ignores, by the .gitignore files of the repository: gitignore(5), and .git/info/exclude.

    A directory that is no repository's is taken for one.
    """

    def __init__(self, project: str) -> None:
        self._top = _repository(project)
        self._specs: dict[str, GitIgnoreSpec | None] = {}
        self._known: dict[str, bool] = {}
        if self.has_directory(project):  # of a repository that does not care for it, as one of a whole home may be
            self._top = project
            self._known.clear()

    def __contains__(self, path: str) -> bool:
        """Whether a file is ignored, by itself or with a directory above it."""
        return self.has_directory(os.path.dirname(path)) or self._decide(path, "")

    def has_directory(self, path: str) -> bool:
        """Whether everything in a directory is ignored."""
        if path == self._top or not _is_below(path, self._top):
            return False
        if path not in self._known:
            above = os.path.dirname(path)
            name = os.path.basename(path)
            self._known[path] = name in _NEVER or self.has_directory(above) or self._decide(path, "/")
        return self._known[path]

    def _decide(self, path: str, ending: str) -> bool:
        """What the nearest .gitignore says that says something."""
        place = os.path.dirname(path)
        while _is_below(place, self._top):
            spec = self._spec(place)
            verdict = _verdict(spec, os.path.relpath(path, place) + ending)
            if verdict is not None:
                return verdict
            place = os.path.dirname(place)
        spec = self._spec(os.path.join(self._top, ".git", "info"), "exclude")
        return bool(_verdict(spec, os.path.relpath(path, self._top) + ending))

    def _spec(self, directory: str, name: str = ".gitignore") -> GitIgnoreSpec | None:
        if directory not in self._specs:
            self._specs[directory] = _read(os.path.join(directory, name))
        return self._specs[directory]


def _verdict(spec: GitIgnoreSpec | None, path: str) -> bool | None:
    """What the last pattern says that means the path itself, a directory with a slash behind it; None: nothing.

    What they say of the directories above it was asked before. GitIgnoreSpec would mix the two, and gives files another
    rank than directories; gitignore(5) has one rule, that the last pattern counts.
    """
    for pattern in reversed(list(spec.patterns) if spec is not None else []):
        found = pattern.match_file(path) if pattern.include is not None else None
        if found is not None:
            below = found.match.groupdict().get("ps_d")
            if below is None or found.match.start("ps_d") == len(path) - 1:
                return pattern.include
    return None


def _read(path: str) -> GitIgnoreSpec | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError:
        return None
    try:
        return GitIgnoreSpec.from_lines(lines)
    except ValueError:  # one pattern is none: git leaves that one out
        return GitIgnoreSpec.from_lines(filter(_is_pattern, lines))


def _is_pattern(line: str) -> bool:
    try:
        GitIgnoreSpec.from_lines([line])
    except ValueError:
        return False
    return True


def _repository(project: str) -> str:
    place = project
    while not os.path.lexists(os.path.join(place, ".git")):
        if place == os.path.dirname(place):
            return project
        place = os.path.dirname(place)
    return place


def _is_below(path: str, top: str) -> bool:
    return path == top or path.startswith(top.rstrip("/") + "/")


def is_noise(path: str) -> bool:
    """Whether a file, relative to the project, never counts: its directory is a tool's, or it is an editor's own."""
    *directories, name = path.split("/")
    return name == PROJECT_FILE or _NOISE.fullmatch(name) is not None or not _NEVER.isdisjoint(directories)


def look(project: str, globs: Collection[Globs], others: Collection[str]) -> Tree:
    """The directories in which files are that the globs mean, those above them in the project, and `others`.

    Of what does not exist yet, the nearest that does. TooMany.
    """
    tree = Tree({}, Ignored(project))
    for each in globs:
        for root in each.roots:
            for place in _existing(project, root):
                _add(tree, place)
            _descend(tree, each, root)
        for place in each.directories_of_files():
            _add(tree, _nearest(place))
    for place in others:
        _add(tree, _nearest(place))
    return tree


def _existing(project: str, root: str) -> Iterator[str]:
    """A root, or the nearest that there is, and those above it: they tell that it comes, goes, or is replaced."""
    place = _nearest(root)
    yield place
    while place != project and _is_below(place, project):
        place = os.path.dirname(place)
        yield place


def _nearest(place: str) -> str:
    while not os.path.isdir(place) and place != os.path.dirname(place):
        place = os.path.dirname(place)
    return place


def _add(tree: Tree, directory: str) -> bool:
    try:
        status = os.stat(directory)
    except OSError:
        return False
    tree.directories[directory] = (status.st_dev, status.st_ino)
    if len(tree.directories) > DIRECTORIES_MAX:
        raise TooMany
    return True


def _descend(tree: Tree, globs: Globs, root: str) -> None:
    waiting = [root]
    while waiting:
        directory = waiting.pop()
        if os.path.basename(directory) in _NEVER or not globs.may_hold(directory):
            continue
        if tree.ignored.has_directory(directory):
            continue
        try:
            with os.scandir(directory) as entries:
                below = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError:  # it is a file, is not there, or is closed to us
            continue
        _add(tree, directory)
        waiting += below
