"""The MCP Inspector, a client of another make, finds nothing to complain about in `runcept mcp`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.conformance.tools import INSPECTOR, run_node, unless_missing
from tests.e2e.conftest import BIN, Project
from tests.e2e.mcp_stage import ended

from runcept.mcp.resources import log_uri

pytestmark = pytest.mark.timeout(400)

HELLO = """
[project]
name = "hello"

[[process]]
name = "web"
command = ["sh", "-c", "echo hello; exec sleep 1000"]

[[process]]
name = "broken"
command = ["sh", "-c", "echo no settings >&2; exit 3"]
autostart = false
"""
Inspect = Callable[..., dict[str, Any]]


@pytest.fixture
def hello(project: Project) -> Iterator[Project]:
    unless_missing()
    project.write(HELLO)
    with ended(project):
        yield project


@pytest.fixture(params=["legacy", "modern"])
def inspect(hello: Project, request: pytest.FixtureRequest) -> Inspect:
    """`mcp-inspector --cli runcept mcp --method METHOD ...` in an era; what it prints as JSON."""

    def inspected(method: str, *arguments: str, exits: int = 0) -> dict[str, Any]:
        server = ["-e", f"RUNCEPT_HOME={hello.home}", "--cwd", str(hello.path), str(BIN / "runcept"), "mcp"]
        options = ["--protocol-era", str(request.param), "--method", method, "--format", "json", *arguments]
        done = run_node(INSPECTOR, ["--cli", *server, *options], hello.path.parent)
        assert done.returncode == exits, (done.stdout, done.stderr)
        return dict(json.loads(done.stdout or done.stderr))

    return inspected


def test_the_list_of_tools_is_strictly_valid(inspect: Inspect) -> None:
    """No finding of `--strict` among the schemas, of those that it counts as errors."""
    assert len(inspect("tools/list", "--strict")["result"]["tools"]) >= 15


def test_calls_are_answered_as_their_schemas_say(inspect: Inspect) -> None:
    """A success, a verdict that is none, and an error: each passes the Inspector's check against the output schema."""

    def call(tool: str, arguments: dict[str, Any], exits: int = 0) -> dict[str, Any]:
        chosen = ["--tool-name", tool, "--tool-args-json", json.dumps(arguments)]
        return inspect("tools/call", *chosen, exits=exits)

    started = call("start_process", {"name": "web"})["result"]["structuredContent"]
    assert [each["state"] for each in started["processes"]] == ["running"]
    failed = call("start_process", {"name": "broken"})["result"]["structuredContent"]
    assert failed["problems"][0]["exit_code"] == 3
    refused = call("start_process", {"name": "nobody"}, exits=5)["result"]  # 5: the tool says that it is an error
    assert refused["structuredContent"]["error"]["code"] == "process-not-found"


def test_resources_and_prompts_are_listed_and_read(inspect: Inspect, hello: Project) -> None:
    """What is listed can be read."""
    hello.run("activate")
    uri = log_uri(str(hello.path), "web")
    assert uri in {each["uri"] for each in inspect("resources/list")["result"]["resources"]}
    (content,) = inspect("resources/read", "--uri", uri)["result"]["contents"]
    assert "hello" in content["text"]
    assert inspect("resources/templates/list")["result"]["resourceTemplates"]
    assert {each["name"] for each in inspect("prompts/list")["result"]["prompts"]} == {"debug_process", "write_config"}
    prompt = inspect("prompts/get", "--prompt-name", "debug_process", "--prompt-args", "process=web")
    assert "web is running" in str(prompt["result"]["messages"])


def test_two_hundred_calls_all_go_well(inspect: Inspect) -> None:
    """Ten at once: no error of the protocol, none of the tool."""
    load = ["--load", "--load-requests", "200", "--load-concurrency", "10"]
    seen = inspect("tools/call", "--tool-name", "list_processes", *load)["result"]
    assert (seen["requests"], seen["ok"], seen["toolErrors"], seen["errors"]) == (200, 200, 0, 0), seen
