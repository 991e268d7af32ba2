"""The session of docs/shell.md, typed in a real bash as it stands there: each line is answered as the page says."""

from __future__ import annotations

import re
from pathlib import Path

from tests.e2e.conftest import Project
from tests.e2e.shells import Shell, shell
from tests.support import wait_until

PAGE = Path(__file__).resolve().parents[2] / "docs" / "shell.md"


def session() -> tuple[str, list[tuple[str, list[str]]]]:
    """The project file of the page, and what is typed, each line with its answer."""
    text = PAGE.read_text(encoding="utf-8")
    (project_file,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    steps: list[tuple[str, list[str]]] = []
    for line in "".join(re.findall(r"```console\n(.*?)```", text, re.DOTALL)).splitlines():
        if line.startswith("$ "):
            steps.append((line.removeprefix("$ "), []))
        else:
            steps[-1][1].append(line)
    return project_file, steps


def answer(here: Shell, typed: str) -> list[str]:
    """What is shown, less what readline shows of the typing."""
    return [line for line in here.do(typed) if line and typed not in line and 'echo "mark"' not in line]


def test_the_session_is_answered_as_the_page_says(project: Project) -> None:
    """In a directory of that name; where the project is being started, until that is done."""
    project_file, steps = session()
    assert len(steps) >= 15
    project.path = project.path.rename(project.path.with_name("shop"))
    project.write(project_file)

    def has_settled() -> bool:
        return {each["name"]: each["state"] for each in project.json("ps")["processes"]} == {
            "web": "running",
            "worker": "failed",
        }

    with shell(project, "bash") as here:
        for typed, said in steps:
            assert answer(here, typed) == said, typed
            if said == ["runcept: activating shop…"]:
                wait_until(has_settled, what="the activation")


def test_the_lines_for_startup_files_are_those_of_the_program(project: Project) -> None:
    """The page and `runcept hook --help` say the same."""
    rows = re.findall(r"^\| (\w+) \| `[^`]+` \| `(.+)` \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert [name for name, _ in rows] == ["bash", "zsh", "fish"]
    told = project.run("hook", "--help").stdout
    for _, line in rows:
        assert line.replace("\\|", "|") in told
