"""The example of docs/wake.md, typed as it stands there: each command must print what the page says it prints."""

from __future__ import annotations

import re
from pathlib import Path

from tests.e2e.conftest import Project
from tests.e2e.test_readme import differs, told, type_at_terminal
from tests.support import free_ports, program

PAGE = Path(__file__).resolve().parents[2] / "docs" / "wake.md"


def test_the_example_does_what_the_page_says(project: Project) -> None:
    """Its server falls asleep, is woken by curl, and gives up its port when it is stopped."""
    program("curl")
    (port,) = free_ports(1)
    text = PAGE.read_text(encoding="utf-8").replace("8000", str(port))
    (project_file,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    (console,) = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    project.path.rename(project.path.with_name("nap"))
    project.path = project.path.with_name("nap")
    project.environ["HOME"] = str(project.path.parent)  # the page's prompt is in ~/nap
    project.write(project_file)
    steps = [step.splitlines() for step in re.split(r"^\$ ", console, flags=re.MULTILINE)[1:]]
    assert len(steps) == 6
    for command, *lines in steps:
        printed = type_at_terminal(project, command)
        missing = differs(told(lines), told(printed.splitlines()))
        assert not missing, f"$ {command}\n{printed}\nThe page says here: {missing}"
