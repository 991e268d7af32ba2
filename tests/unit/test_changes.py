"""What an edited project file changes, and what of that takes a restart."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from runcept.core.changes import Changes, compare, needs_restart
from runcept.core.life import Life
from runcept.core.model import (
    Activity,
    Dependency,
    HealthCheck,
    Hooks,
    Kind,
    LogLimits,
    Probe,
    Process,
    Project,
    Restart,
    RestartPolicy,
    State,
    Wake,
)

HTTP = HealthCheck("http://localhost:1/", Probe.HTTP, "http://localhost:1/")
LOG = HealthCheck("log://ready", Probe.LOG, "ready")
TABLE: list[tuple[str, dict[str, Any], list[str], bool]] = [
    ("command", {"command": "sleep 9", "argv": ("sleep", "9")}, ["command"], True),
    ("list command", {"argv": ("sleep 1",)}, ["command"], True),
    ("variable", {"env": {"PORT": "2", "NEW": "x"}}, ["env.KEY_TOKEN", "env.NEW", "env.PORT"], True),
    ("working directory", {"working_dir": "/tmp"}, ["working_dir"], True),
    ("ports", {"ports": (8000,)}, ["ports"], True),
    ("auto port", {"auto_port": True, "ports": (1,)}, ["ports"], True),
    ("kind", {"kind": Kind.TASK}, ["kind"], True),
    ("description", {"description": "new"}, ["description"], False),
    ("timeout", {"inactivity_timeout": 5.0}, ["inactivity_timeout"], False),
    ("policy", {"restart": RestartPolicy(Restart.ALWAYS, 1.0)}, ["restart", "restart_delay"], False),
    ("check", {"health_check": HTTP}, ["health_check"], False),
    ("check by a line", {"health_check": LOG}, ["health_check"], True),
    ("log", {"log": LogLimits(keep=1, compress=False)}, ["log.keep", "log.compress"], False),
    ("hooks", {"hooks": Hooks(ready="x")}, ["hooks.ready"], False),
    ("activity", {"activity": (Activity.CPU,)}, ["activity"], False),
    ("needs", {"depends_on": (Dependency("db"),)}, ["depends_on"], False),
    ("autostart", {"autostart": False}, ["autostart"], False),
    ("signal", {"stop_signal": "SIGINT", "stop_timeout": 1.0}, ["stop_signal", "stop_timeout"], False),
    ("codes", {"success_exit_codes": (0, 3)}, ["success_exit_codes"], False),
    ("watch", {"watch": ("src",)}, ["watch"], False),
    ("wake", {"wake": Wake.CONNECT}, ["wake"], False),
]  # fmt: skip


def process(name: str, *needs: str, **options: Any) -> Process:
    given = {"command": "sleep 1", "argv": ("sleep", "1"), "working_dir": "/", **options}
    return Process(name=name, depends_on=tuple(map(Dependency, needs)), **given)


def project(*processes: Process, **options: Any) -> Project:
    return Project(path="/p", name="p", processes=processes, **options)


def up(name: str, **options: Any) -> Life:
    return Life(**{"name": name, "state": State.RUNNING, "wanted": True, "pid": 7, "run": 1, "ready": True, **options})


def lives(*given: Life) -> dict[str, Life]:
    return {life.name: life for life in given}


WEB = process("web", env={"PORT": "1", "KEY_TOKEN": "s3cret"})


@pytest.mark.parametrize(("_", "options", "keys", "restarts"), TABLE, ids=[row[0] for row in TABLE])
def test_what_a_change_takes(_: str, options: dict[str, Any], keys: list[str], restarts: bool) -> None:
    """It is told by the keys of the file, without values; only what a run was made of takes a new one."""
    db = process("db")
    edited = msgspec.structs.replace(WEB, **options)
    found = compare(project(db, WEB), project(db, edited), lives(up("db"), up("web")))
    assert found.unchanged == ["db"]
    ((name, told, anew),) = [(each.name, each.keys, each.restarts) for each in found.changed]
    assert (name, told, anew) == ("web", keys, restarts)
    assert "s3cret" not in found.sentence()


def test_every_field_is_in_the_table() -> None:
    """A new key of a process is decided about: without, it would take a restart."""
    tried = {field for _, options, _, _ in TABLE for field in options}
    assert tried == set(Process.__struct_fields__) - {"name"}


def test_what_is_new_gone_and_as_it_was() -> None:
    """In an active environment the new ones start, with what they need, and the removed ones stop."""
    old = project(process("a"), process("b"), process("gone"), process("down"), process("off"))
    new = project(process("a"), process("b"), process("new", "down"), process("later", autostart=False), process("off"))
    new = msgspec.structs.replace(new, processes=(*new.processes, process("down")))
    known = lives(up("a"), up("b"), up("gone"), Life(name="down"), Life(name="off"))
    found = compare(old, new, known)
    assert (found.added, found.removed, found.changed) == (["new", "later"], ["gone"], [])
    assert found.unchanged == ["a", "b", "off", "down"]
    assert (found.starts, found.stops) == (["down", "new"], ["gone"])
    assert found.sentence() == "added new, later; removed gone"


def test_an_inactive_environment_starts_nothing() -> None:
    """It only takes the file over."""
    found = compare(
        project(process("a")), project(process("a", working_dir="/tmp"), process("b")), lives(Life(name="a"))
    )
    assert (found.added, found.restarts, found.starts, found.stops) == (["b"], [], [], [])


def test_a_project_that_nobody_knows() -> None:
    """All of it is new, and nothing runs."""
    assert compare(None, project(process("a")), {}) == Changes(added=["a"])


@pytest.mark.parametrize(
    ("life", "restarts"),
    [
        (up("web"), True),
        (up("web", state=State.STARTING), True),
        (up("web", state=State.FAILED, pid=None), True),
        (up("web", state=State.BACKOFF, pid=None), True),
        (up("web", state=State.EXITED, pid=None), True),
        (up("web", state=State.STOPPED, pid=None, wanted=False), False),
        (up("web", state=State.FAILED, pid=None, wanted=False), False),
        (up("web", state=State.STOPPING, wanted=False), False),
    ],
)
def test_what_somebody_has_stopped_stays_so(life: Life, restarts: bool) -> None:
    """What is wanted gets its new start also where it has failed."""
    edited = msgspec.structs.replace(WEB, command="other", argv=("other",))
    assert bool(compare(project(WEB), project(edited), lives(life)).restarts) is restarts


def test_a_failed_process_gets_another_try_with_what_may_mend_it() -> None:
    """A corrected health check, but not another description."""
    failed = lives(up("web", state=State.FAILED, pid=None))
    for options, restarts in (({"health_check": HTTP}, ["web"]), ({"description": "x"}, [])):
        edited = msgspec.structs.replace(WEB, **options)
        assert compare(project(WEB), project(edited), failed).restarts == restarts


def test_what_failed_for_want_of_another_comes_back_with_it() -> None:
    """Although it has not changed itself; what failed by itself does not."""
    old = project(process("db"), process("api", "db"), process("web", "api"), process("bad"))
    new = project(process("db", working_dir="/tmp"), *old.processes[1:])
    failed = {"state": State.FAILED, "pid": None}
    known = lives(
        up("db", **failed), up("api", **failed, blamed="db"), up("web", **failed, blamed="api"), up("bad", **failed)
    )
    found = compare(old, new, known)
    assert (found.restarts, found.starts) == (["db"], ["api", "web"])


def test_a_run_is_compared_with_what_it_was_started_as() -> None:
    """An edit that a `start` of another process has taken over is not forgotten by it."""
    edited = msgspec.structs.replace(WEB, working_dir="/tmp")
    found = compare(project(edited), project(edited), lives(up("web", outdated=WEB)))
    assert [(each.name, each.keys, each.restarts) for each in found.changed] == [("web", ["working_dir"], True)]
    assert compare(project(edited), project(WEB), lives(up("web", outdated=WEB))).are_none


def test_keys_of_the_project_are_told_by_themselves() -> None:
    """And another shell as what changes the command."""
    old = project(process("a", argv=("sh", "-c", "x"), command="x"), shell=("sh", "-c"))
    new = project(process("a", argv=("bash", "-c", "x"), command="x"), shell=("bash", "-c"), auto_reload=True)
    found = compare(old, new, lives(up("a")))
    assert found.project == ["auto_reload", "shell"]
    assert [(each.keys, each.restarts) for each in found.changed] == [(["shell"], True)]


def test_a_line_that_was_written_is_not_waited_for() -> None:
    """A check by the log takes a new run; one that was not met yet can only be replaced by a new run as well."""
    by_log, by_http = process("a", health_check=LOG), process("a", health_check=HTTP)
    assert needs_restart(by_http, by_log, up("a"))
    assert needs_restart(by_log, by_http, up("a", ready=False))
    assert not needs_restart(by_log, by_http, up("a"))
    assert not needs_restart(by_http, process("a"), up("a"))
