"""A directory with foreign files, and the project that `init --from` makes of one."""

from __future__ import annotations

from pathlib import Path

from runcept.config.importing.project_file import import_file, lost
from runcept.config.project import load_project
from runcept.config.settings import Settings
from runcept.core.model import Process, Project

__all__ = ["Taken"]


class Taken:
    """What became of the files; `name` of them is read. The project file went through the validator."""

    def __init__(self, directory: Path, name: str, text: str, **others: str) -> None:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text, encoding="utf-8")
        for other, content in others.items():
            (directory / other.replace("__", ".")).write_text(content, encoding="utf-8")
        self.imported = import_file(str(directory / name), str(directory.resolve()))
        self.text = self.imported.text
        (directory / ".runcept.toml").write_text(self.text, encoding="utf-8")
        self.project: Project = load_project(str(directory), Settings())

    def __getitem__(self, name: str) -> Process:
        return next(process for process in self.project.processes if process.name == name)

    @property
    def names(self) -> list[str]:
        return [process.name for process in self.project.processes]

    @property
    def lost(self) -> dict[str, str]:
        """Why, by `process.key`, or the key alone where it is of the whole file."""
        return {".".join(filter(None, (process, each.key))): each.reason for process, each in lost(self.imported.draft)}

    def needs(self, name: str) -> dict[str, str]:
        """What a process needs, and the condition."""
        return {need.name: str(need.condition) for need in self[name].depends_on}
