"""The documentation is true of the code: pages made from it are current, commands and links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from scripts.errors_page import EXAMPLES
from scripts.generate_docs import PAGES, outdated
from scripts.states_page import walk

from runcept import errors
from runcept.cli.app import ROOT as COMMANDS
from runcept.cli.framework import Group
from runcept.config.project import parse_project
from runcept.config.settings import Settings
from runcept.core import events as ev
from runcept.core.lifecycle import TRANSITIONS
from runcept.core.model import State

ROOT = Path(__file__).resolve().parents[2]
PAPERS = [path for place in ("*.md", "docs/*.md", "examples/*/README.md") for path in sorted(ROOT.glob(place))]
PICTURES = sorted((ROOT / "docs" / "pictures").glob("*.svg"))
STEPS = walk()
LINK = re.compile(r"!?\[[^]]*\]\(([^)\s]+)\)")


def name(path: Path) -> str:
    """How a file is called in a report."""
    return path.relative_to(ROOT).as_posix()


def anchors(path: Path) -> set[str]:
    """The places in a page that a link can lead to, as GitHub makes them from headings."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def typed(text: str) -> Iterator[list[str]]:
    """The words of each `runcept …` that a page shows: in a code span, or as a line of a block."""
    for found in re.findall(r"`(runcept [^`\n]+)`|^ *(?:\$ )?(runcept .+)$", text, re.MULTILINE):
        for line in re.split(r" [|&;]+ ", found[0] or found[1]):
            words = line.partition(" #")[0].split()
            if words[0] == "runcept":
                yield words[1:]


def unknown(words: list[str]) -> str:
    """The first word that is no command or option of the program; empty where all are."""
    group: click.Command = COMMANDS
    context = click.Context(COMMANDS)
    options = {option for param in COMMANDS.params for option in param.opts} | {"--help"}
    for word in words:
        if word == "--":
            break
        if word.startswith("-"):
            if word not in options:
                return word
        elif isinstance(group, Group) and re.fullmatch(r"[a-z-]+", word):
            found = group.get_command(context, word)
            if found is None:
                return word
            group = found
            options |= {option for param in found.params for option in param.opts}
    return ""


@pytest.mark.parametrize("page", PAGES)
def test_a_page_made_from_code_is_current(page: str) -> None:
    """Else `make docs` writes it."""
    assert (ROOT / page).read_text(encoding="utf-8") == PAGES[page]()


def test_a_page_that_was_forgotten_is_named(tmp_path: Path) -> None:
    """One that is missing or has been edited by hand counts as out of date, with what it should be."""
    for page, make in PAGES.items():
        (tmp_path / page).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / page).write_text(make(), encoding="utf-8")
    assert outdated(tmp_path) == {}
    (tmp_path / "docs" / "errors.md").write_text("edited", encoding="utf-8")
    (tmp_path / "docs" / "states.md").unlink()
    assert sorted(outdated(tmp_path)) == ["docs/errors.md", "docs/states.md"]


def test_check_agrees() -> None:
    """`generate_docs --check` is what `make lint` asks: exit status 0 where all pages are current."""
    command = [sys.executable, "-m", "scripts.generate_docs", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_error_is_on_the_page() -> None:
    """One example of each class that is raised; those that only group others need none."""
    classes = {
        each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, errors.RunceptError)
    }
    leaves = {each for each in classes if not each.__subclasses__()} - {errors.RemoteError}
    shown = {type(example) for example in EXAMPLES}
    assert leaves - shown == set()
    assert len({example.message for example in EXAMPLES}) == len(EXAMPLES)


def test_the_walk_takes_every_entry_of_the_table() -> None:
    """No pair of state and event is left untried: what the diagram lacks cannot happen."""
    listed = {(state, event) for state, reactions in TRANSITIONS.items() for event in reactions}
    assert {(state, event) for state, event, _ in STEPS} == listed


def test_only_a_permission_starts_a_process() -> None:
    """Whatever happens to it, `starting` is entered by StartAllowed alone."""
    entered = {event for state, event, to in STEPS if to is State.STARTING and state is not to}
    assert entered == {ev.StartAllowed}


@pytest.mark.parametrize("paper", PAPERS, ids=name)
def test_a_link_leads_somewhere(paper: Path) -> None:
    """To a file of the repository, and where it names a heading, to that."""
    dead = []
    for link in LINK.findall(paper.read_text(encoding="utf-8")):
        if re.match(r"https?:", link):
            continue
        file, _, anchor = link.partition("#")
        target = paper.parent / file if file else paper
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    assert not dead


@pytest.mark.parametrize("paper", PAPERS, ids=name)
def test_a_command_that_is_shown_exists(paper: Path) -> None:
    """Commands and options of every `runcept …` in a paper are those of the program."""
    wrong = [" ".join(words) for words in typed(paper.read_text(encoding="utf-8")) if unknown(words)]
    assert not wrong


def test_a_command_that_does_not_exist_is_noticed() -> None:
    """Also an option of another command."""
    assert list(typed("Type `runcept ps -q`, then:\n\n    $ runcept logs -f | head\n")) == [
        ["ps", "-q"],
        ["logs", "-f"],
    ]
    assert unknown(["status", "web", "--json"]) == ""
    assert unknown(["daemon", "stop", "--kill"]) == ""
    assert unknown(["sttus"]) == "sttus"
    assert unknown(["status", "--follow"]) == "--follow"


def test_the_project_files_of_the_readme_are_right() -> None:
    """A reader copies them."""
    texts = re.findall(r"```toml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(texts) == 2
    for text in texts:
        parse_project(text, "/nonexistent/.runcept.toml", Settings())


@pytest.mark.parametrize("picture", PICTURES, ids=name)
def test_a_picture_needs_nothing_from_elsewhere(picture: Path) -> None:
    """No remote font, image or script: it looks the same offline, and tells nobody that it was looked at."""
    text = picture.read_text(encoding="utf-8")
    assert text.startswith("<svg ")
    assert not re.search(r"@font-face|url\((?!#)|<script|<image|href=|@import", text)


def test_the_pictures_are_shown() -> None:
    """Each is in a paper, and has words for those who do not see it."""
    text = "\n".join(paper.read_text(encoding="utf-8") for paper in PAPERS)
    assert PICTURES
    for picture in PICTURES:
        assert re.search(rf"!\[[^]]{{10,}}\]\((docs/)?pictures/{picture.name}\)", text)
