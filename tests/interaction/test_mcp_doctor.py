"""`mcp doctor`: whose files it finds, how it starts what they name, and what it says of each."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli_stage import Stage, shop_stage

from runcept.cli.mcp_clients.table import CLIENTS

STANDIN = str(Path(__file__).resolve().parents[1] / "mcp_standin.py")


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """In a project, with a `runcept` on PATH that works."""
    made = shop_stage(tmp_path)
    made.environ = {"RUNCEPT_HOME": "", "PATH": str(on_path(tmp_path, "works").parent)}
    return made


def on_path(directory: Path, *arguments: str) -> Path:
    """A `runcept` in a directory of its own, which does what the stand-in does."""
    script = directory / "bin" / "runcept"
    script.parent.mkdir(exist_ok=True)
    script.write_text(f"#!/bin/sh\nexec {shlex.join([sys.executable, '-I', STANDIN, *arguments])}\n")
    script.chmod(0o755)
    return script


def standin(*arguments: str, **more: object) -> dict[str, object]:
    """An entry for the stand-in."""
    return {"command": sys.executable, "args": ["-I", STANDIN, *arguments], **more}


def write(file: Path, values: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(values if isinstance(values, str) else json.dumps(values), encoding="utf-8")


def diagnosed(stage: Stage, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    said = stage.run("mcp", "doctor", *arguments, "--json")
    assert said.err == ""
    document = said.json
    assert document["ok"] == (said.status == 0)
    return said.status, document["entries"]


def test_every_client_s_files_are_found_and_tried(stage: Stage) -> None:
    """What `install` has written for a project works for each of them, and is said to."""
    for name in CLIENTS:
        stage.run("mcp", "install", name)
    status, entries = diagnosed(stage)
    assert status == 0
    assert [each["client"] for each in entries] == [*CLIENTS]
    for each in entries:
        assert (each["outcome"], each["tools"], each["server"], each["version"]) == ("works", 2, "runcept", "9.9")
        assert (each["scope"], each["cwd"], each["command"]) == ("project", str(stage.cwd), ["runcept", "mcp"])
        assert each["seconds"] >= 0


def test_all_of_a_client_s_places_are_looked_at(stage: Stage) -> None:
    """The project's file, and in the user's what is for this project and what is for all."""
    home = stage.home.parent
    write(stage.cwd / ".mcp.json", {"mcpServers": {"runcept": {"command": "runcept", "args": ["mcp"]}}})
    mine = {"mcpServers": {"runcept": standin("works")}}
    write(home / ".claude.json", {**mine, "projects": {str(stage.cwd): mine, "/elsewhere": mine}})
    status, entries = diagnosed(stage, "claude")
    assert status == 0
    assert [(each["scope"], each["cwd"]) for each in entries] == [
        ("project", str(stage.cwd)), ("local", str(stage.cwd)), ("user", str(home)),
    ]  # fmt: skip
    stage.cwd = home
    assert [each["scope"] for each in diagnosed(stage)[1]] == ["user"]


def test_it_is_started_with_what_a_client_gives(stage: Stage, tmp_path: Path) -> None:
    """Home, names and a PATH, besides what the entry says; nothing of the shell, whatever that has."""
    file = tmp_path / "given"
    write(tmp_path / ".gemini/settings.json", {"mcpServers": {"runcept": standin(
        "tells_what_it_was_given", str(file), env={"RUNCEPT_HOME": "/elsewhere"}, cwd="shop")}})  # fmt: skip
    stage.environ = {**stage.environ, "SECRET_OF_THE_SHELL": "x", "PYTHONPATH": "/nowhere"}
    assert diagnosed(stage, "gemini")[0] == 0
    given = json.loads(file.read_text())
    assert given["cwd"] == os.path.realpath(stage.cwd)
    assert set(given["environ"]) - {"LC_CTYPE"} == {"HOME", "USER", "LOGNAME", "PATH", "RUNCEPT_HOME"}
    assert given["environ"]["HOME"] == str(tmp_path)
    assert given["environ"]["PATH"] == stage.environ["PATH"]  # it is started from a shell


def test_what_was_started_from_the_desktop_has_a_path_of_its_own(stage: Stage, tmp_path: Path) -> None:
    """A plain name that only the shell's PATH has is tried with that, and told of."""
    script = tmp_path / "bin" / "runcept-that-no-system-has"
    on_path(tmp_path, "works").rename(script)
    for file, command in ((".cursor/mcp.json", script.name), (".config/Code/User/mcp.json", str(script))):
        entry = {"runcept": {"command": command, "args": ["mcp"]}}
        write(tmp_path / file, {"mcpServers": entry, "servers": entry})
    status, (plain, absolute) = diagnosed(stage)
    assert status == 0
    assert (absolute["client"], absolute["reason"]) == ("vscode", "")
    assert plain["reason"] == (
        "started from the desktop, Cursor may not find it: it is on the PATH of your shell alone"
    )
    assert "`runcept mcp install cursor --user`" in plain["hint"]


def test_the_path_of_the_desktop_is_short(stage: Stage, tmp_path: Path) -> None:
    """What the shell has on PATH, the server of a desktop program does not find."""
    file = tmp_path / "given"
    write(tmp_path / ".cursor/mcp.json", {"mcpServers": {"runcept": standin("tells_what_it_was_given", str(file))}})
    assert diagnosed(stage, "cursor")[0] == 0
    assert json.loads(file.read_text())["environ"]["PATH"] == "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"


def test_a_stranger_s_project_has_nothing_started(stage: Stage, tmp_path: Path) -> None:
    """Its file names a program: that is told, and the program is not run. It is no failure."""
    for name, file in (("cursor", ".cursor/mcp.json"), ("claude", ".mcp.json")):
        touched = tmp_path / f"touched by {name}"
        write(stage.cwd / file, {"mcpServers": {"runcept": standin("tells_what_it_was_given", str(touched))}})
        status, (entry,) = diagnosed(stage, name)
        assert (status, entry["outcome"]) == (0, "untried")
        assert "nothing else is started from a project's file" in entry["reason"]
        assert not touched.exists()


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("crashes", "ModuleNotFoundError: No module named 'runcept'"),
        ("prints_garbage", "Welcome to the server!"),
        ("answers_an_error", "the daemon cannot be started"),
    ],
)
def test_what_does_not_work_is_told_with_a_hint(stage: Stage, mode: str, reason: str) -> None:
    """In a table, with exit status 1; what works beside it is told too."""
    on_path(stage.home.parent, mode)
    write(stage.home.parent / ".gemini/settings.json", {"mcpServers": {"runcept": standin("works")}})
    write(stage.cwd / "opencode.json", {"mcp": {"runcept": {"type": "local", "command": ["runcept", "mcp"]}}})
    said = stage.run("mcp", "doctor")
    assert said.status == 1
    title, works, fails = said.out.splitlines()
    assert title.split() == ["CLIENT", "SCOPE", "FILE", "COMMAND", "STATE", "RESULT"]
    assert works.startswith("Gemini CLI  user     ~/.gemini/settings.json")
    assert " works  2 tools in " in works
    assert fails.startswith("OpenCode    project  opencode.json")
    assert fails.endswith(reason)
    assert said.err.startswith("  hint: OpenCode: ")


def test_a_command_that_has_gone_is_told(stage: Stage, tmp_path: Path) -> None:
    """An installation that was moved or removed leaves its path in files."""
    write(tmp_path / ".codex/config.toml", '[mcp_servers.runcept]\ncommand = "/opt/gone/runcept"\nargs = ["mcp"]\n')
    status, (entry,) = diagnosed(stage, "codex")
    assert (status, entry["outcome"], entry["reason"]) == (1, "fails", "there is no /opt/gone/runcept")
    stage.environ = {**stage.environ, "PATH": "/nowhere"}
    write(stage.cwd / ".mcp.json", {"mcpServers": {"runcept": {"command": "runcept", "args": ["mcp"]}}})
    status, (entry,) = diagnosed(stage, "claude")
    assert (status, entry["reason"]) == (1, "there is no runcept on the PATH that it is given")


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("claude", '{\n"mcpServers": {"runcept": {} "x": {}}}', "line 2, column 30: a comma was expected here"),
        (
            "claude",
            '{"mcpServers": {"runcept": {"command": "runcept"}}} // ours',
            "line 1, column 53: Claude Code does not read files with comments",
        ),
        (
            "gemini",
            '{"mcpServers": {"runcept": {"command": "runcept"}},}',
            "line 1, column 51: Gemini CLI does not read files with a comma after the last element",
        ),
        ("codex", "[mcp_servers.runcept]\ncommand = runcept", "line 2, column 11: Invalid value"),
        (
            "vscode",
            '{"servers": {"runcept": {"url": "http://[::1]:1/"}}}',
            "VS Code does not start it: it is reached at http://[::1]:1/",
        ),
        (
            "vscode",
            '{"servers": {"runcept": {"command": "${env:X}"}}}',
            "it has variables that only VS Code fills in",
        ),
        (
            "codex",
            "[mcp_servers.runcept]\ncommand = 'x'\nenabled = false",
            "it is switched off there: enabled is false",
        ),
    ],
)
def test_what_a_client_would_make_of_its_file_is_told(stage: Stage, name: str, text: str, reason: str) -> None:
    """A mistake with its place, and everything for which a client starts nothing."""
    write(stage.cwd / CLIENTS[name].project_files[0], text)
    _, (entry,) = diagnosed(stage, name)
    assert entry["reason"] == reason


def test_files_without_runcept_are_no_matter(stage: Stage, tmp_path: Path) -> None:
    """Others' servers, others' mistakes, and files that are not there: nothing is told of them."""
    write(tmp_path / ".claude.json", {"mcpServers": {"other": {"command": "x"}}, "note": "runcept"})
    write(tmp_path / ".cursor/mcp.json", "{ broken")
    write(stage.cwd / ".mcp.json", {"runcept": {"command": "x"}})
    said = stage.run("mcp", "doctor")
    assert (said.status, said.err) == (1, "")
    assert said.out == "no client has Runcept here\n`runcept mcp install CLIENT` adds it.\n"
    said = stage.run("mcp", "doctor", "gemini")
    assert (said.status, said.out) == (1, "Gemini CLI has no Runcept here\n`runcept mcp install gemini` adds it.\n")
    assert diagnosed(stage) == (1, [])


def test_a_file_that_cannot_be_read_is_told(stage: Stage) -> None:
    """Whether it names Runcept cannot be known."""
    (stage.cwd / ".mcp.json").mkdir()
    status, (entry,) = diagnosed(stage, "claude")
    assert (status, entry["reason"]) == (1, "is a directory")


def test_nothing_of_another_program_reaches_the_terminal(stage: Stage, tmp_path: Path) -> None:
    """What a server says of itself, and what files hold, may be escape sequences."""
    write(tmp_path / ".gemini/settings.json", {"mcpServers": {"runcept": {"command": "/x\x1b[31m", "args": ["\x07"]}}})
    stage.terminal = True
    said = stage.run("mcp", "doctor", "--color", "never")
    assert "\x1b" not in said.out + said.err
    assert "\x07" not in said.out + said.err


def test_no_secret_of_another_program_is_shown(stage: Stage, tmp_path: Path) -> None:
    """A file may have one among the arguments, or in an address; a server may complain of one."""
    entry = standin("crashes_with_a_secret", "--token", "ghp_0123456789abcdef")
    write(tmp_path / ".gemini/settings.json", {"mcpServers": {"runcept": entry}})
    write(tmp_path / ".cursor/mcp.json", {"mcpServers": {"runcept": {"url": "https://ada:ghp_0123456789abcdef@x/"}}})
    said = stage.run("mcp", "doctor")
    assert said.out.count("***") == 3
    assert "ghp_" not in said.out + said.err
    assert all("ghp_" not in each["reason"] for each in diagnosed(stage)[1])
