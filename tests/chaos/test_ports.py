"""Ports: nobody gets one that is another's, bound or not, and whose it is is said."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.chaos.stage import Stage
from tests.support import free_ports, wait_until

from runcept.api import messages as m

SERVER = """
import os, socket, time
listener = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
time.sleep(1000)
"""


def another(stage: Stage, processes: str) -> Path:
    """A second project of the same home."""
    project = stage.project.parent / "another"
    project.mkdir()
    (project / ".runcept.toml").write_text(f'[project]\nname = "another"\n{processes}')
    return project


def start(stage: Stage, project: Path, *names: str) -> Any:
    return stage.ask("start", m.Start(environment=str(project), names=list(names), timeout=20))


def process(name: str, ports: str, command: str = "['sleep', '1000']") -> str:
    return f'[[process]]\nname = "{name}"\ncommand = {command}\nports = {ports}\n'


def test_the_owner_of_a_port_is_told_with_its_environment(stage: Stage) -> None:
    """The pid that has bound it is a grandchild of a process of another project, which is named."""
    (port,) = free_ports(1)
    code = f"""import os, subprocess, sys; subprocess.run([sys.executable, '-I', '-S', '-c', {SERVER!r}])"""
    (stage.project / "serve.py").write_text(code)
    command = f"['{sys.executable}', '-I', '-S', '{stage.project}/serve.py']"
    there = another(stage, process("web", f"[{port}]", command) + f'health_check = "tcp://127.0.0.1:{port}"\n')
    assert start(stage, there, "web").ok
    stage.write_file(f'[project]\nname = "p"\n{process("mine", f"[{port}]")}')
    outcome = stage.ask_for("start", "mine", seconds=10)
    assert not outcome.ok
    (view,) = outcome.processes
    assert view.state == "failed"
    assert view.reason.startswith(f"port {port} is held by pid ")
    assert view.reason.endswith(f"which is web of {there}")


def test_a_port_that_is_bound_by_a_hidden_child_of_ours_is_known_as_ours(stage: Stage) -> None:
    """Though the run that has it declares no port: by what tells of which run a process is."""
    (port,) = free_ports(1)
    (stage.project / "serve.py").write_text(SERVER)
    command = f"'setsid env -i PORT={port} {sys.executable} -I -S {stage.project}/serve.py & sleep 1000'"
    keys = f'command = {command}\nhealth_check = "tcp://127.0.0.1:{port}"\nstop_timeout = "100ms"\n'
    there = another(stage, f'[[process]]\nname = "web"\n{keys}')
    assert start(stage, there, "web").ok
    stage.write_file(f'[project]\nname = "p"\n{process("mine", f"[{port}]")}')
    (view,) = stage.ask_for("start", "mine", seconds=10).processes
    assert view.reason.endswith(f"which is web of {there}")


def test_a_port_that_was_promised_is_not_promised_again(stage: Stage) -> None:
    """It is a running process's though that has not bound it yet; and free again when that is stopped."""
    (port,) = free_ports(1)
    there = another(stage, process("web", f"[{port}]"))
    pid = start(stage, there, "web").processes[0].pid
    stage.write_file(f'[project]\nname = "p"\n{process("mine", f"[{port}]")}')
    stage.kill(stage.daemons())  # the next one knows of it as well
    (view,) = stage.ask_for("start", "mine", seconds=10).processes
    assert view.reason == f"port {port} is held by pid {pid} (sleep 1000), which is web of {there}"
    assert stage.ask("stop", m.Stop(environment=str(there), names=["web"])).ok
    assert stage.ask_for("start", "mine").ok


def test_automatic_ports_are_unique_across_environments(stage: Stage) -> None:
    """Forty processes that bind nothing, started at once, get forty of the sixty that the kernel offers."""
    if not os.geteuid():
        few = 'echo 40000 40119 > /proc/sys/net/ipv4/ip_local_port_range; exec "$@"'
        stage.begin("unshare", "--net", "sh", "-c", few, "sh")
    names = [f"p{number}" for number in range(20)]
    processes = "".join(process(name, '"auto"') for name in names)
    there = another(stage, processes)
    stage.write_file(f'[project]\nname = "p"\n{processes}')
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(lambda project: start(stage, project, *names), (there, stage.project)))
    views = [view for outcome in outcomes for view in outcome.processes]
    assert len({port for view in views for port in view.ports}) == len(views) == 40


def test_ports_that_nobody_declared_are_found_and_shown(stage: Stage) -> None:
    """Where a process listens is seen in its status, with the address for a browser."""
    (port,) = free_ports(1)
    command = f"'PORT={port} {sys.executable} -I -S serve.py'"
    (stage.project / "serve.py").write_text(SERVER)
    stage.write_file(f'[project]\nname = "p"\n[[process]]\nname = "web"\ncommand = {command}\n')
    stage.ask_for("start", "web")
    wait_until(lambda: stage.statuses()["web"].ports == [port])
    assert stage.statuses()["web"].urls == [f"http://localhost:{port}"]
