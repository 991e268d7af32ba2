"""`mcp install`: which file, what stands in it afterwards, what is said, and what is left alone."""

from __future__ import annotations

import json
import os
import stat
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli_stage import Said, Stage, shop_stage

from runcept.cli.mcp_clients import files
from runcept.cli.mcp_clients.table import CLIENTS, SERVER, Command, Scope

SCRIPT = str(Path(sys.executable).parent / "runcept")
PLAIN = {"command": SCRIPT, "args": ["mcp"]}
STDIO = {"type": "stdio", **PLAIN}
USER_FILES = {
    "claude": (".claude.json", ("mcpServers",), STDIO),
    "cursor": (".cursor/mcp.json", ("mcpServers",), STDIO),
    "vscode": (".config/Code/User/mcp.json", ("servers",), STDIO),
    "codex": (".codex/config.toml", ("mcp_servers",), PLAIN),
    "gemini": (".gemini/settings.json", ("mcpServers",), PLAIN),
    "opencode": (
        ".config/opencode/opencode.json",
        ("mcp",),
        {"type": "local", "command": [SCRIPT, "mcp"], "enabled": True},
    ),
}
PROJECT_FILES = {
    "claude": ".mcp.json",
    "cursor": ".cursor/mcp.json",
    "vscode": ".vscode/mcp.json",
    "codex": ".codex/config.toml",
    "gemini": ".gemini/settings.json",
    "opencode": "opencode.json",
}


class InstallStage(Stage):
    """Runs in the project `shop`; the user's home is where the project is, so that Runcept's own home is told apart."""

    @property
    def user_home(self) -> Path:
        return self.home.parent

    def run(self, *arguments: str) -> Said:
        """With no RUNCEPT_HOME, as most have none, and no client on PATH; a test that wants them gives them."""
        self.environ = {"RUNCEPT_HOME": "", "PATH": "/nowhere", **self.environ}
        return super().run(*arguments)


@pytest.fixture
def stage(tmp_path: Path) -> InstallStage:
    made = shop_stage(tmp_path)
    return InstallStage(cwd=made.cwd, home=made.home)


def entry(file: Path, *keys: str) -> Any:
    """What a file has for us under these keys."""
    text = file.read_text(encoding="utf-8")
    values = tomllib.loads(text) if file.suffix == ".toml" else json.loads(text)
    for key in (*keys, SERVER):
        values = values[key]
    return values


def use(stage: InstallStage, *names: str) -> None:
    """Make it look as if the user had started these clients once."""
    for name in names:
        file = stage.user_home / USER_FILES[name][0]
        file.parent.mkdir(parents=True, exist_ok=True)
        if name == "claude":  # whose file lies in the home itself
            file.write_text("{}")


# ---------------------------------------------------------------------------------------------- which file


@pytest.mark.parametrize("name", CLIENTS)
def test_for_a_user_the_entry_has_the_path_of_this_installation(stage: InstallStage, name: str) -> None:
    """In the file of the client and in its form; the PATH of a program from the desktop may hold next to nothing."""
    file, keys, wanted = USER_FILES[name]
    use(stage, name)
    said = stage.run("mcp", "install", name, "--user")
    assert (said.status, said.err) == (0, "")
    assert entry(stage.user_home / file, *keys) == wanted
    assert f"~/{file}" in said.out
    assert f"`runcept mcp doctor {name}`" in said.out


@pytest.mark.parametrize("name", CLIENTS)
def test_for_a_project_the_entry_is_what_works_for_everybody(stage: InstallStage, name: str) -> None:
    """Plain `runcept`, in the file beside the .runcept.toml; that is the place where nothing else was said."""
    stage.environ = {"PATH": str(Path(SCRIPT).parent)}
    below = stage.cwd / "api"
    below.mkdir()
    said = InstallStage(cwd=below, home=stage.home, environ=stage.environ).run("mcp", "install", name)
    assert (said.status, said.err) == (0, "")
    made = entry(stage.cwd / PROJECT_FILES[name], *CLIENTS[name].keys[0])
    assert made == CLIENTS[name].entry(Command(["runcept", "mcp"]))
    assert "in this project (there is a .runcept.toml here; or --user)" in said.out


def test_without_a_project_it_is_for_the_user(stage: InstallStage) -> None:
    """It is said that this was chosen; --project is refused, since it would be a file in some directory."""
    use(stage, "cursor")
    stage.cwd = stage.user_home
    said = stage.run("mcp", "install", "cursor")
    assert "in all of your projects (there is no .runcept.toml here; or --project)" in said.out
    assert entry(stage.user_home / ".cursor/mcp.json", "mcpServers") == STDIO
    refused = stage.run("mcp", "install", "cursor", "--project", "--json")
    assert (refused.status, refused.json["error"]["code"]) == (3, "project-not-found")


def test_e_names_the_project(stage: InstallStage) -> None:
    """From wherever one is."""
    project, stage.cwd = stage.cwd, stage.user_home
    assert stage.run("mcp", "install", "claude", "-e", str(project)).status == 0
    assert entry(project / ".mcp.json", "mcpServers")["command"] == "runcept"


def test_both_places_at_once_are_refused(stage: InstallStage) -> None:
    """Which one was meant cannot be known."""
    said = stage.run("mcp", "install", "claude", "--project", "--user")
    assert (said.status, said.out) == (2, "")
    assert not (stage.cwd / ".mcp.json").exists()


@pytest.mark.parametrize(
    ("name", "variable", "file"),
    [
        ("claude", "CLAUDE_CONFIG_DIR", ".claude.json"),
        ("codex", "CODEX_HOME", "config.toml"),
        ("gemini", "GEMINI_CLI_HOME", ".gemini/settings.json"),
        ("vscode", "XDG_CONFIG_HOME", "Code/User/mcp.json"),
        ("opencode", "XDG_CONFIG_HOME", "opencode/opencode.json"),
    ],
)
def test_a_client_that_was_moved_is_found(
    stage: InstallStage, tmp_path: Path, name: str, variable: str, file: str
) -> None:
    """By the variable that moves it."""
    place = tmp_path / "elsewhere" / file
    place.parent.mkdir(parents=True)
    stage.environ = {variable: str(tmp_path / "elsewhere")}
    assert stage.run("mcp", "install", name, "--user").status == 0
    assert entry(place, *CLIENTS[name].keys[0])


def test_vs_code_has_its_files_elsewhere_on_a_mac() -> None:
    """The others have theirs where they have them on Linux."""
    for name, client in CLIENTS.items():
        place = client.place(Scope.USER, "/Users/ada", None, {}, "darwin")
        below = "Library/Application Support/Code/User/mcp.json" if name == "vscode" else USER_FILES[name][0]
        assert place.paths[0] == f"/Users/ada/{below}"


def test_the_file_that_is_there_is_taken(stage: InstallStage) -> None:
    """OpenCode reads several names: the one that has the entry, else the one that is there, else the usual one."""
    (stage.cwd / "opencode.jsonc").write_text('{"model": "x", /* mine */}')
    stage.run("mcp", "install", "opencode")
    assert not (stage.cwd / "opencode.json").exists()
    assert "/* mine */" in (stage.cwd / "opencode.jsonc").read_text()
    (stage.cwd / "opencode.json").write_text("{}")
    stage.run("mcp", "install", "opencode")
    assert (stage.cwd / "opencode.json").read_text() == "{}"
    (stage.cwd / "opencode.jsonc").write_text("{}")
    stage.run("mcp", "install", "opencode")
    assert entry(stage.cwd / "opencode.json", "mcp")["command"] == ["runcept", "mcp"]
    assert (stage.cwd / "opencode.jsonc").read_text() == "{}"


def test_opencode_s_second_way_of_writing_it_is_kept(stage: InstallStage) -> None:
    """An entry below mcp.servers, as version 2 has it, is changed there and not written a second time."""
    old = {"mcp": {"servers": {"runcept": {"type": "local", "command": ["old"]}, "other": {"command": ["x"]}}}}
    (stage.cwd / "opencode.json").write_text(json.dumps(old))
    stage.run("mcp", "install", "opencode")
    servers = json.loads((stage.cwd / "opencode.json").read_text())["mcp"]
    assert set(servers) == {"servers"}
    assert servers["servers"]["runcept"]["command"] == ["runcept", "mcp"]


# ------------------------------------------------------------------------------------- what stands in it then

VSCODE = """\
// What the whole team uses.
{
\t"inputs": [], /* none */
\t"servers": {
\t\t"github": {"type": "http", "url": "https://example.org/mcp"}, // theirs
\t},
}
"""


def test_a_file_keeps_everything_that_is_not_ours(stage: InstallStage) -> None:
    """Comments, tabs, order, commas; what it was lies beside it."""
    file = stage.cwd / ".vscode" / "mcp.json"
    file.parent.mkdir()
    file.write_text(VSCODE)
    said = stage.run("mcp", "install", "vscode")
    ours = '\t\t"runcept": {\n\t\t\t"type": "stdio",\n\t\t\t"command": "runcept",\n\t\t\t"args": ["mcp"]\n\t\t},\n'
    assert file.read_text() == VSCODE.replace("\t},\n}", f"{ours}\t}},\n}}")
    assert Path(f"{file}{files.BACKUP}").read_text() == VSCODE
    assert ".vscode/mcp.json.runcept-backup" in said.out


def test_lines_end_as_they_did(stage: InstallStage) -> None:
    """A file of Windows stays one, and so does its byte order mark."""
    file = stage.cwd / ".cursor" / "mcp.json"
    file.parent.mkdir()
    file.write_bytes(b'\xef\xbb\xbf{\r\n  "mcpServers": {}\r\n}\r\n')
    stage.run("mcp", "install", "cursor")
    text = file.read_bytes()
    assert text.startswith(b"\xef\xbb\xbf{\r\n")
    assert text.count(b"\n") == text.count(b"\r\n") > 5


CODEX = """\
# my own
model = "gpt"   # not the other one

[mcp_servers.docs]
command = 'docs'  # local
args = [
  "serve",  # on stdio
]

[profiles.work]
model = "o3"
"""


def test_codex_keeps_its_comments(stage: InstallStage) -> None:
    """The table goes to the end, and nothing above it is touched."""
    file = stage.cwd / ".codex" / "config.toml"
    file.parent.mkdir()
    file.write_text(CODEX)
    stage.run("mcp", "install", "codex")
    assert file.read_text() == CODEX + '\n[mcp_servers.runcept]\ncommand = "runcept"\nargs = ["mcp"]\n'


def test_an_older_entry_is_replaced_and_keeps_what_a_person_added(stage: InstallStage) -> None:
    """Another path is ours to correct, a time limit is not; it is said what was there."""
    file = stage.cwd / ".codex" / "config.toml"
    file.parent.mkdir()
    head = '[mcp_servers.runcept]  # see docs/mcp.md\ncommand = "/old/runcept" # by hand\nargs = ["mcp", "--old"]\n'
    file.write_text(head + 'startup_timeout_sec = 40\n\n[mcp_servers.runcept.env]\nLANG = "C"\n')
    said = stage.run("mcp", "install", "codex")
    assert "replaced in .codex/config.toml: runcept mcp, in place of /old/runcept mcp --old" in said.out
    assert file.read_text() == (
        '[mcp_servers.runcept]  # see docs/mcp.md\ncommand = "runcept" # by hand\nargs = ["mcp"]\n'
        'startup_timeout_sec = 40\n\n[mcp_servers.runcept.env]\nLANG = "C"\n'
    )


def test_a_last_line_that_is_not_ended_is(stage: InstallStage) -> None:
    """What comes behind it begins a line of its own."""
    file = stage.cwd / ".codex" / "config.toml"
    file.parent.mkdir()
    file.write_text('[mcp_servers.runcept]\ncommand = "/old/runcept"')
    assert stage.run("mcp", "install", "codex").status == 0
    assert file.read_text() == '[mcp_servers.runcept]\ncommand = "runcept"\nargs = ["mcp"]\n'


@pytest.mark.parametrize(
    "old", [{"type": "http", "url": "http://127.0.0.1:8765/mcp"}, {"enabled": False}, "runcept", None, []]
)
def test_an_entry_that_is_no_command_is_replaced_as_a_whole(stage: InstallStage, old: object) -> None:
    """A server that is reached by URL has no use for a command, nor a command for its URL."""
    file = stage.cwd / ".mcp.json"
    file.write_text(json.dumps({"mcpServers": {"runcept": old, "other": {"command": "x"}}}))
    assert stage.run("mcp", "install", "claude", "--json").json["change"] == "replaced"
    assert json.loads(file.read_text())["mcpServers"] == {
        "runcept": {"type": "stdio", "command": "runcept", "args": ["mcp"]},
        "other": {"command": "x"},
    }


def test_what_was_switched_off_is_switched_on(stage: InstallStage) -> None:
    """Whoever installs it wants it to run."""
    file = stage.cwd / ".codex" / "config.toml"
    file.parent.mkdir()
    file.write_text('[mcp_servers.runcept]\ncommand = "runcept"\nargs = ["mcp"]\nenabled = false # for now\n')
    stage.run("mcp", "install", "codex")
    assert "enabled = true # for now" in file.read_text()


@pytest.mark.parametrize("name", CLIENTS)
def test_a_second_time_changes_nothing_and_says_so(stage: InstallStage, name: str) -> None:
    """Neither the file nor its instant, and no copy of it is made."""
    stage.run("mcp", "install", name)
    file = stage.cwd / PROJECT_FILES[name]
    before = file.read_bytes(), file.stat().st_mtime_ns, sorted(file.parent.iterdir())
    said = stage.run("mcp", "install", name)
    assert "has Runcept already" in said.out
    assert (file.read_bytes(), file.stat().st_mtime_ns, sorted(file.parent.iterdir())) == before
    assert not Path(f"{file}{files.BACKUP}").exists()
    assert stage.run("mcp", "install", name, "--json").json["change"] == "unchanged"


def test_a_home_of_ones_own_is_told_to_the_server(stage: InstallStage) -> None:
    """The client would not pass RUNCEPT_HOME on, and the server would look after another home than the shell does."""
    use(stage, "codex", "opencode")
    stage.environ = {"RUNCEPT_HOME": str(stage.home)}
    stage.run("mcp", "install", "codex", "--user")
    stage.run("mcp", "install", "opencode", "--user")
    assert entry(stage.user_home / ".codex/config.toml", "mcp_servers")["env"] == {"RUNCEPT_HOME": str(stage.home)}
    opencode = entry(stage.user_home / ".config/opencode/opencode.json", "mcp")
    assert opencode["environment"] == {"RUNCEPT_HOME": str(stage.home)}


def test_a_project_s_file_says_nothing_of_this_machine(stage: InstallStage) -> None:
    """Neither the home nor a path; that a client may miss both is said here and now."""
    stage.environ = {"RUNCEPT_HOME": str(stage.home)}
    said = stage.run("mcp", "install", "claude")
    assert str(stage.user_home) not in (stage.cwd / ".mcp.json").read_text()
    assert "runcept: runcept is not on PATH here" in said.err
    assert "runcept: RUNCEPT_HOME is set here" in said.err


def test_the_script_that_stays_is_written(stage: InstallStage, tmp_path: Path) -> None:
    """A link on PATH to this installation outlives the directory that it leads to; another program is not ours."""
    use(stage, "cursor")
    links, others = tmp_path / "links", tmp_path / "others"
    for directory in (links, others):
        directory.mkdir()
    (links / "runcept").symlink_to(SCRIPT)
    (others / "runcept").write_text("#!/bin/sh\n")
    (others / "runcept").chmod(0o755)
    file = stage.user_home / ".cursor/mcp.json"
    for path, wanted in ((links, str(links / "runcept")), (others, SCRIPT)):
        stage.environ = {"PATH": str(path)}
        stage.run("mcp", "install", "cursor", "--user")
        assert entry(file, "mcpServers")["command"] == wanted


# --------------------------------------------------------------------------------------- what is left alone


def test_print_changes_nothing(stage: InstallStage) -> None:
    """It shows where, and the entry as one would write it by hand; with -q only that, which a program can read."""
    file = stage.cwd / ".mcp.json"
    said = stage.run("mcp", "install", "claude", "--print")
    assert said.out.startswith("this would be written into .mcp.json:\n{\n")
    shown = stage.run("mcp", "install", "claude", "--print", "-q").json
    assert shown == {"mcpServers": {"runcept": {"type": "stdio", "command": "runcept", "args": ["mcp"]}}}
    assert not file.exists()
    file.write_text(json.dumps({"mcpServers": {"runcept": {"command": "/old/runcept"}}}))
    before = file.read_bytes()
    said = stage.run("mcp", "install", "claude", "--print")
    assert said.out.startswith("in .mcp.json this would take the place of /old/runcept:\n")
    document = stage.run("mcp", "install", "claude", "--print", "--json").json
    assert (document["change"], document["written"]) == ("replaced", False)
    assert json.loads(document["text"]) == shown
    assert file.read_bytes() == before
    stage.run("mcp", "install", "claude")
    assert stage.run("mcp", "install", "claude", "--print").out.startswith(".mcp.json has it already:\n")


BROKEN = {
    "claude": (
        '{\n  "mcpServers": {\n    "x": {"command": "y"}\n    "z": {}\n  }\n}\n',
        "4:5: a comma was expected here",
    ),
    "cursor": ('{"mcpServers": {', "1:16: the object is not closed"),
    "vscode": ('{"servers": [] }', "1:13: an object was expected here"),
    "gemini": ("[]", "1:1: an object was expected"),
    "codex": ('model = "x"\nmodel = "y"\n', "2:12: Cannot overwrite a value"),
    "opencode": ('{"mcp": nul}', "1:9: a value was expected here"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_with_a_mistake_is_left_as_it_is(stage: InstallStage, name: str) -> None:
    """It is shown where the mistake is; exit status 4. Whatever is overwritten there cannot be guessed again."""
    text, place = BROKEN[name]
    file = stage.cwd / PROJECT_FILES[name]
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    said = stage.run("mcp", "install", name)
    assert (said.status, said.out) == (4, "")
    assert f"{PROJECT_FILES[name]}:{place}" in said.err
    assert "^" in said.err
    assert file.read_text() == text
    assert sorted(file.parent.iterdir()) == sorted({file, *file.parent.glob(".runcept.toml")})
    error = stage.run("mcp", "install", name, "--json").json["error"]
    assert (error["code"], error["line"]) == ("client-file-invalid", int(place.partition(":")[0]))


def test_a_secret_beside_the_mistake_is_not_shown(stage: InstallStage) -> None:
    """These files hold tokens, and what is shown is often pasted elsewhere."""
    (stage.cwd / ".mcp.json").write_text('{"mcpServers": {"x": {"env": {"GITHUB_TOKEN": "ghp_0123456789"}}} "y"}')
    for said in (stage.run("mcp", "install", "claude"), stage.run("mcp", "install", "claude", "--json")):
        assert "ghp_" not in said.out + said.err
        assert said.status == 4


@pytest.mark.parametrize(
    ("content", "why"),
    [(b'{"a": "\xe9"}', "it is not UTF-8: byte 0xe9 on line 1"), (None, "is a directory")],
)
def test_what_is_no_text_is_left_alone(stage: InstallStage, content: bytes | None, why: str) -> None:
    """Exit status 4, and what is wrong."""
    file = stage.cwd / ".mcp.json"
    file.mkdir() if content is None else file.write_bytes(content)
    said = stage.run("mcp", "install", "claude")
    assert (said.status, why in said.err) == (4, True)


def test_a_client_that_nobody_uses_leaves_no_files_behind(stage: InstallStage) -> None:
    """For a user: neither its directory is there, nor its program on PATH. --print shows what it would need."""
    said = stage.run("mcp", "install", "cursor", "--user")
    assert said.status == 3
    assert said.err.startswith("runcept: Cursor does not seem to be used here: there is no ~/.cursor, and no cursor on")
    assert not (stage.user_home / ".cursor").exists()
    assert stage.run("mcp", "install", "cursor", "--user", "--print").status == 0
    assert not (stage.user_home / ".cursor").exists()
    said = stage.run("mcp", "install", "claude", "--user")  # whose file lies in the home itself
    assert (said.status, (stage.user_home / ".claude.json").exists()) == (3, False)


def test_a_client_that_was_never_started_gets_its_directory(stage: InstallStage, tmp_path: Path) -> None:
    """Its program is on PATH; the directory is for the user alone, as such files hold tokens."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "cursor").write_text("#!/bin/sh\n")
    (tmp_path / "bin" / "cursor").chmod(0o755)
    stage.environ = {"PATH": str(tmp_path / "bin")}
    assert stage.run("mcp", "install", "cursor", "--user").status == 0
    assert stat.S_IMODE((stage.user_home / ".cursor").stat().st_mode) == 0o700
    assert stat.S_IMODE((stage.user_home / ".cursor" / "mcp.json").stat().st_mode) == 0o600


# ------------------------------------------------------------------------------------------------- the disk


def test_the_mode_of_a_file_stays(stage: InstallStage) -> None:
    """Of its copy too: it holds the same tokens."""
    file = stage.cwd / ".mcp.json"
    file.write_text("{}")
    file.chmod(0o640)
    stage.run("mcp", "install", "claude")
    for each in (file, Path(f"{file}{files.BACKUP}")):
        assert stat.S_IMODE(each.stat().st_mode) == 0o640


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
def test_the_owner_of_a_file_stays_where_root_changes_it(stage: InstallStage) -> None:
    """`sudo runcept` in somebody's home must not take the file away."""
    file = stage.cwd / ".mcp.json"
    file.write_text("{}")
    os.chown(file, 12345, 12346)
    assert stage.run("mcp", "install", "claude").status == 0
    for each in (file, Path(f"{file}{files.BACKUP}")):
        assert (each.stat().st_uid, each.stat().st_gid) == (12345, 12346)


def test_a_link_is_followed(stage: InstallStage, tmp_path: Path) -> None:
    """Dotfiles are links into a repository: the file there changes, and the link stays one."""
    dotfiles = tmp_path / "dotfiles"
    dotfiles.mkdir()
    (dotfiles / "mcp.json").write_text('{"mcpServers": {}}')
    (stage.cwd / ".mcp.json").symlink_to(dotfiles / "mcp.json")
    stage.run("mcp", "install", "claude")
    assert (stage.cwd / ".mcp.json").is_symlink()
    assert entry(dotfiles / "mcp.json", "mcpServers")["command"] == "runcept"
    assert (dotfiles / f"mcp.json{files.BACKUP}").read_text() == '{"mcpServers": {}}'


def test_a_link_that_leads_nowhere_yet_is_followed(stage: InstallStage, tmp_path: Path) -> None:
    """The file is made where it leads."""
    (stage.cwd / ".mcp.json").symlink_to(tmp_path / "shared.json")
    stage.run("mcp", "install", "claude")
    assert (stage.cwd / ".mcp.json").is_symlink()
    assert entry(tmp_path / "shared.json", "mcpServers")["command"] == "runcept"


def test_a_file_that_its_program_has_just_written_is_left_alone(tmp_path: Path) -> None:
    """What it wrote meanwhile would be lost: that is said, and nothing is written."""
    file = tmp_path / ".claude.json"
    file.write_text('{"numStartups": 2}')
    with pytest.raises(files.RunceptError, match="was changed meanwhile"):
        files.replace(str(file), '{"numStartups": 1}', "{}", private=True)
    with pytest.raises(files.RunceptError, match="was changed meanwhile"):
        files.replace(str(file), None, "{}", private=True)
    assert file.read_text() == '{"numStartups": 2}'
    assert [*tmp_path.iterdir()] == [file]


def test_what_the_system_refuses_is_said(stage: InstallStage) -> None:
    """A file where a directory is needed, for one; nothing of ours is left."""
    (stage.cwd / ".cursor").write_text("")
    said = stage.run("mcp", "install", "cursor")
    assert said.status == 4
    assert ".cursor/mcp.json: not a directory" in said.err


# ------------------------------------------------------------------------------------- the client's own command

CLAUDE = """\
#!{python}
# Stands in for `claude mcp add --scope user NAME [-e KEY=VALUE] -- COMMAND…`, which rewrites all of its file.
import json, os, sys
file = os.path.join(os.environ["HOME"], ".claude.json")
open(os.path.join(os.environ["HOME"], "asked"), "w").write(json.dumps(sys.argv[1:]))
{first}
values = json.load(open(file)) if os.path.exists(file) else {{}}
head, (command, *arguments) = sys.argv[1:sys.argv.index("--")], sys.argv[sys.argv.index("--") + 1:]
environ = dict([head[-1].split("=")]) if "-e" in head else {{}}
made = {{"type": "stdio", "command": command, "args": arguments, "env": environ}}
values.setdefault("mcpServers", {{}})[head[4]] = made
json.dump(values | {{"byClaude": True}}, open(file, "w"))
"""


def claude(stage: InstallStage, first: str = "") -> None:
    """Put a `claude` on PATH that does `first` before it does what it is asked."""
    place = stage.user_home / "bin" / "claude"
    place.parent.mkdir()
    place.write_text(CLAUDE.format(python=sys.executable, first=first))
    place.chmod(0o755)
    stage.environ = {**stage.environ, "PATH": str(place.parent)}


def test_claude_code_adds_it_itself(stage: InstallStage) -> None:
    """It takes its own lock on a file that it writes again and again; variables go along, and a copy is made."""
    claude(stage)
    stage.environ = {**stage.environ, "RUNCEPT_HOME": str(stage.home)}
    file = stage.user_home / ".claude.json"
    file.write_text('{"numStartups": 7}')
    said = stage.run("mcp", "install", "claude", "--user")
    assert "added in ~/.claude.json by `claude mcp add`" in said.out
    values = json.loads(file.read_text())
    assert (values["numStartups"], values["byClaude"]) == (7, True)
    assert values["mcpServers"]["runcept"] == {**STDIO, "env": {"RUNCEPT_HOME": str(stage.home)}}
    assert Path(f"{file}{files.BACKUP}").read_text() == '{"numStartups": 7}'
    (stage.user_home / "asked").unlink()
    assert stage.run("mcp", "install", "claude", "--user", "--json").json["change"] == "unchanged"
    assert not (stage.user_home / "asked").exists()


def test_claude_code_is_not_asked_what_it_would_refuse_or_do_otherwise(stage: InstallStage) -> None:
    """Replacing an entry, which it does not; a project's file, whose layout it does not keep; and --print."""
    claude(stage)
    document = stage.run("mcp", "install", "claude", "--user", "--print", "--json").json
    assert document["own_command"][1:6] == ["mcp", "add", "--scope", "user", "runcept"]
    assert stage.run("mcp", "install", "claude", "--project").status == 0
    (stage.user_home / ".claude.json").write_text('{"mcpServers": {"runcept": {"command": "old", "timeout": 5}}}')
    assert stage.run("mcp", "install", "claude", "--user").status == 0
    assert entry(stage.user_home / ".claude.json", "mcpServers") == {**STDIO, "timeout": 5}
    assert not (stage.user_home / "asked").exists()


@pytest.mark.parametrize(
    ("first", "why"),
    [("sys.exit('not logged in')", "exit code 1: not logged in"), ("sys.exit(0)", "exit code 0")],
)
def test_where_claude_code_does_not_do_it_the_file_is_changed(stage: InstallStage, first: str, why: str) -> None:
    """Whatever it says: the file is looked at afterwards."""
    claude(stage, first)
    said = stage.run("mcp", "install", "claude", "--user")
    assert said.status == 0
    assert f"`claude mcp add` did not do it ({why}), so the file itself was changed" in said.err
    assert entry(stage.user_home / ".claude.json", "mcpServers") == STDIO


# ----------------------------------------------------------------------------------------------- what is said


@pytest.mark.parametrize(
    ("name", "text", "warned"),
    [
        (
            "claude",
            '{\n  // ours\n  "mcpServers": {}\n}',
            "does not read files with comments, as .mcp.json has on line 2",
        ),
        ("gemini", '{"mcpServers": {},}', "does not read files with a comma after the last element"),
        ("gemini", '{"mcpServers": {} /* fine */}', ""),
        ("opencode", '{"mcp": {}, /* fine */}', ""),
    ],
)
def test_a_file_that_the_client_itself_cannot_read_is_told_of(
    stage: InstallStage, name: str, text: str, warned: str
) -> None:
    """The entry is put in, and would be without effect."""
    stage.environ = {"PATH": str(Path(SCRIPT).parent)}
    file = stage.cwd / PROJECT_FILES[name]
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    said = stage.run("mcp", "install", name)
    assert said.status == 0
    assert warned in said.err
    assert bool(said.err) == bool(warned)


def test_the_document_tells_all(stage: InstallStage) -> None:
    """What a script needs: where, what, and what became of it."""
    stage.environ = {"PATH": str(Path(SCRIPT).parent)}
    (stage.cwd / ".mcp.json").write_text("{}")
    said = stage.run("mcp", "install", "claude", "--json")
    assert said.err == ""
    document = said.json
    del document["text"]
    assert document == {
        "client": "claude",
        "scope": "project",
        "file": str(stage.cwd / ".mcp.json"),
        "change": "added",
        "written": True,
        "command": ["runcept", "mcp"],
        "environ": {},
        "own_command": None,
        "backup": os.fspath(stage.cwd / f".mcp.json{files.BACKUP}"),
        "warnings": [],
    }


def test_a_client_that_is_not_known_is_a_usage_error(stage: InstallStage) -> None:
    """With those that are."""
    said = stage.run("mcp", "install", "emacs")
    assert said.status == 2
    assert "'claude', 'cursor', 'vscode', 'codex', 'gemini', 'opencode'" in said.err
