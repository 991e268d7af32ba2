"""The rules of the house that a tool can check: sizes, what imports what, how errors are made, what is committed."""

from __future__ import annotations

import ast
import io
import os
import subprocess
import sys
import tokenize
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import runcept.errors
from runcept.errors import RemoteError, RunceptError

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "runcept"
MODULES = sorted(PACKAGE.rglob("*.py"))
KEEPER = sorted((PACKAGE / "keeper").glob("*.py"))
BIN = Path(sys.executable).parent

LINES_MAX = 500
KEEPER_LINES_MAX = 600
DOOR_LINES_MAX = 210
SANS_IO = (
    *("core/", "scheduler/", "api/", "errors.py", "units.py", "logs/record.py", "logs/lines.py", "logs/encoder.py"),
    *("logs/level.py", "logs/error_grammar.py", "logs/error_blocks.py", "logs/digest.py"),
    *(f"cli/mcp_clients/{each}.py" for each in ("table", "jsonc", "toml_edit", "merge", "entries", "handshake")),
)
WORLD = {
    "asyncio",
    "os",
    "time",
    "random",
    "socket",
    "sqlite3",
    "subprocess",
    "threading",
    "signal",
    "pathlib",
    "logging",
}
HEAVY = ("rich", "asyncio", "msgspec")
EXIT_STATUSES = {1, 2, 3, 4, 5, 124, 130}  # beside 0; what `runcept --help` and the README promise to scripts
ERRORS = [each for each in vars(runcept.errors).values() if isinstance(each, type) and issubclass(each, RunceptError)]


def name(path: Path) -> str:
    """How a module is called in a report: its path below the package."""
    return path.relative_to(PACKAGE).as_posix()


def imports(path: Path) -> Iterator[str]:
    """The absolute names of all modules that a file imports, wherever in it; relative ones are its own package's."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module or ""


def length(path: Path) -> int:
    """Lines of a file."""
    return len(path.read_text(encoding="utf-8").splitlines())


def code_length(path: Path) -> int:
    """Lines of a file that are neither blank nor comment nor docstring."""
    text = path.read_text(encoding="utf-8")
    layout = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in layout:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            lines.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines)


def sample(error: type[RunceptError]) -> RunceptError:
    """An instance made with a value of the right type for each parameter that has to be given."""
    kinds = typing.get_type_hints(error.__init__)
    kinds.pop("return")
    kinds.pop("fields", None)  # **fields
    values: dict[Any, Any] = {str: "x", int: 1, int | None: 1, float: 1.0, list[str]: ["x"]}
    defaults = error.__init__.__defaults__ or ()
    keywords = error.__init__.__kwdefaults__ or {}
    needed = [each for each in kinds if each not in keywords]
    needed = needed[: len(needed) - len(defaults)]
    return error(*(values.get(kinds[each], []) for each in needed))


def test_no_file_is_longer_than_one_can_read() -> None:
    """A source file ends at 500 lines."""
    too_long = {name(path): length(path) for path in MODULES if length(path) > LINES_MAX}
    assert not too_long


def test_the_keeper_is_small_enough_to_have_no_defects() -> None:
    """What must not fail is, as a whole, hardly longer than one file may be.

    Its code is counted: that is what has to be right. Comments say why it is, and are not to be saved on. The doors
    have a measure of their own: only a process that a connection wakes has one.
    """
    lengths = {name(path): code_length(path) for path in KEEPER}
    assert lengths.pop("keeper/door.py") <= DOOR_LINES_MAX
    assert sum(lengths.values()) <= KEEPER_LINES_MAX, lengths


def test_every_module_says_in_one_line_what_it_is() -> None:
    """A module opens with a docstring whose first line is a sentence of its own."""
    silent = []
    for path in MODULES:
        lines = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").splitlines()
        if not lines or not lines[0].endswith((".", ":")) or any(lines[1:2]):
            silent.append(name(path))
    assert not silent


def test_every_module_lists_what_it_offers() -> None:
    """Every module has `__all__`; packages and entry points offer nothing by themselves."""
    missing = [
        name(path)
        for path in MODULES
        if path.name not in {"__init__.py", "__main__.py"} and "\n__all__" not in path.read_text(encoding="utf-8")
    ]
    assert not missing


def test_what_decides_does_no_io() -> None:
    """Core, scheduler, api and their vocabulary get time and facts as arguments: they import nothing of the world."""
    pure = [path for path in MODULES if name(path).startswith(SANS_IO)]
    assert len(pure) > 10
    found = {
        name(path): sorted(touched) for path in pure if (touched := {m.split(".")[0] for m in imports(path)} & WORLD)
    }
    assert not found


def test_the_keeper_needs_nothing_but_the_standard_library() -> None:
    """The keeper runs as `python -I -S`: an installation that is broken or being replaced cannot end it."""
    own = {f"runcept.keeper.{path.stem}" for path in KEEPER}
    foreign = [
        f"{name(path)}: {module}"
        for path in KEEPER
        for module in imports(path)
        if module.split(".")[0] not in sys.stdlib_module_names and module not in own
    ]
    assert KEEPER
    assert not foreign


def test_nobody_imports_the_keeper() -> None:
    """The keeper is started by exec alone."""
    others = [path for path in MODULES if path not in KEEPER]
    assert not [name(path) for path in others if any(m.startswith("runcept.keeper") for m in imports(path))]


def test_nothing_imports_upwards() -> None:
    """The layers of `[tool.importlinter]` hold."""
    done = subprocess.run(
        [BIN / "lint-imports", "--no-logo", "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_command_starts_without_what_it_may_not_need() -> None:
    """Importing the entry point loads neither rich nor asyncio nor msgspec: together they are most of a start."""
    code = "import sys, runcept.cli.entry; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(HEAVY) & set(done.stdout.split())


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_is_complete(error: type[RunceptError]) -> None:
    """Every error class has a docstring, an exit status of the promised ones, and its place in the drawn tree."""
    assert error.__doc__
    assert error.exit_status in EXIT_STATUSES
    assert error.__name__ in runcept.errors.__all__
    assert error is RemoteError or error.__name__ in (runcept.errors.__doc__ or "")


def test_an_error_code_names_one_class() -> None:
    """No two classes share a code: a script that matches on it knows what it has."""
    codes = {error: error.__dict__.get("code") for error in ERRORS if error is not RemoteError}
    assert None not in codes.values()
    assert len(set(codes.values())) == len(codes)


@pytest.mark.parametrize("error", [each for each in ERRORS if not each.__subclasses__() and each is not RemoteError])
def test_an_error_says_what_to_do_next(error: type[RunceptError]) -> None:
    """What is raised has a sentence on one line and a hint: of the class, or written by its constructor."""
    made = sample(error)
    assert made.message
    assert "\n" not in made.message
    assert not made.message.endswith(".")
    assert made.hint or "hint" in typing.get_type_hints(error.__init__)


def test_nothing_committed_knows_this_machine() -> None:
    """No file names a directory that only the machine of one developer has."""
    paths = [os.sep + each + os.sep for each in ("work", "root")]
    patterns = [part for path in paths for part in ("-e", path)]
    found = subprocess.run(
        ["git", "grep", "--untracked", "-nIF", *patterns], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert found.returncode == 1, found.stdout + found.stderr  # 1: no line matched


@pytest.mark.parametrize("file", ["LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "README.md"])
def test_the_papers_are_there(file: str) -> None:
    """What somebody looks for first in a repository is in it."""
    assert (ROOT / file).stat().st_size > 0
