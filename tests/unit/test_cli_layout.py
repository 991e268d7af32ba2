"""Tables: plain and stable in a pipe, fitted to the width on a terminal."""

from __future__ import annotations

import re
import time

import pytest

from runcept.cli.layout import Cell, Column, Row, Table, drawn_lines
from runcept.cli.log_lines import Painter
from runcept.cli.present import counted, process_table, short_path
from runcept.core.columns import width_of
from runcept.core.printable import printable
from runcept.core.views import Health, ProcessView, State
from runcept.logs.record import Line


def view(name: str = "web", **facts: object) -> ProcessView:
    return ProcessView(environment="/shop", name=name, **facts)  # type: ignore[arg-type]


RUNNING = view(
    state=State.RUNNING,
    health=Health.HEALTHY,
    pid=4711,
    uptime_seconds=724.0,
    cpu_percent=0.3,
    memory_bytes=45_000_000,
    restarts=2,
    urls=["http://localhost:8000"],
)
FAILED = view("beat", state=State.FAILED, reason="exit code 127: sh: 1: celery: not found")


def drawn(table: Table, width: int) -> list[str]:
    return [line.plain for line in drawn_lines(table, width)]


@pytest.mark.parametrize("width", [40, 60, 80, 100, 160])
def test_no_line_of_a_table_is_wider_than_the_terminal(width: int) -> None:
    """What does not fit is left out or goes below, and never wraps into mush."""
    lines = drawn(process_table([RUNNING, FAILED]), width)
    assert max(width_of(line) for line in lines) <= width


def test_the_least_important_columns_go_first() -> None:
    """On 60 columns one sees the state and the address, and not the memory."""
    title = drawn(process_table([RUNNING]), 60)[0]
    assert "STATE" in title
    assert "ADDRESS" in title
    assert "MEM" not in title
    assert "MEM" in drawn(process_table([RUNNING]), 120)[0]


@pytest.mark.parametrize("width", [40, 60, 100])
def test_a_reason_is_never_cut(width: int) -> None:
    """It is what a person came for: it goes below its row where it is too long to stand beside it."""
    lines = drawn(process_table([RUNNING, FAILED]), width)
    row = next(number for number, line in enumerate(lines) if line.startswith("✖ beat"))
    assert " ".join(" ".join(lines[row:]).split()) == f"✖ beat failed {FAILED.reason}"
    assert (row < len(lines) - 1) == (width == 40)


def test_a_reason_begins_where_its_row_has_nothing_more_to_say() -> None:
    """What has failed has no pid and no memory: the reason stands beside the state."""
    failed = drawn(process_table([RUNNING, FAILED]), 100)[-1]
    assert re.fullmatch(r"✖ beat  failed   exit code 127.*", failed)


def test_a_column_that_says_nothing_is_not_drawn_on_a_terminal() -> None:
    """A project without health checks has no HEALTH column."""
    assert "HEALTH" not in drawn(process_table([view(state=State.RUNNING, pid=1)]), 100)[0]


@pytest.mark.parametrize("width", [30, 40, 60, 80, 120])
def test_long_names_do_not_push_the_state_away(width: int) -> None:
    """They are shortened in the middle, so that their beginning and their end tell them apart."""
    names = ["a-name-that-goes-on-and-on-and-on-" + number for number in ("1", "2", "数据")]
    views = [view(name, state=State.RUNNING, pid=1) for name in names]
    lines = drawn(process_table(views, {"/shop": "/home/anna/projects/a-client/shop"}), width)
    assert max(width_of(line) for line in lines) <= width
    assert all("running" in line for line in lines[1:])
    assert len(set(lines)) == 4
    assert ("…" in lines[1]) == (width < 120)
    assert "PID" in lines[0] or width < 60


def test_columns_stay_aligned_under_wide_characters() -> None:
    """A CJK character takes two columns of a terminal."""
    table = Table([Column("NAME"), Column("STATE")], [Row([Cell("数据"), Cell("up")]), Row([Cell("abc"), Cell("up")])])
    title, first, second = drawn(table, 80)
    assert title.index("STATE") == width_of(first[: first.index("up")]) == second.index("up")


def test_states_are_counted_in_the_order_of_interest() -> None:
    """What runs comes first."""
    views = [view(state=State.STOPPED), FAILED, RUNNING, RUNNING]
    assert [cell.text for cell in counted(views)] == ["2 running", "1 failed", "1 stopped"]


def test_only_the_users_own_home_is_shortened() -> None:
    """/home/annabel is not in /home/anna."""
    assert short_path("/home/anna/shop", "/home/anna") == "~/shop"
    assert short_path("/home/annabel/shop", "/home/anna") == "/home/annabel/shop"
    assert short_path("/shop", "/") == "/shop"


# ------------------------------------------------------------------------------------------- log lines


def line(message: str, stream: str = "stdout", process: str = "web") -> Line:
    return Line(ts=None, process=process, stream=stream, run=1, message=message)


def test_names_are_aligned_and_streams_told_apart_without_colour() -> None:
    """A pipe has marks where a terminal has colours."""
    painter = Painter(["web", "worker"], ["web", "worker"], color=False)
    said = [painter.text(line("a")), painter.text(line("b", "stderr", "worker")), painter.text(line("c", "runcept"))]
    assert said == ["web    | a", "worker ! b", "web    * c"]


def test_a_process_keeps_its_colour_whoever_is_shown() -> None:
    """`logs worker` and `logs` agree."""
    everybody = ["web", "worker", "beat"]
    alone = Painter(["worker"], everybody, color=True).text(line("x", process="worker"))
    among = Painter(everybody, everybody, color=True).text(line("x", process="worker"))
    assert alone == among
    assert alone.split("worker")[0] != Painter(everybody, everybody, color=True).text(line("x")).split("web")[0]


def test_long_names_leave_the_terminal_to_the_messages() -> None:
    """A quarter of its width is theirs, cut in the middle and aligned; a pipe gets them whole."""
    names = ["web", "a-worker-with-a-name-of-forty-characters"]
    for width, room in [(80, 20), (120, 30), (20, 12), (200, 40)]:
        painter = Painter(names, names, color=False, width=width)
        said = [painter.text(line("x", process=name)) for name in names]
        assert [text.index("|") for text in said] == [room + 1, room + 1]
        assert said[1].startswith("a-wor")
        assert said[1].endswith("ters | x")
    assert Painter(names, names, color=False).text(line("x", process=names[1])) == f"{names[1]} | x"


def test_instants_stand_before_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal in local time, in a pipe as in the log; what has none leaves the place free."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    stamped = Line(ts="2026-11-22T22:49:50.123456Z", process="web", stream="stdout", run=1, message="x")
    shown = Painter(["web"], ["web"], color=False, width=80, timestamps=True)
    assert shown.text(stamped) == "2026-11-23 07:49:50.123 web | x"
    assert shown.text(line("x")) == " " * 24 + "web | x"
    piped = Painter(["web"], ["web"], color=False, timestamps=True)
    assert piped.text(stamped) == "2026-11-22T22:49:50.123456Z web | x"
    assert piped.text(line("x")) == " " * 28 + "web | x"
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("message", "plain", "colored"),
    [
        ("plain", "plain", "plain"),
        ("\x1b[32mok\x1b[0m", "ok", "\x1b[32mok\x1b[0m\x1b[0m"),
        ("\x1b[2J\x1b[1;1Hgone", "gone", "gone"),
        ("\x1b]0;title\x07text", "text", "text"),
        ("10%\r50%\r100%", "100%", "100%"),
        ("windows\r", "windows", "windows"),
        ("bell\x07 null\x00", "bell\\x07 null\\x00", "bell\\x07 null\\x00"),
        ("a\tb  ünï 数", "a\tb  ünï 数", "a\tb  ünï 数"),
    ],
)
def test_a_message_cannot_move_the_cursor(message: str, plain: str, colored: str) -> None:
    """Colours pass to a terminal; clearing the screen or setting its title does not."""
    assert printable(message, color=False) == plain
    assert printable(message, color=True) == colored
