"""What becomes of the ports of a process that a connection wakes, in each of its states."""

from __future__ import annotations

import pytest

from runcept.core.life import Life
from runcept.core.model import Process, State, Wake
from runcept.scheduler.wake import answer, doing

WEB = Process(name="web", command="web", argv=("web",), working_dir="/", ports=(8000,), wake=Wake.CONNECT)
OTHER = Process(name="web", command="web", argv=("web",), working_dir="/", ports=(8000,))


@pytest.mark.parametrize("state", list(State))
def test_ports_are_lent_to_what_runs_or_is_about_to(state: State) -> None:
    """As long as it is wanted and has not given up."""
    over = state in {State.FAILED, State.EXITED}
    assert doing(Life(name="web", state=state, wanted=True), WEB) == ("close" if over else "lend")


def test_ports_are_held_for_what_sleeps_alone() -> None:
    """Once it has ended; not for what a person has stopped, nor without the key."""
    assert doing(Life(name="web", asleep=True), WEB) == "hold"
    assert doing(Life(name="web", asleep=True, state=State.STOPPING), WEB) == "lend"
    assert doing(Life(name="web"), WEB) == "close"
    assert doing(Life(name="web", asleep=True), OTHER) == "close"
    assert doing(None, WEB) == doing(Life(name="web", asleep=True), None) == "close"


def test_the_answer_is_one_of_http_with_the_reason() -> None:
    """Its length is counted in bytes."""
    told = answer("web", Life(name="web", state=State.FAILED, reason="exit code 1: größer"))
    head, _, text = told.partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 503 ")
    assert text == "runcept: web cannot answer; it is failed: exit code 1: größer\n"
    assert f"Content-Length: {len(text.encode())}\r\n" in head
