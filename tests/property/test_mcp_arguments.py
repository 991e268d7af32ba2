"""Whatever a model gives to the tools, it gets a valid answer or a clean error, in time, and nothing of our insides."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonschema
import mcp_types as t
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcp import Client, MCPError
from tests.chaos.stage import Stage

from runcept.mcp.calls import Caller
from runcept.mcp.server import make_server
from runcept.mcp.tools import TOOLS, described
from runcept.mcp.updates import Updates, Watcher

pytestmark = pytest.mark.timeout(600)

PROJECT = """
[project]
name = "small"

[[process]]
name = "web"
command = ["sh", "-c", "echo hello; exec sleep 1000"]
stop_timeout = "1s"

[[process]]
name = "task"
command = ["sh", "-c", "echo 'ERROR: no' >&2; exit 3"]
depends_on = ["web"]
"""
SECONDS_MAX = 50
OURS = re.compile(r'Traceback|File "|msgspec|runcept\.\w+\.\w+|\b[A-Z]\w+(Error|Exception)\b|internal error', re.ASCII)
"""What would be of an exception, or of our code."""

words = st.one_of(
    st.sampled_from(
        ["web", "task", "small", "", ".", "..", "/", "~", "/etc/passwd", "*", "(", "[", "(a+)+$", "10m", "-1"]
    ),
    st.sampled_from(["1e400", "nan", "true", "null", "2026-01-01", "ready", "line", "\0", "../web", "a" * 5000]),
    st.text(max_size=30),
)
names = st.sampled_from(["web", "task", "web", "task", "small", "", "/", ".", "webb", "a" * 300])
waits = st.sampled_from([0, 0.05, 0.3, "0.2", -1, "soon"])
"""Seconds, of a call that waits; some are none."""
numbers = st.one_of(st.integers(-3, 3), st.sampled_from([1e18, -1.5, 2**70, 100, 8000]), st.floats(0, 0.2))
values = st.recursive(
    st.none() | st.booleans() | words | numbers,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=5,
)
keys = sorted({key for tool in TOOLS.values() for key in described(tool).input_schema["properties"]})


@st.composite
def wild_calls(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """Any name, and any arguments."""
    name = draw(st.sampled_from([*TOOLS, "start_everything", "", "__init__"]) | st.text(max_size=10))
    arguments = draw(st.dictionaries(st.sampled_from(keys) | words, values, max_size=4))
    return name, arguments | ({"timeout": draw(waits)} if "timeout" in arguments else {})


@st.composite
def likely_calls(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A tool that exists with what it needs and some of what it takes, mostly of the right types."""
    name = draw(st.sampled_from([*TOOLS]))
    schema = described(TOOLS[name]).input_schema
    chosen = draw(st.sets(st.sampled_from([*schema["properties"]]))) if schema["properties"] else set()
    chosen |= set(schema.get("required", ()))
    arguments = {key: draw(fitting(key, schema["properties"][key])) for key in sorted(chosen)}
    if "timeout" in schema["properties"]:  # else it would wait for as long as it usually does
        arguments["timeout"] = draw(waits)
    return name, arguments


def fitting(key: str, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema["type"]:
        case "boolean":
            return st.booleans() | st.sampled_from(["true", "no"])
        case "integer" | "number":
            return st.integers(1, 900) | st.sampled_from(["20", 0, 5000, 32_000, 1.5])
        case "array":
            return st.lists(names, max_size=3)
    return names if key in {"name", "environment"} else words | names


@contextmanager
def small_project() -> Iterator[Stage]:
    with tempfile.TemporaryDirectory(prefix="runcept-test-") as directory:
        stage = Stage(Path(directory).resolve())
        stage.write_file(PROJECT)
        try:
            stage.ask_for("activate")
            yield stage
        finally:
            assert stage.end()


async def perform(client: Client, name: str, arguments: dict[str, Any]) -> None:
    """One call, and what is promised of each."""
    if name not in TOOLS:
        with pytest.raises(MCPError, match=r"^Unknown tool: ") as refused:
            await client.call_tool(name, arguments)
        assert refused.value.error.code == t.INVALID_PARAMS
        return
    async with asyncio.timeout(SECONDS_MAX):
        answer = await client.call_tool(name, arguments)
    (content,) = answer.content
    assert isinstance(content, t.TextContent)
    assert content.text.strip()
    assert answer.structured_content is not None
    jsonschema.validate(answer.structured_content, described(TOOLS[name]).output_schema or {})
    if answer.is_error:
        error = answer.structured_content["error"]
        assert error["code"]
        assert error["message"]
        assert not OURS.search(content.text), (name, arguments, content.text)


def test_every_call_has_a_valid_answer_or_a_clean_error() -> None:
    """Tools and arguments of all kinds, against a real daemon; at the end it still does what it is asked."""
    with small_project() as stage:
        updates, watcher = Updates(stage.home), Watcher()
        server = make_server(stage.home, Caller(str(stage.project)), updates, lambda _: watcher)

        @settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(st.lists(likely_calls() | likely_calls() | wild_calls(), min_size=1, max_size=4))
        def run(several: list[tuple[str, dict[str, Any]]]) -> None:
            async def session() -> None:
                async with Client(server, cache=None) as client:
                    await asyncio.gather(*(perform(client, name, arguments) for name, arguments in several))

            asyncio.run(session())

        run()

        async def usual() -> t.CallToolResult:
            async with Client(server, cache=None) as client:
                return await client.call_tool("start_process", {"name": "web"})

        last = asyncio.run(usual())
        assert not last.is_error
        assert last.structured_content is not None
        assert last.structured_content["ok"], last.structured_content
