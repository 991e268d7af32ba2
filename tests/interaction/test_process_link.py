"""The daemon's end of the keeper: it starts one, speaks to it, and says in plain words why a start failed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from tests.support import wait_until

from runcept import errors
from runcept.client.autostart import is_held
from runcept.process import linux
from runcept.process.identity import Identity, boot_id, is_alive, start_time
from runcept.process.keeper_link import KeeperLink, NotAsked


@pytest.fixture
def home() -> Iterator[str]:
    """A home on a short path; what a keeper of it holds is ended with it."""
    with TemporaryDirectory(prefix="runcept-", ignore_cleanup_errors=True) as place:
        yield place


class Witness:
    """What the link told, and what it holds, to be ended."""

    def __init__(self, home: str) -> None:
        self.home = home
        self.told: list[tuple[Any, ...]] = []
        self.links: list[KeeperLink] = []
        self.news = asyncio.Event()

    async def connect(self, *options: str) -> KeeperLink:
        """A link whose events are kept."""
        link = await KeeperLink.connect(
            self.home,
            None,
            partial(self.hear, "bytes"),
            partial(self.hear, "exited"),
            partial(self.hear, "lost"),
            options=options,
        )
        self.links.append(link)
        return link

    async def until(self, kind: str) -> tuple[Any, ...]:
        """The first fact of a kind."""
        async with asyncio.timeout(10):
            while True:
                for fact in self.told:
                    if fact[0] == kind:
                        return fact
                self.news.clear()
                await self.news.wait()

    def hear(self, *fact: Any) -> None:
        """Keep a fact."""
        self.told.append(fact)
        self.news.set()

    def request(self, argv: list[str], key: str = "run", cwd: str = "/", **env: str) -> dict[str, Any]:
        """The parameters of a spawn."""
        environ = {"PATH": os.environ["PATH"]} | env
        directory = os.path.join(self.home, "runs", key)
        return {"key": key, "directory": directory, "argv": argv, "env": environ, "cwd": cwd, "meta": {"run": "1"}}


def play(home: str, scene: Callable[[Witness], Awaitable[None]]) -> None:
    """Run a scene, then end the keepers and what they hold."""
    witness = Witness(home)

    async def scene_within_bounds() -> None:
        try:
            async with asyncio.timeout(30):
                await scene(witness)
        finally:
            for link in witness.links:
                link.close()

    try:
        asyncio.run(scene_within_bounds())
    finally:
        wait_until(lambda: not end_all(home), what="the end of the keepers and what they hold")


def end_all(home: str) -> list[int]:
    """SIGKILL to every keeper of a home, one that is late to start included, and to its children."""
    ended = []
    for entry in linux.entries():
        if not entry.is_zombie and f"keeper {home}" in linux.command_of(entry.pid):
            children = [other.pid for other in linux.entries() if other.parent == entry.pid]
            for pid in [entry.pid, *children]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    ended.append(pid)
    return ended


@pytest.mark.parametrize("half", ["linux", "portable"])
def test_a_run_from_its_start_to_its_release(home: str, half: str) -> None:
    """Spawned, talking, ended, released; the facts come in order and after the answer to the spawn."""

    async def scene(witness: Witness) -> None:
        link = await witness.connect(f"system={half}")
        child = await link.spawn(**witness.request(["sh", "-c", "echo hello; exit 3"]))
        assert witness.told == []
        assert child.start_time == start_time(child.pid)
        assert child.meta == {"run": "1"}
        _, key, code, number, at, size, _ = await witness.until("exited")
        assert (key, code, number, size) == ("run", 3, None, 6)
        assert child.started_at is not None
        assert 0 <= at - child.started_at < 10
        link.consumed("run", size)
        assert not is_alive(Identity(child.pid, child.start_time, boot_id()))
        assert await link.release("run") == 6
        assert start_time(child.pid) is None
        await link.goodbye()

    play(home, scene)


def test_exit_is_not_told_before_its_spawn_has_returned(home: str) -> None:
    """Also of a program that ends at once, twenty times over."""

    async def scene(witness: Witness) -> None:
        link = await witness.connect()
        for number in range(20):
            key = f"run-{number}"
            await link.spawn(**witness.request(["true"], key=key))
            assert key not in [fact[1] for fact in witness.told if fact[0] == "exited"]

    play(home, scene)


@pytest.mark.parametrize(
    ("command", "cwd", "error", "sentence"),
    [
        ("nope", "/", errors.CommandNotFound, "command not found: nope"),
        ("./nope", "/", errors.CommandNotFound, "command not found: ./nope"),
        ("{tmp}/plain", "/", errors.CommandNotExecutable, "{tmp}/plain is not executable"),
        ("/etc", "/", errors.CommandIsDirectory, "/etc is a directory, not a program"),
        ("sh", "{tmp}/gone", errors.WorkingDirectoryUnusable, "cannot work in {tmp}/gone: it does not exist"),
        ("sh", "{tmp}/plain", errors.WorkingDirectoryUnusable, "cannot work in {tmp}/plain: it is not a directory"),
        (
            "{tmp}/script",
            "/",
            errors.SpawnRefused,
            "cannot start {tmp}/script: the interpreter that its first line names does not exist",
        ),
        ("{tmp}/no-format", "/", errors.SpawnRefused, "cannot start {tmp}/no-format: exec format error"),
    ],
)
def test_each_failure_has_its_own_sentence(  # noqa: PLR0917  the columns of the table
    home: str, tmp_path: Path, command: str, cwd: str, error: type[errors.StartError], sentence: str
) -> None:
    """Missing, not executable, a directory, a bad working directory, a bad interpreter."""
    (tmp_path / "plain").write_text("text")
    for name, text in (("script", "#!/no/such/interpreter\n"), ("no-format", "neither ELF nor script")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)

    async def scene(witness: Witness) -> None:
        link = await witness.connect()
        with pytest.raises(error) as raised:
            await link.spawn(**witness.request([command.format(tmp=tmp_path)], cwd=cwd.format(tmp=tmp_path)))
        assert raised.value.message == sentence.format(tmp=tmp_path)

    play(home, scene)


def test_daemons_come_and_go_and_the_keeper_stays(home: str) -> None:
    """The next link finds the same keeper and the same run; two at once find one keeper."""

    async def scene(witness: Witness) -> None:
        first = await witness.connect()
        child = await first.spawn(**witness.request(["sleep", "60"]))
        await first.goodbye()
        second = await witness.connect()
        assert second.pid == first.pid
        assert [(run.key, run.pid, run.exit) for run in second.runs] == [("run", child.pid, None)]
        assert ("lost",) not in witness.told

    play(home, scene)


def test_twenty_daemons_at_once_start_one_keeper(home: str) -> None:
    """All of them are greeted by it, whoever was first."""

    async def scene(witness: Witness) -> None:
        links = await asyncio.gather(*(witness.connect() for _ in range(20)))
        assert len({link.pid for link in links}) == 1

    play(home, scene)


def test_loss_of_the_keeper_is_told_once_and_fails_what_is_asked(home: str) -> None:
    """And the dead keeper, our child, is reaped; a new one takes over what lives."""

    async def scene(witness: Witness) -> None:
        link = await witness.connect()
        child = await link.spawn(**witness.request(["sleep", "60"]))
        os.kill(link.pid, signal.SIGSTOP)
        asked = asyncio.ensure_future(link.signal("run", 0))
        await asyncio.sleep(0)
        os.kill(link.pid, signal.SIGKILL)
        with pytest.raises(errors.KeeperLost):
            await asked
        await witness.until("lost")
        with pytest.raises(errors.KeeperLost):
            await link.release("run")
        again = await witness.connect()
        assert again.pid != link.pid
        about = {"key": "run", "directory": os.path.join(home, "runs", "run"), "pid": child.pid}
        with pytest.raises(ProcessLookupError):
            await again.adopt(**about, start_time=child.start_time + 1)
        held = await again.adopt(**about, start_time=child.start_time, meta="kept")
        assert (held.pid, held.meta) == (child.pid, "kept")
        with pytest.raises(OSError, match="busy"):
            await again.release("run")
        await again.signal("run", signal.SIGKILL)
        assert (await witness.until("exited"))[1] == "run"
        with pytest.raises(ProcessLookupError):
            await again.signal("run", signal.SIGKILL)
        assert witness.told.count(("lost",)) == 1

    play(home, scene)


def test_home_with_a_long_path_has_its_socket_elsewhere(home: str) -> None:
    """unix(7) ends at 107 bytes; the home does not."""
    deep = os.path.join(home, *["a-directory-with-a-long-name"] * 4)

    async def scene(witness: Witness) -> None:
        link = await witness.connect()
        assert [run.key for run in link.runs] == []
        await link.goodbye()

    play(deep, scene)


def test_keeper_that_cannot_start_is_said_so(home: str) -> None:
    """Where its log directory cannot be made, for one; within the bound."""
    Path(home, "keeper.lock").mkdir()

    async def scene(witness: Witness) -> None:
        with pytest.raises(errors.KeeperLost, match="ended at once"):
            await witness.connect()

    play(home, scene)


def test_what_the_keeper_has_to_say_is_in_its_log(home: str) -> None:
    """And it goes on after a request that makes no sense."""

    async def scene(witness: Witness) -> None:
        link = await witness.connect()
        with pytest.raises(OSError, match="request"):
            await link._ask("dance")
        await link.goodbye()

    play(home, scene)
    assert "cannot do dance" in Path(home, "logs", "keeper.log").read_text()


def test_identity_is_of_one_process_of_one_boot() -> None:
    """A zombie is not alive, nor is a pid with another start time, nor anything of another boot."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert child.stdin is not None
        started = start_time(child.pid)
        assert started is not None
        assert is_alive(Identity(child.pid, started, boot_id()))
        assert not is_alive(Identity(child.pid, started + 1, boot_id()))
        assert not is_alive(Identity(child.pid, started, "another"))
        child.stdin.close()
        wait_until(lambda: not is_alive(Identity(child.pid, started, boot_id())), what="the end")
        assert start_time(child.pid) == started
    assert start_time(child.pid) is None


def test_the_log_of_keepers_is_bounded(home: str) -> None:
    """What a thousand keepers have said is dropped where the next one starts; what is short is kept."""
    log = Path(home) / "logs" / "keeper.log"
    log.parent.mkdir(mode=0o700)

    async def scene(witness: Witness) -> None:
        for length, kept in ((1 << 20, 1 << 20), ((1 << 20) + 1, 0)):
            log.write_bytes(b"x" * length)
            link = await witness.connect()
            assert log.stat().st_size == kept
            await link.goodbye()
            wait_until(lambda: not is_held(home), what="the end of the keeper")

    play(home, scene)


def test_a_spawn_whose_turn_had_not_come_when_the_keeper_was_lost_was_not_asked(home: str) -> None:
    """So it can be asked of the next keeper at once; of the other one nobody knows, and that is looked into."""

    async def scene(witness: Witness) -> None:
        link = await witness.connect()
        os.kill(link.pid, signal.SIGSTOP)
        asked = [asyncio.ensure_future(link.spawn(**witness.request(["true"], key=key))) for key in ("a", "b", "c")]
        await asyncio.sleep(0)
        os.kill(link.pid, signal.SIGKILL)
        lost = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(each) for each in lost] == [errors.KeeperLost, NotAsked, NotAsked]

    play(home, scene)


def test_a_spawn_that_hangs_is_known_from_its_fork_on(home: str, tmp_path: Path) -> None:
    """It delays no other, and its failure is told in the words of any other."""
    os.mkfifo(tmp_path / "cgroup.procs")  # the child waits until somebody reads from it

    async def scene(witness: Witness) -> None:
        link = await witness.connect()
        forked: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        request = witness.request(["true"], key="hangs", cwd=str(tmp_path / "missing"))
        hanging = asyncio.ensure_future(
            link.spawn(**request, cgroup=str(tmp_path), on_fork=lambda child: forked.set_result(child.pid))
        )
        pid = await forked
        await link.spawn(**witness.request(["true"], key="other"))
        assert start_time(pid) is not None
        assert not hanging.done()
        (tmp_path / "cgroup.procs").read_text()
        with pytest.raises(errors.WorkingDirectoryUnusable):
            await hanging
        await link.release("hangs")
        assert ("hangs", 127) not in [fact[1:3] for fact in witness.told]

    play(home, scene)
