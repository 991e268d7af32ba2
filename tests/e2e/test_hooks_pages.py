"""docs/hooks.md and docs/exec.md, typed as they stand there: each command must print what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.e2e.conftest import Project
from tests.e2e.test_readme import differs, told, type_at_terminal
from tests.support import free_ports, wait_until

DOCS = Path(__file__).resolve().parents[2] / "docs"


def steps(page: str) -> list[tuple[str, list[str]]]:
    """The commands of a page, each with the lines that it is said to print."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"```console\n(.*?)```", page, re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line.removeprefix("$ "), []))
            else:
                found[-1][1].append(line)
    return found


@pytest.mark.parametrize("name", ["hooks.md", "exec.md"])
def test_the_page_says_what_is_printed(project: Project, name: str) -> None:
    """Hooks run beside everything else, so what they write may come a moment later."""
    (port,) = free_ports(1)
    page = (DOCS / name).read_text(encoding="utf-8").replace("8000", str(port))
    project.path.rename(project.path.with_name("shop"))
    project.path = project.path.with_name("shop")
    project.write(re.findall(r"```toml\n(.*?)```", page, re.DOTALL)[0])
    commands = steps(page)
    assert len(commands) >= 3
    for command, lines in commands:
        if command.startswith("cat "):
            file = project.path / command.removeprefix("cat ")
            wait_until(lambda file=file: file.exists() and file.read_text(), what=f"what `{command}` shows")
        printed = type_at_terminal(project, command)
        missing = differs(told(lines), told(printed.splitlines()))
        assert not missing, f"$ {command}\n{printed}\nThe page says here: {missing}"
