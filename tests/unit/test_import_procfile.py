"""A Procfile as a project file: ports as foreman and overmind give them, and what overmind is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.import_stage import Taken

from runcept.core.model import Kind, Restart


def test_ports_are_those_that_foreman_gives(tmp_path: Path) -> None:
    """By the place in the file, to what says PORT; and to web, unless its command names a port."""
    taken = Taken(tmp_path, "Procfile", "a: a\nweb: puma\nb: b -p ${PORT}\nc: c $PORTAL\n")
    assert {name: taken[name].ports for name in taken.names} == {"a": (), "web": (5100,), "b": (5200,), "c": ()}
    assert Taken(tmp_path, "Procfile", "web: puma -p 3000\n")["web"].ports == ()


@pytest.mark.parametrize(
    ("files", "port"),
    [
        ({}, 5000),
        ({"__env": "PORT=7000\n"}, 7000),
        ({"__overmind__env": "OVERMIND_PORT=4000\n", "__env": "PORT=7000\n"}, 4000),
    ],
)
def test_the_first_port_may_be_said_elsewhere(tmp_path: Path, files: dict[str, str], port: int) -> None:
    """Of foreman in .env, of overmind in its own file."""
    assert Taken(tmp_path, "Procfile", "web: x $PORT\n", **files)["web"].ports == (port,)


def test_a_release_is_a_task_that_is_started_by_name(tmp_path: Path) -> None:
    """Heroku runs it when it deploys."""
    release = Taken(tmp_path, "Procfile", "release: ./migrate $PORT\nweb: x\n")["release"]
    assert (release.kind, release.autostart, release.ports) == (Kind.TASK, False, ())


def test_what_overmind_is_told(tmp_path: Path) -> None:
    """What maps is mapped; the rest is told; .env is an env file beside."""
    settings = (
        "OVERMIND_AUTO_RESTART=web,x\nOVERMIND_STOP_SIGNALS=web=QUIT\nOVERMIND_TIMEOUT=20\n"
        "OVERMIND_IGNORED_PROCESSES=job\nOVERMIND_FORMATION=web=2\nOVERMIND_PORT_STEP=1\nOTHER=1\n"
    )
    taken = Taken(tmp_path, "Procfile", "web: x\njob: y $PORT\n", __overmind__env=settings, __env="A=1\n")
    assert taken["web"].restart.when is Restart.ALWAYS
    assert (taken["web"].stop_signal, taken["web"].stop_timeout) == ("SIGQUIT", 20)
    assert not taken["job"].autostart
    assert taken["job"].ports == (5001,)
    assert taken["web"].env == {"A": "1"}
    assert set(taken.lost) == {".overmind.env OVERMIND_FORMATION"}


def test_lines_that_are_none_are_told(tmp_path: Path) -> None:
    """With their number; comments and blank lines are no lines."""
    taken = Taken(tmp_path, "Procfile", "# c\n\nweb: x\nwhat is this\n  -f other/Procfile\n")
    assert set(taken.lost) == {"line 4", "line 5"}


def test_names_are_made_valid_and_each_its_own(tmp_path: Path) -> None:
    """A comment says what it was called."""
    taken = Taken(tmp_path, "Procfile", "-web-: x\nweb: y\nweb: z\n_: q\n")
    assert taken.names == ["web-2", "web", "web-2-2", "process"]
    assert "# It was called -web-." in taken.text
