"""`watch` under a real daemon: files change, and the process that watches them is restarted."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.e2e.conftest import Project
from tests.e2e.test_reload import events, pids, process
from tests.support import stays, wait_until

HEAD = '[project]\nname = "p"\n'
SETTLED_SECONDS = 1.0
"""For what must not happen: five times as long as it would take."""


def start(project: Project, *keys: str, command: str = "exec sleep 1000", extra: str = "") -> None:
    """One process `web`, up, with these keys; and its watch stands: a first change has been seen."""
    project.write(HEAD + process("web", command, *keys) + extra)
    project.run("activate")
    wait_for_watch(project)


def wait_for_watch(project: Project, path: str = "src") -> None:
    """The daemon holds an inotify(7) watch on a directory, by inode, as /proc tells."""
    wait_until(lambda: is_watched(project, path), what=f"the watch of {path}")


def is_watched(project: Project, path: str) -> bool:
    pid = project.json("daemon", "status")["pid"]
    try:
        inode = f"ino:{(project.path / path).stat().st_ino:x} "
        return any(inode in each.read_text() for each in Path(f"/proc/{pid}/fdinfo").iterdir())
    except OSError:
        return False


def restarts(project: Project, name: str = "web") -> list[str]:
    return [message for process, message, _ in events(project, "restarting") if process == name]


def web(project: Project) -> dict[str, Any]:
    return project.processes()["web"]


@pytest.fixture
def sources(project: Project) -> Path:
    """The project's `src`, with one file."""
    (project.path / "src" / "sub").mkdir(parents=True)
    (project.path / "src" / "app.py").write_text("1")
    return project.path / "src"


def test_a_burst_of_a_hundred_files_is_one_restart(project: Project, sources: Path) -> None:
    """It names a file and counts the others; the pid is new, and nobody else's."""
    start(project, 'watch = ["src/**/*.py"]', extra=process("other"))
    before = pids(project)
    for number in range(100):
        (sources / "sub" / f"m{number}.py").write_text("x")
    wait_until(lambda: restarts(project), what="the restart")
    stays(lambda: restarts(project) == ["src/sub/m0.py changed, and 99 more files"], SETTLED_SECONDS)
    assert {actor for _, _, actor in events(project, "restarting")} == {"supervisor"}
    after = pids(project)
    assert after["web"] != before["web"]
    assert after["other"] == before["other"]
    assert web(project)["state"] == "running"


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("src/app.py", True),
        ("src/new.py", True),
        ("src/notes.txt", False),
        ("src/ignored.py", False),
        ("src/out/a.py", False),
        ("src/gen/a.py", False),
        ("src/node_modules/a.py", False),
        ("src/.app.py.swp", False),
    ],
)
def test_which_files_count(project: Project, sources: Path, name: str, counts: bool) -> None:
    """Neither what git ignores, nor what is excluded, nor what tools write."""
    for each in ("out", "gen", "node_modules"):
        (sources / each).mkdir()
    (project.path / ".gitignore").write_text("ignored.py\n")
    (sources / ".gitignore").write_text("out/\n")
    start(project, 'watch = ["src/**/*.py", "!src/gen/**"]')
    (project.path / name).write_text("2")
    if counts:
        wait_until(lambda: restarts(project) == [f"{name} changed"], what="the restart")
    else:
        (sources / "app.py").write_text("a sign that all before was seen")
        wait_until(lambda: restarts(project), what="the restart")
        assert restarts(project) == ["src/app.py changed"]


def test_a_change_right_after_the_start_is_seen(project: Project, sources: Path) -> None:
    """Although the directories are looked for while it starts; what was written before does not count."""
    (sources / "before.py").write_text("1")
    project.write(HEAD + process("web", "exec sleep 1000", 'watch = ["src/*.py"]'))
    project.run("activate", "--no-wait")
    (sources / "app.py").write_text("2")
    wait_until(lambda: restarts(project), what="the restart")
    assert restarts(project) == ["src/app.py changed"]


@pytest.mark.usefixtures("sources")
def test_what_was_written_before_it_started_is_no_reason_to_start_it_again(project: Project) -> None:
    """What it needs makes a file that it watches, and ends: whether or not the watch stands already."""
    keys = ('watch = ["src/*.py"]', 'depends_on = ["make"]')
    make = process("make", "echo 1 > src/made.py; sleep 0.15", 'kind = "task"')
    project.write(HEAD + make + process("web", "exec sleep 1000", *keys))
    project.run("activate")
    stays(lambda: restarts(project) == [], SETTLED_SECONDS)
    project.run("restart", "make", "web")
    stays(lambda: restarts(project) == ["restart requested"], SETTLED_SECONDS)


def test_whichever_way_a_file_changes(project: Project, sources: Path) -> None:
    """Replaced as editors do, removed, moved away, and in a directory that came later, or was replaced."""
    start(project, 'watch = ["src/**/*.py"]')
    steps: list[str] = []

    def seen(reason: str) -> None:
        steps.append(reason)
        wait_until(lambda: restarts(project) == steps, what=f"{reason}, but there is {restarts(project)}")
        wait_until(lambda: web(project)["state"] == "running", what="the next run")

    (sources / "beside").write_text("2")
    os.replace(sources / "beside", sources / "app.py")
    seen("src/app.py changed")
    (sources / "app.py").unlink()
    seen("src/app.py changed")
    (sources / "new" / "deep").mkdir(parents=True)
    (sources / "new" / "deep" / "a.py").write_text("1")
    seen("src/new/deep/a.py changed")
    wait_for_watch(project, "src/new/deep")
    (sources / "new" / "deep" / "a.py").write_text("2")
    seen("src/new/deep/a.py changed")
    shutil.copytree(sources, project.path / "copy")
    shutil.rmtree(sources / "new")
    seen("src/new/deep/a.py changed")
    shutil.rmtree(sources)
    os.replace(project.path / "copy", sources)
    seen("src/new/deep/a.py changed")


def test_what_somebody_stopped_is_not_revived(project: Project, sources: Path) -> None:
    """Its files are not even watched; started again, they are."""
    start(project, 'watch = ["src"]')
    project.run("stop", "web")
    wait_until(lambda: not is_watched(project, "src"), what="the end of the watch")
    (sources / "app.py").write_text("2")
    stays(lambda: web(project)["state"] == "stopped", SETTLED_SECONDS)
    project.run("start", "web")
    wait_for_watch(project)
    (sources / "app.py").write_text("3")
    wait_until(lambda: restarts(project), what="the restart")


@pytest.mark.parametrize(
    "policy", ['restart = "no"', 'restart = "always"\nrestart_delay = "100s"\nrestart_max_delay = "100s"']
)
def test_what_failed_comes_back_with_the_edit_that_mends_it(project: Project, sources: Path, policy: str) -> None:
    """Whether it has given up or waits for its next try; and with it what had failed for want of it."""
    (sources / "app.py").write_text("raise SystemExit(3)")
    needy = process("needy", "exec sleep 1000", 'depends_on = ["web"]')
    keys = ('watch = ["src/*.py"]', policy)
    project.write(HEAD + process("web", "exec python3 src/app.py", *keys) + needy)
    project.run("activate", "--timeout", "2s", ok=False)
    assert web(project)["state"] in {"failed", "backoff"}
    wait_for_watch(project)
    (sources / "app.py").write_text("import time; time.sleep(1000)")
    wait_until(lambda: web(project)["state"] == "running", what="its next run")
    wait_until(lambda: project.processes()["needy"]["state"] == "running", what="what needs it")
    assert restarts(project)[-1] == "src/app.py changed"


def test_a_task_is_done_again(project: Project, sources: Path) -> None:
    """A build that watches its sources."""
    start(project, 'watch = ["src/*.py"]', 'kind = "task"', command="echo built")
    assert web(project)["state"] == "exited"
    (sources / "app.py").write_text("2")
    wait_until(lambda: web(project)["run"] == 2 and web(project)["state"] == "exited", what="the next run")


def test_a_process_that_writes_its_own_files_is_suspended(project: Project, sources: Path) -> None:
    """It is said in `status` and in the history, it runs on, and a restart by hand resumes the watch."""
    project.write(HEAD + process("web", "date +%N > src/own.txt; exec sleep 1000", 'watch = ["src"]'))
    project.run("activate")
    notice = wait_until(lambda: web(project)["notice"], seconds=40, what="the notice")
    assert "not restarted for changed files any more: restarted 10 times within 30s" in notice
    assert "src/own.txt" in notice
    assert "not restarted for changed files" in project.run("status").stdout
    assert len(restarts(project)) == 10
    ((name, message, actor),) = events(project, "watch_suspended")
    assert (name, actor) == ("web", "supervisor")
    assert "src/own.txt" in message
    pid = web(project)["pid"]
    (sources / "app.py").write_text("2")
    stays(lambda: web(project)["pid"] == pid, SETTLED_SECONDS)
    project.run("restart", "web")
    (sources / "app.py").write_text("3")
    wait_until(lambda: len(restarts(project)) > 12, what="restarts for files again")


def test_a_daemon_that_was_killed_watches_again(project: Project, sources: Path) -> None:
    """What has not changed meanwhile keeps its pid."""
    start(project, 'watch = ["src/*.py"]')
    before = pids(project)
    psutil.Process(project.json("daemon", "status")["pid"]).kill()
    wait_for_watch(project)
    assert pids(project) == before
    (sources / "app.py").write_text("2")
    wait_until(lambda: restarts(project) == ["src/app.py changed"], what="the restart")


def test_what_is_changed_while_no_daemon_runs_is_seen_by_the_next_one(project: Project, sources: Path) -> None:
    """The process runs as its files are; one whose files are older keeps its pid."""
    start(project, 'watch = ["src/*.py"]', extra=process("db", "exec sleep 1000", 'watch = ["src/*.sql"]'))
    before = pids(project)
    keeper = psutil.Process(int((project.home / "keeper.lock").read_text(encoding="ascii").split()[0]))
    keeper.suspend()  # so that it starts no daemon
    psutil.Process(project.json("daemon", "status")["pid"]).kill()
    keeper.kill()
    (sources / "app.py").write_text("2")
    wait_until(lambda: (web(project)["run"], web(project)["state"]) == (2, "running"), what="the restart")
    assert restarts(project) == ["src/app.py changed"]
    after = pids(project)
    assert after["web"] != before["web"]
    assert after["db"] == before["db"]
    stays(lambda: pids(project) == after, SETTLED_SECONDS)


def test_what_is_watched_changes_with_the_file(project: Project, sources: Path) -> None:
    """A reload takes over other globs without a restart."""
    (project.path / "lib").mkdir()
    start(project, 'watch = ["src"]')
    before = pids(project)
    project.write(HEAD + process("web", "exec sleep 1000", 'watch = ["lib"]'))
    project.run("reload")
    wait_for_watch(project, "lib")
    assert pids(project) == before
    (sources / "app.py").write_text("2")
    (project.path / "lib" / "a").write_text("1")
    wait_until(lambda: restarts(project), what="the restart")
    assert restarts(project) == ["lib/a changed"]


def test_a_glob_that_means_nothing_is_a_mistake(project: Project) -> None:
    """With its place."""
    for globs, problem in (('["!src"]', "only excludes"), ('["src", "!"]', "excludes nothing"), ('[""]', "empty")):
        project.write(HEAD + process("web", "true", f"watch = {globs}"))
        done = project.run("validate", ok=False)
        assert done.returncode == 4
        assert problem in done.stderr


LIMITED = """
import os, sys
open("/proc/sys/user/max_inotify_watches", "w").write("2")
os.execvp(sys.argv[1], sys.argv[1:])
"""


def test_where_the_system_watches_no_more_files_they_are_looked_at(project: Project, sources: Path) -> None:
    """Later, and `status` says so, and what to do."""
    limited = ["unshare", "--user", "--map-root-user", sys.executable, "-c", LIMITED]
    if subprocess.run([*limited, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no user namespace can be made here: namespaces(7)")
    project.write(HEAD + process("web", "exec sleep 1000", 'watch = ["src/**/*.py"]'))
    daemon = [*limited, shutil.which("runcept", path=project.environ["PATH"]) or "", "daemon", "start"]
    subprocess.run(daemon, env=project.environ, cwd=project.path, check=True, capture_output=True)
    project.run("activate")
    wait_until(lambda: project.json("status")["warnings"], what="the warning")
    (warning,) = project.json("status")["warnings"]
    assert "fs.inotify.max_user_watches" in warning
    assert warning in project.run("status").stderr
    (sources / "sub" / "a.py").write_text("1")
    wait_until(lambda: restarts(project) == ["src/sub/a.py changed"], what="the restart")
