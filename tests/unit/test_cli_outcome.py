"""What an operation says in the end: what was there before, what is late, what failed and what to do about it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tests.unit.cli_stage import Stage, answering, environment, process, shop_stage

from runcept.api.messages import Outcome
from runcept.client.testing import Notify
from runcept.core.views import ProcessView, State

LONG_AGO = "2020-01-01T00:00:00.000000Z"


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return shop_stage(tmp_path)


def outcome(stage: Stage, *views: ProcessView, ok: bool = False, timed_out: bool = False) -> Outcome:
    return Outcome(environment=str(stage.cwd), processes=list(views), ok=ok, timed_out=timed_out)


def written(stage: Stage, name: str, *lines: str) -> str:
    """The log of run 1 of a process that wrote these lines to stderr; its path."""
    log = stage.cwd / ".runcept" / "logs" / f"{name}.jsonl"
    log.parent.mkdir(parents=True, exist_ok=True)
    records = [{"ts": LONG_AGO, "stream": "runcept", "message": "run 1", "event": "started", "run": 1}]
    records += [{"ts": LONG_AGO, "stream": "stderr", "message": line} for line in lines]
    log.write_text("".join(json.dumps(record, separators=(",", ":")) + "\n" for record in records))
    return str(log)


def test_a_task_that_ended_before_is_done_and_not_running(stage: Stage) -> None:
    """Each is called what it is, without a time that was not measured, and the sum has each word once."""
    before = [
        process(stage, "page", State.EXITED, started_at=LONG_AGO),
        process(stage, "web", started_at=LONG_AGO),
        process(stage, "ticker", started_at=LONG_AGO),
    ]
    stage.terminal, stage.environ = True, {"NO_COLOR": "1"}

    def activate(_: object, notify: Notify) -> Outcome:
        for view in before:
            notify(view)
        return outcome(stage, *before, ok=True)

    with answering(stage, activate=activate):
        *rows, summary = stage.run("activate").out.splitlines()
    assert [row.split() for row in rows] == [
        ["✔", "page", "done", "already"],
        ["●", "web", "running", "already"],
        ["●", "ticker", "running", "already"],
    ]
    assert summary.startswith("1 done, 2 running in ")


@pytest.mark.parametrize(
    ("command", "state", "sentence"),
    [
        (["activate"], State.STARTING, "not ready within 3s; it goes on starting"),
        (["deactivate"], State.STOPPING, "not stopped within 3s; it goes on stopping"),
    ],
)
def test_a_timeout_is_named(stage: Stage, command: list[str], state: State, sentence: str) -> None:
    """Exit status 124 alone says nothing to a person: nor that it goes on, nor how to give it longer."""
    late = outcome(stage, process(stage, "web", state), timed_out=True)
    with answering(stage, activate=late, deactivate=late, status=environment(stage, process(stage, "web"))):
        said = stage.run(*command, "--timeout", "3s")
        silent = stage.run(*command, "--timeout", "3s", "--json")
    assert said.err == f"runcept: {sentence}\n  hint: Give it longer with --timeout.\n"
    assert (said.status, silent.status, silent.err) == (124, 124, "")


def test_quiet_tells_what_went_wrong_and_nothing_else(stage: Stage) -> None:
    """The name, the state and the reason; not what is ready, and no sum."""
    failed = process(stage, "worker", State.FAILED, reason="command not found: celery")
    with answering(stage, activate=outcome(stage, process(stage, "web"), failed)):
        said = stage.run("activate", "-q")
    assert [line.split(maxsplit=3) for line in said.out.splitlines()] == [
        ["worker", "failed", "-", "command not found: celery"]
    ]


def test_what_can_be_done_about_a_failed_start_is_told_once(stage: Stage) -> None:
    """Below the rows, also where two have failed alike; and in the process in full."""
    hint = 'Stop that process, or set ports = "auto".'
    both = [process(stage, name, State.FAILED, reason="port 1 is held", hint=hint) for name in ("web", "worker")]
    with answering(stage, activate=outcome(stage, *both), status=environment(stage, *both)):
        said = stage.run("activate")
        assert re.search(rf"^  hint +{re.escape(hint)}$", stage.run("status", "web").out, re.MULTILINE)
    assert said.out.splitlines().count(f"  hint: {hint}") == 1


def test_last_words_that_the_reason_holds_are_not_said_again(stage: Stage) -> None:
    """One line is in the reason already; two are shown, with one blank line before each block and before the sum."""
    log = written(stage, "web", "KeyError: 'PORT'")
    alone = process(stage, "web", State.FAILED, reason="exit code 1: KeyError: 'PORT'", run=1, log_path=log)
    with answering(stage, start=outcome(stage, alone)):
        assert len(stage.run("start", "web").out.splitlines()) == 2
    views = [
        process(stage, name, State.FAILED, reason="exit code 1: b", run=1, log_path=written(stage, name, "a", "b"))
        for name in ("web", "worker")
    ]
    with answering(stage, start=outcome(stage, *views)):
        lines = stage.run("start", "w*").out.splitlines()
    assert [number for number, line in enumerate(lines) if not line] == [2, 6, 10]
    assert lines[-1].startswith("2 failed in ")


def test_a_log_that_cannot_be_read_does_not_hide_what_failed(stage: Stage) -> None:
    """What came of the start is told first, and then what keeps its last words."""
    log = written(stage, "web")
    Path(log).unlink()
    Path(log).mkdir()
    failed = process(stage, "web", State.FAILED, reason="exit code 1", run=1, log_path=log)
    with answering(stage, start=outcome(stage, failed)):
        said = stage.run("start", "web")
    assert "1 failed in " in said.out
    assert said.err.startswith("runcept: .runcept/logs/web.jsonl cannot be read: is a directory\n")
