"""What an assistant can do with `runcept mcp`, through the official client, in both eras of the protocol."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import jsonschema
import mcp_types as t
import pytest
from mcp import Client, MCPError, StdioServerParameters
from tests.e2e.conftest import BIN, Project
from tests.e2e.mcp_stage import (
    ERAS,
    LIST,
    Assistant,
    assistant,
    daemon_calls,
    ended,
    hosts,
    kill,
    until,
    watching,
)

from runcept.mcp.resources import log_uri, status_uri

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.timeout(240),  # a bound for a machine that has much else to do
    pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning"),  # of the era with a handshake
]

SHOP = """
[project]
name = "shop"

[[process]]
name = "db"
command = ["sh", "-c", "echo listening; exec sleep 1000"]

[[process]]
name = "web"
command = ["sh", "-c", "echo hello from web; echo 'ERROR: no cache' >&2; exec sleep 1000"]
depends_on = ["db"]

[[process]]
name = "broken"
command = ["sh", "-c", "echo 'cannot read the settings' >&2; exit 3"]
autostart = false
"""
TOOLS_MAX = 16
TOOLS_BYTES = 16_000  # about 4,000 tokens, which a model pays for at every turn


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def shop(project: Project) -> Iterator[Project]:
    """A project of three processes, one of which fails; nothing of it runs, and nothing else does."""
    project.write(SHOP)
    with ended(project):
        yield project


@pytest.fixture(params=ERAS)
def era(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def called(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """The structured answer of a call that went well, which says something in words too."""
    answer = await client.call_tool(tool, arguments)
    assert not answer.is_error, answer
    assert isinstance(answer.content[0], t.TextContent)
    assert answer.content[0].text.strip()
    assert answer.structured_content is not None
    return answer.structured_content


# --------------------------------------------------------------------------------------------------- beginning


@pytest.mark.parametrize(("mode", "version"), [("legacy", ERAS[0]), ("auto", ERAS[1])])
async def test_a_client_learns_who_it_speaks_to_and_how_to_work(shop: Project, mode: Any, version: str) -> None:
    """By the handshake or by discovery: name, version of the protocol, capabilities, and under 2 KB of instructions."""
    environ = {"RUNCEPT_HOME": str(shop.home)}
    command = StdioServerParameters(command=str(BIN / "runcept"), args=["mcp"], cwd=shop.path, env=environ)
    async with Client(command, mode=mode) as client:
        assert client.protocol_version == version
        assert client.server_info is not None
        assert client.server_info.name == "runcept"
        able = client.server_capabilities
        assert able is not None
        assert able.resources is not None
        assert able.resources.subscribe
        assert able.resources.list_changed
        assert able.tools
        assert able.prompts
        assert able.completions
        assert client.instructions is not None
        assert len(client.instructions.encode()) < 2048
        assert "get_environment_status" in client.instructions


async def test_the_list_of_tools_is_small_and_fit_for_every_client(shop: Project, era: str) -> None:
    """At most 16 tools and 16,000 bytes; each with title, description, two valid schemas and all annotations."""
    async with assistant(shop, era) as client:
        tools = (await client.list_tools()).tools
    shown = [tool.model_dump(by_alias=True, exclude_none=True, mode="json") for tool in tools]
    assert len(tools) <= TOOLS_MAX
    assert len(json.dumps(shown, separators=(",", ":")).encode()) <= TOOLS_BYTES
    for tool in tools:
        assert tool.title
        assert tool.description
        assert tool.output_schema
        for schema in (tool.input_schema, tool.output_schema):
            jsonschema.Draft202012Validator.check_schema(schema)
            assert schema["type"] == "object"
        marks = tool.annotations
        assert marks is not None
        assert None not in {marks.read_only_hint, marks.destructive_hint, marks.idempotent_hint, marks.open_world_hint}


# ------------------------------------------------------------------------------------------------------- tools


async def test_each_tool_does_what_it_is_for(shop: Project, era: str) -> None:  # noqa: PLR0915  there are fifteen
    """All fifteen, with real processes: what they answer is what is so."""
    path = str(shop.path)
    async with assistant(shop, era) as client:
        names = {tool.name for tool in (await client.list_tools()).tools}
        used = set()

        async def use(tool: str, **arguments: Any) -> dict[str, Any]:
            used.add(tool)
            return await called(client, tool, **arguments)

        state = await use("get_environment_status")
        assert (state["path"], state["state"]) == (path, "inactive")
        outcome = await use("activate_environment")
        assert outcome["ok"]
        assert outcome["environment"] == path
        running = {each["name"]: each for each in outcome["processes"]}
        assert {name: each["state"] for name, each in running.items()} == {"db": "running", "web": "running"}
        again = await use("start_process", name="web")
        assert next(each for each in again["processes"] if each["name"] == "web")["pid"] == running["web"]["pid"]
        failed = await use("start_process", name="broken")
        assert not failed["ok"]
        (problem,) = failed["problems"]
        assert (problem["process"], problem["exit_code"]) == ("broken", 3)
        assert "cannot read the settings" in problem["output"]
        listed = await use("list_processes")
        assert {each["name"]: each["state"] for each in listed["processes"]} == {
            "db": "running",
            "web": "running",
            "broken": "failed",
        }
        assert (await use("get_process_status", name="web"))["pid"] == running["web"]["pid"]
        lines = await use("get_process_logs", name="web")
        assert "hello from web" in {line["message"] for line in lines["lines"]}
        later = await use("get_process_logs", name="web", cursor=lines["cursor"])
        assert later["lines"] == []
        errors = await use("search_logs")
        assert any("no cache" in str(each) for each in errors["errors"])
        found = await use("search_logs", pattern="listen", name="db")
        assert [line["message"] for line in found["lines"]] == ["listening"]
        explained = await use("explain_process", name="broken")
        assert "cannot read the settings" in explained["output"]
        assert (await use("wait_for_process", name="web"))["outcome"] == "ready"
        matched = await use("wait_for_process", name="web", until="line", pattern="hello .* web")
        assert matched["outcome"] == "matched"
        restarted = await use("restart_process", name="web")
        assert restarted["ok"]
        assert restarted["processes"][0]["pid"] != running["web"]["pid"]
        known = await use("list_environments")
        assert [(each["path"], each["state"]) for each in known["environments"]] == [(path, "active")]
        everything = await use("list_all_processes")
        assert {each["name"] for each in everything["processes"] if each["pid"]} == {"db", "web"}
        stopped = await use("stop_process", name="web")
        assert [each["state"] for each in stopped["processes"]] == ["stopped"]
        assert (await use("deactivate_environment"))["ok"]
        refused = await client.call_tool("kill_all_processes", {})
        assert refused.is_error
        await use("start_process", name="db")
        await use("kill_all_processes", confirm=True)
        assert {each["pid"] for each in (await use("list_all_processes"))["processes"]} == {None}
    assert used == names


async def test_what_a_model_can_mend_is_an_answer_and_what_it_cannot_is_an_error(shop: Project, era: str) -> None:
    """A wrong name or argument has code, message and hint in the result; a tool that does not exist is refused."""
    async with assistant(shop, era) as client:
        for tool, arguments, code in [
            ("start_process", {"name": "wbe"}, "process-not-found"),
            ("start_process", {}, "arguments-invalid"),
            ("get_environment_status", {"environment": "/nowhere"}, "usage"),
            ("kill_all_processes", {"confirm": False}, "confirmation-needed"),
        ]:
            answer = await client.call_tool(tool, arguments)
            assert answer.is_error
            assert answer.structured_content is not None
            error = answer.structured_content["error"]
            assert error["code"] == code
            assert isinstance(answer.content[0], t.TextContent)
            assert error["message"] in answer.content[0].text
            assert error["hint"]
        with pytest.raises(MCPError, match="Unknown tool: start_everything") as refused:
            await client.call_tool("start_everything", {})
        assert refused.value.error.code == t.INVALID_PARAMS


async def test_a_wait_tells_that_it_goes_on_and_a_start_what_it_has_done(shop: Project, era: str) -> None:
    """Progress grows with each message and says in words what is waited for."""
    heard: list[tuple[float, float | None, str | None]] = []

    async def progress(done: float, total: float | None, words: str | None) -> None:
        heard.append((done, total, words))

    async with assistant(shop, era) as client:
        await client.call_tool("activate_environment", {}, progress_callback=progress)
        assert any("web" in (words or "") for _, _, words in heard)
        heard.clear()
        waiting = {"name": "web", "until": "exited", "timeout": 5}
        await client.call_tool("wait_for_process", waiting, progress_callback=progress)
    assert heard
    assert all(words == "waiting for web" and total == 5 for _, total, words in heard)
    assert [done for done, _, _ in heard] == sorted({done for done, _, _ in heard})


@pytest.mark.parametrize("what", [{"until": "exited"}, {"until": "line", "pattern": "never said"}])
async def test_a_wait_that_is_cancelled_ends_in_the_daemon_too(shop: Project, era: str, what: dict[str, str]) -> None:
    """The client gives up, and nobody waits for it any more: the daemon has as many connections as before."""
    async with assistant(shop, era) as client:
        await called(client, "start_process", name="db")
        await until(lambda: daemon_calls(shop) == 1, "the host's own connection alone")
        arguments = {"name": "db", "timeout": 40, **what}
        waiting = asyncio.ensure_future(client.call_tool("wait_for_process", arguments, read_timeout_seconds=1.5))
        await until(lambda: daemon_calls(shop) > 1, "the wait in the daemon")
        with pytest.raises(MCPError, match="timed out"):
            await waiting
        await until(lambda: daemon_calls(shop) == 1, "the end of the wait in the daemon")


# ------------------------------------------------------------------------------------------ resources, prompts


async def test_resources_are_read_as_they_are_listed(shop: Project, era: str) -> None:
    """Schema, status, project file and each log; the templates name the same; what is not there is said."""
    async with assistant(shop, era) as client:
        await called(client, "activate_environment")
        listed = {str(each.uri): each for each in (await client.list_resources()).resources}
        status = status_uri(str(shop.path))
        assert set(listed) == {
            "runcept://schema",
            status,
            status.removesuffix("status") + "config",
            *(log_uri(str(shop.path), name) for name in ("db", "web", "broken")),
        }
        texts = {}
        for uri, resource in listed.items():
            (content,) = (await client.read_resource(uri)).contents
            assert isinstance(content, t.TextResourceContents)
            assert content.mime_type == resource.mime_type
            texts[uri] = content.text
        assert json.loads(texts["runcept://schema"])["type"] == "object"
        assert json.loads(texts[status])["path"] == str(shop.path)
        assert texts[status.removesuffix("status") + "config"] == SHOP
        assert "hello from web" in texts[log_uri(str(shop.path), "web")]
        (by_name,) = (await client.read_resource("runcept://projects/shop/logs/web")).contents
        assert isinstance(by_name, t.TextResourceContents)
        assert by_name.text == texts[log_uri(str(shop.path), "web")]
        templates = {each.uri_template for each in (await client.list_resource_templates()).resource_templates}
        assert "runcept://projects/{project}/logs/{process}" in templates
        for missing in ("runcept://projects/shop/logs/nobody", "file:///etc/passwd"):
            with pytest.raises(MCPError, match="No such resource"):
                await client.read_resource(missing)


async def test_prompts_know_the_project_and_their_arguments_are_completed(shop: Project, era: str) -> None:
    """Both prompts have what is known already in them; names of projects and processes are proposed."""
    async with assistant(shop, era) as client:
        await called(client, "start_process", name="broken")
        names = {each.name for each in (await client.list_prompts()).prompts}
        assert names == {"debug_process", "write_config"}
        debug = await client.get_prompt("debug_process", {"process": "broken"})
        assert isinstance(debug.messages[0].content, t.TextContent)
        assert "cannot read the settings" in debug.messages[0].content.text
        write = await client.get_prompt("write_config", {})
        assert isinstance(write.messages[0].content, t.TextContent)
        assert str(shop.path) in write.messages[0].content.text
        with pytest.raises(MCPError, match="process"):
            await client.get_prompt("debug_process", {})
        prompt = t.PromptReference(name="debug_process")
        processes = await client.complete(prompt, {"name": "process", "value": "b"})
        assert processes.completion.values == ["broken"]
        projects = await client.complete(prompt, {"name": "environment", "value": "sh"})
        assert projects.completion.values == ["shop"]
        template = t.ResourceTemplateReference(uri="runcept://projects/{project}/logs/{process}")
        there = await client.complete(template, {"name": "process", "value": ""}, context_arguments={"project": "shop"})
        assert there.completion.values == ["broken", "db", "web"]


# ----------------------------------------------------------------------------------------------------- updates

ECHOES = """
[project]
name = "echoes"

[[process]]
name = "one"
command = ["sh", "-c", "while read line; do echo $line; done <>one"]

[[process]]
name = "two"
command = ["sh", "-c", "while read line; do echo $line; done <>two"]

[[process]]
name = "doomed"
command = ["sleep", "1000"]
"""


@pytest.fixture
def echoes(project: Project) -> Iterator[Project]:
    """Two processes that write what is written to the fifo of their name; and one to be killed. All run."""
    project.write(ECHOES)
    for name in ("one", "two"):
        os.mkfifo(project.path / name)
    project.run("activate")
    with ended(project):
        yield project


def write_to(project: Project, name: str) -> None:
    with open(project.path / name, "w", encoding="utf-8") as fifo:
        fifo.write("x\n")


async def test_each_change_is_told_once(echoes: Project, era: str) -> None:
    """Of logs and of the status: the updates that come are the changes that were made, in their order."""
    logs = {name: log_uri(str(echoes.path), name) for name in ("one", "two")}
    status = status_uri(str(echoes.path))
    pid = echoes.processes()["doomed"]["pid"]
    async with assistant(echoes, era) as client, watching(client, [*logs.values(), status]) as heard:
        expected = []
        await called(client, "start_process", name="one")  # it runs, so nothing changes
        for name in ("one", "two", "one", "two"):  # by when the next is heard, the last was not told twice
            write_to(echoes, name)
            expected.append(logs[name])
            await until(lambda: len(heard) >= len(expected), "the update")
            assert heard == expected
        os.kill(pid, signal.SIGKILL)
        expected.append(status)
        await until(lambda: len(heard) >= len(expected), "the update")
        write_to(echoes, "one")
        expected.append(logs["one"])
        await until(lambda: len(heard) >= len(expected), "the update")
        assert heard == expected


async def test_a_client_hears_when_a_project_becomes_known(shop: Project, era: str) -> None:
    """Somebody activates a project in a shell: there are new resources, of which the client is told once."""
    other = Project(shop.path.parent / "other", shop.home, shop.environ)
    other.path.mkdir()
    other.write('[project]\nname = "other"\n[[process]]\nname = "solo"\ncommand = "sleep 1000"\n')
    shop.run("activate")
    async with assistant(shop, era) as client, watching(client, [status_uri(str(other.path))]) as heard:
        await called(client, "list_processes")
        await asyncio.to_thread(other.run, "activate")
        await until(lambda: LIST in heard, "the news of a changed list")
        listed = {str(each.uri) for each in (await client.list_resources()).resources}
        assert log_uri(str(other.path), "solo") in listed
        pid = other.processes()["solo"]["pid"]
        before = len(heard)
        os.kill(pid, signal.SIGKILL)
        await until(lambda: len(heard) > before, "the update of its status")
        assert heard.count(LIST) == 1


async def test_a_client_hears_of_the_first_project_of_all(shop: Project, era: str) -> None:
    """There was no daemon when the client came; the first call starts it, and what it knows is news."""
    async with assistant(shop, era) as client:
        assert len((await client.list_resources()).resources) == 1
        async with watching(client, [status_uri(str(shop.path))]) as heard:
            await called(client, "start_process", name="web")
            await until(lambda: LIST in heard, "the news of a changed list")
            await until(lambda: status_uri(str(shop.path)) in heard, "the news of its status")
        assert len((await client.list_resources()).resources) > 1


# ---------------------------------------------------------------------------------------------- many, and deaths


async def test_ten_clients_at_once_share_one_host(shop: Project, era: str) -> None:
    """However many windows an assistant has open, one process serves them, and starts each process once."""
    pids = []

    async def work(client: Assistant) -> None:
        answer = await called(client, "start_process", name="web")
        pids.append(next(each for each in answer["processes"] if each["name"] == "web")["pid"])

    async def come() -> None:
        async with assistant(shop, era) as client:
            await work(client)
            arrived.append(client)
            await all_there.wait()
            await called(client, "list_processes")

    arrived: list[Assistant] = []
    all_there = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(10):
            tasks.create_task(come())
        await until(lambda: len(arrived) == 10, "ten clients", 60)
        assert len(hosts(shop)) == 1
        all_there.set()
    assert len(set(pids)) == 1


async def test_a_client_survives_the_death_of_the_host(shop: Project, era: str) -> None:
    """The call that was under way fails and says what to do, the next works, and subscriptions hold."""
    begun = asyncio.Event()

    async def progress(*_: object) -> None:
        begun.set()

    status = status_uri(str(shop.path))
    async with assistant(shop, era) as client:
        running = await called(client, "start_process", name="web")
        async with watching(client, [status]) as heard:
            arguments = {"name": "web", "until": "exited", "timeout": 40}
            waiting = asyncio.ensure_future(client.call_tool("wait_for_process", arguments, progress_callback=progress))
            await asyncio.wait_for(begun.wait(), 30)
            (host,) = hosts(shop)
            kill(host)
            with pytest.raises(MCPError, match=r"ended during this call.*call again"):
                await waiting
            found = await called(client, "start_process", name="web")
            assert [each["pid"] for each in found["processes"]] == [each["pid"] for each in running["processes"]]
            (successor,) = hosts(shop)
            assert successor != host
            if era == ERAS[0]:
                heard.clear()
                await called(client, "stop_process", name="web")
                await until(lambda: status in heard, "an update from the next host")
        if era == ERAS[1]:  # whoever listened heard of its end, and listens again
            async with watching(client, [status]) as heard:
                await called(client, "stop_process", name="web")
                await until(lambda: status in heard, "an update from the next host")


async def test_a_client_survives_the_death_of_the_daemon(shop: Project, era: str) -> None:
    """kill -9 between two calls: the second starts the next daemon, which has all processes; updates go on."""
    status = status_uri(str(shop.path))
    async with assistant(shop, era) as client:
        before = await called(client, "activate_environment")
        async with watching(client, [status]) as heard:
            kill(shop.json("daemon", "status")["pid"])
            after = await called(client, "activate_environment")
            assert [each["pid"] for each in after["processes"]] == [each["pid"] for each in before["processes"]]
            await until(lambda: status in heard, "news after the daemon's end")
            heard.clear()
            await called(client, "stop_process", name="web")
            await until(lambda: status in heard, "an update from the next daemon")
