"""Servers started as clients start them: what works, each way to fail, and that nothing of them stays."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import psutil
import pytest
from tests.support import has_ended, wait_until

from runcept.cli.mcp_clients.handshake import Broken, Works
from runcept.cli.mcp_clients.probe import Launch, probe

STANDIN = str(Path(__file__).resolve().parents[1] / "mcp_standin.py")
LIMIT = 60.0
"""Seconds that no server takes which answers at all."""


def standin(cwd: Path, mode: str, *arguments: str) -> Launch:
    return Launch([sys.executable, "-I", STANDIN, mode, *arguments], str(cwd), {"PATH": "/usr/bin:/bin"})


def is_gone(pid: int) -> bool:
    try:
        return has_ended(psutil.Process(pid))  # of a child of its own that init may not have reaped
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize("mode", ["works", "asks_back", "floods_stderr"])
def test_what_works_says_what_it_is_and_how_many_tools_it_has(tmp_path: Path, mode: str) -> None:
    """Whatever it asks meanwhile is answered, and whatever it writes to stderr does not stop it."""
    assert probe(standin(tmp_path, mode), LIMIT) == Works("runcept", "9.9", 2)


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        (
            "crashes",
            "it ended with exit code 3 before it answered initialize: ModuleNotFoundError: No module named 'runcept'",
        ),
        ("is_killed", "it ended by SIGSEGV before it answered initialize"),
        ("leaves_a_child_with_its_pipes", "it ended with exit code 7 before it answered initialize"),
        ("prints_garbage", "it wrote to stdout what is no message: Welcome to the server!"),
        ("answers_an_error", "it answered initialize with an error: the daemon cannot be started"),
        ("answers_an_error_to_the_second", "it answered tools/list with an error: no tools today"),
        ("answers_nonsense", "it answered initialize with nothing that it could"),
    ],
)
def test_what_fails_says_why(tmp_path: Path, mode: str, reason: str) -> None:
    """In one sentence, with its own last words where it had any, and what to do; long before the time is up."""
    verdict = probe(standin(tmp_path, mode), LIMIT)
    assert isinstance(verdict, Broken)
    assert verdict.reason == reason
    assert verdict.hint


def test_what_does_not_answer_is_not_waited_for_any_longer(tmp_path: Path) -> None:
    """The time is up; what it last said may tell what it waits for."""
    verdict = probe(standin(tmp_path, "hangs"), 2.0)
    assert isinstance(verdict, Broken)
    assert verdict.reason == "no answer to initialize within 2s: waiting for the database"


@pytest.mark.parametrize(
    ("mode", "count"), [("clings_to_life", 2), ("leaves_a_child_with_its_pipes", 1)], ids=["clinging", "leaving"]
)
def test_nothing_of_a_server_stays(tmp_path: Path, mode: str, count: int) -> None:
    """One that ignores the end of its stdin and SIGTERM is killed; and what a server has started ends with it."""
    file = tmp_path / "pids"
    probe(standin(tmp_path, mode, str(file)), LIMIT)
    pids = json.loads(file.read_text())
    assert len(pids) == count
    wait_until(lambda: all(map(is_gone, pids)), 30, "the end of all that was started")


def test_it_gets_nothing_but_what_a_client_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its variables and its directory are those of the launch, and no others; no descriptor of ours is open in it."""
    monkeypatch.setenv("SECRET_OF_THE_SHELL", "x")
    file = tmp_path / "given"
    launch = standin(tmp_path, "tells_what_it_was_given", str(file), "a b", "")
    assert isinstance(probe(launch, LIMIT), Works)
    given = json.loads(file.read_text())
    assert given["cwd"] == os.path.realpath(tmp_path)
    assert given["arguments"] == ["a b", ""]
    assert set(given["environ"]) - {"LC_CTYPE"} == {"PATH"}  # Python sets that one itself


def test_what_cannot_be_started_says_why(tmp_path: Path) -> None:
    """Not there, not on the PATH that it gets, not to be run, a dead interpreter, no directory to start it in."""
    (tmp_path / "text").write_text("hello")
    (tmp_path / "dead").write_text("#!/nowhere/python\n")
    (tmp_path / "binary").write_bytes(b"\x7fELF nonsense")
    for name in ("dead", "binary"):
        (tmp_path / name).chmod(0o755)

    def reason(program: str, cwd: str = str(tmp_path)) -> str:
        verdict = probe(Launch([program, "mcp"], cwd, {"PATH": "/nowhere"}), LIMIT)
        assert isinstance(verdict, Broken)
        assert verdict.hint
        return verdict.reason

    assert reason("runcept") == "there is no runcept on the PATH that it is given"
    assert reason("/nowhere/runcept") == "there is no /nowhere/runcept"
    assert reason(f"{tmp_path}/text") == f"{tmp_path}/text is no program that may be run"
    assert reason(str(tmp_path)) == f"{tmp_path} is no program that may be run"
    assert reason("./dead").endswith("dead cannot be started: its first line names an interpreter that is not there")
    assert reason(f"{tmp_path}/binary") == f"{tmp_path}/binary cannot be started: exec format error"
    assert reason("runcept", "/nowhere") == "there is no directory /nowhere to start it in"


@pytest.mark.parametrize(
    "launch",
    [
        Launch([sys.executable], "/", {"A=B": "x"}),
        Launch([sys.executable], "/", {"A": "x\0y"}),
        Launch([sys.executable, "\ud800"], "/", {}),
        Launch(["\ud800"], "/", {"PATH": "/bin"}),
        Launch(["/\ud800"], "/", {}),
        Launch([sys.executable], "/\0", {}),
        Launch([sys.executable], "/\ud800", {}),
    ],
)
def test_what_no_system_could_start_is_no_crash(launch: Launch) -> None:
    """A file may hold any text; it may make a verdict, and nothing else."""
    assert isinstance(probe(launch, LIMIT), Broken)
