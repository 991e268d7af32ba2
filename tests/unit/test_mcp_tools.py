"""The tables of the MCP server: what a model sees before it calls anything."""

from __future__ import annotations

import inspect
import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcept.api.operations import OPERATIONS
from runcept.config.project import load_project
from runcept.config.settings import load_settings
from runcept.mcp import arguments as a
from runcept.mcp import resources
from runcept.mcp.calls import Calls, _limited
from runcept.mcp.prompts import EXAMPLE, PROMPTS
from runcept.mcp.server import INSTRUCTIONS
from runcept.mcp.tools import TOOLS, Tool, described

CONTRACT = [
    *("activate_environment", "deactivate_environment", "list_environments", "get_environment_status"),
    *("start_process", "stop_process", "restart_process", "list_processes", "get_process_logs", "get_process_status"),
    *("list_all_processes", "kill_all_processes", "wait_for_process", "search_logs", "explain_process"),
]

EACH = pytest.mark.parametrize("tool", TOOLS.values(), ids=TOOLS)


def wire(tool: Tool) -> dict[str, Any]:
    found: dict[str, Any] = described(tool).model_dump(by_alias=True, exclude_none=True)
    return found


# ---------------------------------------------------------------------------------------------------- tools


def test_the_tools_are_those_of_the_contract() -> None:
    """Fifteen, in a fixed order, each of which is performed."""
    assert list(TOOLS) == CONTRACT
    assert sorted(Calls("/h", None)._methods) == sorted(CONTRACT)  # type: ignore[arg-type]


def test_all_of_them_cost_a_model_little() -> None:
    """4,000 tokens, at four bytes each; no more than 16 tools."""
    size = len(json.dumps([wire(tool) for tool in TOOLS.values()], separators=(",", ":")).encode())
    assert size <= 16_000
    assert len(TOOLS) <= 16


@EACH
def test_annotations_are_those_of_the_operation(tool: Tool) -> None:
    """There is no second list of what is read-only, destructive or idempotent."""
    operation = OPERATIONS[tool.operation.name]
    hints = wire(tool)["annotations"]
    assert hints["readOnlyHint"] is operation.read_only
    assert hints["destructiveHint"] is operation.destructive
    assert hints["idempotentHint"] is operation.idempotent
    assert hints["openWorldHint"] is False


def test_what_the_annotations_say() -> None:
    """The table itself, for those that matter most."""
    reads = {name for name, tool in TOOLS.items() if tool.operation.read_only}
    assert reads == {
        *("list_environments", "get_environment_status", "list_processes", "get_process_logs", "get_process_status"),
        *("list_all_processes", "wait_for_process", "search_logs", "explain_process"),
    }
    destroys = {name for name, tool in TOOLS.items() if tool.operation.destructive}
    assert destroys == {"deactivate_environment", "stop_process", "restart_process", "kill_all_processes"}


@EACH
def test_a_tool_is_described_for_who_does_not_know_it(tool: Tool) -> None:
    """Sentences; no name longer than clients allow."""
    found = wire(tool)
    assert found["description"].endswith(".")
    assert found["title"]
    assert re.fullmatch(r"[a-z_]{1,50}", tool.name)
    for name, schema in found["inputSchema"]["properties"].items():
        assert "description" in schema or "enum" in schema, name


@EACH
def test_schemas_are_schemas(tool: Tool) -> None:
    """Of the dialect that the protocol names; objects at the top; an error has a place in the output."""
    found = wire(tool)
    for schema in (found["inputSchema"], found["outputSchema"]):
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema["type"] == "object"
    assert "error" in found["outputSchema"]["properties"]
    assert "required" not in found["outputSchema"]
    jsonschema.validate({"error": {"code": "x", "message": "y", "hint": ""}}, found["outputSchema"])
    assert "anyOf" not in json.dumps(found["inputSchema"]), "an optional argument is left out, not null"


@EACH
def test_a_tool_takes_an_environment_unless_it_is_about_all(tool: Tool) -> None:
    """The project that it acts on can always be named."""
    about_all = {"list_environments", "list_all_processes", "kill_all_processes"}
    assert ("environment" in wire(tool)["inputSchema"]["properties"]) is (tool.name not in about_all)


# ------------------------------------------------------------------------------------------------ arguments

EXAMPLES: dict[str, list[dict[str, Any]]] = {
    "activate_environment": [{}, {"environment": "/p", "names": ["web", "d*"], "timeout": 5}],
    "deactivate_environment": [{}, {"timeout": 0}],
    "list_environments": [{}, {"text": "shop", "active": True}],
    "get_environment_status": [{}, {"environment": "shop"}],
    "start_process": [{"name": "web"}, {"name": "web", "timeout": 2.5}],
    "stop_process": [{"name": "web", "timeout": 1}],
    "restart_process": [{"name": "web", "dependents": True, "timeout": 1}],
    "list_processes": [{}],
    "get_process_logs": [
        {"name": "web"},
        {"name": "web", "lines": 5, "cursor": "x", "stream": "stderr", "run": 2, "since": "10m", "max_bytes": 2000},
    ],
    "get_process_status": [{"name": "web"}],
    "list_all_processes": [{}],
    "kill_all_processes": [{}, {"confirm": True, "timeout": 1}],
    "wait_for_process": [{"name": "web"}, {"name": "web", "until": "line", "pattern": "x", "timeout": 3}],
    "search_logs": [{}, {"pattern": "x", "name": "web", "lines": 5, "since": "1h", "until": "5m", "max_bytes": 2000}],
    "explain_process": [{"name": "web"}],
}
BROKEN: dict[str, list[dict[str, Any]]] = {
    "start_process": [{}, {"name": 5}, {"name": ["web"]}, {"name": "w" * 257}, {"name": "web", "timeout": -1}],
    "get_process_logs": [
        {"name": "web", "lines": 0},
        {"name": "web", "lines": 1001},
        {"name": "web", "stream": "both"},
        {"name": "web", "max_bytes": 100_000},
        {"name": "web", "run": 0},
        {"name": "web", "lines": "many"},
    ],
    "wait_for_process": [{"name": "web", "until": "happy"}],
    "activate_environment": [{"names": "web"}, {"names": [1]}],
    "kill_all_processes": [{"confirm": "perhaps"}],
    "list_all_processes": [{"environment": "/p"}],
    "get_environment_status": [{"env": "/p"}],
}


@EACH
def test_what_the_schema_allows_is_taken(tool: Tool) -> None:
    """An example of each argument; what the schema says is the default is what is meant."""
    schema = wire(tool)["inputSchema"]
    used = set()
    for example in EXAMPLES[tool.name]:
        jsonschema.validate(example, schema)
        taken = a.convert(example, tool.arguments)
        assert all(getattr(taken, key) == value for key, value in example.items())
        used |= example.keys()
    bare = a.convert(EXAMPLES[tool.name][0], tool.arguments)
    for name, described_ in schema["properties"].items():
        if "default" in described_ and name not in EXAMPLES[tool.name][0]:
            assert getattr(bare, name) == described_["default"]
    assert used | {"environment"} >= set(schema["properties"]), "every argument has an example"


@pytest.mark.parametrize(("name", "example"), [(name, each) for name, many in BROKEN.items() for each in many])
def test_what_the_schema_forbids_is_refused(name: str, example: dict[str, Any]) -> None:
    """With what the tool takes, so that a model can mend it."""
    tool = TOOLS[name]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(example, wire(tool)["inputSchema"])
    with pytest.raises(a.ArgumentsInvalid) as caught:
        a.convert(example, tool.arguments)
    for argument in wire(tool)["inputSchema"]["properties"]:
        assert argument in caught.value.hint
    assert str(caught.value).startswith("the arguments are not valid: ")
    assert "$" not in str(caught.value)


def test_an_unknown_name_is_told_with_those_that_there_are() -> None:
    """The whole sentence, as a model reads it."""
    with pytest.raises(a.ArgumentsInvalid) as caught:
        a.convert({"name": "web", "tail": 5}, TOOLS["get_process_status"].arguments)
    assert str(caught.value) == "the arguments are not valid: contains unknown field `tail`"
    assert caught.value.hint == "It takes: environment, name."
    with pytest.raises(a.ArgumentsInvalid) as caught:
        a.convert({"x": 1}, TOOLS["list_all_processes"].arguments)
    assert caught.value.hint == "It takes no arguments."


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e999"])
def test_a_time_that_is_none_ends_no_later(number: str) -> None:
    """As text it passes the conversion, or does not; either way, nobody waits for ever."""
    with suppress(a.ArgumentsInvalid):
        taken = a.convert({"name": "web", "timeout": number}, a.Start)
        assert 0 <= _limited(taken.timeout) < a.WAIT_MAX


def test_what_models_write_is_understood() -> None:
    """Numbers and truth as text, null for what is left out, no arguments at all."""
    taken = a.convert({"name": "web", "lines": "5", "run": "2", "stream": None, "cursor": None}, a.Logs)
    assert (taken.lines, taken.run, taken.stream, taken.cursor) == (5, 2, None, None)
    assert a.convert({"name": "web", "timeout": "2.5"}, a.Start).timeout == 2.5
    assert a.convert({"confirm": "true"}, a.KillAll).confirm is True
    assert a.convert(None, a.OfEnvironment).environment is None


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@EACH
@given(st.data())
def test_any_arguments_are_taken_or_refused(tool: Tool, data: st.DataObject) -> None:
    """Nothing else comes of them, whatever they are."""
    names = st.sampled_from([*wire(tool)["inputSchema"]["properties"], "other"])
    given_ = data.draw(st.dictionaries(names, _JSON, max_size=4))
    taken = None
    with suppress(a.ArgumentsInvalid):
        taken = a.convert(given_, tool.arguments)
    assert taken is None or isinstance(taken, tool.arguments)


# ------------------------------------------------------------------------------------ resources, and the rest

_NAMES = st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=30)
_PATHS = st.lists(_NAMES, max_size=5).map(lambda parts: "/" + "/".join(parts))


@given(_PATHS, _NAMES)
def test_a_uri_names_what_it_was_made_of(path: str, name: str) -> None:
    """Whatever the path and the name of the process are."""
    assert resources.parsed(resources.status_uri(path)) == resources.Place(path, "status")
    assert resources.parsed(resources.log_uri(path, name)) == resources.Place(path, "logs", name)
    assert re.fullmatch(r"[!-~]+", resources.log_uri(path, name)), "printable ASCII"


@pytest.mark.parametrize("uri", [
    "", "runcept://", "runcept://projects/", "runcept://projects//status", "runcept://projects/shop",
    "runcept://projects/shop/logs", "runcept://projects/shop/logs/", "runcept://projects/shop/logs/a/b",
    "runcept://projects/shop/logs/..%2F..%2Fetc", "runcept://projects/shop/logs/a%00b", "file:///etc/passwd",
    "runcept://projects/shop/secrets", "runcept://projects/shop/status/x", resources.SCHEMA,
])  # fmt: skip
def test_other_uris_name_nothing(uri: str) -> None:
    """Least of all files elsewhere."""
    assert resources.parsed(uri) is None


@given(st.text())
def test_any_text_may_be_asked_for(text: str) -> None:
    """It names something or nothing."""
    for uri in (text, f"runcept://projects/{text}"):
        found = resources.parsed(uri)
        assert found is None or found.kind in {"status", "config", "logs"}


def test_the_templates_are_what_the_uris_are_made_of() -> None:
    """Filled in, they are the same."""
    status, config, log = (each.uri for each in resources.TEMPLATES)
    assert status.replace("{project}", "shop") == resources.status_uri("shop")
    assert resources.parsed(config.replace("{project}", "shop")) == resources.Place("shop", "config")
    assert log.replace("{project}", "shop").replace("{process}", "web") == resources.log_uri("shop", "web")


def test_the_instructions_are_short_and_name_what_exists() -> None:
    """Under 2 KB; every tool in them is one."""
    assert len(INSTRUCTIONS.encode()) < 2048
    words = set(re.findall(r"\b[a-z]+(?:_[a-z]+)+\b", INSTRUCTIONS))
    assert words - {"write_config"} <= set(TOOLS)
    assert "write_config" in PROMPTS
    assert resources.SCHEMA in INSTRUCTIONS


def test_the_example_for_a_model_is_a_project_file(tmp_path: Path) -> None:
    """The prompt teaches what is right."""
    (tmp_path / ".env").touch()
    (tmp_path / ".runcept.toml").write_text(EXAMPLE)
    project = load_project(str(tmp_path / ".runcept.toml"), load_settings(str(tmp_path)))
    assert [each.name for each in project.processes] == ["db", "migrate", "web"]


def test_prompts_are_described() -> None:
    """Each, and each of its arguments."""
    for prompt in PROMPTS.values():
        assert prompt.description.endswith(".")
        assert all(words.endswith(".") for words, _ in prompt.arguments.values())


def test_the_docstrings_of_the_argument_types_name_their_tools() -> None:
    """So that the next reader finds them."""
    for tool in TOOLS.values():
        assert inspect.getdoc(tool.arguments)
