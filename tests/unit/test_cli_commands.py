"""The commands, run in this process against a daemon that answers from a script: what is asked, said, and returned."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.records import AT, said, started
from tests.unit.cli_stage import PROJECT, Stage, answering, environment, failing, process, shop_stage

from runcept.api.messages import DaemonStatus, EnvironmentList, Outcome, Processes, ProcessList
from runcept.cli.app import ROOT
from runcept.client.testing import Notify
from runcept.core.views import Counts, EnvironmentView, Health, ProcessView, State
from runcept.errors import ConfigInvalid, DaemonStopping, EnvironmentNotFound, RunceptError
from runcept.logs.record import lifecycle


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return shop_stage(tmp_path)


# ---------------------------------------------------------------------------------------- the command line


def test_help_lists_every_command_and_imports_none(stage: Stage) -> None:
    """`runcept` alone prints help; so does --help."""
    said = stage.run()
    assert said.status == 0
    assert said == stage.run("--help")
    for name in ROOT.entries:
        assert re.search(rf"^  {name} ", said.out, re.MULTILINE)


@pytest.mark.parametrize("name", [*ROOT.entries, *ROOT.aliases])
def test_every_command_is_there_and_has_help(stage: Stage, name: str) -> None:
    """The table of commands names nothing that does not exist."""
    said = stage.run(name, "--help")
    assert said.status == 0
    assert f"Usage: runcept {name}" in said.out
    assert "\x1b" not in said.out


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["statsu"], "Did you mean status?"),
        (["status", "--jsno"], "Did you mean --json?"),
        (["daemon", "stauts"], "Did you mean status?"),
        (["start"], "See `runcept start --help`."),
        (["activate", "--timeout", "soon"], "See `runcept activate --help`."),
        (["logs", "--run", "first"], "See `runcept logs --help`."),
        (["logs", "--run", "1" * 5000], "See `runcept logs --help`."),
    ],
)
def test_a_command_line_that_cannot_be_is_one_sentence_and_a_hint(
    stage: Stage, arguments: list[str], hint: str
) -> None:
    """Exit status 2; with --json the same as an object on stdout."""
    said = stage.run(*arguments)
    assert said.status == 2
    assert said.out == ""
    assert re.fullmatch(r"runcept: [^\n]+\n  hint: [^\n]+\n", said.err)
    assert said.err.endswith(f"hint: {hint}\n")
    error = stage.run(*arguments, "--json").json["error"]
    assert (error["code"], error["hint"]) == ("usage", hint)


@pytest.mark.parametrize("arguments", [["--json", "status"], ["status", "--json"]])
def test_global_options_stand_before_or_after_the_command(stage: Stage, arguments: list[str]) -> None:
    """Nobody has to remember which."""
    with answering(stage, status=environment(stage)):
        assert stage.run(*arguments).json["name"] == "shop"


def test_options_after_the_double_dash_are_not_ours(stage: Stage) -> None:
    """They belong to a name."""
    with answering(stage, start=failing(EnvironmentNotFound("x", []))) as daemon:
        said = stage.run("start", "--", "--json")
    assert daemon.requests[0][1]["names"] == ["--json"]
    assert said.err.startswith("runcept:")


def test_the_version_is_told(stage: Stage) -> None:
    """In words and in JSON."""
    version = stage.run("--version", "--json").json["version"]
    assert stage.run("--version").out == f"runcept {version}\n"


# ------------------------------------------------------------------------------------------ start and stop


def test_activate_sends_the_shells_environment_and_tells_what_came_of_it(stage: Stage) -> None:
    """Ready, with where it can be reached; and what has failed, with its reason: exit status 1."""
    failed = process(stage, "worker", State.FAILED, reason="command not found: celery")

    def activate(_: object, notify: Notify) -> Outcome:
        notify(process(stage, "web", State.STARTING))
        return Outcome(
            environment=str(stage.cwd), processes=[process(stage, "web", urls=["http://localhost:1"]), failed], ok=False
        )

    stage.environ = {"COLOR": "blue", "SHLVL": "3"}
    with answering(stage, activate=activate) as daemon:
        said = stage.run("activate", "w*", "--timeout", "1m30s")
    method, params = daemon.requests[0]
    assert method == "activate"
    assert (params["environment"], params["names"], params["timeout"]) == (str(stage.cwd), ["w*"], 90.0)
    assert params["environ"]["COLOR"] == "blue"
    assert "SHLVL" not in params["environ"]
    assert said.status == 1
    assert re.search(r"^web +ready .*http://localhost:1$", said.out, re.MULTILINE)
    assert re.search(r"^worker +failed .*command not found: celery$", said.out, re.MULTILINE)
    assert re.search(r"^1 ready, 1 failed in ", said.out, re.MULTILINE)


def test_the_exit_status_tells_a_timeout_from_a_failure(stage: Stage) -> None:
    """124, and the usual shape in JSON."""
    outcome = Outcome(
        environment=str(stage.cwd), processes=[process(stage, "web", State.STARTING)], ok=False, timed_out=True
    )
    with answering(stage, start=outcome):
        assert stage.run("start", "web").status == 124
        said = stage.run("--json", "start", "web")
    assert said.status == 124
    assert said.json == msgspec.to_builtins(outcome)


def test_what_ran_before_is_told_apart_from_what_became_ready(stage: Stage) -> None:
    """A second activate changes nothing, and says so."""
    before = process(stage, "web", started_at="2020-01-01T00:00:00.000000Z")
    with answering(stage, activate=Outcome(environment=str(stage.cwd), processes=[before], ok=True)):
        assert re.search(r"^web +running .*already$", stage.run("activate").out, re.MULTILINE)


def test_stopping_mentions_only_what_was_stopped(stage: Stage) -> None:
    """What was down before stays out of it."""
    down = process(stage, "worker", State.STOPPED)
    done = Outcome(environment=str(stage.cwd), processes=[process(stage, "web", State.STOPPED), down], ok=True)
    before = environment(stage, process(stage, "web", State.BACKOFF), down)
    with answering(stage, status=before, deactivate=done):
        said = stage.run("deactivate")
    assert "web" in said.out
    assert "worker" not in said.out
    assert said.out.splitlines()[-1].startswith("1 stopped in ")


def test_stopping_nothing_says_so(stage: Stage) -> None:
    """And is no failure."""
    down = process(stage, "web", State.STOPPED)
    done = Outcome(environment=str(stage.cwd), processes=[down], ok=True)
    with answering(stage, status=environment(stage, down), deactivate=done):
        said = stage.run("deactivate")
    assert (said.status, said.out) == (0, "nothing was running\n")


def test_quiet_says_nothing_where_nothing_is_wrong(stage: Stage) -> None:
    """For scripts that look at the exit status."""
    done = Outcome(environment=str(stage.cwd), processes=[process(stage, "web")], ok=True)
    with answering(stage, activate=done, restart=done):
        assert stage.run("activate", "-q").out == ""
        assert stage.run("-q", "restart", "web").out == ""


def test_the_last_words_of_what_failed_are_shown(stage: Stage) -> None:
    """A person need not ask for the log to see why."""
    log = stage.cwd / ".runcept" / "logs" / "web.jsonl"
    log.parent.mkdir(parents=True)
    records = [
        {"ts": "2026-01-01T00:00:00.000001Z", "stream": "runcept", "message": "run 1", "event": "started", "run": 1},
        {"ts": "2026-01-01T00:00:00.000002Z", "stream": "stdout", "message": "hello"},
        {"ts": "2026-01-01T00:00:00.000003Z", "stream": "stderr", "message": "KeyError: 'PORT'"},
    ]
    log.write_text("".join(json.dumps(record, separators=(",", ":")) + "\n" for record in records))
    failed = process(stage, "web", State.FAILED, reason="exit code 1", run=1, log_path=str(log))
    with answering(stage, start=Outcome(environment=str(stage.cwd), processes=[failed], ok=False)):
        said = stage.run("start", "web")
    assert "| KeyError: 'PORT'" in said.out
    assert "hello" not in said.out


# ---------------------------------------------------------------------------------------------- looking


def test_status_in_a_pipe_has_every_column_and_no_escape(stage: Stage) -> None:
    """Aligned, stable, and with a dash where there is nothing."""
    running = process(stage, "web", health=Health.HEALTHY, pid=4711, uptime_seconds=61.0)
    with answering(stage, status=environment(stage, running, process(stage, "worker", State.STOPPED, reason="idle"))):
        said = stage.run("status")
    heading, titles, *rows = said.out.splitlines()
    assert heading.split() == ["shop", "active", "1", "running", "1", "stopped", str(stage.cwd)]
    assert titles.split() == [
        "NAME", "STATE", "HEALTH", "PID", "UPTIME", "CPU", "MEM", "RESTARTS", "ADDRESS", "REASON",
    ]  # fmt: skip
    assert rows[0].split() == ["web", "running", "healthy", "4711", "1m1s", "-", "-", "-", "-"]
    assert rows[1].split()[-1] == "idle"
    assert "\x1b" not in said.out


@pytest.mark.parametrize("environ", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_a_terminal_gets_symbols_and_colours_unless_they_are_unwanted(stage: Stage, environ: dict[str, str]) -> None:
    """NO_COLOR (https://no-color.org) keeps the layout and drops the escapes."""
    stage.terminal, stage.environ = True, environ
    with answering(stage, status=environment(stage, process(stage, "web"))):
        said = stage.run("status")
        assert "● web" in stage.run("status", "--color", "never").out
        assert "\x1b" not in stage.run("status", "--color", "never").out
        assert "\x1b[" in stage.run("status", "--color", "always").out
    assert ("\x1b[" in said.out) == (not environ)
    assert "●" in said.out


def test_json_is_one_document_even_on_a_terminal(stage: Stage) -> None:
    """Nothing else is on stdout, and no colour."""
    stage.terminal = True
    view = environment(stage, process(stage, "web"))
    with answering(stage, status=view):
        assert stage.run("--json", "--color", "always", "status").json == msgspec.to_builtins(view)


def test_status_of_a_name_is_that_process_in_full(stage: Stage) -> None:
    """In JSON the process itself; an unknown name is exit status 3 with the nearest one."""
    view = process(stage, "web", restarts=2, run=3, exit_signal="SIGKILL", ended_at="2026-01-01T00:00:00.000000Z")
    with answering(stage, status=environment(stage, view)):
        said = stage.run("status", "web")
        assert "killed by SIGKILL" in said.out
        assert "restarted 2 times" in said.out
        assert stage.run("--json", "status", "web").json["name"] == "web"
        unknown = stage.run("status", "wbe")
    assert unknown.status == 3
    assert "Did you mean web?" in unknown.err


def test_quiet_lists_are_names_alone(stage: Stage) -> None:
    """For `$(…)`."""
    both = [process(stage, "web"), process(stage, "worker")]
    known = EnvironmentList(environments=[EnvironmentView(path=str(stage.cwd), name="shop")])
    with answering(stage, list=ProcessList(environment=str(stage.cwd), processes=both), environments=known):
        assert stage.run("ls", "-q").out == "web\nworker\n"
        assert stage.run("envs", "-q").out == f"{stage.cwd}\n"


def test_ps_names_the_owner_of_each_process_and_tells_equal_names_apart(stage: Stage) -> None:
    """Two projects may share a name: then the path tells them apart."""
    names = {"/a/shop": "shop", "/b/shop": "shop", "/c/blog": "blog"}
    everywhere = Processes(processes=[ProcessView(environment=path, name="web") for path in names])
    known = EnvironmentList(environments=[EnvironmentView(path=path, name=name) for path, name in names.items()])
    with answering(stage, ps=everywhere, environments=known):
        rows = stage.run("ps").out.splitlines()[1:]
    assert [row.split()[0] for row in rows] == ["/a/shop", "/b/shop", "blog"]


def test_environments_are_counted_and_found(stage: Stage) -> None:
    """The text goes to the daemon; the answer shows how much of each runs."""
    one = EnvironmentView(
        path="/a", name="shop", state="active", counts=Counts(running=2, failed=1, stopped=0, total=3)
    )
    with answering(stage, environments=EnvironmentList(environments=[one])) as daemon:
        said = stage.run("environments", "sho", "--active")
    assert daemon.requests[0][1] == {"actor": "cli", "text": "sho", "active": True, "processes": False}
    assert "2 of 3 running, 1 failed" in said.out


# ------------------------------------------------------------------------------------- errors and questions


def test_an_error_of_the_daemon_is_shown_like_our_own(stage: Stage) -> None:
    """Its sentence, its hint, its exit status, its fields."""
    with answering(stage, status=failing(EnvironmentNotFound("shpo", ["shop"]))):
        said = stage.run("-e", "shpo", "status")
        as_json = stage.run("-e", "shpo", "status", "--json")
    assert (said.status, said.err) == (3, "runcept: no environment is named shpo\n  hint: Did you mean shop?\n")
    assert as_json.status == 3
    assert as_json.json["error"]["environment"] == "shpo"


def test_an_invalid_project_file_is_shown_with_all_its_problems(stage: Stage) -> None:
    """The report of the daemon or of our own reading: exit status 4."""
    invalid = ConfigInvalid("/a/.runcept.toml", [], "/a/.runcept.toml:1:1: unknown key\n  nmae = 1\n  ^^^^")
    with answering(stage, activate=failing(invalid)):
        said = stage.run("activate")
    assert said.status == 4
    assert "  nmae = 1\n  ^^^^" in said.err


def test_a_daemon_that_is_about_to_end_is_asked_again(stage: Stage) -> None:
    """A `daemon restart` elsewhere is no reason to fail."""
    answers: list[object] = [DaemonStopping(), environment(stage)]

    def status(_: object, __: Notify) -> object:
        answer = answers.pop(0)
        if isinstance(answer, RunceptError):
            raise answer
        return answer

    with answering(stage, status=status):
        assert stage.run("status").status == 0


@pytest.mark.parametrize(("answer", "status"), [("y\n", 0), ("\n", 1), ("", 1), ("no\n", 1)])
def test_kill_all_asks_on_a_terminal(stage: Stage, answer: str, status: int) -> None:
    """Only yes is yes."""
    stage.stdin, stage.stdin_is_terminal = answer, True
    everywhere = Processes(processes=[process(stage, "web")])
    with answering(stage, ps=everywhere, kill_all=everywhere) as daemon:
        said = stage.run("kill-all")
    assert said.status == status
    assert "Stop 1 process of 1 project? [y/N]" in said.err
    assert ("kill_all" in [method for method, _ in daemon.requests]) == (status == 0)


def test_kill_all_without_a_terminal_needs_yes(stage: Stage) -> None:
    """A script must say that it means it; no daemon is asked, or started."""
    said = stage.run("--json", "kill-all")
    assert said.status == 2
    assert said.json["error"]["code"] == "confirmation-needed"
    assert not stage.home.exists()


def test_without_a_project_file_the_place_of_the_search_is_told(stage: Stage) -> None:
    """Exit status 3, and no daemon is started for it."""
    stage.cwd = stage.cwd.parent
    said = stage.run("status")
    assert said.status == 3
    assert f"no .runcept.toml in {stage.cwd}" in said.err
    assert not stage.home.exists()


# ------------------------------------------------------------------------------------------- without a daemon


def test_what_needs_no_daemon_starts_none(stage: Stage) -> None:
    """Looking is free."""
    for command in (
        ["daemon", "status"],
        ["daemon", "stop"],
        ["daemon", "logs"],
        ["logs"],
        ["validate"],
        ["config", "path"],
    ):
        assert stage.run(*command).status == 0, command
    assert not (stage.home / "start.lock").exists()


def test_daemon_status_tells_that_none_runs(stage: Stage) -> None:
    """An answer, not an error."""
    assert stage.run("daemon", "status").out == "the daemon is not running\n"
    document = stage.run("daemon", "status", "--json").json
    assert document["running"] is False
    assert document["socket"].startswith(str(stage.home))


def test_daemon_status_tells_what_runs(stage: Stage) -> None:
    """One line for people, the whole in JSON."""
    status = DaemonStatus(running=True, pid=7, version="1", uptime_seconds=3.0, environments=1, processes=2)
    with answering(stage, daemon_status=status):
        said = stage.run("daemon", "status")
        assert "2 processes of 1 project" in said.out
        assert "version" not in said.out
        assert "version 1" in stage.run("daemon", "status", "-v").out
        assert stage.run("daemon", "status", "--json").json == msgspec.to_builtins(status)


def test_validate_tells_what_is_valid_and_what_is_not(stage: Stage) -> None:
    """0 and a line, or 4 and the whole report."""
    assert stage.run("validate", "--json").json["processes"] == ["web", "worker"]
    (stage.cwd / ".runcept.toml").write_text(PROJECT.replace("command", "comand"))
    said = stage.run("validate")
    assert said.status == 4
    assert said.err.count("comand") >= 2
    assert len(stage.run("validate", "--json").json["error"]["problems"]) >= 2


def test_init_writes_a_file_that_validates_and_overwrites_none(stage: Stage, tmp_path: Path) -> None:
    """Only --force replaces what somebody wrote."""
    (tmp_path / "new").mkdir()
    stage.cwd = tmp_path / "new"
    assert stage.run("init").status == 0
    assert stage.run("validate").status == 0
    mine = stage.cwd / ".runcept.toml"
    mine.write_text("# mine\n")
    assert stage.run("init").status == 1
    assert mine.read_text() == "# mine\n"
    assert stage.run("init", "--force").status == 0
    assert mine.read_text() != "# mine\n"
    assert stage.run("init", "./nowhere").status == 3


def test_config_shows_settings_with_secrets_masked(stage: Stage) -> None:
    """A screen may be shared."""
    stage.home.mkdir()
    (stage.home / "config.toml").write_text('[env]\nAPI_TOKEN = "hunter2"\nCOLOR = "blue"\n')
    said = stage.run("config", "show")
    assert said.out.startswith(f"# {stage.home / 'config.toml'}\n")
    shown = tomllib.loads(said.out)
    assert shown["env"] == {"API_TOKEN": "***", "COLOR": "blue"}
    assert shown["inactivity_timeout"] == "off"
    assert 'env.COLOR = "blue"\n' in said.out
    assert stage.run("config", "path").out == f"{stage.home / 'config.toml'}\n"
    assert stage.run("config", "schema").json["$schema"].startswith("https://json-schema.org/")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_is_for_both_names(stage: Stage, shell: str) -> None:
    """`runit` completes as `runcept` does."""
    said = stage.run("completion", shell)
    assert said.status == 0
    assert {"runcept", "runit"} <= set(re.findall(r"\brun(?:cept|it)\b", said.out))
    assert "_RUNCEPT_COMPLETE" in said.out
    lines = [line for line in stage.run("completion", "--help").out.splitlines() if f"completion {shell}" in line]
    assert [line.split(":")[0].strip() in {"In ~/.bashrc", "In ~/.zshrc", "For fish"} for line in lines] == [True]


def completed(stage: Stage, *words: str) -> list[str]:
    """What bash would offer for the last word."""
    from click.shell_completion import BashComplete

    from runcept.cli.invocation import Invocation
    from runcept.cli.surroundings import Surroundings

    streams: list[Any] = [None, None, None]
    surroundings = Surroundings(str(stage.cwd), {"RUNCEPT_HOME": str(stage.home)}, *streams)
    complete = BashComplete(ROOT, {"obj": Invocation(surroundings)}, "runcept", "_RUNCEPT_COMPLETE")
    return [item.value for item in complete.get_completions(list(words[:-1]), words[-1])]


def test_names_complete_from_the_project_file_without_a_daemon(stage: Stage) -> None:
    """Those that are on the line already are not offered again, and the file need not be valid."""
    (stage.cwd / ".runcept.toml").write_text(PROJECT + "nonsense = 1\n")
    assert completed(stage, "start", "w") == ["web", "worker"]
    assert completed(stage, "start", "web", "w") == ["worker"]
    assert completed(stage, "statu") == ["status"]
    assert completed(stage, "help", "statu") == ["status"]
    assert not stage.home.exists()


def test_environments_complete_from_a_daemon_that_runs(stage: Stage) -> None:
    """And from directories in any case."""
    known = EnvironmentList(
        environments=[EnvironmentView(path="/a", name="shop"), EnvironmentView(path="/b", name="blog")]
    )
    with answering(stage, environments=known):
        assert "shop" in completed(stage, "-e", "sh")
        assert "blog" not in completed(stage, "-e", "sh")
        assert "shop" in completed(stage, "environments", "--forget", "sh")


def test_what_the_processes_wrote_can_be_had_alone(stage: Stage) -> None:
    """--no-prefix is for the next program of a pipe: no names, no records of ours, and -n counts what is shown."""
    log = stage.cwd / ".runcept" / "logs" / "web.jsonl"
    log.parent.mkdir(parents=True)
    ended = lifecycle(AT + 9_000_000, "exited", "run 1: exit code 0", {"run": 1})
    log.write_bytes(started(1) + said([1, 2], '{"n":') + said([3], "no", stream=1) + ended)
    assert stage.run("logs", "--no-prefix", "-n", "2").out == '{"n": 2\nno 3\n'
    assert stage.run("logs", "--no-prefix", "--stream", "stdout").out == '{"n": 1\n{"n": 2\n'
    shown = stage.run("logs", "-t", "-n", "2", "web").out.splitlines()
    assert shown == ["2026-11-22T08:00:03.000000Z web ! no 3", "2026-11-22T08:00:09.000000Z web * run 1: exit code 0"]
