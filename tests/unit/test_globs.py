"""Which files the globs of `watch` mean, and in which directories they are looked for."""

from __future__ import annotations

import pytest

from runcept.core.globs import ALTERNATIVES_MAX, Globs, alternatives

MEANT = [
    ("src/**/*.py", "src/a.py", True),
    ("src/**/*.py", "src/x/y/a.py", True),
    ("src/**/*.py", "src/a.txt", False),
    ("src/**/*.py", "other/src/a.py", False),
    ("src/*.py", "src/x/a.py", False),
    ("*.py", "a.py", True),
    ("*.py", "x/a.py", False),
    ("**/*.py", "a.py", True),
    ("**/*.py", "x/y/a.py", True),
    ("**", "x/y/a.py", True),
    ("src/**", "src/a", True),
    ("src/**", "src", False),
    ("src", "src", True),
    ("src", "src/x/a", True),
    ("src/", "src/x/a", True),
    ("src", "srca", False),
    ("./src/a.py", "src/a.py", True),
    ("src/?.py", "src/a.py", True),
    ("src/?.py", "src/ab.py", False),
    ("src/[ab].py", "src/b.py", True),
    ("src/[!ab].py", "src/b.py", False),
    ("src/*.{js,ts}", "src/a.ts", True),
    ("src/*.{js,ts}", "src/a.py", False),
    ("{src,lib}/**/*.{js,ts}", "lib/x/a.js", True),
    ("src/.*", "src/.hidden", True),
    ("src/*", "src/.hidden", True),
    ("../common/**/*.py", "../common/x/a.py", True),
    ("../common/**/*.py", "common/x/a.py", False),
    ("/elsewhere/*.py", "/elsewhere/a.py", True),
    ("**/test/**/*.py", "a/test/b/c.py", True),
    ("**/test/**/*.py", "test/c.py", True),
    ("**/**/*.py", "a.py", True),
    ("a.b", "axb", False),
]
HELD = [
    ("src/**/*.py", "", True),
    ("src/**/*.py", "src", True),
    ("src/**/*.py", "src/x/y", True),
    ("src/**/*.py", "other", False),
    ("src/*.py", "src", True),
    ("src/*.py", "src/x", False),
    ("*.py", "src", False),
    ("src/*/a.py", "src/x", True),
    ("src/*/a.py", "src/x/y", False),
    ("src", "src/x/y", True),
    ("**/test/*.py", "anything/at/all", True),
]


def absolute(path: str) -> str:
    base = "/p[1]/q"  # a name that would be a wildcard in a glob
    if path.startswith("../"):
        return "/p[1]/" + path[3:]
    return path if path.startswith("/") else f"{base}/{path}".rstrip("/")


@pytest.mark.parametrize(("glob", "path", "meant"), MEANT)
def test_which_files_a_glob_means(glob: str, path: str, meant: bool) -> None:
    """As shells, git and people read it; a name without wildcards is a file, or a directory with all below."""
    assert Globs([glob], absolute("")).match(absolute(path)) is meant


@pytest.mark.parametrize(("glob", "directory", "held"), HELD)
def test_which_directories_are_looked_into(glob: str, directory: str, held: bool) -> None:
    """Those in which, or below which, something that is meant can be."""
    assert Globs([glob], absolute("")).may_hold(absolute(directory)) is held


@pytest.mark.parametrize(
    ("excluded", "path", "meant", "held"),
    [
        ("!src/gen/**", "src/gen/a.py", False, False),
        ("!src/gen", "src/gen/a.py", False, False),
        ("!src/gen/", "src/gen/x/a.py", False, False),
        ("!src/gen/*.py", "src/gen/a.py", False, True),
        ("!**/gen", "src/x/gen/a.py", False, False),
        ("!**/*_test.py", "src/a_test.py", False, True),
        ("!src/other", "src/a.py", True, True),
        ("!{src/a,src/b}.py", "src/a.py", False, True),
    ],
)
def test_what_an_exclusion_takes_out(excluded: str, path: str, meant: bool, held: bool) -> None:
    """Wherever it stands in the list; a directory that is excluded as a whole is not looked into."""
    for globs in (["src/**/*.py", excluded], [excluded, "src/**/*.py"]):
        found = Globs(globs, absolute(""))
        assert found.match(absolute(path)) is meant
        assert found.may_hold(absolute(path).rpartition("/")[0]) is held


def test_where_everything_lies_that_is_meant() -> None:
    """The directories from which on a tree is walked; and files that are named as they are."""
    globs = Globs(["src/**/*.py", "a/b.toml", "*.md", "../lib/{x,y}/*", "!src/gen"], "/p/q")
    assert globs.roots == ["/p/lib/x", "/p/lib/y", "/p/q", "/p/q/a/b.toml", "/p/q/src"]
    assert globs.files == {"/p/q/a/b.toml"}
    assert list(globs.directories_of_files()) == ["/p/q/a"]


def test_braces_cannot_stand_for_millions_of_globs() -> None:
    """Each pair doubles what there is to match."""
    assert alternatives("{a,b}{c,d}") == ["ac", "ad", "bc", "bd"]
    assert alternatives("{a}") == ["{a}"]
    with pytest.raises(ValueError, match=str(ALTERNATIVES_MAX)):
        alternatives("{a,b}" * 30)


def test_a_path_of_many_stars_is_matched_in_no_time() -> None:
    """A `**` for each directory does not try every way to divide them."""
    globs = Globs(["/".join(["**", "a"] * 12) + "/b"], "/p")
    assert not globs.match("/p/" + "/".join(["a"] * 200))
