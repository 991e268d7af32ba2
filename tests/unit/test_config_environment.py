"""The environment of a process as files give it: which level wins, and that values are taken to the byte."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runcept.config.environment import read_env_file
from runcept.config.project import load_project
from runcept.config.settings import Settings


def environment(directory: Path, shared: str, own: str, settings: Settings | None = None) -> dict[str, str]:
    """The environment of the process of a file with one."""
    text = f'[project]\nname = "shop"\n{shared}\n[[process]]\nname = "web"\ncommand = "serve"\n{own}\n'
    (directory / ".runcept.toml").write_text(text, encoding="utf-8")
    return load_project(str(directory), settings or Settings()).processes[0].env


def test_later_sources_win(tmp_path: Path) -> None:
    """Settings, the project's files in order, the process's files in order, the project's env, the process's env."""
    names = "ABCDEFG"
    for number, file in enumerate(["p1.env", "p2.env", "w1.env", "w2.env"], 1):
        (tmp_path / file).write_text("".join(f"{name}={number}\n" for name in names[number:]), encoding="utf-8")
    found = environment(
        tmp_path,
        "env_files = ['p1.env', 'p2.env']\nenv = { F = 5, G = 5 }",
        "env_files = ['w1.env', 'w2.env']\nenv = { G = 6 }",
        Settings(env=dict.fromkeys(names, "0")),
    )
    assert found == {"A": "0", "B": "1", "C": "2", "D": "3", "E": "4", "F": "5", "G": "6"}


def test_values_are_taken_to_the_byte(tmp_path: Path) -> None:
    """Nothing is expanded, trimmed or escaped."""
    values = {"A": "$HOME ${X} %PATH% `id`", "B": "  two \t spaces ", "C": "a=b#c", "D": "é漢\U0001f600", "E": ""}
    lines = "\n".join(f"{name} = '{value}'" for name, value in values.items())
    assert environment(tmp_path, "", f"[process.env]\n{lines}\nF = '''\na\nb'''") == {**values, "F": "a\nb"}


def test_numbers_and_booleans_become_text(tmp_path: Path) -> None:
    """A float keeps the digits it was written with: a version 1.10 is not 1.1."""
    line = "env = { I = 8_000, H = 0x10, N = -1, F = 1.10, E = 1e3, T = true, O = false, X = inf }"
    assert environment(tmp_path, "", line) == {
        "I": "8000",
        "H": "16",
        "N": "-1",
        "F": "1.10",
        "E": "1e3",
        "T": "true",
        "O": "false",
        "X": "inf",
    }


def test_names_are_taken_as_they_are(tmp_path: Path) -> None:
    """Whatever execve(2) takes: lower case, dots, dashes, other scripts."""
    assert environment(tmp_path, "", "env = { 'a.b' = '1', 'é-x y' = '2' }") == {"a.b": "1", "é-x y": "2"}


def test_dotenv_files_are_read_without_interpolation(tmp_path: Path) -> None:
    """Quotes, comments, `export` and CRLF as everywhere; `$` stays `$`; a name without `=` is left out."""
    (tmp_path / "x.env").write_bytes(
        b"\xef\xbb\xbf# comment\r\nA=1\r\n"
        b"export B='two words'\r\nC=\"$A ${B}\\n\"\nD=$A\nE=x # comment\nF=\nINHERITED\nG='a\nb'\n"
    )
    assert read_env_file(str(tmp_path / "x.env")) == {
        "A": "1",
        "B": "two words",
        "C": "$A ${B}\n",
        "D": "$A",
        "E": "x",
        "F": "",
        "G": "a\nb",
    }


def test_files_are_relative_to_the_project_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also a process's, whatever its working directory; `~` is the home directory."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for directory, value in (("", "1"), ("home", "2")):
        os.makedirs(tmp_path / directory, exist_ok=True)
        (tmp_path / directory / "x.env").write_text(f"X{value}=1\n", encoding="utf-8")
    found = environment(tmp_path, "working_dir = 'elsewhere'", "working_dir = 'w'\nenv_files = ['x.env', '~/x.env']")
    assert found == {"X1": "1", "X2": "1"}
