"""Whatever a client's file holds: the entry gets into it, and everything else, comments too, is there as it was."""

from __future__ import annotations

import contextlib
import json
import re
import tomllib
from random import Random
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runcept.cli.mcp_clients import jsonc, toml_edit
from runcept.cli.mcp_clients.merge import Change, merge
from runcept.cli.mcp_clients.mistakes import Mistake
from runcept.cli.mcp_clients.table import CLIENTS, Client, Command, Place, Scope

COMMAND = Command(["/opt/é/runcept", "mcp"], {"RUNCEPT_HOME": "/srv/ho me"})
PATH = ("mcpServers", "runcept")
KEYS = st.sampled_from(["mcpServers", "runcept", "command", "args", "servers", "mcp", "env", "é", "a b", ""])
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6)
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=4)
BLANKS = ["", "", "", " ", "\n", "\r\n", "\t", "\n    "]
COMMENTS = ["// it's {, [ \"\n", "//\r\n", "// a\r", '/* }, \n " */', "/**/", "//*\n"]
SMALL_TEXT = st.text(st.sampled_from("{}[]:,\"\\/*\n\r\t 01.-eEtrufalsn\ufeffé'"), max_size=30)


def place(client: Client) -> Place:
    return client.place(Scope.PROJECT, "/home/ada", "/home/ada/shop", {}, "linux")


def written(value: Any, random: Random, *, trailing: bool) -> str:
    """The value as JSON with comments and blanks wherever they may be, from a generator that hypothesis steers."""

    def gap() -> str:
        return "".join(random.choice(BLANKS + COMMENTS) for _ in range(random.randrange(3)))

    def elements(texts: list[str]) -> str:
        last = "," + gap() if texts and trailing and random.random() < 0.5 else ""
        return gap() + ",".join(f"{gap()}{text}{gap()}" for text in texts) + last

    def render(each: Any) -> str:
        if isinstance(each, dict):
            members = [f"{json.dumps(key)}{gap()}:{gap()}{render(inner)}" for key, inner in each.items()]
            return "{" + elements(members) + "}"
        if isinstance(each, list):
            return "[" + elements([*map(render, each)]) + "]"
        return json.dumps(each)

    return gap() + render(value) + gap()


def comments(text: str) -> list[str]:
    """The comments of a document, one after the other."""
    return [
        match[0]
        for at in jsonc.parse(text).comments
        if (match := re.compile(r"//[^\r\n]*|/\*.*?\*/", re.DOTALL).match(text, at))
    ]


def put(values: dict[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    key, *rest = path
    return {**values, key: put(values.get(key, {}), tuple(rest), value) if rest else value}


def is_blocked(values: Any, path: tuple[str, ...]) -> bool:
    """Whether something that is no object stands where the path leads through."""
    for key in path:
        if not isinstance(values, dict):
            return True
        if key not in values:
            return False
        values = values[key]
    return False


def is_within(old: str, new: str) -> bool:
    """Whether all characters of the old text but blanks are in the new one, in their order."""
    rest = iter(new)
    return all(character in rest for character in old if not character.isspace())


LAYOUTS = [
    ("{}", '{\n  "runcept": 1\n}'),
    ("{ }", '{\n  "runcept": 1\n}'),
    ("", '{\n  "runcept": 1\n}\n'),
    ("// mine", '// mine\n{\n  "runcept": 1\n}\n'),
    ("{ // mine\n}", '{ // mine\n  "runcept": 1\n}'),
    ('{"a": 2}', '{"a": 2, "runcept": 1}'),
    ('{ "a": 2, }', '{ "a": 2, "runcept": 1, }'),
    ('{ "a": 2 /* mine */ }', '{ "a": 2, /* mine */ "runcept": 1 }'),
    ('{ "a": 2 // mine\r }', '{ "a": 2, // mine\n  "runcept": 1\n}'),
    ('{\n\t"a": 2 // mine\n}\n', '{\n\t"a": 2, // mine\n\t"runcept": 1\n}\n'),
    ('{\n    "a": 2, // mine\n}', '{\n    "a": 2, // mine\n    "runcept": 1,\n}'),
    ('{\r\n  "a": 2\r\n}\r\n', '{\r\n  "a": 2,\r\n  "runcept": 1\r\n}\r\n'),
    ('{\n  "a": 2,\n  "runcept": 0 // mine\n}', '{\n  "a": 2,\n  "runcept": 1 // mine\n}'),
    ('{"runcept": 0, "runcept": 2}', '{"runcept": 0, "runcept": 1}'),
]


@pytest.mark.parametrize(("text", "edited"), LAYOUTS)
def test_a_member_is_written_as_the_others_are(text: str, edited: str) -> None:
    """In the same line where they are, else in one of its own, as far in; with a comma where they have one."""
    assert jsonc.with_value(text, ["runcept"], 1) == edited


@given(OBJECTS, st.randoms(use_true_random=False), st.booleans())
def test_a_member_is_put_in_and_everything_else_is_as_it_was(
    values: dict[str, Any], random: Random, trailing: bool
) -> None:
    """Other values and every comment; where an object would have to replace what is none, nothing is written."""
    text = written(values, random, trailing=trailing)
    assert jsonc.parse(text).root.value == values  # type: ignore[union-attr]
    if is_blocked(values, PATH):
        with pytest.raises(Mistake):
            jsonc.with_value(text, PATH, 7)
        return
    edited = jsonc.with_value(text, PATH, {"command": "x", "args": ["mcp"]})
    document = jsonc.parse(edited)
    assert document.root is not None
    assert document.root.value == put(values, PATH, {"command": "x", "args": ["mcp"]})
    had_one = isinstance(values.get("mcpServers"), dict) and "runcept" in values["mcpServers"]
    if not had_one:
        assert comments(edited) == comments(text)
        assert len(document.trailing_commas) == len(jsonc.parse(text).trailing_commas)
        assert is_within(text, edited)


@given(OBJECTS, st.randoms(use_true_random=False), st.sampled_from(["cursor", "vscode", "opencode"]))
def test_a_second_installation_changes_nothing(values: dict[str, Any], random: Random, name: str) -> None:
    """Whatever the first one found: it is right now, and the text stays as it is to the last character."""
    client = CLIENTS[name]
    text = written(values, random, trailing=True)
    try:
        first = merge(text, client, place(client), client.entry(COMMAND))
    except Mistake:
        return
    second = merge(first.text, client, place(client), client.entry(COMMAND))
    assert (second.change, second.text) == (Change.UNCHANGED, first.text)


def read(text: str) -> jsonc.Document | Mistake:
    try:
        return jsonc.parse(text)
    except Mistake as mistake:
        return mistake


@given(SMALL_TEXT | st.text(max_size=30))
@example("\ufeff{}")
@example("// only a comment")
@example("{/")
@example("[" * 5000)
@example('{"a": ' * 5000)
@example("1" * 5000)
@example("-")
@example('"\\ud800"')
def test_what_python_reads_as_json_is_read_the_same(text: str) -> None:
    """Any text is read, or refused with a place in it; what is read of JSON proper is what `json` makes of it."""
    document = read(text)
    if isinstance(document, Mistake):
        assert 0 <= document.at <= len(text)
        assert document.message
        with contextlib.suppress(ValueError, RecursionError):
            json.loads(text)
            assert re.search(r"NaN|Infinity", text)  # which is Python's own
    elif document.root and not document.comments and not document.trailing_commas and not text.startswith("\ufeff"):
        assert json.loads(text) == document.root.value


# ----------------------------------------------------------------------------------------------------- TOML

TOML_VALUES = st.sampled_from(
    [
        "1",
        "true",
        '"é"',
        "''",
        "[ 1, # one\n  2 ]",
        '{ a = "b" }',
        '"""\n# no comment\n"""',
        "1979-05-27",
        "[{ x = 1 }]",
    ]
)
TOML_LINES = st.one_of(
    st.sampled_from(
        [
            "[mcp_servers]",
            "[mcp_servers.other]",
            "[mcp_servers.runcept]",
            "[mcp_servers.runcept.env] # variables",
            '[projects."/home/ada/shop"]',
            "[[hooks]]",
            "[profiles.a.b]",
            "",
            "# a comment",
            "   # another",
            "mcp_servers = { other = { command = 'x' } } # in braces",
            "mcp_servers.other.command = 'x'",
            "mcp_servers.runcept.command = 'x' # dotted",
            "runcept = { command = 'x', args = [] } # in braces",
            "runcept.command = 'x'",
            "runcept.url = 'x'",
        ]
    ),
    st.tuples(st.sampled_from(["model", "command", "args", "url", "startup_timeout_sec", '"a.b"']), TOML_VALUES).map(
        " = ".join
    ),
)
CODEX = CLIENTS["codex"]


def toml_comments(text: str) -> list[str]:
    """What looks like a comment in it."""
    return re.findall(r"#[^\r\n]*", text)


@given(st.lists(TOML_LINES, max_size=10), st.sampled_from(["\n", "\r\n"]), st.booleans())
@example(["mcp_servers = { other = { command = 'x' } }"], "\n", False)
@example(["mcp_servers.other.command = 'x'", "[b]"], "\n", False)
@example(["[mcp_servers.a]", "[b]", "[mcp_servers.runcept]", "url = 'x'", "[c]"], "\n", False)
@example(["[mcp_servers.runcept]", "command = 'x'"], "\n", False)
@example(["[mcp_servers.runcept]", "[mcp_servers]", "url = 'x'", "[mcp_servers.runcept.env] # variables"], "\n", True)
def test_codex_gets_its_table_and_everything_else_is_as_it_was(lines: list[str], line_end: str, ended: bool) -> None:
    """In every shape in which TOML lets a table be written; a second time nothing is left to change."""
    text = line_end.join(lines) + (line_end if ended else "")
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        with pytest.raises(Mistake) as caught:
            toml_edit.parse(text)
        assert 0 <= caught.value.at <= len(text)
        return
    if is_blocked(values, ("mcp_servers", "runcept")):
        with pytest.raises(Mistake):
            merge(text, CODEX, place(CODEX), CODEX.entry(COMMAND))
        return
    try:
        merged = merge(text, CODEX, place(CODEX), CODEX.entry(COMMAND))
    except Mistake:  # its parts stand far apart; a table that is new is never refused
        assert "runcept" in values["mcp_servers"]
        return
    after = tomllib.loads(merged.text)
    entry = after["mcp_servers"].pop("runcept")
    assert (entry["command"], entry["args"]) == ("/opt/é/runcept", ["mcp"])
    assert entry["env"]["RUNCEPT_HOME"] == "/srv/ho me"
    servers = values.get("mcp_servers", {})
    older = servers.pop("runcept", {})
    assert after == {**values, "mcp_servers": servers}
    if "command" in older:
        assert set(entry) == set(older) | {"command", "args", "env"}
    if merged.change is Change.ADDED:
        assert toml_comments(merged.text) == toml_comments(text)
    second = merge(merged.text, CODEX, place(CODEX), CODEX.entry(COMMAND))
    assert (second.change, second.text) == (Change.UNCHANGED, merged.text)
