"""The directories that are watched for some globs, and what git ignores, as git itself says."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from runcept.core.globs import Globs
from runcept.daemon import trees
from runcept.daemon.trees import Ignored, TooMany, is_noise, look

TREE = {
    ".gitignore": "*.log\n!keep.log\n/top\nbuild/\ndocs/*\n!docs/api\n**/deep/*.tmp\n[bad\n# note\n\\#odd\n",
    "sub/.gitignore": "*\n!*.py\n!.gitignore\n!inner/\n",
    "sub/inner/.gitignore": "!*.log\nlocal.py\n",
    "a.log": "",
    "keep.log": "",
    "top": "",
    "x/top": "",
    "x/a.py": "",
    "x/deep/a.tmp": "",
    "x/deep/er/a.tmp": "",
    "build/a.py": "",
    "x/build/b/keep.log": "",
    "docs/a.md": "",
    "docs/api/a.md": "",
    "sub/a.py": "",
    "sub/a.txt": "",
    "sub/inner/a.log": "",
    "sub/inner/a.py": "",
    "sub/inner/local.py": "",
    "sub/closed/a.py": "",
    "secret": "",
    "#odd": "",
}


def make(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def git(root: Path, *arguments: str, told: Sequence[str] = ()) -> str:
    environ = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    return subprocess.run(
        ["git", *arguments], cwd=root, env=environ, input="\n".join(told), capture_output=True, text=True, check=False
    ).stdout


def watched(project: Path, *globs: str, others: Sequence[str] = ()) -> set[str]:
    """The directories, relative to the project."""
    found = look(str(project), [Globs(globs, str(project))], others).directories
    return {os.path.relpath(each, project) for each in found}


@pytest.mark.parametrize("below", ["", "x", "sub/inner"])
def test_what_is_ignored_is_what_git_says(tmp_path: Path, below: str) -> None:
    """With nested files, negations, and a project that is only a part of the repository."""
    make(tmp_path, TREE)
    git(tmp_path, "init", "-q")
    (tmp_path / ".git" / "info" / "exclude").write_text("secret\n")
    said = set(git(tmp_path, "check-ignore", "--no-index", "--stdin", told=list(TREE)).splitlines())
    ignored = Ignored(str(tmp_path / below))
    ours = {name for name in TREE if str(tmp_path / name) in ignored}
    assert len(said) > 8
    assert ours == {name.strip('"') for name in said}


def test_without_a_repository_the_files_count_all_the_same(tmp_path: Path) -> None:
    """From the project's directory on."""
    make(tmp_path, {".gitignore": "*.py", "p/.gitignore": "*.log", "p/a.py": "", "p/a.log": ""})
    ignored = Ignored(str(tmp_path / "p"))
    assert str(tmp_path / "p" / "a.py") not in ignored
    assert str(tmp_path / "p" / "a.log") in ignored


def test_a_repository_that_ignores_the_whole_project_does_not_count(tmp_path: Path) -> None:
    """As one that keeps a few files of a home directory."""
    make(tmp_path, {".gitignore": "*", "code/p/a.py": ""})
    git(tmp_path, "init", "-q")
    assert str(tmp_path / "code" / "p" / "a.py") not in Ignored(str(tmp_path / "code" / "p"))


def test_only_directories_that_matter_are_watched(tmp_path: Path) -> None:
    """Neither what git ignores, nor what tools make, nor what is excluded, nor what no glob leads to."""
    make(
        tmp_path,
        {
            ".gitignore": "dist/\n",
            "src/a.py": "",
            "src/x/y/a.py": "",
            "src/dist/z/a.py": "",
            "src/node_modules/z/a.py": "",
            "src/__pycache__/a.py": "",
            "src/gen/z/a.py": "",
            "other/z/a.py": "",
        },
    )
    (tmp_path / "src" / "loop").symlink_to(tmp_path)
    assert watched(tmp_path, "src/**/*.py", "!src/gen/**") == {".", "src", "src/x", "src/x/y"}
    assert watched(tmp_path, "*.toml") == {"."}
    assert watched(tmp_path, "src/*/y/*") == {".", "src", "src/x", "src/x/y"} | {"src/gen"}


def test_what_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    """In the nearest directory that there is; a file named by itself also where git ignores it."""
    make(tmp_path, {".gitignore": "dist/\n", "dist/a.js": ""})
    assert watched(tmp_path, "src/app/**/*.py") == {"."}
    assert watched(tmp_path, "dist/app.js") == {".", "dist"}
    assert watched(tmp_path, "x", others=[str(tmp_path / "conf" / "env")]) == {"."}


def test_too_many_directories_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody watches his whole home by mistake."""
    monkeypatch.setattr(trees, "DIRECTORIES_MAX", 5)
    make(tmp_path, {f"{number}/a": "" for number in range(6)})
    with pytest.raises(TooMany):
        watched(tmp_path, "**")


@pytest.mark.parametrize(
    ("path", "noise"),
    [
        ("src/app.py", False),
        ("src/.app.py.swp", True),
        ("src/app.py~", True),
        ("src/.#app.py", True),
        ("src/4913", True),
        ("src/app.pyc", True),
        ("src/node_modules/x/a.js", True),
        ("../lib/.git/HEAD", True),
        (".runcept/logs/web.jsonl", True),
        (".runcept.toml", True),
        (".env", False),
    ],
)
def test_what_editors_and_tools_write_beside_the_files(path: str, noise: bool) -> None:
    """Opening a file is no change."""
    assert is_noise(path) is noise
