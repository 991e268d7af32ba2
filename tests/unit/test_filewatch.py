"""When changes of files restart a process: told as changes with a time."""

from __future__ import annotations

from runcept.scheduler.filewatch import (
    BURST_SECONDS,
    QUIET_SECONDS,
    RESTARTS_MAX,
    RESTARTS_SECONDS,
    FileWatch,
    RestartDue,
    Suspended,
)


def test_a_burst_is_one_restart() -> None:
    """Once nothing has changed for a while; the reason names the first file and counts the others."""
    watch = FileWatch()
    watch.changed("web", ["b.py", "a.py"], 10.0, 9.9)
    watch.changed("web", ["c.py", "a.py"], 10.15, 10.1)
    assert watch.next_deadline() == 10.15 + QUIET_SECONDS
    assert watch.tick(10.3) == []
    assert watch.tick(10.4) == [RestartDue("web", "a.py changed, and 2 more files", 10.1)]
    assert watch.tick(99.0) == []
    assert watch.next_deadline() is None


def test_reasons_count_right() -> None:
    """One file, two files."""
    watch = FileWatch()
    watch.changed("web", ["a"], 0, 0)
    watch.changed("db", ["a", "b"], 0, 0)
    assert watch.tick(1) == [RestartDue("web", "a changed", 0), RestartDue("db", "a changed, and 1 more file", 0)]


def test_a_burst_that_does_not_end_is_ended() -> None:
    """Else a big one would put off the restart for ever; three in a row are nobody's edits."""
    watch, now, verdicts = FileWatch(), 0.0, []
    while not watch.suspended and now < 100:
        watch.changed("web", ["app.log"], now, now)
        verdicts += watch.tick(now)
        now += QUIET_SECONDS / 2
    assert [type(each) for each in verdicts] == [RestartDue, RestartDue, Suspended]
    assert 3 * BURST_SECONDS <= now < 3 * BURST_SECONDS + 2
    assert "all the time" in watch.suspended["web"]


def flap(watch: FileWatch, name: str, times: int, seconds_between: float, begin: float = 100.0) -> list[object]:
    """What comes of so many bursts."""
    found: list[object] = []
    for number in range(times):
        now = begin + number * seconds_between
        watch.changed(name, ["own.txt"], now, now)
        found += watch.tick(now + QUIET_SECONDS)
    return found


def test_a_process_that_writes_its_own_files_is_not_restarted_for_ever() -> None:
    """It gets as many restarts as the limit says, then it is suspended, and what it writes does not count."""
    watch = FileWatch()
    found = flap(watch, "web", RESTARTS_MAX + 5, 1.0)
    assert [type(each) for each in found] == [RestartDue] * RESTARTS_MAX + [Suspended]
    assert "own.txt" in watch.suspended["web"]
    assert "`runcept restart web`" in watch.suspended["web"]
    assert watch.next_deadline() is None


def test_a_busy_person_is_not_suspended() -> None:
    """Who saves every few seconds stays below the limit, however long."""
    found = flap(FileWatch(), "web", 100, RESTARTS_SECONDS / RESTARTS_MAX + 0.1)
    assert {type(each) for each in found} == {RestartDue}


def test_who_starts_it_again_resumes_the_watch() -> None:
    """With all its tries; the others stay as they are."""
    watch = FileWatch()
    flap(watch, "web", RESTARTS_MAX + 1, 0.5)
    flap(watch, "db", RESTARTS_MAX + 1, 0.5)
    watch.resume(["web"])
    assert list(watch.suspended) == ["db"]
    assert [type(each) for each in flap(watch, "web", RESTARTS_MAX, 0.5, 110.0)] == [RestartDue] * RESTARTS_MAX
