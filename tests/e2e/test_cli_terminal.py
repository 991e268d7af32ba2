"""What a person sees: the command line on a pseudo-terminal of 80 columns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pexpect
import pytest
from tests.e2e.conftest import BIN, Project

_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[=>78])")

PROJECT = """
[project]
name = "shop"
[[process]]
name = "web"
command = "echo serving; exec sleep 1000"
[[process]]
name = "slow"
command = "until test -e {gate}; do sleep 0.05; done; echo open; exec sleep 1000"
health_check = "log://open"
[[process]]
name = "broken"
command = "echo 'KeyError: the-cause' >&2; echo 'gave up' >&2; exit 3"
"""


@contextmanager
def terminal(
    project: Project, *arguments: str, program: str = str(BIN / "runcept"), columns: int = 80
) -> Iterator[Any]:
    """`runcept ARGUMENTS`, or another program, on a terminal."""
    child = pexpect.spawn(
        program,
        list(arguments),
        cwd=str(project.path),
        env={"TERM": "xterm-256color", **project.environ},
        dimensions=(40, columns),
        encoding="utf-8",
        timeout=20,
    )
    try:
        yield child
    finally:
        child.close(force=True)


def end(child: Any) -> str:
    """All that it wrote until it ended."""
    before = child.before if isinstance(child.before, str) else ""
    after = child.after if isinstance(child.after, str) else ""
    child.expect(pexpect.EOF)
    child.wait()
    return before + after + child.before


def plain(text: str) -> list[str]:
    """The lines without escapes."""
    return [line.rstrip() for line in _ESCAPE.sub("", text).replace("\r", "").split("\n")]


@pytest.fixture
def shop(project: Project) -> Project:
    """A project that becomes ready once its gate is opened, but for one process that fails."""
    project.write(PROJECT.format(gate=project.path / "gate"))
    return project


def test_activate_shows_what_happens_and_then_what_came_of_it(shop: Project) -> None:
    """Each process as it changes, on a board that is gone in the end; the reason and last words of what failed."""
    with terminal(shop, "activate") as child:
        child.expect("slow .*starting.*waits for")
        (shop.path / "gate").touch()
        text = end(child)
    result = text[text.rindex("\x1b[?25h") :]  # the cursor is shown again when the board is gone
    lines = plain(result)
    assert child.exitstatus == 1
    assert any(re.match(r"● web +ready +\S+$", line) for line in lines)
    assert any(re.match(r"● slow +ready +\S+$", line) for line in lines)
    assert any(re.match(r"✖ broken +failed .*exit code 3", line) for line in lines)
    assert "  │ KeyError: the-cause" in lines
    assert any(re.match(r"2 ready, 1 failed in ", line) for line in lines)


def test_an_interrupt_leaves_no_line_of_the_board(shop: Project) -> None:
    """The terminal adds ^C to the line that is being drawn: it must not be so long that it wraps, and stays."""
    columns = 44  # "waits for its health check log://open" does not fit beside its name
    with terminal(shop, "activate", "web", "slow", columns=columns) as child:
        child.expect("slow .*starting.*waits for")
        child.sendintr()
        drawn = re.split(r"[\r\n]+", _ESCAPE.sub("", end(child)).replace("^C", ""))
    board = [line for line in drawn if re.match(r". slow +starting", line)]
    assert any("…" in line for line in board)
    assert max(len(line) for line in board) <= columns - 2


def test_an_interrupted_question_leaves_the_prompt_a_line_of_its_own(shop: Project) -> None:
    """And stops nothing."""
    shop.run("activate", "web")
    with terminal(shop, "kill-all") as child:
        child.expect(r"\[y/N\] ")
        child.sendintr()
        assert end(child).endswith("\n")
    assert child.exitstatus == 130
    assert shop.json("status", "web")["state"] == "running"


@pytest.mark.parametrize("columns", [50, 80, 120])
def test_status_never_wraps(shop: Project, columns: int) -> None:
    """However narrow the terminal, and the reason is there in full."""
    (shop.path / "gate").touch()
    shop.run("activate", ok=False)
    with terminal(shop, "status", columns=columns) as child:
        text = end(child)
    heading, _, *table = plain(text)
    assert heading.startswith("shop · active · 2 running · 1 failed · ")
    assert max(len(line) for line in table) <= columns
    assert "exit code 3" in " ".join(" ".join(table).split())
    assert "\x1b[32m" in text


def test_an_interrupt_while_waiting_says_what_goes_on(shop: Project) -> None:
    """130, no traceback; what was started goes on running."""
    with terminal(shop, "activate", "web", "slow") as child:
        child.expect("slow .*starting")
        child.sendintr()
        text = "\n".join(plain(end(child)))
    assert child.exitstatus == 130
    assert "runcept: interrupted; what was started goes on running\n  hint: " in text
    assert "Traceback" not in text
    states = {each["name"]: each["state"] for each in shop.json("status")["processes"]}
    assert (states["web"], states["slow"]) == ("running", "starting")


def test_kill_all_asks_before_it_stops(shop: Project) -> None:
    """No leaves everything, yes stops it."""
    shop.run("activate", "web")
    with terminal(shop, "kill-all") as child:
        child.expect(r"Stop 1 process of 1 project\? \[y/N\] ")
        child.sendline("n")
        end(child)
    assert child.exitstatus == 1
    assert shop.json("status", "web")["state"] == "running"
    with terminal(shop, "kill-all") as child:
        child.expect(r"\[y/N\] ")
        child.sendline("yes")
        end(child)
    assert child.exitstatus == 0
    assert shop.json("status", "web")["state"] == "stopped"


def test_logs_have_a_colour_a_process_on_a_terminal_and_none_in_a_pipe(shop: Project) -> None:
    """stderr is marked in both."""
    shop.run("activate", "web", "broken", ok=False)
    with terminal(shop, "logs") as child:
        text = end(child)
    assert re.search(r"\x1b\[\d+mbroken\x1b\[0m \x1b\[31m!\x1b\[0m KeyError", text)
    assert "\x1b" not in shop.run("logs").stdout
    assert "broken ! KeyError: the-cause\n" in shop.run("logs").stdout
    with terminal(shop, "logs", "--no-color") as child:
        assert "\x1b[3" not in end(child)


def test_progress_goes_to_stderr_alone(shop: Project) -> None:
    """`runcept activate | cat` has plain text, although stderr is a terminal."""
    shop.run("daemon", "start")
    (shop.path / "gate").touch()
    line = f"'{BIN}/runcept' activate web slow 2>&1 >'{shop.path}/out'"
    with terminal(shop, "-c", line, program="sh") as child:
        assert "activating" in end(child)
    said = (shop.path / "out").read_text()
    assert "\x1b" not in said
    assert re.search(r"^web +ready ", said, re.MULTILINE)


def test_a_terminal_without_colours_gets_none(shop: Project) -> None:
    """NO_COLOR keeps the symbols."""
    shop.environ["NO_COLOR"] = "1"
    with terminal(shop, "status") as child:
        text = end(child)
    assert "\x1b" not in text
    assert "○ web" in text


def test_a_tab_completes_the_name_of_a_process(shop: Project) -> None:
    """In a real bash, with the script that `completion bash` prints."""
    shop.environ |= {"PS1": "$ ", "TERM": "dumb"}
    with terminal(shop, "--norc", "--noprofile", program="bash") as child:
        child.sendline(f'eval "$({BIN}/runcept completion bash)"; echo loaded')
        child.expect("\nloaded")
        (shop.path / "webroot").mkdir()
        for typed, completed in (
            ("runcept stop sl", "runcept stop slow"),
            ("runcept status sl", "runcept status slow"),  # which takes a directory as well
            ("runcept status webr", "runcept status webroot/"),
            ("runit deact", "runit deactivate"),
        ):
            child.send(f"{typed}\t")
            child.expect(completed)
            child.sendcontrol("u")  # forget the line
    assert shop.json("daemon", "status")["running"] is False
