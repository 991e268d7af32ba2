"""docs/migrate.md is true: its Procfile becomes a project that runs, its compose file what stands there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.request import urlopen

import pytest
from tests.e2e.conftest import Project
from tests.e2e.test_readme import differs, told, type_at_terminal
from tests.support import free_ports

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "migrate.md").read_text(encoding="utf-8")
CLOCK = re.compile(r"\d\d:\d\d:\d\d")
CASES = sorted(path for path in (Path(__file__).resolve().parents[1] / "imports").iterdir() if path.is_dir())


def same(printed: str, port: int) -> list[str]:
    """What is the same each time.

    Two that start together race, a clock goes on, and that a port speaks HTTP is known once it has been seen to.
    """
    return sorted(told(CLOCK.sub("now", printed).replace(f"http://localhost:{port}", str(port)).split("\n")))


def block(text: str, language: str) -> str:
    """The one code block of a language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    return str(found)


def test_the_example_prints_what_the_page_says(project: Project) -> None:
    """Each command in order; between the start and the end the site answers, on a port of our own."""
    (port,) = free_ports(1)
    section = PAGE.partition("## An example\n")[2].partition("\n## ")[0].replace("8000", str(port))
    for name, language in (("Procfile", "procfile"), (".env", "dotenv"), ("clock.py", "python")):
        (project.path / name).write_text(block(section, language), encoding="utf-8")
    steps = [step.partition("\n") for step in block(section, "console").split("$ runcept ")[1:]]
    for command, _, printed in steps:
        expected = printed
        if command.startswith("init"):
            expected, _, written = printed.partition("$ cat .runcept.toml\n")
        said = type_at_terminal(project, f"runcept {command}")
        page, screen = same(expected, port), same(said, port)
        assert not differs(page, screen), f"{command} printed:\n{said}"
        if command.startswith("init"):
            assert (project.path / ".runcept.toml").read_text(encoding="utf-8") == written
        if command == "activate":
            with urlopen(f"http://localhost:{port}/clock.py", timeout=10) as reply:
                assert b"GREETING" in reply.read()


def test_the_compose_file_becomes_what_the_page_says(project: Project) -> None:
    """To the byte."""
    section = PAGE.partition("## docker-compose.yml\n")[2].partition("\n## ")[0]
    shop = project.path / "shop"
    shop.mkdir()
    (shop / "docker-compose.yml").write_text(block(section, "yaml"), encoding="utf-8")
    project.run("init", "shop", "--from", "shop")
    assert (shop / ".runcept.toml").read_text(encoding="utf-8") == block(section, "toml")
    project.run("validate", "shop")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_init_writes_validates(project: Project, case: Path) -> None:
    """For every file of another tool that we have, read where it is and written elsewhere."""
    told_of = project.json("init", "--from", str(case))
    assert project.json("validate")["processes"] == told_of["processes"]
    text = (project.path / ".runcept.toml").read_text(encoding="utf-8")
    for each in told_of["unmapped"]:
        assert f"#   {each['key']}: " in text, json.dumps(each)
