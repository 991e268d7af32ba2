"""HTTP servers as development has them: Python's http.server, and one in Node that needs another."""

from __future__ import annotations

from urllib.request import urlopen

from tests.e2e.conftest import Project
from tests.support import free_ports, program

NODE = """
const http = require("node:http");
const server = http.createServer(async (request, response) => {
  const page = await (await fetch(process.env.SITE + request.url)).text();
  response.end("node says: " + page);
});
server.listen(Number(process.env.PORT), "127.0.0.1", () => console.log("node listens"));
process.on("SIGTERM", () => server.close(() => console.log("node closed")));
"""


def get(url: str) -> str:
    """The body of what is at `url`."""
    with urlopen(url, timeout=10) as reply:
        return str(reply.read().decode())


def test_a_python_server_gets_a_free_port_and_is_interrupted(project: Project) -> None:
    """`ports = "auto"` picks a port and tells it as PORT; the request is in the log; SIGINT reaches the server."""
    (project.path / "hello.txt").write_text("hello")
    project.write("""
        [project]
        name = "site"
        [[process]]
        name = "site"
        command = "python -m http.server --bind 127.0.0.1 $PORT"
        env = { PYTHONUNBUFFERED = 1 }
        ports = "auto"
        health_check = "log://Serving HTTP"
        stop_signal = "SIGINT"
    """)
    project.run("activate")
    [port] = project.processes()["site"]["ports"]
    assert get(f"http://127.0.0.1:{port}/hello.txt") == "hello"
    [request] = project.json("logs", "--stream", "stderr")["lines"]
    assert '"GET /hello.txt HTTP/1.1" 200' in request["message"]

    project.run("stop", "site")
    assert "Keyboard interrupt received, exiting." in project.log("site")
    assert project.processes()["site"]["exit_code"] == 0


def test_a_node_server_starts_after_the_one_it_asks_and_closes_first(project: Project) -> None:
    """Both are ready when HTTP says so; on the way down the one that needs the other goes first, and closes cleanly."""
    node = program("node")
    site, port = free_ports(2)
    (project.path / "hello.txt").write_text("hello")
    (project.path / "server.js").write_text(NODE)
    project.write(f"""
        [project]
        name = "node"
        [[process]]
        name = "node"
        command = "{node} server.js"
        env = {{ SITE = "http://127.0.0.1:{site}" }}
        ports = [{port}]
        depends_on = ["site"]
        health_check = "http://127.0.0.1:{port}/hello.txt"
        [[process]]
        name = "site"
        command = "python -m http.server --bind 127.0.0.1 {site}"
        ports = [{site}]
        health_check = "http://127.0.0.1:{site}/"
    """)
    project.run("activate")
    assert get(f"http://127.0.0.1:{port}/hello.txt") == "node says: hello"
    assert {each["state"] for each in project.processes().values()} == {"running"}

    project.run("deactivate")
    processes = project.processes()
    assert {each["state"] for each in processes.values()} == {"stopped"}
    assert "node closed" in project.log("node")
    assert processes["node"]["ended_at"] < processes["site"]["ended_at"]


def test_a_check_asks_the_port_that_was_picked(project: Project) -> None:
    """$PORT in an http or tcp check is the run's own, as its reasons and its readiness show."""
    serve = "exec python -m http.server --bind 127.0.0.1 $PORT"
    project.write(f"""
        [project]
        name = "site"
        [[process]]
        name = "site"
        command = "{serve}"
        ports = "auto"
        health_check = "http://localhost:$PORT/"
        [[process]]
        name = "other"
        command = "{serve}"
        ports = "auto"
        health_check = "tcp://localhost:${{PORT0}}"
        [[process]]
        name = "deaf"
        command = "exec sleep 1000"
        autostart = false
        ports = "auto"
        health_check = "tcp://localhost:$PORT"
    """)
    project.run("activate")
    seen = project.processes()
    assert {seen[name]["health"] for name in ("site", "other")} == {"healthy"}
    [port] = seen["site"]["ports"]
    assert seen["other"]["ports"] != [port]
    project.run("daemon", "restart")
    project.run("wait", "site", "other")

    project.run("start", "deaf", "--timeout", "500ms", ok=False)
    deaf = project.processes()["deaf"]
    assert f"tcp://localhost:{deaf['ports'][0]} refused the connection" in deaf["reason"]
