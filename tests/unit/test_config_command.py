"""A command's argv: in every shell here a simple command's pid is its program's, and no command changes meaning."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from runcept.config.command import argv, exec_simple, readable

SHELLS = [shell for shell in ("/bin/sh", "dash", "bash", "zsh", "busybox") if shutil.which(shell)]

# each prints the pid of the program that `show` is; they run with `show` in the working directory and on PATH
SIMPLE = [
    "show",
    "  show  ",
    "./show a 'b;c' \"d && e\"",
    "show 'it''s' \"a | b\"",
    "FOO=1 show",
    "FOO='a b' BAR=\"$HOME\" ./show x",
    'show $HOME ${HOME} "${HOME}" $1 $? x',
    "$PWD/show x",
    '"$PWD/show" x',
    '"with space/show" x',
    "with\\ space/show",
    "show 2>&1",
    "show 2>/dev/null < /dev/null",
    "show 2>&- >&1",
    "FOO=1 2>/dev/null show",
    "show a#b '#c'",
    "show \\\n  --more \\\n  args",
    "show *.txt {a,b} ~ [x]",
    "env A=1 ./show",
    "nice -n 0 ./show",
    "show ';' '&' \\; \\& \\|",
]

# each has a meaning that `exec` would change, or is more than one command: it stays as it is
NOT_SIMPLE = [
    "show; show",
    "show && show",
    "show || show",
    "show | cat",
    "show &",
    "(show)",
    "{ show; }",
    "show\nshow",
    "show `echo x`",
    "show $(echo x)",
    'show "$(echo x)"',
    "show <<END\nEND",
    "cd . && show",
    "cd /",
    "export FOO=1",
    "echo hello",
    "\\cd /",
    "'cd' /",
    "true",
    ":",
    ". ./script",
    "exec show",
    "exit 3",
    "if true; then show; fi",
    "! show",
    "FOO=1",
    "FOO=1 BAR=2",
    "FOO=1 >/dev/null show",
    "FOO=1>/dev/null show",
    ">/dev/null show",
    "$SHOW",
    "$SHOW x",
    "${SHOW} x",
    "show 'unbalanced",
    'show "unbalanced',
    "show $'a'",
    "# nothing",
    "show # ; comment",
    "show <(echo)",
    "-x",
    "*/show",
    "show \\",
]


@pytest.fixture
def stage(tmp_path: Path) -> Path:
    """A directory with the program `show`, which prints its pid, FOO and its arguments."""
    (tmp_path / "with space").mkdir()
    for directory in (tmp_path, tmp_path / "with space"):
        program = directory / "show"
        program.write_text('#!/bin/sh\necho "pid=$$ FOO=$FOO"\nfor each; do echo "<$each>"; done\n', encoding="utf-8")
        program.chmod(0o755)
    for file in ("a.txt", "b.txt"):
        (tmp_path / file).touch()
    return tmp_path


def run(shell: str, command: str, stage: Path) -> tuple[int, str, int, str]:
    """The pid that was started, and what the command printed on both outputs, with its exit status."""
    # zsh refuses a pattern that no file matches, where others leave it as it is.
    prefix = {"busybox": [shell, "sh", "-c"], "zsh": [shell, "-o", "nonomatch", "-c"]}.get(shell, [shell, "-c"])
    environ = {"PATH": f"{stage}:{os.environ['PATH']}", "HOME": str(stage), "SHOW": "./show"}
    with subprocess.Popen(
        [*prefix, command], cwd=stage, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        output, errors = child.communicate(timeout=20)
    return child.pid, output, child.returncode, errors


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("command", SIMPLE)
def test_a_simple_command_is_its_own_process(stage: Path, shell: str, command: str) -> None:
    """The pid that was started is the program's, which sees the same arguments and variables as without exec."""
    changed = exec_simple(command)
    assert changed != command
    pid, output, status, errors = run(shell, changed, stage)
    assert (status, errors) == (0, "")
    assert output.startswith(f"pid={pid} ")
    plain_pid, plain_output, *_ = run(shell, f"{command}\nexit", stage)
    assert output.replace(str(pid), "PID") == _with_any_pid(plain_output, plain_pid)


def _with_any_pid(output: str, started: int) -> str:
    """What was printed, with the program's pid (and `$$`, the shell's) as PID."""
    pid = output.partition(" ")[0].removeprefix("pid=")
    return output.replace(pid, "PID").replace(str(started), "PID")


@pytest.mark.parametrize("command", NOT_SIMPLE)
def test_any_other_command_is_left_alone(command: str) -> None:
    """In doubt nothing is changed: the shell does what was written."""
    assert exec_simple(command) == command


def test_a_missing_program_is_reported_by_the_shell(stage: Path) -> None:
    """Exit code 127 and a sentence that names it, as without exec."""
    *_, status, errors = run("/bin/sh", exec_simple("no-such-program --x"), stage)
    assert status == 127
    assert "no-such-program: not found" in errors


@pytest.mark.parametrize(
    ("shell", "expected"),
    [
        (["/bin/sh", "-c"], "exec serve"),
        (["bash", "-euc"], "exec serve"),
        (["bash", "-lc"], "serve"),
        (["zsh", "-i", "-c"], "serve"),
        (["/opt/zsh", "-e", "-c"], "exec serve"),
        (["/usr/bin/fish", "-c"], "serve"),
        (["python3", "-c"], "serve"),
        (["bash"], "serve"),
        (["bash", "-c", "--"], "serve"),
    ],
)
def test_exec_is_for_shells_that_have_it(shell: list[str], expected: str) -> None:
    """Another interpreter gets the text as it was written; so does one whose profile may define what is called."""
    assert argv("serve", shell) == (*shell, expected)


def test_a_list_is_taken_as_it_is() -> None:
    """No shell; and it is shown as one would type it."""
    assert argv(["a b", "$X"], ["/bin/sh", "-c"]) == ("a b", "$X")
    assert readable(["a b", "$X"]) == "'a b' '$X'"
    assert readable("a  b") == "a  b"


def test_a_command_of_any_length_is_read_quickly() -> None:
    """Nothing in it takes time in the square of its length."""
    for text in ("A=1 " * 16_000 + "> " * 100, '"' * 60_001, "x " * 30_000, "$" * 60_000, "x" * 1_000_000):
        exec_simple(text)
