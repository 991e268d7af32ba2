"""The example of docs/reload.md, typed as it stands there: each command must print what the page says it prints."""

from __future__ import annotations

import re
from pathlib import Path

from tests.e2e.conftest import Project
from tests.e2e.test_readme import differs, told, type_at_terminal

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reload.md"


def example() -> tuple[str, list[tuple[str, list[str]]]]:
    """The project file, and the commands with the lines that each is said to print."""
    section = PAGE.read_text(encoding="utf-8").partition("## An example\n")[2].partition("\n## ")[0]
    (project_file,) = re.findall(r"```toml\n(.*?)```", section, re.DOTALL)
    steps: list[tuple[str, list[str]]] = []
    for block in re.findall(r"```console\n(.*?)```", section, re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                steps.append((line.removeprefix("$ "), []))
            else:
                steps[-1][1].append(line)
    return project_file, steps


def test_the_example_prints_what_the_page_says(project: Project) -> None:
    """Every command, in order."""
    project_file, steps = example()
    assert len(steps) > 10
    project.path.rename(project.path.with_name("shop"))
    project.path = project.path.with_name("shop")
    project.environ["HOME"] = str(project.path.parent)  # the page's project is in ~/shop
    project.write(project_file)
    for command, lines in steps:
        printed = type_at_terminal(project, command)
        missing = differs(told(lines), told(printed.splitlines()))
        assert not missing, f"$ {command}\n{printed}\nThe page says here: {missing}"
