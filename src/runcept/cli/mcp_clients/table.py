"""The table of clients: where each keeps its servers, in which form, and what else has to be known of it. Pure.

Read in their documentation, and tried with Claude Code 2.1, Codex 0.171, Gemini CLI 0.61 and OpenCode 1.18, in
November 2026. Cursor and VS Code were not tried; what is said of VS Code was read in its source.

Only one of their own commands does what has to be done. `claude mcp add --scope user` takes the lock under which Claude
Code writes ~/.claude.json again and again. The others undo what a person has written: `codex mcp add` and
`code --add-mcp` drop the comments among the servers and what an older entry had besides, `opencode mcp add` and
`claude mcp add --scope project` lay out other entries anew, `gemini mcp add` gives up at a trailing comma. None of them
replaces an entry that is there and keeps the rest of it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import NamedTuple

__all__ = ["CLIENTS", "SERVER", "Client", "Command", "Format", "Part", "Place", "Scope"]

SERVER = "runcept"
"""The name under which clients know the server."""
_PROJECT = "<project>"
"""Stands in a path of keys for the directory of the project."""

Keys = tuple[str, ...]


class Scope(StrEnum):
    """For whom a client starts a server: LOCAL is Claude Code's, for one user in one project."""

    PROJECT = "project"
    USER = "user"
    LOCAL = "local"


class Format(StrEnum):
    """What a client can read."""

    JSON = "JSON"
    JSON_COMMENTS = "JSON with comments"
    JSONC = "JSON with comments and trailing commas"
    TOML = "TOML"


class Part(Enum):
    """What stands in the form of an entry for a part of the command."""

    PROGRAM = "the program"
    ARGUMENTS = "its arguments"
    ALL = "both, in one list"


class Command(NamedTuple):
    """What a client is to start."""

    arguments: list[str]
    environ: dict[str, str] = {}  # noqa: RUF012  never changed


class Directory(NamedTuple):
    """A directory of a user: where the variable says, else below the home."""

    variable: str
    below_home: str

    def of(self, home: str, environ: Mapping[str, str]) -> str:
        """Its path."""
        return environ.get(self.variable) or posixpath.normpath(posixpath.join(home, self.below_home))


class Place(NamedTuple):
    """Where the servers of one scope may stand. An entry may be under any of `keys`; a new one goes under the first."""

    scope: Scope
    paths: tuple[str, ...]
    """The files that the client reads, the one that it would make first."""
    keys: tuple[Keys, ...]
    cwd: str
    """In which directory the client starts them."""


_PLAIN: Mapping[str, object] = {"command": Part.PROGRAM, "args": Part.ARGUMENTS}
_STDIO: Mapping[str, object] = {"type": "stdio", **_PLAIN}


@dataclass(frozen=True, slots=True)
class Client:
    """One row."""

    name: str
    title: str
    program: str
    """What it is called on PATH."""
    format: Format
    keys: tuple[Keys, ...]
    project_files: tuple[str, ...]
    directory: Directory
    user_files: tuple[str, ...]
    mac_directory: Directory | None = None
    local_keys: Keys = ()
    """Where its user file has servers for one project."""
    form: Mapping[str, object] = field(default_factory=lambda: _PLAIN)
    """What an entry holds."""
    environ_key: str = "env"
    is_desktop: bool = False
    """Whether it is started from the desktop, where PATH may not be that of the shell."""
    adds_itself: bool = False
    """Whether its command `mcp add --scope user` is to be used."""
    then: Mapping[Scope, str] = field(default_factory=dict)
    """What is left to do in it; "" and a missing scope: start it anew."""

    def place(self, scope: Scope, home: str, project: str | None, environ: Mapping[str, str], platform: str) -> Place:
        """Where the scope's servers stand; `project` is needed for all but USER."""
        if scope is Scope.PROJECT:
            assert project is not None  # noqa: S101  the contract
            return Place(scope, tuple(posixpath.join(project, each) for each in self.project_files), self.keys, project)
        directory = self.mac_directory if platform == "darwin" and self.mac_directory else self.directory
        base = directory.of(home, environ)
        paths = tuple(posixpath.join(base, each) for each in self.user_files)
        if scope is Scope.USER:
            return Place(scope, paths, self.keys, home)
        assert project is not None  # noqa: S101  the contract
        return Place(scope, paths, (tuple(project if key == _PROJECT else key for key in self.local_keys),), project)

    def scopes(self, project: str | None) -> Iterator[Scope]:
        """Those that it has where this is the project around us."""
        if project is not None:
            yield Scope.PROJECT
            if self.local_keys:
                yield Scope.LOCAL
        yield Scope.USER

    def entry(self, command: Command) -> dict[str, object]:
        """What stands under the server's name."""
        program, *arguments = command.arguments
        parts = {Part.PROGRAM: program, Part.ARGUMENTS: arguments, Part.ALL: command.arguments}
        made = {key: parts[each] if isinstance(each, Part) else each for key, each in self.form.items()}
        return made | ({self.environ_key: dict(command.environ)} if command.environ else {})


_XDG_CONFIG = Directory("XDG_CONFIG_HOME", ".config")

CLIENTS: Mapping[str, Client] = {
    client.name: client
    for client in (
        Client(
            name="claude",
            title="Claude Code",
            program="claude",
            format=Format.JSON,
            keys=(("mcpServers",),),
            project_files=(".mcp.json",),
            directory=Directory("CLAUDE_CONFIG_DIR", ""),
            user_files=(".claude.json",),
            local_keys=("projects", _PROJECT, "mcpServers"),
            form=_STDIO,
            adds_itself=True,
            then={Scope.PROJECT: "Claude Code asks for approval when it is next started in the project."},
        ),
        Client(
            name="cursor",
            title="Cursor",
            program="cursor",
            format=Format.JSONC,
            keys=(("mcpServers",),),
            project_files=(".cursor/mcp.json",),
            directory=Directory("", ".cursor"),
            user_files=("mcp.json",),
            form=_STDIO,
            is_desktop=True,
            then=dict.fromkeys(Scope, "Cursor lists it in its settings, under MCP, where it has to be switched on."),
        ),
        Client(
            name="vscode",
            title="VS Code",
            program="code",
            format=Format.JSONC,
            keys=(("servers",),),
            project_files=(".vscode/mcp.json",),
            directory=_XDG_CONFIG,
            mac_directory=Directory("", "Library/Application Support"),
            user_files=("Code/User/mcp.json",),
            form=_STDIO,
            is_desktop=True,
            then=dict.fromkeys(Scope, "VS Code asks whether you trust it; `MCP: List Servers` there starts it."),
        ),
        Client(
            name="codex",
            title="Codex",
            program="codex",
            format=Format.TOML,
            keys=(("mcp_servers",),),
            project_files=(".codex/config.toml",),
            directory=Directory("CODEX_HOME", ".codex"),
            user_files=("config.toml",),
            then={Scope.PROJECT: "Codex reads it only in a project that you trust; it asks when it is started there."},
        ),
        Client(
            name="gemini",
            title="Gemini CLI",
            program="gemini",
            format=Format.JSON_COMMENTS,
            keys=(("mcpServers",),),
            project_files=(".gemini/settings.json",),
            directory=Directory("GEMINI_CLI_HOME", ""),
            user_files=(".gemini/settings.json",),
            then=dict.fromkeys(Scope, "Gemini CLI starts it only in folders that you trust; it asks about a new one."),
        ),
        Client(
            name="opencode",
            title="OpenCode",
            program="opencode",
            format=Format.JSONC,
            # The second is how version 2 writes it; it reads the first as well, which version 1 needs.
            keys=(("mcp",), ("mcp", "servers")),
            project_files=("opencode.json", "opencode.jsonc", ".opencode/opencode.json", ".opencode/opencode.jsonc"),
            directory=_XDG_CONFIG,
            user_files=("opencode/opencode.json", "opencode/opencode.jsonc"),
            form={"type": "local", "command": Part.ALL, "enabled": True},
            environ_key="environment",
        ),
    )
}
"""By name, as it is typed."""
