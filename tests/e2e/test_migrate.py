"""docs/migrate.md is true: its Procfile becomes a project that runs, its compose file what stands there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.request import urlopen

import pytest
from tests.e2e.conftest import Project
from tests.e2e.test_readme import differs, told, type_at_terminal
from tests.support import free_ports

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "migrate.md").read_text(encoding="utf-8")
CLOCK = re.compile(r"\d\d:\d\d:\d\d")
CASES = sorted(path for path in (Path(__file__).resolve().parents[1] / "imports").iterdir() if path.is_dir())


def same(printed: str, port: int) -> list[str]:
    """What is the same each time.

    Two that start together race, a clock goes on, and that a port speaks HTTP is known once it has been seen to.
    """
    return sorted(told(CLOCK.sub("now", printed).replace(f"http://localhost:{port}", str(port)).split("\n")))


def block(text: str, language: str) -> str:
    """The one code block of a language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    return str(found)


def test_the_example_prints_what_the_page_says(project: Project) -> None:
    """Each command in order; between the start and the end the site answers, on a port of our own."""
    (port,) = free_ports(1)
    section = PAGE.partition("## An example\n")[2].partition("\n## ")[0].replace("8000", str(port))
    for name, language in (("Procfile", "procfile"), (".env", "dotenv"), ("clock.py", "python")):
        (project.path / name).write_text(block(section, language), encoding="utf-8")
    steps = [step.partition("\n") for step in block(section, "console").split("$ runcept ")[1:]]
    for command, _, printed in steps:
        expected = printed
        if command.startswith("init"):
            expected, _, written = printed.partition("$ cat .runcept.toml\n")
        said = type_at_terminal(project, f"runcept {command}")
        page, screen = same(expected, port), same(said, port)
        assert not differs(page, screen), f"{command} printed:\n{said}"
        if command.startswith("init"):
            assert (project.path / ".runcept.toml").read_text(encoding="utf-8") == written
        if command == "activate":
            with urlopen(f"http://localhost:{port}/clock.py", timeout=10) as reply:
                assert b"GREETING" in reply.read()


def test_the_compose_file_becomes_what_the_page_says(project: Project) -> None:
    """To the byte."""
    section = PAGE.partition("## docker-compose.yml\n")[2].partition("\n## ")[0]
    shop = project.path / "shop"
    shop.mkdir()
    (shop / "docker-compose.yml").write_text(block(section, "yaml"), encoding="utf-8")
    project.run("init", "shop", "--from", "shop")
    assert (shop / ".runcept.toml").read_text(encoding="utf-8") == block(section, "toml")
    project.run("validate", "shop")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_init_writes_validates(project: Project, case: Path) -> None:
    """For every file of another tool that we have, read where it is and written elsewhere."""
    told_of = project.json("init", "--from", str(case))
    assert project.json("validate")["processes"] == told_of["processes"]
    text = (project.path / ".runcept.toml").read_text(encoding="utf-8")
    for each in told_of["unmapped"]:
        assert f"#   {each['key']}: " in text, json.dumps(each)


PROGRAMS = {
    "make.py": "open('made', 'w').close()\n",
    "server.py": (
        "import os, sys\nfrom http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer\n"
        "assert os.path.exists('made')\n"
        "ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), SimpleHTTPRequestHandler).serve_forever()\n"
    ),
    "client.py": (
        "import os, sys, urllib.request as r, time\n"
        "r.urlopen(sys.argv[1]).read()\n"
        "print('|'.join(os.environ[name] for name in ('LEVEL', 'SECRET', 'LITERAL')), flush=True)\ntime.sleep(600)\n"
    ),
}
RUNS = {
    "process-compose.yaml": """
environment: ['LEVEL=${LEVEL}']
processes:
  client:
    command: python3 client.py http://127.0.0.1:8000/
    environment: ['SECRET=x-${API_TOKEN}', 'LITERAL=$${A} "b"']
    depends_on: {server: {condition: process_healthy}}
  server:
    command: python3 server.py 8000
    depends_on: {make: {condition: process_completed_successfully}}
    readiness_probe: {http_get: {host: 127.0.0.1, port: 8000}, period_seconds: 1}
    availability: {restart: on_failure}
  make:
    command: python3 make.py
""",
    "compose.yaml": """
services:
  client:
    build: .
    command: [python3, client.py, 'http://127.0.0.1:8000/']
    environment: {LEVEL: '${LEVEL}', SECRET: 'x-${API_TOKEN}', LITERAL: '$${A} "b"'}
    depends_on: {server: {condition: service_healthy}}
  server:
    build: .
    command: python3 server.py 8000
    ports: ['8000:8000']
    depends_on: {make: {condition: service_completed_successfully}}
    healthcheck: {test: 'curl -f http://127.0.0.1:8000/', interval: 1s}
  make: {build: ., command: python3 make.py}
""",
    "pitchfork.toml": """
[daemons.client]
run = "python3 client.py http://127.0.0.1:{{ daemons.server.port }}/"
env = { LEVEL = "debug", SECRET = "x-hunter2", LITERAL = '${A} "b"' }
depends = ["server"]
[daemons.server]
run = "python3 server.py $PORT"
port = 8000
depends = ["make"]
ready_http = { url = "http://127.0.0.1:8000/", timeout = "30s" }
[daemons.make]
run = "python3 make.py"
oneshot = true
""",
}


@pytest.mark.parametrize("name", RUNS)
def test_what_was_taken_over_runs_as_it_did(project: Project, name: str) -> None:
    """In the order of its dependencies, once each is ready or done, and with the variables that it had."""
    (port,) = free_ports(1)
    (project.path / name).write_text(RUNS[name].replace("8000", str(port)), encoding="utf-8")
    (project.path / ".env").write_text("LEVEL=debug\nAPI_TOKEN=hunter2\n", encoding="utf-8")
    for program, text in PROGRAMS.items():
        (project.path / program).write_text(text, encoding="utf-8")
    assert project.json("init", "--from", name)["unmapped"] == []
    project.run("activate")
    states = {each: process["state"] for each, process in project.processes().items()}
    assert states == {"client": "running", "server": "running", "make": "exited"}
    project.run("wait", "client", "--for", "log=debug")
    assert 'debug|x-hunter2|${A} "b"' in project.log("client").split("\n")
