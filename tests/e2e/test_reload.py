"""An edited project file under a real daemon: by `runcept reload`, and by itself with `auto_reload`."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.e2e.conftest import Project
from tests.support import free_ports, wait_until

HEAD = '[project]\nname = "p"\n'
AUTO = f"{HEAD}auto_reload = true\n"


SLOW_TO_END = """
import signal, socket, sys, time
def end(*_):
    time.sleep(1)
    sys.exit()
signal.signal(signal.SIGTERM, end)
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
    while True:
        server.accept()[0].close()
"""


def process(name: str, command: str = "exec sleep 1000", *keys: str) -> str:
    return "\n".join(["[[process]]", f'name = "{name}"', f'command = "{command}"', *keys, ""])


def pids(project: Project) -> dict[str, int | None]:
    return {name: each["pid"] for name, each in project.processes().items()}


def events(project: Project, kind: str) -> list[tuple[str | None, str, str]]:
    """(process, message, actor) of this kind, oldest first, from the state that the daemon keeps."""
    import sqlite3

    with sqlite3.connect(f"file:{project.home}/runcept.db?mode=ro", uri=True) as database:
        rows = database.execute("SELECT process, message, actor FROM events WHERE kind = ? ORDER BY id", (kind,))
        found = [(each[0], each[1], each[2]) for each in rows]
    database.close()
    return found


def save_as_editors_do(path: Path, text: str) -> None:
    """Written beside it, then put in its place."""
    beside = path.with_name(f".{path.name}.tmp")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)


def test_only_what_is_new_gone_or_changed_is_touched(project: Project) -> None:
    """What has not changed keeps its pid, also if the daemon is killed before and after."""
    project.write(HEAD + process("same") + process("gone") + process("other", "exec sleep 1001"))
    project.run("activate")
    before = pids(project)
    psutil.Process(project.json("daemon", "status")["pid"]).kill()
    edited = (
        process("same") + process("other", "exec sleep 1002") + process("new", "exec sleep 1", 'depends_on = ["same"]')
    )
    project.write(HEAD + edited.replace("sleep 1\n", "sleep 1000\n"))
    outcome = project.json("reload")
    assert outcome["ok"] is True
    assert outcome["changes"] == {
        "added": ["new"],
        "removed": ["gone"],
        "changed": [{"name": "other", "keys": ["command"], "restarts": True}],
        "unchanged": ["same"],
        "project": [],
        "starts": ["new"],
        "stops": ["gone"],
    }
    assert [(each["name"], each["state"]) for each in outcome["processes"]] == [
        ("same", "running"),
        ("other", "running"),
        ("new", "running"),
    ]
    psutil.Process(project.json("daemon", "status")["pid"]).kill()
    after = pids(project)
    assert set(after) == {"same", "other", "new"}
    assert after["same"] == before["same"]
    assert after["other"] != before["other"]
    assert not psutil.pid_exists(before["gone"] or 0)
    assert psutil.Process(after["other"]).cmdline() == ["sleep", "1002"]
    ((_, message, actor),) = events(project, "reloaded")
    assert (message, actor) == ("added new; removed gone; changed other: command", "cli")


def test_what_takes_no_restart_gets_none(project: Project) -> None:
    """Its pid stays, and the new value is in force: the health check is asked, the log is rotated by the new size."""
    (port,) = free_ports(1)
    noisy = "import time\nwhile True: print('x' * 1000, flush=True); time.sleep(0.001)"
    (project.path / "noisy.py").write_text(noisy)
    project.write(HEAD + process("web", "exec python3 noisy.py", 'description = "old"'))
    project.run("activate")
    before = pids(project)
    keys = (f'health_check = "tcp://127.0.0.1:{port}"', 'log = { max_size = "20KB" }', 'stop_signal = "SIGINT"')
    project.write(HEAD + process("web", "exec python3 noisy.py", *keys))
    (changed,) = project.json("reload")["changes"]["changed"]
    assert changed["restarts"] is False
    assert changed["keys"] == ["description", "health_check", "stop_signal", "log.max_size"]
    assert pids(project) == before
    wait_until(lambda: project.processes()["web"]["health"] == "unhealthy" or "refused" in str(project.processes()))
    wait_until(lambda: list((project.path / ".runcept" / "logs").glob("web.jsonl.*")), what="a rotated log")
    project.run("stop", "web")
    assert project.processes()["web"]["exit_signal"] == "SIGINT"


def test_what_is_stopped_stays_so(project: Project) -> None:
    """And is started as the new file says when somebody wants it."""
    project.write(HEAD + process("web") + process("off"))
    project.run("activate")
    project.run("stop", "off")
    project.write(HEAD + process("web") + process("off", "exec sleep 1001"))
    outcome = project.json("reload")
    assert outcome["changes"]["changed"] == [{"name": "off", "keys": ["command"], "restarts": False}]
    assert project.processes()["off"]["state"] == "stopped"
    project.run("start", "off")
    assert psutil.Process(project.processes()["off"]["pid"]).cmdline() == ["sleep", "1001"]


def test_an_inactive_project_only_takes_it_over(project: Project) -> None:
    """Nothing is started."""
    project.write(HEAD + process("web"))
    project.run("status")
    project.write(HEAD + process("web") + process("new"))
    assert project.json("reload")["ok"] is True
    assert {each["state"] for each in project.processes().values()} == {"stopped"}


def test_a_failed_process_comes_back_with_what_needs_it(project: Project) -> None:
    """Its command is corrected; what had failed for want of it is started as well."""
    project.write(HEAD + process("db", "exit 3") + process("web", "exec sleep 1000", 'depends_on = ["db"]'))
    assert project.run("activate", ok=False).returncode == 1
    project.write(HEAD + process("db") + process("web", "exec sleep 1000", 'depends_on = ["db"]'))
    outcome = project.json("reload")
    assert outcome["changes"]["starts"] == ["web"]
    assert {each["state"] for each in outcome["processes"]} == {"running"}


def test_a_new_name_finds_the_old_ones_port_free(project: Project) -> None:
    """What is removed is gone before what is new is started."""
    (port,) = free_ports(1)
    (project.path / "serve.py").write_text(SLOW_TO_END)
    serve = "exec python3 serve.py $PORT"
    keys = (f"ports = [{port}]", f'health_check = "tcp://127.0.0.1:{port}"')
    project.write(HEAD + process("web", serve, *keys))
    project.run("activate")
    project.write(HEAD + process("site", serve, *keys))
    outcome = project.json("reload")
    assert [(each["name"], each["state"]) for each in outcome["processes"]] == [("site", "running")]


def test_two_exchange_their_ports(project: Project) -> None:
    """Neither is started before the other has let go."""
    ports = free_ports(2)
    (project.path / "serve.py").write_text(SLOW_TO_END)

    def serving(name: str, port: int) -> str:
        return process(
            name, "exec python3 serve.py $PORT", f"ports = [{port}]", f'health_check = "tcp://127.0.0.1:{port}"'
        )

    project.write(HEAD + serving("api", ports[0]) + serving("web", ports[1]))
    project.run("activate")
    project.write(HEAD + serving("api", ports[1]) + serving("web", ports[0]))
    outcome = project.json("reload")
    assert outcome["ok"]
    assert {each["name"]: (each["state"], each["ports"]) for each in outcome["processes"]} == {
        "api": ("running", [ports[1]]),
        "web": ("running", [ports[0]]),
    }


def test_what_a_start_has_taken_over_is_applied_by_reload(project: Project) -> None:
    """`start` of another one reads the file as well; what runs is said to be behind, until it is reloaded."""
    project.write(HEAD + process("web") + process("other"))
    project.run("activate")
    project.write(HEAD + process("web", "exec sleep 1001") + process("other"))
    project.run("start", "other")
    assert "`runcept reload`" in project.processes()["web"]["notice"]
    psutil.Process(project.json("daemon", "status")["pid"]).kill()
    assert project.json("reload")["changes"]["changed"] == [{"name": "web", "keys": ["command"], "restarts": True}]
    assert project.processes()["web"]["notice"] is None
    assert psutil.Process(project.processes()["web"]["pid"]).cmdline() == ["sleep", "1001"]


def test_a_mistake_changes_nothing(project: Project) -> None:
    """All problems are told, with exit status 4; `status` has them until the file is right again."""
    good = HEAD + process("web") + process("gone")
    project.write(good)
    project.run("activate")
    before = pids(project)
    project.write(HEAD + process("web", "exec sleep 9", "prt = 1", 'depends_on = ["wbe"]'))
    done = project.run("reload", ok=False)
    assert done.returncode == 4
    assert '.runcept.toml:6:1: unknown key "prt"' in done.stderr
    assert "hint: Did you mean web?" in done.stderr
    assert project.run("reload", "--dry-run", ok=False).returncode == 4
    assert pids(project) == before
    error = project.json("status")["reload_error"]
    assert error["message"].startswith(f'{project.path}/.runcept.toml:6:1: unknown key "prt"')
    assert "(and 1 more problem)" in error["message"]
    assert [each["line"] for each in error["problems"]] == [6, 7]
    shown = project.run("status").stderr
    assert ".runcept.toml:6:1: unknown key" in shown
    assert "hint: Did you mean port" in shown
    assert len(events(project, "reload_failed")) == 1
    project.write(good)
    assert project.json("status")["reload_error"] is None


def test_dry_run_only_says_what_would_happen(project: Project) -> None:
    """In words and as JSON; secrets are not shown, and nothing is changed."""
    project.write(HEAD + process("web") + process("gone") + process("same"))
    project.run("activate")
    before = pids(project)
    secret = 'env = { API_TOKEN = "hunter2hunter2", PORT = "1" }'
    same = process("same", "exec sleep 1000", 'description = "x"')
    project.write(HEAD + process("web", "exec sleep 1001", secret) + process("new") + same)
    shown = project.run("reload", "--dry-run").stdout
    assert [line.split() for line in shown.splitlines()[:4]] == [
        ["-", "gone", "stops"],
        ["~", "web", "restarts", "command,", "env.API_TOKEN,", "env.PORT"],
        ["~", "same", "taken", "over", "description"],
        ["+", "new", "starts"],
    ]
    assert "hunter2" not in shown
    outcome = project.json("reload", "--dry-run")
    assert (outcome["dry_run"], outcome["changes"]["added"], outcome["changes"]["stops"]) == (True, ["new"], ["gone"])
    assert pids(project) == before
    assert events(project, "reloaded") == []


def test_a_place_without_a_project_is_an_error(project: Project) -> None:
    """As it is for every command."""
    assert project.run("reload", ok=False).returncode == 3


def test_a_new_process_that_fails_is_told(project: Project) -> None:
    """With its reason and exit status 1; --no-wait does not wait for it."""
    project.write(HEAD + process("web"))
    project.run("activate")
    project.write(HEAD + process("web") + process("bad", "exit 7"))
    done = project.run("reload", ok=False)
    assert done.returncode == 1
    assert "exit code 7" in done.stdout
    project.write(HEAD + process("web") + process("late", "exec sleep 1000", 'health_check = "log://never"'))
    assert project.run("reload", "--no-wait").returncode == 0
    project.write(HEAD + process("web") + process("later", "exec sleep 1000", 'health_check = "log://never"'))
    assert project.run("reload", "--timeout", "1s", ok=False).returncode == 124


# --------------------------------------------------------------------------------------------- by itself


def reloaded(project: Project, times: int) -> None:
    wait_until(lambda: len(events(project, "reloaded")) >= times, what=f"{times} reloads")


def test_an_edit_is_taken_over_by_itself(project: Project) -> None:
    """However the file is written: in place, by another in its place, or removed first and written later."""
    file = project.path / ".runcept.toml"
    project.write(AUTO + process("same") + process("web", "exec sleep 1001"))
    project.run("activate")
    before = pids(project)
    project.write(AUTO + process("same") + process("web", "exec sleep 1002"))
    reloaded(project, 1)
    save_as_editors_do(file, AUTO + process("same") + process("web", "exec sleep 1003"))
    reloaded(project, 2)
    file.unlink()
    save_as_editors_do(file, AUTO + process("same") + process("web", "exec sleep 1004"))
    reloaded(project, 3)
    psutil.Process(project.json("daemon", "status")["pid"]).kill()
    project.run("status")
    save_as_editors_do(file, AUTO + process("same") + process("web", "exec sleep 1005"))
    reloaded(project, 4)

    def commands() -> list[str]:
        found: dict[str, Any] = project.processes()["web"]
        return psutil.Process(found["pid"]).cmdline() if found["state"] == "running" else []

    wait_until(lambda: commands() == ["sleep", "1005"], what="the last command")
    assert pids(project)["same"] == before["same"]
    assert {actor for _, _, actor in events(project, "reloaded")} == {"supervisor"}


def test_what_was_edited_while_no_daemon_ran_is_taken_over(project: Project) -> None:
    """By the next daemon, with the pids of what has not changed."""
    project.write(AUTO + process("same") + process("web"))
    project.run("activate")
    before = pids(project)
    pid = project.json("daemon", "status")["pid"]
    psutil.Process(pid).suspend()
    project.write(AUTO + process("same") + process("web", "exec sleep 1001"))
    psutil.Process(pid).kill()
    project.run("status")
    reloaded(project, 1)
    assert pids(project)["same"] == before["same"]


def test_an_env_file_counts_as_well(project: Project) -> None:
    """What of it has changed is told by the variable."""
    env = project.path / "conf" / "dev.env"
    env.parent.mkdir()
    env.write_text("NAME=old\n")
    project.write(AUTO + 'env_files = ["conf/dev.env"]\n' + process("web", "echo $NAME; exec sleep 1000"))
    project.run("activate")
    save_as_editors_do(env, "NAME=new\n")
    reloaded(project, 1)
    assert events(project, "reloaded")[0][1] == "changed web: env.NAME"
    wait_until(lambda: "new" in project.log("web").splitlines(), what="the new value in its output")


def test_a_mistake_is_in_status_until_it_is_mended(project: Project) -> None:
    """By itself as well; nothing runs otherwise meanwhile."""
    project.write(AUTO + process("web"))
    project.run("activate")
    before = pids(project)
    project.write(AUTO + process("web", "exec sleep 1001", 'restrt = "no"'))
    error = wait_until(lambda: project.json("status")["reload_error"], what="the error")
    assert (error["code"], error["hint"]) == ("config-invalid", "Did you mean restart?")
    assert pids(project) == before
    project.write(AUTO + process("web"))
    wait_until(lambda: project.json("status")["reload_error"] is None, what="the end of the error")
    assert events(project, "reloaded") == []
    assert [actor for _, _, actor in events(project, "reload_failed")] == ["supervisor"]


def test_auto_reload_is_turned_on_and_off_by_edits(project: Project) -> None:
    """On by a reload, off by itself."""
    project.write(HEAD + process("web"))
    project.run("activate")
    project.write(AUTO + process("web"))
    project.run("reload")
    project.write(AUTO + process("web") + process("one"))
    reloaded(project, 2)
    project.write(HEAD + process("web") + process("one"))
    reloaded(project, 3)
    project.write(HEAD + process("web") + process("one") + process("two"))
    project.run("reload")
    assert [actor for _, _, actor in events(project, "reloaded")] == ["cli", "supervisor", "supervisor", "cli"]


def test_a_directory_that_comes_back_is_watched_again(project: Project) -> None:
    """As after a checkout into a new clone of the same name."""
    project.write(AUTO + process("web"))
    project.run("activate")
    shutil.rmtree(project.path)
    wait_until(lambda: events(project, "reload_failed"), what="that the file is gone")
    project.path.mkdir()
    project.write(AUTO + process("web") + process("new"))
    reloaded(project, 1)
    wait_until(lambda: project.processes()["new"]["state"] == "running", what="the new process")
    project.write(AUTO + process("web"))
    reloaded(project, 2)


def test_nothing_is_watched_that_nobody_wants_watched(project: Project) -> None:
    """No thread, no library: it costs nothing where it is not used."""
    project.write(HEAD + process("web"))
    project.run("activate")
    daemon = psutil.Process(project.json("daemon", "status")["pid"])
    assert not any("watchfiles" in each.path for each in daemon.memory_maps())
    project.write(AUTO + process("web"))
    project.run("reload")
    wait_until(lambda: any("watchfiles" in each.path for each in daemon.memory_maps()), what="the library")


def test_a_progress_of_a_terminal_is_not_in_json(project: Project) -> None:
    """One document, whatever was asked."""
    project.write(HEAD + process("web"))
    outcome = project.json("reload")
    assert set(outcome) >= {"environment", "processes", "ok", "changes"}


@pytest.mark.parametrize("argument", [".", ".runcept.toml"])
def test_a_project_is_named_by_its_path(project: Project, argument: str) -> None:
    """As everywhere."""
    project.write(HEAD + process("web"))
    assert project.run("reload", argument).returncode == 0
