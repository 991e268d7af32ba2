"""`runcept wait`: until a process is as one wants it, with an exit status that a script can go by."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.e2e.conftest import BIN, Project, fresh_project
from tests.e2e.mcp_calls import process
from tests.support import wait_until


@pytest.fixture(scope="module")
def used() -> Iterator[Project]:
    """A project of which each test has processes of its own."""
    with fresh_project() as made:
        checks = {"health_check": {"url": "cmd://test -f $RUNCEPT_PROCESS.ready", "interval": 0.1}}
        made.write(
            '[project]\nname = "shop"\n'
            + process("runs", "echo listening on 80; exec sleep 1000")
            + process("never", "exec sleep 1000", **checks)
            + process("late", "exec sleep 1000", **checks)
            + process("fails", "echo 'no table' >&2; exit 7")
            + process("ends", "test -f ends.now || exec sleep 1000")
            + process("done", "exit 0")
            + process("killed", "kill -9 $$")
            + process("coming", "echo first; echo 'price 12'; exec sleep 1000")
            + process("quiet", "exec sleep 1000")
            + process("evil", "cat said; exec sleep 1000")
            + process("turns", "cat turn; exec sleep 1000")
            + process("gone", "exec sleep 1000")
        )
        made.run("daemon", "start")
        yield made


@contextmanager
def waiting(project: Project, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`runcept wait` under way, in a group of its own."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [BIN / "runcept", *arguments],
        cwd=project.path,
        env=project.environ,
        stdin=subprocess.DEVNULL,
        stdout=pipe,
        stderr=pipe,
        text=True,
        process_group=0,
    ) as caller:
        try:
            yield caller
        finally:
            if caller.poll() is None:
                caller.kill()


def still_waits(caller: subprocess.Popen[str], seconds: float = 1.0) -> None:
    """It has begun, and has not ended after a while."""
    with pytest.raises(subprocess.TimeoutExpired):
        caller.wait(seconds)


# --------------------------------------------------------------------------------------------- exit status


def test_what_is_ready_is_answered_at_once(used: Project) -> None:
    """Status 0, and a word."""
    used.run("start", "runs")
    done = used.run("wait", "runs")
    assert (done.stdout, done.stderr) == ("runs is ready\n", "")


def test_it_waits_until_it_is_ready(used: Project) -> None:
    """And no longer; it starts nothing."""
    used.run("start", "late", "--no-wait")
    with waiting(used, "wait", "late", "--timeout", "30s") as caller:
        still_waits(caller)
        (used.path / "late.ready").touch()
        out, err = caller.communicate(timeout=20)
    assert (caller.returncode, out, err) == (0, "late is ready\n", "")
    assert used.json("status", "quiet")["state"] == "stopped"


def test_when_the_time_is_up_it_says_where_it_stands(used: Project) -> None:
    """Status 124, a sentence and a hint."""
    used.run("start", "never", "--no-wait")
    begun = time.monotonic()
    done = used.run("wait", "never", "--timeout", "700ms", ok=False)
    assert done.returncode == 124
    assert 0.6 < time.monotonic() - begun < 15
    sentence, hint = done.stderr.splitlines()
    assert sentence.startswith("runcept: never is not ready within 0.7s; it is starting: ")
    assert hint.strip() == "hint: Give it longer with --timeout."
    assert done.stdout == ""


def test_what_will_not_be_ready_is_told_at_once(used: Project) -> None:
    """Status 1, with why; and that nobody has to wait for it."""
    used.run("start", "fails", ok=False)
    done = used.run("wait", "fails", "--timeout", "60s", ok=False)
    assert done.returncode == 1
    assert "fails is not ready: it is failed: exit code 7: no table" in done.stderr
    assert "`runcept explain fails` tells why." in done.stderr


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [
        ("fails", 7, "fails has exited: exit code 7"),
        ("done", 0, "done has exited: exit code 0"),
        ("killed", 128 + signal.SIGKILL, "killed has exited: killed by SIGKILL"),
    ],
)
def test_the_exit_status_of_the_process(used: Project, name: str, status: int, words: str) -> None:
    """As a shell has it; of its last run, where none is under way."""
    used.run("start", name, ok=False)
    done = used.run("wait", name, "--for", "exited", "--timeout", "20s", ok=False)
    assert (done.returncode, done.stdout, done.stderr) == (status, f"{words}\n", "")


def test_an_exit_that_comes(used: Project) -> None:
    """The run that lives when the wait begins is meant."""
    used.run("start", "ends")
    with waiting(used, "wait", "ends", "--for", "exited") as caller:
        still_waits(caller)
        used.run("stop", "ends")
        out, _ = caller.communicate(timeout=20)
    assert (caller.returncode, out) == (128 + signal.SIGTERM, "ends has exited: killed by SIGTERM\n")


def test_a_stop_that_comes(used: Project) -> None:
    """Nothing lives of it, and nothing will by itself."""
    used.run("start", "gone")
    with waiting(used, "wait", "gone", "--for", "stopped") as caller:
        still_waits(caller)
        used.run("stop", "gone")
        out, _ = caller.communicate(timeout=20)
    assert (caller.returncode, out) == (0, "gone is stopped\n")
    assert used.run("wait", "gone", "--for", "stopped").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["nobody"], 3, "nobody"),
        (["runs", "--for", "happy"], 2, "expected ready, stopped, exited or log=REGEX"),
        (["runs", "--for", "log="], 2, "is empty"),
        (["runs", "--for", "log=("], 2, "("),
        (["runs", "nobody"], 3, "nobody"),
        (["runs", "zz*"], 3, "zz*"),
        ([], 2, "NAME"),
        (["runs", "--timeout", "soon"], 2, "soon"),
    ],
)
def test_what_cannot_be_waited_for(used: Project, arguments: list[str], status: int, words: str) -> None:
    """Usage is 2, what does not exist 3; each with a sentence."""
    done = used.run("wait", *arguments, ok=False)
    assert done.returncode == status
    assert words in done.stderr
    assert done.stdout == ""


def test_a_glob_that_means_one(used: Project) -> None:
    """Is as good as its name."""
    used.run("start", "runs")
    assert used.run("wait", "run*").stdout == "runs is ready\n"


# ------------------------------------------------------------------------------------------------- several


def test_several_are_waited_for_together(used: Project) -> None:
    """All of them; one line each, in the order in which they were named; a name that comes twice is one."""
    used.run("start", "runs", "quiet")
    done = used.run("wait", "quiet", "run*", "quiet")
    assert (done.stdout, done.stderr) == ("quiet is ready\nruns is ready\n", "")
    (used.path / "late.ready").unlink(missing_ok=True)
    used.run("restart", "late", "--no-wait")
    with waiting(used, "wait", "runs", "late", "--timeout", "30s") as caller:
        still_waits(caller)
        (used.path / "late.ready").touch()
        out, err = caller.communicate(timeout=20)
    assert (caller.returncode, out, err) == (0, "runs is ready\nlate is ready\n", "")


def test_one_that_will_not_be_ready_ends_the_wait_for_all(used: Project) -> None:
    """At once, with status 1: it first, then what nobody knows yet; what was ready is told."""
    used.run("start", "runs")
    used.run("start", "never", "--no-wait")
    used.run("start", "fails", ok=False)
    begun = time.monotonic()
    done = used.run("wait", "runs", "never", "fails", "--timeout", "60s", ok=False)
    assert done.returncode == 1
    assert time.monotonic() - begun < 20
    assert done.stdout == "runs is ready\n"
    told = [line for line in done.stderr.splitlines() if line.startswith("runcept: ")]
    assert told[0].startswith("runcept: fails is not ready: it is failed: exit code 7: no table")
    assert told[1].startswith("runcept: never is not ready yet; it is starting: ")
    shown = used.json("wait", "runs", "never", "fails", "--timeout", "60s", ok=False)
    assert [each["outcome"] for each in shown["waited"]] == ["ready", "undecided", "exited"]
    assert shown["ok"] is False


def test_several_and_the_time_is_up(used: Project) -> None:
    """Status 124, and each that it did not happen to is named."""
    used.run("start", "runs")
    used.run("start", "never", "--no-wait")
    done = used.run("wait", "never", "runs", "--timeout", "500ms", ok=False)
    assert (done.returncode, done.stdout) == (124, "runs is ready\n")
    assert done.stderr.startswith("runcept: never is not ready within 0.5s; it is starting")
    told = used.json("wait", "never", "runs", "--timeout", "500ms", ok=False)
    assert [each["outcome"] for each in told["waited"]] == ["timeout", "ready"]


@pytest.mark.parametrize(
    ("names", "status"), [(["done", "fails", "killed"], 7), (["killed", "fails"], 137), (["done", "done"], 0)]
)
def test_of_several_exits_the_first_that_is_not_0_counts(used: Project, names: list[str], status: int) -> None:
    """In the order in which they were named; each is told."""
    for name in names:
        used.run("start", name, ok=False)
    done = used.run("wait", *names, "--for", "exited", "--timeout", "20s", ok=False)
    assert done.returncode == status
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(dict.fromkeys(names))


def test_exits_of_which_one_does_not_come(used: Project) -> None:
    """Status 124: what is known of the others is told, and does not hide that one is missing."""
    used.run("start", "runs")
    used.run("start", "fails", ok=False)
    done = used.run("wait", "fails", "runs", "--for", "exited", "--timeout", "500ms", ok=False)
    assert (done.returncode, done.stdout) == (124, "fails has exited: exit code 7\n")
    assert "runs is not exited within 0.5s" in done.stderr


def test_the_shape_for_several(used: Project) -> None:
    """One name has the shape of the contract; several names and globs have a list, however many they mean."""
    used.run("start", "runs", "quiet")
    assert used.json("wait", "runs")["outcome"] == "ready"
    for names in (["runs", "quiet"], ["run*"], ["runs", "runs"]):
        told = used.json("wait", *names)
        assert told.keys() == {"environment", "waited", "ok"}
        assert told["ok"] is True
        for each in told["waited"]:
            assert each.keys() == {"environment", "process", "outcome"}
            assert each["process"].keys() >= keys_of_a_process()


# --------------------------------------------------------------------------------------------------- lines


def test_a_line_of_each_of_several(used: Project) -> None:
    """What was written since the last start counts for each; a line is told with whose it is."""
    used.run("start", "runs", "coming")
    done = used.run("wait", "coming", "runs", "--for", r"log=(listening|price) ?(on )?\d+")
    assert done.stdout == "coming: price 12\nruns: listening on 80\n"
    told = used.json("wait", "runs", "coming", "--for", r"log=(listening|price)")
    assert [each["line"]["process"] for each in told["waited"]] == ["runs", "coming"]


def test_a_line_that_one_of_several_will_not_write(used: Project) -> None:
    """It ends the wait, with what the others have written."""
    used.run("start", "runs")
    used.run("start", "fails", ok=False)
    done = used.run("wait", "runs", "quiet", "fails", "--for", "log=listening", "--timeout", "60s", ok=False)
    assert (done.returncode, done.stdout) == (1, "runs: listening on 80\n")
    told = [line for line in done.stderr.splitlines() if line.startswith("runcept: ")]
    assert told[0].startswith("runcept: fails wrote no such line: it is failed: exit code 7")
    assert told[1].startswith("runcept: quiet has written no such line yet")


def test_a_line_that_was_rotated_away_from_the_newest_file(project: Project) -> None:
    """Of the run that is under way, wherever it is; and while another one goes on writing, in time."""
    project.write(
        '[project]\nname = "shop"\nlog = { max_size = "64KB", keep = 50, compress = true }\n'
        + process("web", "echo begun with 7; seq 1 9999; exec sleep 1000")
        + process("chatty", "while sleep 0.01; do echo tick; done")
    )
    project.run("start", "web", "chatty")
    wait_until(lambda: '"9999"' in (project.path / ".runcept/logs/web.jsonl").read_text(), what="the last line")
    assert project.run("wait", "web", "--for", r"log=begun with \d").stdout == "begun with 7\n"
    begun = time.monotonic()
    done = project.run("wait", "web", "chatty", "--for", "log=begun|never", "--timeout", "2s", ok=False)
    assert (done.returncode, done.stdout) == (124, "web: begun with 7\n")
    assert time.monotonic() - begun < 20


def test_no_line_falls_between_the_look_and_the_following(project: Project) -> None:
    """Whenever in the life of a run the wait begins, also just before its start, its one line is seen."""
    project.write('[project]\nname = "shop"\n' + process("web", "echo here it is; exec sleep 1000"))
    project.run("daemon", "start")
    for _ in range(8):
        with waiting(project, "wait", "web", "--for", "log=here it is", "--timeout", "20s") as caller:
            project.run("start", "web", "--no-wait")
            out, err = caller.communicate(timeout=30)
        assert (caller.returncode, out) == (0, "here it is\n"), err
        project.run("stop", "web")


def test_a_line_of_this_run_counts_from_its_beginning(used: Project) -> None:
    """It was written already."""
    used.run("start", "runs")
    done = used.run("wait", "runs", "--for", r"log=listening on \d+")
    assert done.stdout == "listening on 80\n"


def test_a_line_of_a_run_that_comes(used: Project) -> None:
    """One that is stopped is waited for, until it is started and writes."""
    used.run("stop", "coming")
    with waiting(used, "wait", "coming", "--for", "log=price", "--timeout", "30s") as caller:
        still_waits(caller)
        used.run("start", "coming")
        out, _ = caller.communicate(timeout=20)
    assert (caller.returncode, out) == (0, "price 12\n")


def test_a_line_of_an_earlier_run_does_not_count(used: Project) -> None:
    """Nor one that Runcept wrote itself."""
    for word in ("one", "two"):
        (used.path / "turn").write_text(f"turn {word}\n")
        used.run("start", "turns")
        assert used.run("wait", "turns", "--for", f"log=turn {word}").stdout == f"turn {word}\n"
        used.run("stop", "turns")
    used.run("start", "turns")
    for pattern in ("log=turn one", "log=pid"):
        assert used.run("wait", "turns", "--for", pattern, "--timeout", "500ms", ok=False).returncode == 124


def test_the_last_line_of_a_run_that_was_stopped_does_not_count(project: Project) -> None:
    """Not even if it was written a moment ago: of what is stopped, the next run is meant."""
    says = "trap 'echo good bye; exit 0' TERM; echo here; while :; do sleep 0.01; done"
    project.write('[project]\nname = "shop"\n' + process("web", says, health_check="log://here"))
    project.run("start", "web")
    project.run("stop", "web")
    assert project.run("wait", "web", "--for", "log=good bye", "--timeout", "500ms", ok=False).returncode == 124


def test_a_line_that_will_not_come_is_told(used: Project) -> None:
    """The process has ended without it."""
    used.run("start", "fails", ok=False)
    done = used.run("wait", "fails", "--for", "log=listening", "--timeout", "60s", ok=False)
    assert done.returncode == 1
    assert "fails wrote no such line: it is failed: exit code 7" in done.stderr


def test_a_line_is_shown_without_its_escapes(used: Project) -> None:
    """A program does not act on the terminal through us."""
    (used.path / "said").write_bytes(b"\x1b[2Jred \x07 alert\n")
    used.run("start", "evil")
    assert used.run("wait", "evil", "--for", "log=alert").stdout == "red \\x07 alert\n"


# ---------------------------------------------------------------------------------------------------- json


def keys_of_a_process() -> set[str]:
    return {
        *("environment", "name", "state", "health", "reason", "pid", "run", "restarts", "exit_code", "exit_signal"),
        *("started_at", "ended_at", "uptime_seconds", "memory_bytes", "cpu_percent", "ports", "urls", "depends_on"),
        "log_path",
    }


@pytest.mark.parametrize(
    ("arguments", "outcome", "status"),
    [
        (["runs"], "ready", 0),
        (["runs", "--for", "stopped", "--timeout", "300ms"], "timeout", 124),
        (["runs", "--for", "log=listening"], "matched", 0),
        (["fails"], "exited", 1),
        (["fails", "--for", "exited"], "exited", 7),
    ],
)
def test_the_shape_of_the_contract(used: Project, arguments: list[str], outcome: str, status: int) -> None:
    """One document on stdout and nothing else, with the same exit status."""
    used.run("start", "runs")
    used.run("start", "fails", ok=False)
    done = used.run("--json", "wait", *arguments, ok=False)
    told = json.loads(done.stdout)
    assert (done.returncode, told["outcome"], done.stderr) == (status, outcome, "")
    assert told["process"].keys() >= keys_of_a_process()
    assert told["process"]["name"] == arguments[0]
    assert ("line" in told) is (outcome == "matched")
    if outcome == "matched":
        assert told["line"]["message"] == "listening on 80"
        assert told["line"].keys() >= {"ts", "process", "stream", "run", "message"}


def test_an_error_has_its_shape(used: Project) -> None:
    """As that of every command."""
    told = used.json("wait", "nobody", ok=False)["error"]
    assert told["code"] == "process-not-found"
    assert told["message"]


# ------------------------------------------------------------------------------------------- interruptions


@pytest.mark.parametrize("arguments", [["--for", "stopped"], ["--for", "log=never"]])
def test_ctrl_c_ends_the_wait_alone(used: Project, arguments: list[str]) -> None:
    """Status 130, without a word: nothing was begun; the process runs on."""
    used.run("start", "runs")
    with waiting(used, "wait", "runs", *arguments) as caller:
        still_waits(caller)
        caller.send_signal(signal.SIGINT)
        _, err = caller.communicate(timeout=20)
    assert (caller.returncode, err) == (130, "")
    assert used.json("status", "runs")["state"] == "running"


@pytest.mark.parametrize("ended", ["restarted", "killed"])
@pytest.mark.parametrize(
    ("condition", "status", "told"), [("exited", 3, "web has exited: exit code 3\n"), ("log=^bye", 0, "bye\n")]
)
def test_the_next_daemon_is_asked_on(project: Project, ended: str, condition: str, status: int, told: str) -> None:
    """Where the daemon ends meanwhile: nothing that happens to a process is missed by who waits for it."""
    script = "until test -f end; do sleep 0.05; done; echo bye; exit 3"
    project.write('[project]\nname = "shop"\n' + process("web", script))
    project.run("start", "web")
    with waiting(project, "wait", "web", "--for", condition, "--timeout", "60s") as caller:
        still_waits(caller)
        before = project.json("daemon", "status")["pid"]
        if ended == "killed":
            os.kill(before, signal.SIGKILL)
        else:
            project.run("daemon", "restart")
        wait_until(lambda: project.json("daemon", "status")["pid"] != before, what="another daemon")
        still_waits(caller)
        (project.path / "end").touch()
        out, err = caller.communicate(timeout=30)
    assert (caller.returncode, out, err) == (status, told, "")


def test_the_time_goes_on_when_the_next_daemon_is_asked(used: Project) -> None:
    """It is the user's, and is not begun anew."""
    used.run("start", "runs")
    began = time.monotonic()
    with waiting(used, "wait", "runs", "--for", "exited", "--timeout", "6s") as caller:
        still_waits(caller, 4.0)
        used.run("daemon", "restart")
        caller.communicate(timeout=30)
    assert caller.returncode == 124
    assert time.monotonic() - began < 9.5


def view(project: Project, name: str) -> Any:
    return project.json("status", name)


def test_a_process_that_is_restarted_by_itself_is_waited_for(project: Project) -> None:
    """In its back-off it may still become ready."""
    crash = "test -f well || exit 1; exec sleep 1000"
    project.write('[project]\nname = "shop"\n' + process("web", crash, restart="on-failure", restart_delay=0.1))
    project.run("start", "web", "--no-wait")
    with waiting(project, "wait", "web", "--timeout", "60s") as caller:
        wait_until(lambda: view(project, "web")["restarts"] > 0, what="a restart")
        (project.path / "well").touch()
        out, err = caller.communicate(timeout=40)
    assert (caller.returncode, out) == (0, "web is ready\n"), err
