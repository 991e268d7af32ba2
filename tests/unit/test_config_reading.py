"""Reading a project file: every way in which that fails is one clear error."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from runcept.config.project import load_project
from runcept.config.settings import Settings
from runcept.errors import ConfigInvalid, ConfigUnreadable, ProjectNotFound

VALID = '[project]\nname = "shop"\n\n[[process]]\nname = "web"\ncommand = "serve --port 1"\n'


def write(directory: Path, data: bytes) -> Path:
    """A project file with these bytes."""
    file = directory / ".runcept.toml"
    file.write_bytes(data)
    return file


def refused(path: Path) -> ConfigUnreadable:
    """The error that reading raises."""
    with pytest.raises(ConfigUnreadable) as caught:
        load_project(str(path), Settings())
    assert caught.value.exit_status == 4
    return caught.value


def syntax(directory: Path, text: str) -> tuple[object, object, str]:
    """Line, column and message of the one problem of a file that is not TOML."""
    write(directory, text.encode())
    with pytest.raises(ConfigInvalid) as caught:
        load_project(str(directory), Settings())
    (problem,) = caught.value.fields["problems"]  # type: ignore[misc]
    return problem["line"], problem["column"], problem["message"]


def test_a_missing_file_is_no_project(tmp_path: Path) -> None:
    """Exit status 3 and the directory, since there is nothing to correct in a file."""
    with pytest.raises(ProjectNotFound, match=str(tmp_path)) as caught:
        load_project(str(tmp_path), Settings())
    assert caught.value.exit_status == 3


@pytest.mark.parametrize("part", ["", ".runcept.toml"])
def test_a_project_is_named_by_its_file_or_directory(tmp_path: Path, part: str) -> None:
    """Both give the same project, whose path is the canonical directory."""
    write(tmp_path, VALID.encode())
    assert load_project(str(tmp_path / part), Settings()).path == os.path.realpath(tmp_path)


@pytest.mark.parametrize(
    "data", [b"\xef\xbb\xbf" + VALID.encode(), VALID.replace("\n", "\r\n").encode()], ids=["BOM", "CRLF"]
)
def test_what_editors_on_other_systems_write_is_accepted(tmp_path: Path, data: bytes) -> None:
    """A byte order mark and CRLF line ends change nothing."""
    write(tmp_path, data)
    assert load_project(str(tmp_path), Settings()).processes[0].command == "serve --port 1"


def test_a_link_belongs_to_the_directory_that_holds_it(tmp_path: Path) -> None:
    """The file may live elsewhere; the project is where the link is."""
    (tmp_path / "shared").mkdir()
    (tmp_path / "project").mkdir()
    target = write(tmp_path / "shared", VALID.encode())
    (tmp_path / "project" / ".runcept.toml").symlink_to(target)
    assert load_project(str(tmp_path / "project"), Settings()).path == os.path.realpath(tmp_path / "project")


def test_a_directory_reached_through_a_link_is_the_same_project(tmp_path: Path) -> None:
    """Identity is the canonical path."""
    (tmp_path / "real").mkdir()
    write(tmp_path / "real", VALID.encode())
    (tmp_path / "alias").symlink_to(tmp_path / "real")
    assert load_project(str(tmp_path / "alias"), Settings()).path == os.path.realpath(tmp_path / "real")


def test_a_path_with_spaces_and_other_scripts_works(tmp_path: Path) -> None:
    """Nothing in a path is special."""
    directory = tmp_path / "my ünï 漢字 'project'"
    directory.mkdir()
    write(directory, VALID.encode())
    assert load_project(str(directory), Settings()).processes[0].working_dir == os.path.realpath(directory)


def test_a_dangling_link_says_where_it_leads(tmp_path: Path) -> None:
    """It is there, and yet there is nothing to read."""
    (tmp_path / ".runcept.toml").symlink_to("/nowhere/at/all")
    assert "a link to /nowhere/at/all, which does not exist" in refused(tmp_path).message


def test_a_directory_of_that_name_is_refused(tmp_path: Path) -> None:
    """As the file's own path and as the project's."""
    (tmp_path / ".runcept.toml").mkdir()
    assert "it is a directory" in refused(tmp_path).message
    assert "it is a directory" in refused(tmp_path / ".runcept.toml").message


def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    """Opening a FIFO for reading would wait for a writer for ever."""
    os.mkfifo(tmp_path / ".runcept.toml")
    assert "not a regular file" in refused(tmp_path).message


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    """The operating system's reason is passed on."""
    if os.geteuid():
        write(tmp_path, VALID.encode()).chmod(0)
        assert "permission denied" in refused(tmp_path).message
    else:  # root may read anything but this
        (tmp_path / ".runcept.toml").symlink_to("/proc/self/mem")
        assert "input/output error" in refused(tmp_path).message


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    """It would run that user's commands as us."""
    os.chown(write(tmp_path, VALID.encode()), 12345, -1)
    assert "belongs to uid 12345" in refused(tmp_path).message


def test_a_large_file_is_refused_at_once(tmp_path: Path) -> None:
    """10 MB are not read, let alone parsed."""
    write(tmp_path, VALID.encode() + b"# padding\n" * 1_000_000)
    begin = time.monotonic()
    assert "larger than 1 MiB" in refused(tmp_path).message
    assert time.monotonic() - begin < 1


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b'[project]\nname = "caf\xe9"\n', "byte 0xe9 on line 2"),
        ("[project]".encode("utf-16"), "byte 0xff on line 1"),
    ],
    ids=["latin-1", "utf-16"],
)
def test_another_encoding_is_refused_with_its_first_byte(tmp_path: Path, data: bytes, why: str) -> None:
    """TOML is UTF-8."""
    write(tmp_path, data)
    assert why in refused(tmp_path).message


def test_a_path_that_is_not_text_is_refused(tmp_path: Path) -> None:
    """It could be written neither into JSON nor into the database."""
    directory = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(directory)
    with pytest.raises(ConfigUnreadable, match="not UTF-8"):
        load_project(os.fsdecode(directory), Settings())
    with pytest.raises(ConfigUnreadable, match="not UTF-8"):
        load_project("/tmp/\0", Settings())


def test_syntax_errors_have_their_place(tmp_path: Path) -> None:
    """The line and column are those of the TOML parser, the end of the file is just after its last character."""
    assert syntax(tmp_path, '[project]\nname = "é\n')[:2] == (2, 10)
    assert syntax(tmp_path, "[project]\nname = shop\n")[:2] == (2, 8)
    assert syntax(tmp_path, '[project]\nname = """a\n\n')[:2] == (2, 12)
    assert syntax(tmp_path, "[project]\r\nname = \r\n")[0] == 2


def test_hostile_toml_is_refused_at_once(tmp_path: Path) -> None:
    """Deep nesting, a key of 300,000 parts (minutes and gigabytes in tomllib) and a number of 10,000 digits."""
    begin = time.monotonic()
    assert "nested too deeply" in syntax(tmp_path, "a = " + "[" * 100_000)[2]
    assert "more than 64 parts" in syntax(tmp_path, "a." * 300_000 + "b = 1")[2]
    assert "more than 64 parts" in syntax(tmp_path, "x = 1\n[" + "a . " * 100_000 + "b]")[2]
    assert "4300 digits" in syntax(tmp_path, "a = " + "1" * 10_000)[2]
    assert time.monotonic() - begin < 5


def test_a_text_with_many_dots_is_no_hostile_key(tmp_path: Path) -> None:
    """A long class path in a command stays what it is."""
    dots = "a.b.c:" * 50
    write(tmp_path, VALID.replace("serve", dots).encode())
    assert load_project(str(tmp_path), Settings()).processes[0].command == f"{dots} --port 1"
