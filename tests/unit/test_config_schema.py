"""The JSON Schema and the reference page say what the validator does: all three come from one list."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
from tests.unit.test_config_problems import ONE_LINE, WEB
from tests.unit.test_config_project import CLASSIC, EVERY_KEY

from runcept.config.project import parse_project
from runcept.config.reference import reference_markdown
from runcept.config.schema import DEPENDENCY, HEALTH_CHECK, LOG, PROCESS, PROJECT, SETTINGS, json_schema
from runcept.config.settings import Settings
from runcept.config.toml_source import TomlSource
from runcept.errors import ConfigInvalid

DOCS = Path(__file__).parents[2] / "docs" / "configuration.md"
# what a schema cannot know: other processes, files, signals of this system, regular expressions, lengths, reserved text
BEYOND = (
    'wake = "connect"',
    "depends_on = ['",
    "env_files = ['.env",
    "stop_signal = 'SIGTREM'",
    "health_check = 'log://",
    "health_check = 'http",
    "health_check = 'tcp://",
    "status = [200]",
    "inactivity_timeout = false",
    "stop_timeout = '99999",
    "stop_timeout = '111",
    "env = { 'A=B'",
    "env = { ''",
    "env = { A = 2026",
    "\\u0000",
)


def accepted(text: str) -> bool:
    """What the validator says."""
    try:
        parse_project(text, "/nonexistent/.runcept.toml", Settings())
    except ConfigInvalid:
        return False
    return True


def conforms(text: str) -> bool:
    """What the JSON Schema says."""
    validator = jsonschema.Draft202012Validator(json_schema())
    return bool(validator.is_valid(TomlSource("x", text).values))


def test_the_schema_is_one() -> None:
    """Of draft 2020-12."""
    jsonschema.Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize("text", [CLASSIC, *(f"{WEB}{line}\n" for line, *_ in EVERY_KEY)])
def test_what_the_validator_accepts_conforms(text: str) -> None:
    """An editor shows no error in a file that works."""
    assert accepted(text)
    assert conforms(text)


@pytest.mark.parametrize("line", [line for line, *_ in ONE_LINE if not any(part in line for part in BEYOND)])
def test_what_the_validator_refuses_does_not_conform(line: str) -> None:
    """An editor shows the error too, but for what no schema can know."""
    assert not accepted(f"{WEB}{line}\n")
    assert not conforms(f"{WEB}{line}\n")


def test_required_and_unknown_keys_are_in_the_schema() -> None:
    """On every level."""
    for text in ("", "[project]\n", "[project]\nname = 'x'\nx = 1\n", WEB + "[[process]]\nname = 'x'\n", WEB + "[x]\n"):
        assert not accepted(text)
        assert not conforms(text)


@pytest.mark.parametrize("table", [PROJECT, PROCESS, SETTINGS, LOG, HEALTH_CHECK, DEPENDENCY])
def test_every_key_is_explained(table: object) -> None:
    """In the schema and on the page, with what it means."""
    page = reference_markdown()
    for key in table.keys:  # type: ignore[attr-defined]
        assert key.meaning.endswith(".")
        assert f"| `{key.name}` |" in page


def test_the_reference_page_is_current() -> None:
    """docs/configuration.md is what `python -m runcept.config.reference` prints."""
    assert DOCS.read_text(encoding="utf-8") == reference_markdown()


def test_the_example_on_the_page_is_valid() -> None:
    """Whoever copies it starts with a file that works."""
    assert accepted(reference_markdown().partition("```toml\n")[2].partition("```")[0])
