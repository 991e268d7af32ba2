"""The example of docs/history.md, typed as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

from tests.e2e import test_readme as page
from tests.e2e.conftest import Project

from runcept.core.history import KINDS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "history.md"
INSTANT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


def told(text: str) -> list[str]:
    """The lines as far as they are the same each time."""
    return page.told(INSTANT.sub("WHEN", text).splitlines())


def test_the_example_prints_what_the_page_says(project: Project) -> None:
    """Each command, in order, on a terminal."""
    text = PAGE.read_text(encoding="utf-8")
    project.path = project.path.rename(project.path.with_name("shop"))
    project.environ["HOME"] = str(project.path.parent)
    (project_file,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    project.write(project_file)
    blocks = "".join(re.findall(r"```console\n(.*?)```", text, re.DOTALL))
    steps = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", blocks, re.MULTILINE)
    assert len(steps) == 5
    for command, lines in steps:
        printed = page.type_at_terminal(project, command)
        missing = page.differs(told(lines), told(printed))
        assert not missing, f"$ {command}\n{printed}\nThe page says here: {missing}"


def test_the_page_explains_every_kind() -> None:
    """In the words of the program."""
    text = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `\w+` \| .+ \|$", text, re.MULTILINE)
    assert rows == [f"| `{kind}` | {meaning} |" for kind, meaning in KINDS.items()]
