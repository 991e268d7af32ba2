"""The hook in real shells: what entering a project says, what a prompt costs, and what of the shell stays as it was."""

from __future__ import annotations

import shlex
import subprocess

import psutil
import pytest
from tests.e2e.conftest import BIN, Project
from tests.e2e.shells import SHELLS, shell
from tests.support import program

RESTING = "shop is not active; `runcept activate` starts it"
PROJECT = """
[project]
name = "shop"
[[process]]
name = "web"
command = "exec sleep 1000"
[[process]]
name = "worker"
command = "echo 'no queue' >&2; exit 3"
"""
every_shell = pytest.mark.parametrize("name", SHELLS)


@pytest.fixture
def shop(project: Project) -> Project:
    project.write(PROJECT)
    return project


def cd(path: object) -> str:
    """What to type to go there."""
    return f"cd {shlex.quote(str(path))}"


@every_shell
def test_entering_says_once_how_the_project_is(shop: Project, name: str) -> None:
    """Not at the next prompt, and not for another directory of it; again when it is entered again."""
    (shop.path / "src" / "deep").mkdir(parents=True)
    with shell(shop, name) as here:
        assert here.said(cd(shop.path / "src")) == [RESTING]
        assert here.said("true", "true", cd("deep"), cd(shop.path), cd("src")) == []
        assert here.said(cd(shop.path.parent)) == []
        assert here.said(cd(shop.path)) == [RESTING]


@every_shell
def test_a_shell_that_begins_in_a_project_says_so(shop: Project, name: str) -> None:
    """A new terminal or a pane of tmux is an entering as well."""
    with shell(shop, name, load=False) as here:
        here.do(cd(shop.path))
        assert here.load() == [RESTING]
        assert here.said("true") == []


@every_shell
def test_what_runs_and_what_failed_is_told(shop: Project, name: str) -> None:
    """With the reason, in one line, also when the terminal is narrow; looking is no use of the project."""
    shop.run("activate", ok=False)
    used = shop.json("environments")["environments"][0]["last_activity_at"]
    state = "shop is active: 1 running, 1 failed (worker: exit code 3: no queue)"
    with shell(shop, name) as here:
        assert here.said(cd(shop.path)) == [state]
    with shell(shop, name, columns=60) as here:
        [line] = here.said(cd(shop.path))
        assert line == f"{state[: 60 - len('runcept: …')]}…"
    assert shop.json("environments")["environments"][0]["last_activity_at"] == used


@every_shell
def test_entering_starts_no_daemon_and_makes_nothing_known(shop: Project, name: str) -> None:
    """Without a daemon nothing runs, and that is all there is to say."""
    with shell(shop, name) as here:
        assert here.said(cd(shop.path)) == [RESTING]
    assert not shop.home.exists()
    shop.run("daemon", "start")
    with shell(shop, name) as here:
        assert here.said(cd(shop.path)) == [RESTING]
    assert shop.json("environments") == {"environments": []}


@every_shell
def test_a_project_in_a_project_is_another(shop: Project, name: str) -> None:
    """Each says how it is when it is entered from the other."""
    inner = shop.path / "inner"
    inner.mkdir()
    (inner / ".runcept.toml").write_text('[project]\nname = "inner"\n', encoding="utf-8")
    with shell(shop, name) as here:
        assert here.said(cd(inner)) == [RESTING.replace("shop", "inner")]
        assert here.said(cd("..")) == [RESTING]
        assert here.said(cd(inner)) == [RESTING.replace("shop", "inner")]


@every_shell
def test_a_link_leads_to_the_project_that_the_commands_find(shop: Project, name: str) -> None:
    """Upwards from the real directory: the project around a link to elsewhere is not entered."""
    (shop.path / "src").mkdir()
    elsewhere = shop.path.parent / "elsewhere"
    elsewhere.mkdir()
    (shop.path.parent / "to-src").symlink_to(shop.path / "src")
    (shop.path / "to-elsewhere").symlink_to(elsewhere)
    with shell(shop, name) as here:
        assert here.said(cd(shop.path.parent / "to-src")) == [RESTING]
        assert here.said(cd(shop.path)) == []
        assert here.said(cd(shop.path / "to-elsewhere")) == []
        assert here.said(cd(shop.path)) == [RESTING]


@every_shell
def test_a_directory_may_have_any_name(shop: Project, name: str) -> None:
    """Spaces, quotes, line ends: the hook goes through it, and it is never run."""
    around = shop.path.parent
    for odd in ("a b", "it's", 'say "x"', "$(touch x)", "-e", "*", "back\\slash", "a\nb", "end\n"):
        place = around / odd
        (place / "src").mkdir(parents=True)
        (place / ".runcept.toml").write_text(PROJECT, encoding="utf-8")
        with shell(shop, name, load=False, at=place / "src") as here:
            assert here.load() == [RESTING], odd
            assert here.said("cd ..", "cd src", "true", "cd /") == [], odd
            assert here.said("cd -") == [RESTING], odd
    assert not [*around.rglob("x")]


@every_shell
def test_a_directory_that_is_gone_is_no_trouble(shop: Project, name: str) -> None:
    """Also one that is removed while the shell stands in it."""
    gone = shop.path / "gone"
    gone.mkdir()
    with shell(shop, name) as here:
        here.said(cd(gone))
        gone.rmdir()
        assert "No such file" not in "\n".join(here.do("true", cd("/"), "true"))
        assert here.said(cd(shop.path)) == [RESTING]


@every_shell
def test_a_prompt_without_news_starts_no_program_and_makes_no_process(shop: Project, name: str) -> None:
    """However often, also where the directory is another one of the same project, or of none."""
    (shop.path / "src").mkdir()
    with shell(shop, name) as here:
        assert here.said(cd(shop.path)) == [RESTING]
        here.do("true")
        before = here.children_so_far()
        here.do(*["true"] * 20, cd("src"), cd(shop.path), "true")
        assert here.children_so_far() == before
        here.do(cd("/"), "true", cd("/usr"), "true")
        assert here.children_so_far() == before
        assert here.said(cd(shop.path)) == [RESTING]
        assert here.children_so_far() > before  # or this test sees nothing


@every_shell
def test_the_exit_status_of_the_last_command_stays(shop: Project, name: str) -> None:
    """At a prompt without news, and at one where a project is entered."""
    with shell(shop, name) as here:
        here.type("sh -c 'exit 7'")
        assert here.status() == "7"
        here.type(f"{cd(shop.path)}; sh -c 'exit 8'")
        assert here.status() == "8"


@every_shell
def test_taking_the_hook_in_twice_is_as_once(shop: Project, name: str) -> None:
    """A startup file that is read again doubles no line."""
    with shell(shop, name) as here:
        assert here.load() == []
        assert here.said(cd(shop.path)) == [RESTING]
        if name == "bash":
            assert "\n".join(here.do('echo "${PROMPT_COMMAND[*]}"')).count("__runcept_hook") == 1
        if name == "zsh":
            assert "\n".join(here.do('echo "${precmd_functions[*]}"')).count("__runcept_hook") == 1


@pytest.mark.parametrize(
    "before",
    [
        "PROMPT_COMMAND='echo mi\"\"ne $?'",
        "PROMPT_COMMAND='echo mi\"\"ne $?;'",
        "PROMPT_COMMAND='echo mi\"\"ne $? # and no more'",
        "PROMPT_COMMAND=('echo mi\"\"ne $?' ':')",
        "export PROMPT_COMMAND='echo mi\"\"ne $?'",
    ],
)
def test_what_bash_does_before_a_prompt_stays(shop: Project, before: str) -> None:
    """As text or as a list; it comes first, and sees the status of the last command."""
    with shell(shop, "bash", load=False) as here:
        here.do(before)
        here.load()
        shown = here.do(f"{cd(shop.path)}; sh -c 'exit 7'")
        assert shown.count("mine 7") == 1
        assert f"runcept: {RESTING}" in shown[shown.index("mine 7") :]


def test_what_comes_behind_the_hook_sees_the_status_too(shop: Project) -> None:
    """Whoever else is added to PROMPT_COMMAND, or to precmd."""
    with shell(shop, "bash") as here:
        here.do("PROMPT_COMMAND+=$'\\n''echo mi\"\"ne $?'")
        assert "mine 7" in here.do("sh -c 'exit 7'")
    with shell(shop, "zsh") as here:
        here.do("mine() { echo mi''ne $? }; precmd_functions+=(mine)")
        assert "mine 7" in here.do("sh -c 'exit 7'")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("bash", "set -u; set -e"),
        ("bash", "shopt -s extdebug; set -o functrace; trap : DEBUG"),
        ("bash", "set -o posix"),
        ("bash", "shopt -s nullglob failglob nocasematch; set -a; IFS=/"),
        ("zsh", "setopt no_unset err_exit"),
        ("zsh", "setopt ksh_arrays sh_word_split glob_subst null_glob"),
    ],
)
def test_the_options_of_a_shell_do_not_disturb_it(shop: Project, name: str, options: str) -> None:
    """Set before the hook is taken in, and after; a command that fails as far as they allow ends no shell."""
    (shop.path / "src").mkdir()
    for first in (True, False):
        with shell(shop, name, load=False) as here:
            if first:
                here.do(options)
            assert here.load() == []
            if not first:
                here.do(options)
            assert here.said("false && true", cd(shop.path), "false && true", cd("src"), "true") == [RESTING]


@every_shell
def test_a_shell_that_nobody_types_at_is_told_nothing(shop: Project, name: str) -> None:
    """A script may take the hook in, and then has nothing of it."""
    load = "runcept hook fish | source" if name == "fish" else f'eval "$(runcept hook {name})"'
    done = subprocess.run(
        [program(name), "-c", f"{load}; {cd(shop.path)}; type __runcept_hook >/dev/null 2>&1 || echo done"],
        cwd=shop.path.parent,
        env=shop.environ | {"HOME": str(shop.path.parent)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


@every_shell
def test_a_shell_outlives_an_installation_that_is_gone(shop: Project, name: str) -> None:
    """Nothing is said where there is no `runcept` any more."""
    with shell(shop, name) as here:
        here.do("set -g __runcept_command /gone" if name == "fish" else "__runcept_command=/gone")
        shown = "\n".join(here.do(cd(shop.path), "true"))
    assert not [word for word in ("No such file", "not found", "Unknown", "runcept:") if word in shown]


def test_a_daemon_that_is_stopped_delays_a_prompt_for_a_moment(shop: Project) -> None:
    """A second or two, and then says so."""
    with shell(shop, "bash") as here:
        pid = shop.json("daemon", "start")["pid"]
        daemon = psutil.Process(pid)
        daemon.suspend()
        try:
            [line] = here.said(cd(shop.path))
        finally:
            daemon.resume()
        assert line.startswith("the daemon does not answer at ")


def test_a_file_with_a_mistake_is_named(shop: Project) -> None:
    """In one line; `runcept validate` tells more."""
    shop.write("[project\n")
    with shell(shop, "bash") as here:
        assert here.said(cd(shop.path)) == [".runcept.toml has 1 problem; `runcept validate` tells more"]


def test_a_name_that_is_none_is_not_shown(shop: Project) -> None:
    """What a stranger's file calls itself acts on no terminal."""
    shop.write('[project]\nname = "\\u001b[2Jshop\\nrm -rf"\n')
    with shell(shop, "bash") as here:
        assert here.said(cd(shop.path)) == [RESTING.replace("shop", shop.path.name)]


def test_another_shell_has_no_hook(project: Project) -> None:
    """The error names those that have one."""
    done = project.run("hook", "tcsh", ok=False)
    assert done.returncode == 2
    assert done.stderr == (
        "runcept: shell: 'tcsh' is not one of 'bash', 'zsh', 'fish'\n  hint: See `runcept hook --help`.\n"
    )


def test_the_hook_names_this_installation(project: Project) -> None:
    """By its path: a project that puts programs of its own on PATH is asked nothing."""
    fake = project.path / "runcept"
    fake.write_text("#!/bin/sh\necho fake\n", encoding="utf-8")
    fake.chmod(0o755)
    project.environ["PATH"] = f"{project.path}:{project.environ['PATH']}"
    done = subprocess.run(
        [BIN / "runcept", "hook", "bash"], env=project.environ, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[0] == f"__runcept_command={shlex.quote(str(BIN / 'runcept'))}"
