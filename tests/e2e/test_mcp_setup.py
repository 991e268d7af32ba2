"""Setting up AI assistants with the real command: in a home of its own, which holds nothing else afterwards."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

BIN = Path(sys.executable).parent
STANDIN = Path(__file__).resolve().parents[1] / "mcp_standin.py"
CLIENTS = {
    # what a user has of it before; the file for a user, the file for a project; the keys to the entry
    "claude": (".claude.json", ".claude.json", ".mcp.json", ("mcpServers",)),
    "cursor": (".cursor/", ".cursor/mcp.json", ".cursor/mcp.json", ("mcpServers",)),
    "vscode": (".config/Code/User/", ".config/Code/User/mcp.json", ".vscode/mcp.json", ("servers",)),
    "codex": (".codex/", ".codex/config.toml", ".codex/config.toml", ("mcp_servers",)),
    "gemini": (".gemini/", ".gemini/settings.json", ".gemini/settings.json", ("mcpServers",)),
    "opencode": (".config/opencode/", ".config/opencode/opencode.json", "opencode.json", ("mcp",)),
}
NO_CLIENT = "/nowhere"
"""A PATH: a `claude` that this machine has must not be asked."""


@dataclass
class Person:
    """Somebody with a home, and a project in it."""

    home: Path
    project: Path
    path: str

    def run(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """`runcept ARGUMENTS` in the project, with the variables that everybody has."""
        return subprocess.run(
            [BIN / "runcept", *arguments],
            cwd=cwd or self.project,
            env={"HOME": str(self.home), "PATH": self.path, "USER": "ada", "LOGNAME": "ada"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    def files(self) -> set[str]:
        """Everything in the home, the project in it too."""
        return {path.relative_to(self.home).as_posix() for path in self.home.rglob("*") if not path.is_dir()}


@pytest.fixture
def person(tmp_path: Path) -> Person:
    home = Path(os.path.realpath(tmp_path)) / "home of ada"
    project = home / "shop"
    project.mkdir(parents=True)
    (project / ".runcept.toml").write_text('[project]\nname = "shop"\n[[process]]\nname = "web"\ncommand = "true"\n')
    for before, *_ in CLIENTS.values():
        place = home / before
        if before.endswith("/"):
            place.mkdir(parents=True, exist_ok=True)
        else:
            place.write_text("{}\n")
    return Person(home, project, NO_CLIENT)


def entry(file: Path, keys: tuple[str, ...]) -> dict[str, Any]:
    text = file.read_text(encoding="utf-8")
    values: Any = tomllib.loads(text) if file.suffix == ".toml" else json.loads(text)
    for key in (*keys, "runcept"):
        values = values[key]
    assert isinstance(values, dict)
    return values


def command(found: dict[str, Any]) -> list[str]:
    """What the client starts."""
    whole = found["command"]
    return whole if isinstance(whole, list) else [whole, *found["args"]]


def test_what_is_written_for_a_user_can_be_started_by_a_client(person: Person) -> None:
    """With no variable set at all, in a directory of no project; and the home holds the six files and nothing else."""
    before = person.files()
    for name, (_, file, _, keys) in CLIENTS.items():
        done = person.run("mcp", "install", name, "--user")
        assert (done.returncode, done.stderr) == (0, "")
        program, *arguments = command(entry(person.home / file, keys))
        assert arguments == ["mcp"]
        started = subprocess.run([program, "--version"], cwd="/", env={}, capture_output=True, text=True, check=False)
        assert started.stdout.startswith("runcept ")
        again = person.run("mcp", "install", name, "--user", "--json")
        assert json.loads(again.stdout)["change"] == "unchanged"
    assert person.files() - before == {
        *(file for _, file, _, _ in CLIENTS.values() if file != ".claude.json"),
        ".claude.json.runcept-backup",
    }


def test_what_is_written_for_a_project_works_where_runcept_is_on_path(person: Person) -> None:
    """From a directory below it; then doctor starts each as its client would, and all work."""
    below = person.project / "api"
    below.mkdir()
    before = person.files()
    script = person.home / ".local" / "bin" / "runcept"
    script.parent.mkdir(parents=True)
    script.write_text(f"#!/bin/sh\nexec {shlex.join([sys.executable, '-I', str(STANDIN), 'works'])}\n")
    script.chmod(0o755)
    person.path = str(script.parent)
    for name, (_, _, file, keys) in CLIENTS.items():
        done = person.run("mcp", "install", name, cwd=below)
        assert (done.returncode, done.stderr) == (0, "")
        assert command(entry(person.project / file, keys)) == ["runcept", "mcp"]
    made = {f"shop/{file}" for _, _, file, _ in CLIENTS.values()}
    assert person.files() - before == made | {".local/bin/runcept"}
    examined = person.run("mcp", "doctor", "--json", cwd=below)
    assert examined.returncode == 0
    entries = json.loads(examined.stdout)["entries"]
    assert [(each["client"], each["outcome"], each["tools"]) for each in entries] == [
        (name, "works", 2) for name in CLIENTS
    ]


def test_doctor_tells_what_to_do_about_what_does_not_work(person: Person) -> None:
    """Exit status 1; what it says leads to the command that mends it."""
    (person.home / ".cursor/mcp.json").write_text(
        '{"mcpServers": {"runcept": {"command": "/opt/gone/runcept", "args": ["mcp"]}}}'
    )
    examined = person.run("mcp", "doctor", "cursor")
    assert examined.returncode == 1
    assert examined.stdout.rstrip().endswith("fails  there is no /opt/gone/runcept")
    assert examined.stderr == "  hint: Cursor: `runcept mcp install cursor --user` writes where it is now.\n"
    assert person.run("mcp", "install", "cursor", "--user").returncode == 0
    assert "/opt/gone/runcept" in (person.home / ".cursor/mcp.json.runcept-backup").read_text()


@pytest.mark.parametrize("name", CLIENTS)
@pytest.mark.parametrize("scope", ["--user", "--project"])
def test_print_shows_the_whole_entry_and_changes_nothing(person: Person, name: str, scope: str) -> None:
    """What it shows is a file of the client's, which could be saved as it is."""
    before = person.files()
    done = person.run("mcp", "install", name, scope, "--print", "--quiet")
    assert done.returncode == 0
    shown = person.home / f"shown{Path(CLIENTS[name][1]).suffix}"
    shown.write_text(done.stdout)
    assert command(entry(shown, CLIENTS[name][3]))[1:] == ["mcp"]
    shown.unlink()
    assert person.files() == before


def test_many_at_once_leave_a_whole_file(person: Person) -> None:
    """Each of them is done or says that the file was changed meanwhile; what is there is one entry, and valid."""
    running = [
        subprocess.Popen(
            [BIN / "runcept", "mcp", "install", "claude", "--project"],
            cwd=person.project,
            env={"HOME": str(person.home), "PATH": str(BIN)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(8)
    ]
    for each in running:
        _, said = each.communicate(timeout=90)
        assert each.returncode == 0 or "was changed meanwhile" in said
    assert any(each.returncode == 0 for each in running)
    assert command(entry(person.project / ".mcp.json", ("mcpServers",))) == ["runcept", "mcp"]
    assert [path.name for path in person.project.glob(".mcp.json.*")] in ([], [".mcp.json.runcept-backup"])
