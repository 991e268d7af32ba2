"""What was stopped for inactivity is started by a connection to its port, and nobody who connects is refused."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest
from tests.e2e.conftest import Project
from tests.support import free_ports, program, wait_until

SLOW = """
import http.server, os, socket, sys, threading, time
time.sleep(float(os.environ.get("DELAY", "0.5")))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"awake"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6 if ":" in os.environ["HOST"] else socket.AF_INET
# In a thread: the kernel asks about threads, and descriptors belong to processes.
server = threading.Thread(target=lambda: Server((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever())
server.start()
"""


def server(project: Project, port: int, *, host: str = "127.0.0.1", extra: str = "", delay: float = 0.5) -> str:
    """A [[process]] web that takes a while to bind its port, and sleeps after a second."""
    (project.path / "slow.py").write_text(SLOW)
    return f"""
[[process]]
name = "web"
command = "{sys.executable} slow.py"
env = {{ HOST = "{host}", DELAY = "{delay}" }}
ports = [{port}]
wake = "connect"
inactivity_timeout = "1s"
{extra}
"""


def states(project: Project) -> dict[str, dict[str, Any]]:
    """All processes by name, asked for in a way that is no activity."""
    return {each["name"]: each for each in project.json("ps")["processes"]}


def sleeps(project: Project, name: str = "web") -> dict[str, Any]:
    """Wait until it was stopped for inactivity, and its port is held."""

    def stopped() -> dict[str, Any] | None:
        found = states(project)[name]
        return found if found["state"] == "stopped" else None

    return wait_until(stopped, 20, f"{name} is stopped")


def get(port: int, host: str = "127.0.0.1", seconds: float = 20) -> tuple[int, str]:
    """What an HTTP client is told."""
    place = f"[{host}]" if ":" in host else host
    try:
        with urllib.request.urlopen(f"http://{place}:{port}/", timeout=seconds) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def is_open(port: int) -> bool:
    """Whether somebody listens there, as the kernel tells: a connection would wake what sleeps."""
    listening = [each for each in psutil.net_connections("tcp") if each.status == psutil.CONN_LISTEN]
    return any(each.laddr.port == port for each in listening)


def test_fifty_first_connections_are_all_served(project: Project) -> None:
    """Fifty clients that connect at once to what sleeps all get their answer, and its dependency runs before it."""
    (port,) = free_ports(1)
    database = '[[process]]\nname = "db"\ncommand = "exec sleep 1000"\ninactivity_timeout = "1s"\n'
    web = server(project, port, extra='depends_on = ["db"]')
    project.write(f'[project]\nname = "p"\n{database}{web}')
    project.run("activate")
    asleep = sleeps(project)
    assert asleep["reason"] == f"stopped after 1s without activity; a connection to port {port} starts it"
    wait_until(lambda: states(project)["db"]["state"] == "stopped", what="its dependency is down after it")
    with ThreadPoolExecutor(50) as clients:
        answers = list(clients.map(lambda _: get(port), range(50)))
    assert answers == [(200, "awake")] * 50
    after = states(project)
    assert after["db"]["started_at"] < after["web"]["started_at"]
    assert after["web"]["run"] == 2


def test_at_no_instant_is_anybody_refused(project: Project) -> None:
    """Clients that come all the time, while it falls asleep, sleeps and is woken, never find the port closed."""
    (port,) = free_ports(1)
    not_used_by_them = 'activity = ["requests"]'
    project.write(f'[project]\nname = "p"\n{server(project, port, extra=not_used_by_them)}')
    project.run("activate")
    wait_until(lambda: is_open(port), what="it has bound its port")
    refused: list[OSError] = []
    done = threading.Event()

    def knock() -> None:
        while not done.wait(0.005):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
            except OSError as error:
                refused.append(error)

    client = threading.Thread(target=knock)
    client.start()
    try:
        wait_until(lambda: states(project)["web"]["run"] == 3, 20, "it is woken, sleeps, and is woken again")
    finally:
        done.set()
        client.join()
    assert not refused


@pytest.mark.parametrize(
    ("host", "clients"), [("0.0.0.0", ["127.0.0.1"]), ("::1", ["::1"]), ("::", ["::1", "127.0.0.1"])]
)
def test_the_port_is_held_where_the_program_had_it(project: Project, host: str, clients: list[str]) -> None:
    """It is woken by a connection to each address that it listened on."""
    (port,) = free_ports(1)
    project.write(f'[project]\nname = "p"\n{server(project, port, host=host)}')
    for client in clients:
        project.run("activate")
        sleeps(project)
        assert get(port, client) == (200, "awake")


def test_node_is_woken(project: Project) -> None:
    """A program of another kind, which binds without blocking, and of its own accord."""
    node, (port,) = program("node"), free_ports(1)
    (project.path / "app.js").write_text(
        f"require('http').createServer((q, a) => a.end('node')).listen({port})", encoding="utf-8"
    )
    project.write(
        f'[project]\nname = "p"\n[[process]]\nname = "web"\ncommand = "{node} app.js | cat"\nports = [{port}]\n'
        f'wake = "connect"\ninactivity_timeout = "1s"\nhealth_check = "http://localhost:{port}/"\n'
    )
    project.run("activate")
    for _ in range(2):
        sleeps(project)
        assert get(port) == (200, "node")


def test_a_server_that_looks_at_other_addresses_first_is_woken(project: Project) -> None:
    """Whether a port is free is found out by binding it elsewhere, as Vite does: the queue survives that."""
    (port,) = free_ports(1)
    probing = """
import socket, os
for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
    with socket.socket(family) as probe:
        probe.bind((host, int(os.environ["PORT"])))
        probe.listen()
"""
    project.write(f'[project]\nname = "p"\n{server(project, port)}')
    (project.path / "slow.py").write_text(probing + SLOW, encoding="utf-8")
    project.run("activate")
    sleeps(project)
    assert get(port) == (200, "awake")


def test_who_waits_for_what_fails_is_told_why(project: Project) -> None:
    """Where the start fails, an HTTP client gets 503 and the reason, another is hung up on, and the port is free."""
    (port,) = free_ports(1)
    project.write(f'[project]\nname = "p"\n{server(project, port)}')
    project.run("activate")
    sleeps(project)
    (project.path / "slow.py").write_text("import time, sys; time.sleep(0.3); sys.exit('no queue')", encoding="utf-8")
    with socket.create_connection(("127.0.0.1", port), timeout=20) as silent:
        assert get(port) == (503, "runcept: web cannot answer; it is failed: exit code 1: no queue\n")
        assert not silent.recv(1)
    wait_until(lambda: not is_open(port), what="the port is free")


@pytest.mark.parametrize("command", [["stop", "web"], ["deactivate"], ["daemon", "stop"]])
def test_a_person_who_stops_it_gets_the_port_back(project: Project, command: list[str]) -> None:
    """What sleeps and is stopped by a person, alone or with all else, holds no port any more, also later."""
    (port,) = free_ports(1)
    project.write(f'[project]\nname = "p"\n{server(project, port)}')
    project.run("activate")
    sleeps(project)
    wait_until(lambda: is_open(port), what="the port is held")
    project.run(*command)
    wait_until(lambda: not is_open(port), what="the port is free")
    assert states(project)["web"]["reason"].startswith("stopped by request")
    assert not is_open(port)


def test_a_port_is_given_up_with_the_key(project: Project) -> None:
    """When `wake` is taken out of the file, and when the whole process is."""
    (port,) = free_ports(1)
    for later in (server(project, port).replace('wake = "connect"', ""), ""):
        project.write(f'[project]\nname = "p"\n{server(project, port)}')
        project.run("activate")
        sleeps(project)
        wait_until(lambda: is_open(port), what="the port is held")
        project.write(f'[project]\nname = "p"\n{later}')
        project.run("status")
        wait_until(lambda: not is_open(port), what="the port is free")


def test_a_killed_daemon_refuses_nobody(project: Project) -> None:
    """With the daemon killed while it sleeps, the port stays held, and a connection is served by the next daemon."""
    (port,) = free_ports(1)
    project.write(f'[project]\nname = "p"\n{server(project, port)}')
    project.run("activate")
    sleeps(project)
    wait_until(lambda: is_open(port), what="the port is held")
    os.kill(project.json("daemon", "status")["pid"], signal.SIGKILL)
    assert get(port) == (200, "awake")
    sleeps(project)
    project.run("daemon", "restart")
    assert is_open(port)
    assert get(port) == (200, "awake")


def keeper_pid(project: Project) -> int:
    """Who has written itself down in the lock."""
    return int((project.home / "keeper.lock").read_text(encoding="ascii").split()[0])


def test_a_new_keeper_holds_the_port_again(project: Project) -> None:
    """With the keeper killed while it sleeps, the port is held again; a port that is taken meanwhile is told."""
    (port,) = free_ports(1)
    project.write(f'[project]\nname = "p"\n{server(project, port)}')
    project.run("activate")
    sleeps(project)
    wait_until(lambda: is_open(port), what="the port is held")
    daemon = project.json("daemon", "status")["pid"]
    os.kill(daemon, signal.SIGSTOP)
    try:
        os.kill(keeper_pid(project), signal.SIGKILL)
        wait_until(lambda: not is_open(port), what="the keeper is gone")
        taken = socket.create_server(("127.0.0.1", port))
    finally:
        os.kill(daemon, signal.SIGCONT)
    with taken:
        notice = wait_until(lambda: states(project)["web"]["notice"], what="a notice")
        assert notice.startswith(f"port {port} cannot be held for it: pid {os.getpid()} (")
        assert notice[:40] in " ".join(project.run("ps").stdout.split())
    wait_until(lambda: is_open(port), what="the port is held")
    assert get(port) == (200, "awake")
    assert states(project)["web"]["notice"] is None


def test_what_outlived_its_keeper_sleeps_and_is_woken(project: Project) -> None:
    """With the keeper killed while it runs, the next one holds its port once it sleeps, on the loopback addresses."""
    (port,) = free_ports(1)
    project.write(f'[project]\nname = "p"\n{server(project, port)}')
    project.run("activate")
    wait_until(lambda: is_open(port), what="it has bound its port")
    os.kill(keeper_pid(project), signal.SIGKILL)
    sleeps(project)
    wait_until(lambda: is_open(port), what="the port is held")
    assert get(port) == (200, "awake")


def test_what_somebody_else_binds_for_it_can_be_checked(project: Project) -> None:
    """A first start is not held up by a port that the process never binds itself, as of a container."""
    (port,) = free_ports(1)
    project.write(
        f'[project]\nname = "p"\n[[process]]\nname = "web"\ncommand = "exec sleep 1000"\nports = [{port}]\n'
        f'wake = "connect"\nhealth_check = {{ url = "tcp://127.0.0.1:{port}", interval = "100ms" }}\n'
    )
    project.run("activate", "--no-wait")
    wait_until(lambda: states(project)["web"]["pid"], what="it has been started")
    with socket.create_server(("127.0.0.1", port)):
        project.run("wait", "web", "--timeout", "20s")


def test_a_forgotten_project_holds_no_port(project: Project) -> None:
    """What is dropped from the known environments wakes no more."""
    (port,) = free_ports(1)
    project.write(f'[project]\nname = "p"\n{server(project, port)}')
    project.run("activate")
    sleeps(project)
    wait_until(lambda: is_open(port), what="the port is held")
    project.run("environments", "--forget", str(project.path))
    wait_until(lambda: not is_open(port), what="the port is free")


def test_a_keeper_keeps_nothing_of_what_is_over(project: Project) -> None:
    """However often it sleeps and is woken, the keeper has as many descriptors open as after the first time."""
    (port,) = free_ports(1)
    project.write(f'[project]\nname = "p"\n{server(project, port, delay=0)}')
    project.run("activate")
    open_files = []
    for _ in range(4):
        sleeps(project)
        wait_until(lambda: is_open(port), what="the port is held")
        open_files.append(len(os.listdir(f"/proc/{keeper_pid(project)}/fd")))
        assert get(port) == (200, "awake")
    assert max(open_files) == open_files[0]


def test_another_process_is_told_who_sleeps_on_its_port(project: Project) -> None:
    """A port that is held is not free for another process."""
    (port,) = free_ports(1)
    other = f'[[process]]\nname = "other"\nautostart = false\ncommand = "exec sleep 1000"\nports = [{port}]\n'
    project.write(f'[project]\nname = "p"\n{server(project, port)}{other}')
    project.run("activate")
    sleeps(project)
    wait_until(lambda: is_open(port), what="the port is held")
    failed = project.json("start", "other", ok=False)["processes"][0]
    assert failed["reason"] == f"port {port} is held by web of {project.path}, which sleeps until somebody connects"


@pytest.mark.parametrize("scheme", ["tcp", "http"])
def test_a_check_does_not_take_the_queue_for_the_program(project: Project, scheme: str) -> None:
    """While the program has not bound its port, a health check of that port fails, though one could connect."""
    (port,) = free_ports(1)
    check = f'health_check = {{ url = "{scheme}://127.0.0.1:{port}", interval = "200ms" }}'
    project.write(f'[project]\nname = "p"\n{server(project, port, extra=check)}')
    project.run("activate")
    sleeps(project)
    (project.path / "slow.py").write_text("import time; time.sleep(2)\n" + SLOW, encoding="utf-8")  # longer than it may
    begun = time.monotonic()
    with socket.create_connection(("127.0.0.1", port)):
        wait_until(lambda: states(project)["web"]["state"] == "running", 20, "it is ready")
        assert time.monotonic() - begun > 2
        assert states(project)["web"]["run"] == 2


def test_a_start_by_a_person_wakes_it_too(project: Project) -> None:
    """`start` and `restart` of what sleeps, and of what was woken, find its own port free."""
    (port,) = free_ports(1)
    project.write(f'[project]\nname = "p"\n{server(project, port)}')
    project.run("activate")
    sleeps(project)
    project.run("start", "web")
    wait_until(lambda: get(port)[0] == 200)
    project.run("restart", "web")
    project.run("restart", "web")
    wait_until(lambda: states(project)["web"]["state"] == "running")


def test_the_history_tells_who_woke_it(project: Project) -> None:
    """`explain` says what wakes it; the event `woken` that somebody did."""
    (port,) = free_ports(1)
    project.write(f'[project]\nname = "p"\n{server(project, port)}')
    project.run("activate")
    sleeps(project)
    said = project.json("explain", "web")["next"]
    assert said == f"A connection to port {port} starts it; so does `runcept start web`."
    get(port)
    with sqlite3.connect(project.home / "runcept.db") as database:
        (row,) = database.execute("SELECT message, actor FROM events WHERE kind = 'woken'").fetchall()
    assert row == (f"web: somebody has connected to port {port}", "connection")
