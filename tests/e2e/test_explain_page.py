"""The example of docs/explain.md, typed as it stands there: each command must print what the page says it prints."""

from __future__ import annotations

import re
from pathlib import Path

from tests.e2e.conftest import Project
from tests.e2e.test_readme import told, type_at_terminal
from tests.support import free_ports

PAGE = Path(__file__).resolve().parents[2] / "docs" / "explain.md"
DIFFERS = [
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"), "TIME"),
    (re.compile(r"\d\d:\d\d:\d\d"), "TIME"),
    (re.compile(r"\d+ times"), "MANY times"),
    (re.compile(r"; next check in TIME"), ""),  # it may be under way
]


def same(text: str) -> str:
    """The text as far as it is the same each time, however wide its lines are."""
    words = " ".join(told(text.splitlines()))
    for pattern, word in DIFFERS:
        words = pattern.sub(word, words)
    return words


def test_the_example_prints_what_the_page_says(project: Project) -> None:
    """Every command in order; on ports of our own."""
    section = PAGE.read_text(encoding="utf-8").partition("## An example\n")[2].partition("\n## ")[0]
    for shown, port in zip(("8000", "8001"), free_ports(2), strict=True):
        section = section.replace(shown, str(port))
    (project_file,) = re.findall(r"```toml\n(.*?)```", section, re.DOTALL)
    blocks = re.findall(r"```console\n(.*?)```", section, re.DOTALL)
    steps = [step.partition("\n") for block in blocks for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
    assert len(steps) > 9
    project.write(project_file)
    for command, _, expected in steps:
        printed = type_at_terminal(project, command)
        assert same(printed) == same(expected), f"$ {command}\n{printed}"


def test_a_page_that_says_something_else_is_noticed() -> None:
    """Counts and instants are forgiven, words are not."""
    page = "web is not ready, 13 times since 12:03:11; failures\n  count in 56s; next check in 1.4s"
    assert same(page) == same("web is not ready, 4 times since 08:00:01; failures count in 9s")
    assert same(page) != same("web is not ready, 4 times since 08:00:01; failures counted in 9s")
