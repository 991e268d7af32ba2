"""What an assistant cannot do by mistake, and what it is not told."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.e2e.conftest import Project
from tests.e2e.mcp_calls import Assistant, assistant_at_work, process
from tests.interaction.test_mcp_relay import INITIALIZE, INITIALIZED, call, client_of, hosts
from tests.support import free_ports, running, wait_until
from tests.unit.test_mcp_answers import strings

from runcept.mcp import resources
from runcept.mcp.calls import Answer
from runcept.paths import log_path

SECRET = "hunter2-Hunter2"


@pytest.fixture
def assistant() -> Iterator[Assistant]:
    with assistant_at_work() as made:
        yield made


def told(answer: Answer) -> str:
    """All that the model gets."""
    return "\n".join([answer.text, *strings(answer.structure)])


# ------------------------------------------------------------------------------------------ what is started


@pytest.mark.parametrize("tool", ["activate_environment", "get_environment_status", "list_processes"])
def test_a_directory_without_a_project_file_is_none(assistant: Assistant, tool: str) -> None:
    """By its path alone nothing is made a project of; and it is said how to go on."""
    other = assistant.path.parent / "stranger"
    other.mkdir()
    for environment in (str(other), "../stranger", f"{other}/gone", None):
        answer = assistant(tool, environment=environment)
        assert answer.is_error
        assert answer.structure["error"]["code"]
        assert answer.structure["error"]["hint"]
    assert assistant("list_environments").structure["environments"] == []
    assert not (other / ".runcept").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_project_file_of_somebody_else_is_not_used(assistant: Assistant) -> None:
    """Nothing of it runs, and none of its words reach the model; it is said why."""
    assistant.write(process("web", f"touch {assistant.path}/was-here; exec sleep 1000", autostart=True))
    os.chown(assistant.path / ".runcept.toml", 65534, 65534)
    for answer in (assistant("activate_environment"), assistant("start_process", name="web")):
        assert answer.is_error
        assert "owned by" in answer.text or "belongs to" in answer.text, answer.text
        assert "sleep 1000" not in told(answer)
    assert not (assistant.path / "was-here").exists()


def test_everything_is_stopped_only_with_confirm(assistant: Assistant) -> None:
    """Without, nothing happens, and the answer says what is missing."""
    assistant.write(process("web", "exec sleep 1000"))
    [web] = assistant("start_process", name="web").structure["processes"]
    for arguments in ({}, {"confirm": False}, {"confirm": None}):
        refused = assistant("kill_all_processes", **arguments)
        assert refused.is_error
        assert "confirm" in refused.text
    assert psutil.pid_exists(web["pid"])
    done = assistant("kill_all_processes", confirm=True)
    assert not done.is_error
    assert [each["state"] for each in done.structure["processes"]] == ["stopped"]
    wait_until(lambda: not psutil.pid_exists(web["pid"]), what="its end")


def test_what_it_did_is_in_the_history_as_its_own(assistant: Assistant) -> None:
    """The project that was acted on is in each answer."""
    assistant.write(process("web", "exec sleep 1000"))
    for tool in ("start_process", "stop_process", "restart_process", "wait_for_process", "explain_process"):
        assert assistant(tool, name="web").structure["environment"] == str(assistant.path)


# ----------------------------------------------------------------------------------------------- secrets


def test_secrets_are_masked_wherever_we_speak(assistant: Assistant) -> None:
    """In reasons, commands, checks, causes and the project file; a process's own output is as it wrote it."""
    [port] = free_ports(1)
    holder = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", "/", "--protocol"]
    head = f'[project.env]\nDB_PASSWORD = "{SECRET}"\nAPI_URL = "postgres://app:{SECRET}@db/shop"'
    assistant.write(
        process("leaks", 'echo "login with $DB_PASSWORD failed" >&2; exit 1'),
        process("calls", f"exec sleep 1000 --token {SECRET}"),
        process("asks", "exec sleep 1000", health_check=f"http://localhost:{port}/?token={SECRET}"),
        process("held", "exec sleep 1000", ports=[port]),
        head=head,
    )
    with running([*holder, "HTTP/1.0"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        wait_until(lambda: _listens(port), what="the stranger")
        answers = [assistant("start_process", name=name, timeout=1) for name in ("leaks", "calls", "asks", "held")]
    answers += [assistant(tool) for tool in ("get_environment_status", "list_processes", "list_all_processes")]
    answers += [assistant("get_process_status", name=name) for name in ("leaks", "asks")]
    ours = "\n".join(map(_without_output, answers))
    assert SECRET not in ours
    assert "***" in ours
    assert SECRET in told(answers[0]), "its own words are left as they are"
    for kind in ("status", "config"):
        uri = resources.status_uri(str(assistant.path)).replace("/status", f"/{kind}")
        content = asyncio.run(resources.read_resource(str(assistant.project.home), uri))
        assert content is not None
        assert SECRET not in content.text
        assert "leaks" in content.text


def _listens(port: int) -> bool:
    return any(each.laddr.port == port and each.status == "LISTEN" for each in psutil.net_connections("tcp"))


def _without_output(answer: Answer) -> str:
    """What is said of processes, less the lines that they wrote."""
    structure: dict[str, Any] = answer.structure
    lines = [line for each in structure.get("problems", []) for line in each["output"]]
    text = "\n".join(line for line in answer.text.splitlines() if line.strip() not in lines)
    structure = structure | {"problems": [each | {"output": []} for each in structure.get("problems", [])]}
    return "\n".join([text, *strings(structure)])


def test_secrets_are_masked_in_what_is_wrong_with_a_project_file(assistant: Assistant) -> None:
    """The line that is shown, and the value that the sentence quotes."""
    url = f"http://app:{SECRET}@localhost:1/?token={SECRET}"
    assistant.write(process("asks", "exec sleep 1000", health_check=url))
    answer = assistant("start_process", name="asks")
    assert answer.structure["error"]["code"] == "config-invalid"
    assert SECRET not in told(answer)


# --------------------------------------------------------------------------------------------- the client


def test_nothing_of_the_client_reaches_what_it_starts(project: Project) -> None:
    """Neither its variables nor its end: host, daemon, keeper and process have sessions of their own."""
    project.write('[project]\nname = "shop"\n' + process("web", "exec sleep 1000"))
    environ = project.environ | {"SECRET_X": "of-the-client", "NODE_OPTIONS": "--of-the-client"}
    with client_of(project, env=environ, process_group=0) as client:
        client.say(INITIALIZE)
        client.hear()
        client.say(INITIALIZED, call(1, "tools/call", name="start_process", arguments={"name": "web"}))
        while "result" not in (heard := client.hear()):  # that there is a project now is told as well
            assert heard["method"] == "notifications/resources/list_changed"
        result = heard["result"]
        assert not result["isError"], result
        [web] = result["structuredContent"]["processes"]
        living = [each for each in project.left_behind() if each.pid != client.process.pid]
        commands = " ".join(part for each in living for part in each.cmdline())
        assert all(word in commands for word in ("runcept.mcp", "runcept.daemon", "keeper", "sleep"))
        for each in living:
            assert "of-the-client" not in Path(f"/proc/{each.pid}/environ").read_text(errors="replace"), each.cmdline()
            assert os.getsid(each.pid) != os.getsid(client.process.pid)
            assert os.getpgid(each.pid) != client.process.pid
        os.killpg(client.process.pid, signal.SIGKILL)
        client.process.wait()
    assert [each.pid for each in living if not each.is_running()] == []
    assert psutil.pid_exists(web["pid"])
    for each in hosts(project):
        each.terminate()


def test_a_resource_is_read_within_its_project_alone(assistant: Assistant) -> None:
    """No name of a process leads to another file."""
    assistant.write(process("web", "exec sleep 1000"))
    Path(log_path(str(assistant.path), "other")).parent.mkdir(parents=True)
    Path(log_path(str(assistant.path), "other")).write_text("not of a process\n")
    for name in ("other", "..", "../../.runcept.toml", "web\x00"):
        uri = resources.log_uri(str(assistant.path), name)
        assert asyncio.run(resources.read_resource(str(assistant.project.home), uri)) is None
