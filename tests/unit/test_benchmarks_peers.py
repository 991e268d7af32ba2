"""The benchmark beside other tools counts right, and says what it has measured and nothing else."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from benchmarks.peers import results
from benchmarks.peers.lines import Books, audit, number, text, write_source
from benchmarks.peers.page import page, picture, targets
from benchmarks.peers.results import Crowd, Outcome, Results, Row, Workload
from benchmarks.peers.tools import TOOLS, Tools
from benchmarks.peers.trial import trial

SIZE = 100
HEAD = rb"\d\d:\d\d:\d\d \| "
TOOL = {tool.name: tool for tool in TOOLS}


def line(index: int) -> bytes:
    return number(index) + text(SIZE) + b"\n"


def audited(tmp_path: Path, log: bytes, written: int | None, head: bytes = b"") -> Books:
    path = tmp_path / "log"
    path.write_bytes(log)
    return audit(path, SIZE, written, head)


def outcome(**facts: float) -> Outcome:
    known = {"lines": 1000, "seconds": 0.001, "whole": 1000, "torn": 0, "lost": 0, "doubled": 0, "cpu": 0.1}
    return Outcome(**(known | {"memory": 8.0, "in_time": True} | facts))  # type: ignore[arg-type]


def measured(rate: float, *, lost: int = 0) -> Results:
    """What is written down where `cat` has 1,000 lines in a millisecond, and Runcept `rate` times as many."""
    workload = Workload(100, "block")
    own = outcome(whole=round(1000 * rate), lost=lost)
    return Results(
        date="2026-11-26",
        machine={"cores": "2"},
        load=[0.5, 1.5],
        versions={"cat": "9.1"},
        absent={"overmind": "nobody has it"},
        seconds=2.0,
        total=1_000_000_000,
        rows=[Row("cat", workload, [outcome()] * 3), Row("Runcept", workload, [own] * 3)],
        crowds=[Crowd("Runcept", [7.0, 5.0, 9.0], 1.0, 60.0)],
        copy={"100": 2000.0},
    )


def test_a_source_is_whole_lines_of_one_size(tmp_path: Path) -> None:
    """Each is of as many bytes as was asked for, and numbered from 0."""
    write_source(tmp_path / "source", SIZE, 25_000 * SIZE + 7)
    lines = (tmp_path / "source").read_bytes().splitlines(keepends=True)
    assert lines == [line(index) for index in range(25_000)]
    assert {len(each) for each in lines} == {SIZE}


def test_a_log_with_every_line_is_whole(tmp_path: Path) -> None:
    """Also behind heads, and with the tool's own words before and after."""
    lines = [line(index) for index in range(1000)]
    assert audited(tmp_path, b"".join(lines), 1000) == Books(whole=1000)
    stamped = b"".join(b"10:00:00 | " + each for each in lines)
    assert audited(tmp_path, stamped, 1000, HEAD) == Books(whole=1000)
    assert audited(tmp_path, b"web started\n" + stamped + b"web has ended\n", 1000, HEAD) == Books(whole=1000)


def test_a_line_that_is_not_there_is_lost(tmp_path: Path) -> None:
    """In the middle, and at the end where nothing more is to come."""
    lines = [line(index) for index in range(1000) if index not in {17, 500, 501}]
    assert audited(tmp_path, b"".join(lines), 1000) == Books(whole=997, lost=3)
    assert audited(tmp_path, b"".join(lines), 1010) == Books(whole=997, lost=13)
    assert audited(tmp_path, b"".join(lines), None) == Books(whole=997, lost=3)


@pytest.mark.parametrize(
    "torn",
    [
        line(5)[:40] + b"\n" + line(5)[40:],
        line(5)[:40] + b"10:00:00 | " + line(5)[40:],
        b"10:00:00 | " + line(5)[:40] + b"\n10:00:00 | " + line(5)[40:],
        line(5)[:40] + b"\n",
        line(5)[:6] + b"\n" + line(5)[6:],
    ],
    ids=["in two", "stamped within", "in two, with heads", "cut off", "in two within its number"],
)
def test_a_line_of_which_there_are_pieces_is_torn(tmp_path: Path, torn: bytes) -> None:
    """One line, however many pieces there are: it is neither whole nor lost."""
    log = b"".join(torn if index == 5 else line(index) for index in range(1000))
    assert audited(tmp_path, log, 1000, f"(?:{HEAD.decode()})?".encode()) == Books(whole=999, torn=1)


def test_lines_that_ran_into_one_are_all_torn(tmp_path: Path) -> None:
    """And what is missing beside them is lost."""
    merged = line(5)[:-1] + line(6)
    log = b"".join(merged if index == 5 else line(index) for index in range(1000) if index not in {6, 7})
    assert audited(tmp_path, log, 1000) == Books(whole=997, torn=2, lost=1)


def test_a_line_that_is_there_twice_is_doubled(tmp_path: Path) -> None:
    """It counts as whole once."""
    log = b"".join(line(index) * (2 if index == 5 else 1) for index in range(1000))
    assert audited(tmp_path, log, 1000) == Books(whole=1000, doubled=1)


@pytest.mark.parametrize("how", ["block", "line"])
@pytest.mark.parametrize("name", ["cat", "Runcept"])
def test_a_trial_finds_every_line(tmp_path: Path, name: str, how: str) -> None:
    """A small one, of the tools that are always here: what was written is in the log, and its costs are known."""
    write_source(tmp_path / "source", SIZE, 20_000_000)
    done = trial(TOOL[name], Tools(None), Workload(SIZE, how), tmp_path / "source", 60.0)
    assert (done.lines, done.whole, done.torn, done.lost, done.doubled) == (200_000, 200_000, 0, 0, 0)
    assert done.in_time
    assert done.seconds > 0
    assert done.memory > 0.5


def test_the_page_says_what_was_reached() -> None:
    """Ratios to `cat`, and a mark where one is less than it should be."""
    said = {what: figure for what, _, figure in targets(measured(0.3))}
    assert said["lines of 100 bytes, in blocks, of `cat`"] == "0.30"
    assert said["lines lost, torn or doubled"] == "0"
    assert said["1,000 processes, ten lines a second each, of one core"] == "7.0 % (missed)"
    said = {what: figure for what, _, figure in targets(measured(0.2, lost=1))}
    assert said["lines of 100 bytes, in blocks, of `cat`"] == "0.20 (missed)"
    assert said["lines lost, torn or doubled"] == "1,000 (missed)"


def test_the_page_names_who_is_missing_and_where_it_was_measured() -> None:
    """With the reason, the load and the machine; tables have as many cells in each row."""
    text = page(measured(0.3))
    assert "* overmind: nobody has it\n" in text
    assert "| 0.5 and 1.5 |" in text
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({row.count("|") for row in table.splitlines()}) == 1


def test_the_picture_has_a_bar_for_each_row() -> None:
    """It is well-formed, and a longer bar is a faster tool."""
    root = ET.fromstring(picture(measured(0.3)))
    widths = [float(each.get("width", "0")) for each in root.iter() if each.get("height") == "14"]
    assert len(widths) == 2
    assert widths[0] > widths[1] > 1


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    """So that the page can be made again of what is kept."""
    results.save(measured(0.3), tmp_path / "results.json")
    assert results.load(tmp_path / "results.json") == measured(0.3)


def test_the_figures_in_the_repository_are_of_a_whole_run() -> None:
    """At least three rounds, with Runcept and the limit in every workload, and no line of Runcept's amiss."""
    kept = results.load()
    assert len(kept.workloads()) == 4
    for workload in kept.workloads():
        for name in ("cat", "Runcept"):
            row = kept.row(name, workload)
            assert row is not None
            assert len(row.outcomes) >= 3
            assert not row.share("lost") + row.share("torn") + row.share("doubled")


def test_an_unknown_tool_is_named() -> None:
    """Before anything is measured."""
    command = [sys.executable, "-m", "benchmarks.peers", "--only", "cat,dog"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 2
    assert "no tool is named dog" in done.stderr
