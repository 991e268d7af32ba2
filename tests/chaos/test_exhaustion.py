"""Few descriptors, many cycles, long lines: what is used is bounded, and given back."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import psutil
from tests.chaos.stage import Stage
from tests.support import wait_until

MB = 1_000_000
CYCLES = 60
"""Enough to see a descriptor or a task a cycle; `make chaos` runs thousands."""


def test_sixty_four_descriptors_are_enough_for_forty_processes(stage: Stage) -> None:
    """Started under `ulimit -n 64`, daemon and keeper help themselves, and the processes get what was given."""
    names = [f"p{index}" for index in range(40)]
    command = 'command = "ulimit -S -n; exec sleep 1000"'
    stage.write_file('[project]\nname = "p"\n' + "".join(f'[[process]]\nname = "{n}"\n{command}\n' for n in names))
    start = f"""
import resource
from runcept.client.autostart import ensure_daemon
resource.setrlimit(resource.RLIMIT_NOFILE, (64, {resource.getrlimit(resource.RLIMIT_NOFILE)[1]}))
ensure_daemon({stage.home!r}).close()
"""
    subprocess.run([sys.executable, "-c", start], check=True)
    assert stage.ask_for("activate").ok
    wait_until(lambda: all(stage.messages(name) == ["64"] for name in names))
    stage.kill(stage.daemons())
    assert all(view.state == "running" for view in stage.statuses().values())


def test_what_cycles_leave_behind_is_nothing(stage: Stage) -> None:
    """Descriptors and memory of daemon and keeper are flat over starts, stops, restarts and crashes."""
    stage.write({"steady": "", "quits": ""})

    def cycle(count: int) -> None:
        for _ in range(count):
            stage.ask_for("start", "steady", "quits", wait=False)
            stage.ask_for("restart", "steady", wait=False)
            assert stage.ask_for("stop", "steady", "quits").ok

    def descriptors() -> list[int]:
        return [psutil.Process(pid).num_fds() for pid in (*stage.daemons(), *stage.keepers())]

    def memory() -> int:
        return sum(psutil.Process(pid).memory_info().rss for pid in (*stage.daemons(), *stage.keepers()))

    cycle(5)
    wait_until(lambda: not list((Path(stage.home) / "runs").iterdir()))
    before, memory_before = descriptors(), memory()
    cycle(CYCLES)
    wait_until(lambda: not list((Path(stage.home) / "runs").iterdir()))
    wait_until(lambda: all(now <= then + 1 for now, then in zip(descriptors(), before, strict=True)))
    assert memory() < memory_before + 4 * MB


def test_a_line_of_twenty_megabytes_takes_no_twenty_megabytes(stage: Stage) -> None:
    """It is logged in parts, whole and in order, and who asks meanwhile is answered."""
    code = "import sys; sys.stdout.write('start' + 'x' * 20_000_000 + 'end\\\\n'); sys.stdout.flush(); input()"
    keys = f"command = ['{sys.executable}', '-I', '-S', '-c', \"{code}\"]"
    stage.write_file(f'[project]\nname = "p"\n[[process]]\nname = "web"\n{keys}\n')
    stage.statuses()
    (daemon,), (keeper,) = stage.daemons(), stage.keepers()
    before = psutil.Process(daemon).memory_info().rss
    stage.ask_for("start", "web", wait=False)
    most = 0

    def is_logged() -> bool:
        nonlocal most
        most = max(most, psutil.Process(daemon).memory_info().rss)
        stage.statuses()
        log = Path(stage.log("web"))
        return log.exists() and log.stat().st_size > 20_000_000

    wait_until(is_logged, seconds=30)
    wait_until(lambda: sum(map(len, stage.messages("web"))) == 20_000_008)
    assert most < before + 20 * MB
    assert psutil.Process(keeper).memory_info().rss < 20 * MB
