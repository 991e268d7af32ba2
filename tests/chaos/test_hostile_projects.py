"""Health checks that answer for ever or never, project files that are no files, environments and paths of odd bytes."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from tests.chaos.stage import Stage
from tests.support import hanging_directory, wait_until

from runcept.api import messages as m
from runcept.errors import RemoteError
from runcept.paths import runs_directory

MB = 1_000_000


def one(stage: Stage, *keys: str, command: str = '["/bin/sleep", "1000"]') -> None:
    """A project of one process."""
    stage.write_file(
        "\n".join(["[project]", 'name = "p"', "[[process]]", 'name = "web"', f"command = {command}", *keys])
    )


@contextlib.contextmanager
def serving(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """The port of a server that does `talk` with each client, as long as that goes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def one(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            talk(connection)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()

    with listener:
        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def endless_header(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X-Header: " + b"x" * 65536 + b"\r\n")


def endless_body(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(bytes(65536))


def endless_line(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"x" * 65536)


def a_byte_at_a_time(connection: socket.socket) -> None:
    for byte in b"HTTP/1.1 200 OK\r\n" * 100:
        connection.sendall(bytes([byte]))
        time.sleep(0.2)


def silence(connection: socket.socket) -> None:
    connection.recv(65536)
    while connection.recv(65536):
        pass


@pytest.mark.parametrize(
    ("talk", "health", "words"),
    [
        (endless_header, "healthy", ""),
        (endless_body, "healthy", ""),
        (endless_line, "unhealthy", "does not speak HTTP"),
        (a_byte_at_a_time, "unhealthy", "no answer within"),
        (silence, "unhealthy", "no answer within"),
    ],
)
def test_a_health_check_reads_no_more_than_the_first_line(
    stage: Stage, talk: Callable[[socket.socket], None], health: str, words: str
) -> None:
    """And waits no longer than its time, however much or little comes."""
    with serving(talk) as port:
        limits = 'timeout = "500ms", interval = "500ms", retries = 1, start_period = 0'
        one(stage, f'health_check = {{ url = "http://127.0.0.1:{port}/", {limits} }}')
        stage.ask("daemon_status")
        (daemon,) = stage.daemons()
        before = psutil.Process(daemon).memory_info().rss
        stage.ask_for("activate", wait=False)
        wait_until(lambda: stage.statuses()["web"].health == health, seconds=20)
        assert words in (stage.statuses()["web"].reason or "")
        assert psutil.Process(daemon).memory_info().rss < before + 20 * MB


def test_a_health_check_that_leaves_a_daemon_behind_is_answered(stage: Stage) -> None:
    """At once, although that holds the pipe of its output; and it ends with the process that it is the check of."""
    left = "setsid sh -c 'echo $$ >> left; sleep 1000' & until [ -s left ]; do sleep 0.01; done"
    one(stage, f'health_check = "cmd://{left}"')
    assert stage.ask_for("activate", seconds=20).ok
    pid = int(wait_until(lambda: (stage.project / "left").read_text().split())[0])
    assert stage.ask_for("deactivate").ok
    wait_until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie")


def refused(stage: Stage) -> str:
    """The error of an activation, which comes soon, and the daemon is no larger for it."""
    stage.ask("daemon_status")
    (daemon,) = stage.daemons()
    before, begun = psutil.Process(daemon).memory_info().rss, time.monotonic()
    with pytest.raises(RemoteError) as caught:
        stage.ask_for("activate")
    assert time.monotonic() - begun < 10
    assert psutil.Process(daemon).memory_info().rss < before + 20 * MB
    return f"{caught.value.message} {caught.value.fields.get('report', '')}"


@pytest.mark.parametrize("what", ["project", "env file"])
@pytest.mark.parametrize(
    ("kind", "words"),
    [("zero", "not a regular file"), ("fifo", "not a regular file"), ("huge", "larger than 1 MiB"), ("socket", "")],
)
def test_what_is_no_file_is_not_read(stage: Stage, what: str, kind: str, words: str) -> None:
    """A device without end, a pipe that nobody writes to, 100 MB, a socket: as the project file and as variables."""
    place = stage.project / (".runcept.toml" if what == "project" else "vars")
    if what == "env file":
        stage.write_file('[project]\nname = "p"\nenv_files = ["vars"]\n[[process]]\nname = "web"\ncommand = "true"\n')
    with socket.socket(socket.AF_UNIX) as bound:
        if kind == "zero":
            place.symlink_to("/dev/zero")
        elif kind == "fifo":
            os.mkfifo(place)
        elif kind == "socket":
            bound.bind(str(place))
        else:
            with place.open("wb") as file:
                file.truncate(100 * MB)
        assert words in refused(stage)


def test_an_environment_arrives_byte_for_byte(stage: Stage) -> None:
    """Newlines, escapes, what looks like an assignment or JSON, and every character that a variable can hold."""
    odd = {
        "LINES_": "a\nb=c\n\nRUNCEPT_RUN=9",
        "ESCAPES": "\x1b[2J\x07\t\r",
        "EVERYTHING": "".join(map(chr, [*range(1, 0xD800, 7), 0x1F600])),
        "JSON": '"}\\u0000{"a":1}',
        "EMPTY": "",
        "BASH_FUNC_f%%": "() { echo f\n}",
        "with space": "1",
    }
    one(stage, 'kind = "task"', command='["cp", "/proc/self/environ", "got"]')
    assert stage.ask_for("start", "web", environ={**odd, "PATH": os.environ["PATH"]}).ok
    got = dict(entry.split("=", 1) for entry in (stage.project / "got").read_bytes().decode().split("\0") if entry)
    assert {name: got.get(name) for name in odd} == odd
    assert got["RUNCEPT_RUN"] == "1"


@pytest.mark.parametrize("environ", [{"A\0B": "1"}, {"A": "1\0"}, {"A=B": "1"}, {"": "1"}])
def test_a_variable_that_cannot_be_fails_the_start_and_nothing_else(stage: Stage, environ: dict[str, str]) -> None:
    """NUL in one, or none at all before the sign: the system would not know where it ends."""
    stage.write_file('[project]\nname = "p"\n[[process]]\nname = "web"\ncommand = ["/bin/sleep", "1000"]\n')
    outcome = stage.ask_for("start", "web", environ=environ)
    (view,) = outcome.processes
    assert view.state in {"failed", "running"}
    assert outcome.ok is (view.state == "running")
    assert view.state == "running" or view.reason
    assert stage.ask_for("restart", "web").processes[0].state == view.state


def test_a_path_with_newlines_and_quotes_is_a_project_like_any_other(stage: Stage) -> None:
    """Down to the files that its processes make."""
    stage.project = stage.project / "a\n\"b'\t$(touch ran)`touch ran`;|\\" / "*"
    stage.project.mkdir(parents=True)
    stage.write_file('[project]\nname = "p"\n[[process]]\nname = "web"\ncommand = "pwd > here; exec sleep 1000"\n')
    assert stage.ask_for("activate").ok
    assert (stage.project / "here").read_text() == f"{stage.project}\n"
    assert stage.ask_for("deactivate").ok
    assert not list(stage.project.parent.parent.rglob("ran"))


@pytest.mark.parametrize(("length", "is_ok"), [(3900, True), (4085, False)])
def test_a_path_of_four_thousand_characters_is_a_project_or_refused(stage: Stage, length: int, is_ok: bool) -> None:
    """As long as its logs can have a name; beyond that it is said what is wrong, and nothing else goes wrong."""
    while len(str(stage.project)) < length - 250:
        stage.project /= "d" * 200
    stage.project /= "e" * (length - len(str(stage.project)) - 1)
    make(stage.project, '[project]\nname = "p"\n[[process]]\nname = "web"\ncommand = ["/bin/sleep", "1000"]\n')
    try:
        outcome = stage.ask_for("activate")
        said = str(outcome.processes[0].reason)
    except RemoteError as error:
        said = error.message
    assert is_ok or "too long" in said.lower()
    assert is_ok is (said == "None")


def make(project: Path, text: str) -> None:
    """A project at a path that is too long to be given to the system as a whole."""
    directory = os.open("/", os.O_RDONLY)
    for part in project.parts[1:]:
        with contextlib.suppress(FileExistsError):
            os.mkdir(part, dir_fd=directory)
        below = os.open(part, os.O_RDONLY, dir_fd=directory)
        os.close(directory)
        directory = below
    file = os.open(".runcept.toml", os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=directory)
    os.write(file, text.encode())
    os.close(file)
    os.close(directory)


def test_a_home_whose_path_is_odd_works(stage: Stage) -> None:
    """A newline, spaces, an equals sign and a quote: in sockets, in the keeper's arguments, in the database's name."""
    stage.home = str(Path(stage.home).parent / "ho\nme = '%41?\"#")
    stage.write_file('[project]\nname = "p"\n[[process]]\nname = "web"\ncommand = ["/bin/sleep", "1000"]\n')
    assert stage.ask_for("activate").ok
    pid = stage.statuses()["web"].pid
    stage.strike(daemon=True, keeper=True)
    assert stage.statuses()["web"].pid == pid


@pytest.mark.parametrize("kind", ["environment", "signal"])
def test_a_check_that_cannot_be_asked_is_asked_again(stage: Stage, kind: str) -> None:
    """An environment that no program can be given is an answer, and so is the end by a real-time signal."""
    one(stage, 'health_check = {url = "cmd://[ ! -e bad ] || kill -37 $$", interval = "100ms", retries = 1}')
    given, bad = dict(os.environ), stage.project / "bad"
    assert stage.ask_for("activate", environ=given).ok
    if kind == "signal":
        bad.touch()
    else:
        stage.ask_for("activate", environ=given | {"A=B": "C"})
    view = wait_until(lambda: (view := stage.statuses()["web"]).health == "unhealthy" and view, seconds=30)
    assert ("SIGRTMIN+3" if kind == "signal" else "illegal environment variable name") in view.reason
    bad.unlink(missing_ok=True)
    stage.ask_for("activate", environ=given)
    wait_until(lambda: stage.statuses()["web"].health == "healthy", seconds=30)


@pytest.mark.parametrize("kill", [False, True], ids=["stop", "kill"])
def test_a_working_directory_that_hangs_holds_up_its_process_alone(stage: Stage, kill: bool) -> None:
    """On a file server that is gone: the others start, it does not count as running, and it can be stopped."""
    stage.write_file(
        '[project]\nname = "p"\n[[process]]\nname = "other"\ncommand = "sleep 1000"\n[[process]]\nname = "web"\n'
        'command = "sleep 1000"\nworking_dir = "hanging"\nstop_timeout = "500ms"\n'
    )
    stage.ask_for("start", "other")
    stage.ask_for("stop", "other")
    with hanging_directory(stage.project / "hanging", seconds=60):
        stage.ask_for("start", "web", wait=False)
        assert stage.ask_for("start", "other").ok
        web = stage.statuses()["web"]
        assert (web.state, web.reason) == ("starting", "its command is being executed")
        begun = time.monotonic()
        stopped = stage.ask_for("stop", "web") if not kill else stage.ask("kill_all", m.KillAll(kill=True))
        assert time.monotonic() - begun < 20
        assert stopped.ok
        assert stage.statuses()["web"].state == "stopped"
        assert stage.ask_for("start", "other").ok
    assert stage.ask_for("start", "web").processes[0].run == 2


def test_a_program_that_never_ran_says_so_to_a_daemon_that_was_killed_meanwhile(stage: Stage) -> None:
    """It hangs in its directory while the next daemon takes it over, and is refused then."""
    one(stage, 'working_dir = "hanging"')
    stage.ask_for("stop", "web")
    with hanging_directory(stage.project / "hanging", seconds=60):
        stage.ask_for("start", "web", wait=False)
        runs = Path(runs_directory(stage.home))
        wait_until(lambda: [*runs.glob("web-1-*/run.json")])
        stage.strike(daemon=True)
        assert stage.statuses()["web"].pid
    wait_until(lambda: stage.statuses()["web"].state == "failed")
    assert "exit code 127: its program was not executed: chdir: " in stage.statuses()["web"].reason
