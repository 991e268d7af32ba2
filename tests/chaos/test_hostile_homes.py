"""Homes and projects that others could have had a hand in, and shells that leave everything open to all."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from tests.chaos.stage import Stage
from tests.support import wait_until

from runcept.client.connection import Connection
from runcept.config.project import load_project
from runcept.config.settings import Settings
from runcept.errors import HomeUnsafe, RunceptError
from runcept.paths import ensure_home, ensure_private, ensure_project_directory, log_path, socket_path

BIN = Path(sys.executable).parent
NOBODY, SOMEBODY = 65534, 54321
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be several users")


def runcept(stage: Stage, *arguments: str, umask: int = 0o022, **environ: str) -> subprocess.CompletedProcess[str]:
    """A command as typed into a shell with this umask, in the project's directory."""
    return subprocess.run(
        [BIN / "runcept", *arguments],
        cwd=stage.project,
        env={**os.environ, "RUNCEPT_HOME": stage.home, **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        umask=umask,
        timeout=60,
        check=False,
    )


def as_user(uid: int, function: Callable[[], object]) -> str:
    """What a user gets from the function, in a process of his own: nothing, or the words of the error."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        said = "died"
        try:
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            function()
            said = ""
        except (RunceptError, OSError) as error:
            said = str(error)
        finally:
            os.write(writing, said.encode())
            os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8") as told:
        answer = told.read()
    os.waitpid(child, 0)
    return answer


def open_to_others(root: Path) -> list[str]:
    """What below `root` somebody else may read or write, if he gets there. Links have no mode of their own."""
    found = []
    for directory, _, names in os.walk(root):
        for path in (directory, *(os.path.join(directory, name) for name in names)):
            with suppress(FileNotFoundError):  # it was of a run that is over
                status = os.lstat(path)
                if not stat.S_ISLNK(status.st_mode) and status.st_mode & 0o077:
                    found.append(f"{path} {stat.filemode(status.st_mode)}")
    return found


def project_file(stage: Stage, command: str = "umask; touch made; exec sleep 1000") -> None:
    """A process that says what umask it has, with a health check that does as well."""
    check = 'health_check = "cmd://umask >> checked; umask"\nlog = { max_size = "64KB" }'
    stage.write_file(f'[project]\nname = "p"\n[[process]]\nname = "web"\ncommand = "{command}"\n{check}\n')
    (stage.project / ".runcept.toml").chmod(0o644)


# --------------------------------------------------------------------------------------------------- umask


def test_everything_of_a_shell_with_umask_zero_is_private(stage: Stage, tmp_path: Path) -> None:
    """Home, sockets, database, locks, logs, spool, records of runs; after a keeper's and a daemon's end too."""
    (tmp_path / "a").mkdir()
    stage.home = str(tmp_path / "a" / "deep" / "home")
    project_file(stage, "seq 20000; touch made; exec sleep 1000")
    assert runcept(stage, "activate", umask=0).returncode == 0
    assert runcept(stage, "status", umask=0).returncode == 0  # this one has had a host, and started it
    wait_until(lambda: os.path.exists(stage.home + "/host.sock"))
    wait_until(lambda: list((stage.project / ".runcept" / "logs").glob("web.jsonl.*")))
    assert not open_to_others(tmp_path / "a" / "deep")
    assert not open_to_others(stage.project / ".runcept")
    pid = stage.statuses()["web"].pid
    stage.strike(daemon=True, keeper=True)
    wait_until(lambda: runcept(stage, "status", umask=0).returncode == 0)
    assert stage.statuses()["web"].pid == pid
    stage.strike(daemon=True)  # and this one the keeper starts
    wait_until(stage.daemons)
    wait_until(lambda: runcept(stage, "restart", "web", umask=0).returncode == 0)
    assert not open_to_others(tmp_path / "a" / "deep")
    assert not open_to_others(stage.project / ".runcept")


def test_a_process_has_the_umask_of_the_shell_that_activated_it(stage: Stage) -> None:
    """Its health check as well; a daemon of another life still knows it; and not the private one of the daemon."""
    project_file(stage)
    assert runcept(stage, "activate", umask=0o027).returncode == 0
    assert wait_until(lambda: stage.messages("web")) == ["0027"]
    assert (stage.project / "checked").read_text().splitlines()[0] == "0027"
    assert stat.S_IMODE((stage.project / "made").stat().st_mode) == 0o640
    stage.strike(daemon=True, keeper=True)
    stage.statuses()  # a socket of a daemon that was killed just now may be reset
    assert runcept(stage, "restart", "web", umask=0o002).returncode == 0  # no activation
    wait_until(lambda: stage.messages("web") == ["0027"] * 2)
    assert runcept(stage, "activate", umask=0o002).returncode == 0
    assert runcept(stage, "restart", "web", umask=0o002).returncode == 0
    wait_until(lambda: stage.messages("web") == ["0027", "0027", "0002"])


def test_a_process_that_nobody_activated_from_a_shell_has_the_usual_umask(stage: Stage) -> None:
    """As when an assistant asks."""
    project_file(stage)
    assert stage.ask_for("start", "web").ok
    assert wait_until(lambda: stage.messages("web")) == ["0022"]


def test_init_writes_what_others_cannot_write_to(stage: Stage) -> None:
    """It says what runs as us, whatever the umask."""
    assert runcept(stage, "init", umask=0).returncode == 0
    assert stat.S_IMODE((stage.project / ".runcept.toml").stat().st_mode) == 0o644


# ---------------------------------------------------------------------------------------------------- home


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777, 0o1777])
@pytest.mark.parametrize("linked", [False, True], ids=["itself", "through a link"])
def test_a_home_that_others_may_write_to_is_refused(tmp_path: Path, mode: int, linked: bool) -> None:
    """By its group, or by all, sticky or not; a link is as safe as what it leads to."""
    home = tmp_path / "real"
    home.mkdir()
    home.chmod(mode)
    if linked:
        (tmp_path / "link").symlink_to(home)
        home = tmp_path / "link"
    with pytest.raises(HomeUnsafe, match="others may write to it") as caught:
        ensure_home(str(home))
    assert caught.value.exit_status == 5
    assert not list(home.iterdir()), "nothing was made in it"


@needs_root
def test_a_home_of_another_user_is_refused(tmp_path: Path) -> None:
    """However private it is; and so is a link of another user to a home of ours: he can turn it any moment."""
    theirs, ours, link = tmp_path / "theirs", tmp_path / "ours", tmp_path / "link"
    for home in (theirs, ours):
        home.mkdir(mode=0o700)
    os.chown(theirs, NOBODY, NOBODY)
    with pytest.raises(HomeUnsafe, match=f"belongs to uid {NOBODY}"):
        ensure_home(str(theirs))
    link.symlink_to(ours)
    ensure_home(str(link))
    os.chown(link, NOBODY, NOBODY, follow_symlinks=False)
    with pytest.raises(HomeUnsafe, match=f"a link that uid {NOBODY} made"):
        ensure_home(str(link))


@pytest.mark.parametrize("kind", ["file", "dangling link", "below a file"])
def test_what_is_no_home_is_refused_with_a_sentence(tmp_path: Path, kind: str) -> None:
    """Exit status 5, and no traceback, whatever is there."""
    home = tmp_path / "home"
    if kind == "dangling link":
        home.symlink_to(tmp_path / "nowhere")
    else:
        home.write_text("")
    if kind == "below a file":
        home /= "below"
    with pytest.raises(HomeUnsafe):
        ensure_home(str(home))


def test_a_home_behind_a_link_of_ours_works(stage: Stage, tmp_path: Path) -> None:
    """Commands that take the link and commands that take the place reach one daemon each: of the same sockets."""
    project_file(stage)
    real = tmp_path / "real"
    real.mkdir(mode=0o700)
    os.symlink(real, stage.home)
    assert runcept(stage, "activate").returncode == 0
    assert stage.statuses()["web"].state == "running"
    assert (real / "daemon.sock").is_socket()


@pytest.fixture
def passage() -> Iterator[Path]:
    """A directory that others may pass through, which that of pytest is not."""
    with tempfile.TemporaryDirectory(prefix="runcept-test-") as made:
        os.chmod(made, 0o711)
        yield Path(os.path.realpath(made))


@contextmanager
def socket_directory(uid: int) -> Iterator[Path]:
    """Where the sockets of a user's long homes are; not there before, and not there after."""
    place = Path(f"/tmp/runcept-{uid}")
    if os.path.lexists(place):
        pytest.skip(f"{place} is somebody's")
    try:
        yield place
    finally:
        with suppress(FileNotFoundError):
            place.unlink() if place.is_symlink() else place.rmdir()


@needs_root
@pytest.mark.parametrize(
    ("uid", "trap", "words"),
    [
        (SOMEBODY, "", ""),
        (SOMEBODY + 1, "directory", f"belongs to uid {NOBODY}"),
        (SOMEBODY + 2, "link to his own", f"a link that uid {NOBODY} made"),
        (SOMEBODY + 3, "link to ours", f"a link that uid {NOBODY} made"),
        (SOMEBODY + 4, "open to all", "others may write to it"),
    ],
)
def test_a_socket_directory_that_somebody_else_made_is_refused(passage: Path, uid: int, trap: str, words: str) -> None:
    """It lies in /tmp, where everybody can be first: then nobody connects there, and nobody listens."""
    his, ours = passage / "his", passage / "ours"
    for path, owner in ((his, NOBODY), (ours, uid)):
        path.mkdir(mode=0o700)
        os.chown(path, owner, owner)
    with socket_directory(uid) as place:
        if trap.startswith("link"):
            place.symlink_to(his if trap == "link to his own" else ours)
            os.chown(place, NOBODY, NOBODY, follow_symlinks=False)
        elif trap:
            place.mkdir()
            os.chown(place, NOBODY if trap == "directory" else uid, -1)
            place.chmod(0o777 if trap == "open to all" else 0o755)
        said = as_user(uid, lambda: ensure_private(os.path.dirname(socket_path(f"/{'x' * 120}"))))
    assert words in said
    assert bool(said) is bool(trap)


@needs_root
def test_nobody_talks_to_a_daemon_of_another_user(tmp_path: Path) -> None:
    """Even where the directory is ours and another user listens in it: he would be told our environment."""
    home = tmp_path / "home"
    ensure_home(str(home))
    listener = socket.socket(socket.AF_UNIX)
    with listener:
        listener.bind(str(home / "daemon.sock"))

        def listen() -> None:
            listener.listen()

        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:  # the credentials that count are those of who called listen(2)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            listen()
            os.write(writing, b".")
            time.sleep(60)
            os._exit(0)
        try:
            os.read(reading, 1)
            with pytest.raises(HomeUnsafe, match="another user listens there"):
                Connection(str(home))
        finally:
            os.kill(child, 9)
            os.waitpid(child, 0)
            os.close(reading)
            os.close(writing)


# ------------------------------------------------------------------------------------------------- project


@needs_root
@pytest.mark.parametrize("what", ["project file", "link to it", "env file"])
def test_what_another_user_wrote_does_not_run(stage: Stage, what: str) -> None:
    """The project file, a link by which he makes a file of ours the one of his directory, and a file of variables."""
    extra = 'env_files = ["vars"]' if what == "env file" else ""
    stage.write_file(f'[project]\nname = "p"\n{extra}\n[[process]]\nname = "web"\ncommand = "touch ran; sleep 100"\n')
    file = stage.project / ".runcept.toml"
    (stage.project / "vars").write_text("A=1\n")
    if what == "env file":
        os.chown(stage.project / "vars", NOBODY, -1)
    elif what == "link to it":
        file.rename(stage.project.parent / "mine.toml")
        file.symlink_to(stage.project.parent / "mine.toml")
        os.chown(file, NOBODY, -1, follow_symlinks=False)
    else:
        os.chown(file, NOBODY, -1)
    done = runcept(stage, "activate")
    assert done.returncode == 4
    assert f"belongs to uid {NOBODY}" in done.stderr
    assert not (stage.project / "ran").exists()


@needs_root
def test_a_project_file_of_roots_is_read(passage: Path) -> None:
    """Who could not trust root could trust nothing; it is so with git's safe.directory."""
    (passage / ".runcept.toml").write_text('[project]\nname = "p"\n')

    def load() -> None:
        load_project(str(passage), Settings())

    load()  # what is imported late may be where another user cannot read it
    assert as_user(SOMEBODY, load) == ""
    os.chown(passage / ".runcept.toml", NOBODY, -1)
    assert f"belongs to uid {NOBODY}" in as_user(SOMEBODY, load)


def test_the_mode_of_a_project_file_does_not_count(stage: Stage) -> None:
    """As for git: on WSL's drives, shared folders and in many containers every file is 0666 or 0777."""
    project_file(stage)
    (stage.project / ".runcept.toml").chmod(0o666)
    assert runcept(stage, "validate").returncode == 0


@needs_root
@pytest.mark.parametrize("what", [".runcept", ".runcept/logs"])
@pytest.mark.parametrize("linked", [False, True], ids=["directory", "link"])
def test_a_log_directory_of_another_user_is_not_written_to(stage: Stage, what: str, linked: bool) -> None:
    """He would read our output; and his link would have us write where he likes. The start fails, and says so."""
    project_file(stage)
    elsewhere = stage.project.parent / "elsewhere"
    elsewhere.mkdir()
    place = stage.project / what
    place.parent.mkdir(exist_ok=True)
    if linked:
        place.symlink_to(elsewhere)
    else:
        place.mkdir()
    os.chown(place, NOBODY, -1, follow_symlinks=False)
    outcome = stage.ask_for("start", "web")
    assert not outcome.ok
    assert f"belongs to uid {NOBODY}" in outcome.processes[0].reason
    assert not list(elsewhere.iterdir())
    assert not (stage.project / "made").exists()


def test_a_log_directory_behind_a_link_of_ours_is_used(stage: Stage) -> None:
    """Logs on a larger disk."""
    project_file(stage)
    elsewhere = stage.project.parent / "elsewhere"
    elsewhere.mkdir()
    (stage.project / ".runcept").symlink_to(elsewhere)
    assert stage.ask_for("start", "web").ok
    wait_until(lambda: stage.messages("web"))
    assert (elsewhere / "logs" / "web.jsonl").exists()


def test_no_link_in_place_of_a_log_has_us_write_elsewhere(stage: Stage) -> None:
    """A repository can hold one: .runcept/logs/web.jsonl, to ~/.bashrc; and .gitignore, to what does not exist."""
    project_file(stage)
    precious, nothing = stage.project.parent / "precious", stage.project.parent / "nothing"
    precious.write_text("mine\n")
    (stage.project / ".runcept" / "logs").mkdir(parents=True)
    os.symlink(precious, stage.log("web"))
    (stage.project / ".runcept" / ".gitignore").symlink_to(nothing)
    assert stage.ask_for("start", "web").ok
    wait_until(lambda: stage.messages("web"))
    assert precious.read_text() == "mine\n"
    assert not nothing.exists()


def test_a_pipe_in_place_of_a_log_holds_no_reader_up(stage: Stage) -> None:
    """Nor does one in place of the project file: commands look at both, and would wait for a writer for ever."""
    project_file(stage)
    ensure_project_directory(str(stage.project))
    os.mkfifo(log_path(str(stage.project), "web"))
    assert json.loads(runcept(stage, "--json", "logs").stdout)["lines"] == []
    (stage.project / ".runcept.toml").unlink()
    os.mkfifo(stage.project / ".runcept.toml")
    assert runcept(stage, "logs").returncode == 0
    assert runcept(stage, "activate", "web").returncode == 4
    assert runcept(stage, "status").returncode == 3
