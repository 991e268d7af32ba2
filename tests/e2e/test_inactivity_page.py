"""The example of docs/inactivity.md, typed as it stands there: each command must print what the page says."""

from __future__ import annotations

import re
from pathlib import Path

from tests.e2e.conftest import Project
from tests.e2e.test_readme import differs, told, type_at_terminal
from tests.support import free_ports

PAGE = Path(__file__).resolve().parents[2] / "docs" / "inactivity.md"
CLOCK = re.compile(r"\bat \d\d:\d\d(:\d\d)?")


def the_same(lines: list[str]) -> list[str]:
    """The lines as far as they are the same each time; the order in which processes get ready is not."""
    same = told([CLOCK.sub("at TIME", line) for line in lines])
    ready = sorted(line for line in same if " ready TIME" in line)
    return ready + [line for line in same if " ready TIME" not in line]


def test_the_example_prints_what_the_page_says(project: Project) -> None:
    """It is activated, shown, stopped for nobody uses it, and brought back."""
    section = PAGE.read_text(encoding="utf-8").partition("## Try it\n")[2].partition("\n## ")[0]
    section = section.replace("8000", str(free_ports(1)[0]))
    (project_file,) = re.findall(r"```toml\n(.*?)```", section, re.DOTALL)
    steps = [
        step.partition("\n")
        for block in re.findall(r"```console\n(.*?)```", section, re.DOTALL)
        for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    ]
    assert [command for command, _, _ in steps].count("runcept activate") == 2
    project.path.rename(project.path.with_name("idle"))
    project.path = project.path.with_name("idle")
    project.environ["HOME"] = str(project.path.parent)
    project.write(project_file)
    for command, _, lines in steps:
        printed = type_at_terminal(project, command)
        missing = differs(the_same(lines.splitlines()), the_same(printed.splitlines()))
        assert not missing, f"$ {command}\n{printed}\nThe page says here: {missing}"
