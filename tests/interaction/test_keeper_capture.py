"""What a process writes reaches the spool: all of it, in order, whatever else happens. Over both halves."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.interaction.keeper_bench import Bench, bench
from tests.support import wait_until

from runcept.process.identity import start_time

LINES = b"".join(b"%d line of some length to fill a pipe\n" % number for number in range(250_000))  # about 10 MB


@pytest.fixture(params=["linux", "portable"])
def half(request: pytest.FixtureRequest) -> str:
    """The option that chooses the half."""
    return f"system={request.param}"


@pytest.fixture
def keeper(half: str) -> Iterator[Bench]:
    """A keeper, by what Linux has and by what every system has."""
    with bench(half) as made:
        yield made


def test_streams_are_told_apart_and_in_order(keeper: Bench) -> None:
    """The index says of which stream each byte is, as long as the reader keeps up."""
    code = """
import os
for word in ('one', 'two', 'three'):
    for stream in (1, 2):
        os.write(stream, f'{word} on {stream}\\n'.encode())
"""
    chunks = keeper.finish("two", code)
    for stream, number in ((0, 1), (1, 2)):
        said = b"".join(chunk for of, chunk in chunks if of == stream)
        assert said == b"".join(b"%s on %d\n" % (word, number) for word in (b"one", b"two", b"three"))


def test_ten_megabytes_arrive_byte_for_byte(keeper: Bench, tmp_path: Path) -> None:
    """Over a segment's border, with nothing lost at the exit; each segment is named by where it starts."""
    source = tmp_path / "lines"
    source.write_bytes(LINES)
    keeper.spawn("much", ["cat", str(source)])
    assert keeper.exited("much")["size"] == len(LINES)
    assert keeper.ask("release", key="much")["size"] == len(LINES)
    assert hashlib.sha256(keeper.output("much")).digest() == hashlib.sha256(LINES).digest()
    segments = sorted(Path(keeper.directory("much")).glob("*.raw"))
    assert len(segments) == 2
    assert int(segments[1].stem, 16) == segments[0].stat().st_size


def test_bytes_are_told_of_as_they_come(keeper: Bench) -> None:
    """The newest size of each run, so that the daemon need not look."""
    keeper.python("talk", "import os, time; os.write(1, b'12345'); time.sleep(60)")
    assert keeper.event(lambda event: event.get("event") == "bytes" and event["key"] == "talk")["size"] == 5
    assert keeper.output("talk") == b"12345"


def test_the_pipe_of_a_process_that_writes_much_is_widened(half: str, tmp_path: Path) -> None:
    """A flood waits less often, and is read in larger pieces. The others keep what a user has pages enough for."""
    source = tmp_path / "lines"
    source.write_bytes(LINES)
    with bench("bound=1048576", half) as keeper:
        keeper.spawn("flood", ["cat", str(source)])
        keeper.python("talk", "import os, time; os.write(1, b'12345'); time.sleep(60)")
        keeper.event(lambda event: event.get("event") == "bytes" and event["size"] >= 1 << 20)
        wait_until(lambda: keeper.output("talk") == b"12345", what="a line of the other")
        held = {name: capacity(f"{keeper.directory(name)}/stdout") for name in ("flood", "talk")}
    assert held == {"flood": 1 << 18 if half == "system=linux" else 1 << 16, "talk": 1 << 16}


def capacity(fifo: str) -> int:
    """The bytes that a FIFO holds."""
    with open(fifo, "rb", opener=lambda path, _flags: os.open(path, os.O_RDWR | os.O_NONBLOCK)) as file:
        return fcntl.fcntl(file, fcntl.F_GETPIPE_SZ)


def test_backlog_stops_the_reading_and_consuming_resumes_it(half: str, tmp_path: Path) -> None:
    """A process that nobody keeps up with blocks in its write, as with any pipe; not a byte is lost."""
    bound = 1 << 20
    source = tmp_path / "lines"
    source.write_bytes(LINES)
    with bench(f"bound={bound}", half) as keeper:
        keeper.spawn("flood", ["cat", str(source)])
        keeper.event(lambda event: event.get("event") == "bytes" and event["size"] >= bound)
        wait_until(lambda: keeper.is_full("flood"), what="a full pipe")
        size = keeper.connect()["runs"][0]["size"]
        assert bound <= size < bound + (2 << 20)
        assert keeper.connect()["runs"][0]["size"] == size
        ended = False
        while not ended:
            keeper.tell("consumed", key="flood", offset=size)
            news = keeper.event(lambda event, before=size: event["event"] == "exited" or event.get("size", 0) > before)
            ended, size = news["event"] == "exited", news["size"]
        keeper.ask("release", key="flood")
        assert keeper.output("flood") == LINES


def test_exit_is_told_after_the_last_byte_also_where_reading_had_stopped(half: str) -> None:
    """What the pipe holds at the exit is taken then, past the bound: the size that is told is all there was."""
    with bench("bound=1", half) as keeper:
        code = """
import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
os.write(1, b'first')
signal.sigwait([signal.SIGUSR1])
os.write(1, b' last')
os.write(2, b'!')
"""
        keeper.python("end", code)
        wait_until(lambda: keeper.output("end") == b"first")
        keeper.ask("signal", key="end", signal=signal.SIGUSR1)
        assert keeper.exited("end")["size"] == len("first last!")
        assert keeper.output("end") == b"first last"


def test_grandchild_that_holds_stdout_delays_nothing(keeper: Bench) -> None:
    """The exit is the leader's; what the grandchild writes later is still taken, until the release."""
    code = """
import os
if os.fork() == 0:
    os.execvp('sh', ['sh', '-c', 'trap "echo after; exit" USR1; echo before; while :; do sleep 0.02; done'])
"""
    keeper.python("daemonises", code)
    assert keeper.exited("daemonises")["code"] == 0
    wait_until(lambda: keeper.output("daemonises") == b"before\n")
    keeper.ask("signal", key="daemonises", signal=signal.SIGUSR1)
    wait_until(lambda: keeper.output("daemonises") == b"before\nafter\n")
    keeper.ask("release", key="daemonises")


def test_children_survive_the_keepers_death_and_are_adopted(half: str) -> None:
    """No SIGPIPE, not a byte lost: they block once the pipe is full, and go on when a new keeper reads."""
    with bench(half) as keeper:
        code = """
import os, signal
signal.signal(signal.SIGUSR1, lambda *_: None)
for number in range(50_000):
    os.write(1, b'%d\\n' % number)
    if number == 100: signal.pause()
signal.pause()
os._exit(7)
"""
        child = keeper.python("survivor", code, meta={"run": 1})
        wait_until(lambda: keeper.output("survivor").endswith(b"\n100\n"))
        keeper.keeper.kill()
        keeper.keeper.wait()
        os.kill(child["pid"], signal.SIGUSR1)  # it writes on with nobody there
        wait_until(lambda: keeper.is_full("survivor"), what="a full pipe")
        assert start_time(child["pid"]) is not None
        keeper.start()
        assert keeper.connect()["runs"] == []
        about = {"key": "survivor", "directory": keeper.directory("survivor"), "pid": child["pid"], "meta": {"run": 1}}
        assert keeper.ask("adopt", **about, start_time=start_time(child["pid"]))["meta"] == {"run": 1}
        expected = b"".join(b"%d\n" % number for number in range(50_000))
        wait_until(lambda: keeper.output("survivor") == expected, what="every byte")
        keeper.ask("signal", key="survivor", signal=signal.SIGUSR1)
        event = keeper.exited("survivor")
        assert (event["code"], event["signal"]) == ((7, None) if half == "system=linux" else (None, None))
        keeper.ask("release", key="survivor")


def test_an_adopted_run_goes_on_behind_the_offset_that_was_logged() -> None:
    """Also where its spool was cut meanwhile: no offset is ever that of two bytes."""
    with bench() as keeper:
        child = keeper.spawn("cut", ["/bin/sh", "-c", "echo before; sleep 60"])
        wait_until(lambda: keeper.output("cut") == b"before\n")
        keeper.keeper.kill()
        keeper.keeper.wait()
        place = Path(keeper.directory("cut"))
        (place / "0000000000000000.raw").write_bytes(b"")
        keeper.start()
        keeper.connect()
        about = {"key": "cut", "directory": str(place), "pid": child["pid"], "start_time": child["start_time"]}
        assert keeper.ask("adopt", **about, offset=7)["size"] == 7
        keeper.ask("signal", key="cut", signal=signal.SIGKILL, to="process")
        keeper.exited("cut")


def test_death_by_a_signal_of_an_adopted_one_is_known() -> None:
    """Through the pidfd, from Linux 6.15 on: the kernel tells a stranger's exit status too."""
    with bench() as keeper:
        child = keeper.spawn("stranger", ["sleep", "60"])
        keeper.keeper.kill()
        keeper.keeper.wait()
        keeper.start()
        keeper.connect()
        place = keeper.directory("stranger")
        keeper.ask("adopt", key="stranger", directory=place, pid=child["pid"], start_time=child["start_time"])
        keeper.ask("signal", key="stranger", signal=signal.SIGKILL)
        event = keeper.exited("stranger")
        release = tuple(int(part) for part in os.uname().release.split(".")[:2])
        assert (event["code"], event["signal"]) == ((None, signal.SIGKILL) if release >= (6, 15) else (None, None))


def test_only_the_very_process_is_adopted(keeper: Bench) -> None:
    """A pid that is somebody else's by now, or nobody's, is gone."""
    with subprocess.Popen(["sleep", "60"]) as stranger:
        try:
            about = {"key": "x", "directory": keeper.directory("x"), "pid": stranger.pid}
            os.makedirs(keeper.directory("x"))
            if "system=linux" in keeper.options:  # there the daemon alone can tell
                assert keeper.request("adopt", **about, start_time=1)["error"]["errno"] == errno.ESRCH
        finally:
            stranger.kill()
    assert keeper.request("adopt", **about, start_time=1)["error"]["errno"] == errno.ESRCH
    assert keeper.connect()["runs"] == []


def test_full_disk_stops_only_the_reading_and_loses_nothing(half: str) -> None:
    """What the pipe holds stays there and in the child; when there is room again, it goes on by itself."""
    with bench(half) as keeper:
        mount = Path(keeper.home, "runs")
        mount.mkdir(mode=0o700)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(mount)], check=False).returncode:
            pytest.skip("a small file system can be mounted by root alone")
        try:
            ballast = mount / "ballast"
            keeper.python("full", "import os\nfor n in range(200_000): os.write(1, b'%d\\n' % n)")
            ballast.write_bytes(bytes(1_500_000))
            wait_until(lambda: keeper.is_full("full"), what="a full pipe")
            assert keeper.connect()["runs"][0]["exit"] is None
            ballast.unlink()
            assert keeper.exited("full")["code"] == 0
            keeper.ask("release", key="full")
            assert keeper.output("full") == b"".join(b"%d\n" % number for number in range(200_000))
        finally:
            subprocess.run(["umount", "-l", str(mount)], check=True)
