"""`runcept explain`: the chain of causes, the last words of where it began, and what to do."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator

import pytest
from tests.e2e.conftest import Project, fresh_project
from tests.e2e.mcp_calls import Assistant, process
from tests.support import free_ports, wait_until

from runcept.units import parse_instant

CRASHES = "echo begins; echo 'FATAL: no space on /data' >&2; exit 4"


@pytest.fixture(scope="module")
def used() -> Iterator[Project]:
    """A database that fails, and three that stand on it; and some that are well."""
    with fresh_project() as made:
        made.write(
            '[project]\nname = "shop"\nenv = { DB_PASSWORD = "hunter2-hunter2" }\n'
            + process("db", CRASHES)
            + process("cache", "exec sleep 1000", depends_on=["db"])
            + process("api", "exec sleep 1000", depends_on=["cache"])
            + process("web", "exec sleep 1000", depends_on=["api"])
            + process("well", "exec sleep 1000")
            + process("waits", "exec sleep 1000", depends_on=["slow"])
            + process("slow", "exec sleep 1000", health_check="tcp://localhost:1")
            + process("again", "exit 3", restart="on-failure", restart_delay=60, restart_max_delay=60)
            + process("missing", ["no-such-program"])
            + process("leaks", 'echo "login with $DB_PASSWORD failed" >&2; exit 1')
            + process("shy", "exec sleep 1000", health_check="http://localhost:1/hunter2-hunter2")
            + process("evil", "cat said >&2; exit 1")
        )
        made.run("start", "web", ok=False)
        yield made


def test_a_chain_of_three_dependencies(used: Project) -> None:
    """From the process to where it began, each with its reason; and the words of the one in which it began."""
    told = used.run("explain", "web").stdout
    lines = [line.rstrip() for line in told.splitlines()]
    assert lines[:4] == [
        "web has failed: its dependency api failed",
        "  because api has failed: its dependency cache failed",
        "    because cache has failed: its dependency db failed",
        "      because db has failed: exit code 4: FATAL: no space on /data",
    ]
    assert re.fullmatch(r"  last exit  db: exit code 4 at [\d-]+ [\d:]+, run 1", lines[5])
    assert lines[6:] == [
        "  log        .runcept/logs/db.jsonl",
        "",
        "db ! FATAL: no space on /data",
        "",
        (
            "  next       Nothing starts it by itself. When db is mended, `runcept start web` starts it, with what it "
            "needs."
        ),
        "  fix        Mend what its log ends with (`runcept logs db`).",
    ]


def test_the_same_as_json(used: Project) -> None:
    """Structured for a script: what a person reads, and the lines with their streams."""
    told = used.json("explain", "web")
    assert [each["process"] for each in told["causes"]] == ["web", "api", "cache", "db"]
    assert all(each.keys() >= {"process", "state", "reason"} for each in told["causes"])
    assert (told["process"]["name"], told["root"]["name"]) == ("web", "db")
    assert told["environment"] == str(used.path)
    assert told["next"].startswith("Nothing starts it by itself. When db is mended")
    assert told["summary"] == (
        "web has failed because api has failed because cache has failed because db has failed: exit code 4: FATAL: no "
        "space on /data."
    )
    assert [each["blames"] for each in told["causes"]] == ["api", "cache", "db", ""]
    assert told["fix"] == "Mend what its log ends with (`runcept logs db`)."
    assert [(each["stream"], each["message"]) for each in told["output"]] == [("stderr", "FATAL: no space on /data")]
    assert told["errors"][0]["message"]


def test_one_that_is_well(used: Project) -> None:
    """There is nothing to explain, and nothing to do."""
    used.run("start", "well")
    told = used.run("explain", "well").stdout
    assert told.splitlines()[0] == "well is running: nothing is wrong with it"
    assert "  fix " not in told
    assert "Nothing needs to be done." in told
    assert len(used.json("explain", "well")["causes"]) == 1


def test_one_that_was_never_started(used: Project) -> None:
    """And how it would be."""
    told = used.run("explain", "evil").stdout
    assert told.splitlines() == [
        "evil is stopped: never started",
        "",
        "  next       It has autostart = false, so it is started by name alone; `runcept start evil` starts it.",
    ]


def test_one_that_waits_for_another(used: Project) -> None:
    """For whom, and for what of it."""
    used.run("start", "waits", "--timeout", "300ms", ok=False)
    told = used.json("explain", "waits")
    assert [each["process"] for each in told["causes"]] == ["waits", "slow"]
    assert told["next"] == "It starts by itself when slow is ready."
    lines = used.run("explain", "waits").stdout.splitlines()
    assert lines[0] == "waits is pending: it waits for slow to be ready"
    assert re.fullmatch(
        r"  because slow is not ready: tcp://localhost:1 refused the connection, \d+ times since [\d:]{8}; failures "
        r"count in [\dms]+(?:; next check in [\d.ms]+)?",
        lines[1],
    )
    assert "  check      slow: tcp://localhost:1" in lines
    failing = told["causes"][1]["failing"]
    assert failing["failures"] > 1
    later = used.json("explain", "waits")["causes"][1]["failing"]
    assert abs(parse_instant(later["since"]) - parse_instant(failing["since"])) < 0.1, "of the same row"
    used.run("stop", "slow")


def test_one_that_will_be_started_again(used: Project) -> None:
    """When, and how not to wait for that."""
    used.run("start", "again", "--no-wait")
    used.run("wait", "again", "--for", "exited", ok=False)
    told = used.json("explain", "again")
    assert told["process"]["state"] == "backoff"
    assert re.fullmatch(
        r"It is started again by itself in [\d.]+m?\d*s?; `runcept start again` starts it at once\.", told["next"]
    )
    assert (told["causes"][0]["coming"], told["causes"][0]["limiter"]["recent"]) == ("start", 1)
    assert 50 < told["causes"][0]["in_seconds"] <= 75
    assert "  restarts   1 of 10 within 5m" in used.run("explain", "again").stdout
    used.run("stop", "again")


def test_one_that_could_not_be_started(used: Project) -> None:
    """The hint of the error is there."""
    used.run("start", "missing", ok=False)
    told = used.run("explain", "missing").stdout
    assert "command not found: no-such-program" in told
    assert "Install it, or correct `command`." in told


def test_secrets_are_masked_in_what_we_say(used: Project) -> None:
    """In the reason, and in the chain; the output itself is the process's own."""
    used.run("start", "leaks", ok=False)
    told = used.json("explain", "leaks")
    assert "hunter2" not in told["process"]["reason"]
    assert "***" in told["causes"][0]["reason"]
    assert told["output"][0]["message"] == "login with hunter2-hunter2 failed"
    used.run("start", "shy", "--timeout", "300ms", ok=False)
    said = used.run("--json", "explain", "shy").stdout + used.run("explain", "shy").stdout
    assert "http://localhost:1/*** refused the connection" in said
    assert "hunter2" not in said
    used.run("stop", "shy")


def test_escapes_do_not_reach_the_terminal(used: Project) -> None:
    """Nor the reason, whoever reads it."""
    (used.path / "said").write_bytes(b"\x1b[2J\x1b]0;title\x07red \x07 alert\n")
    used.run("start", "evil", ok=False)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", used.run("explain", "evil").stdout)
    assert used.json("explain", "evil")["process"]["reason"] == "exit code 1: red \\x07 alert"


@pytest.mark.parametrize(("arguments", "status"), [(["nobody"], 3), (["w*"], 2), ([], 2)])
def test_what_cannot_be_explained(used: Project, arguments: list[str], status: int) -> None:
    """What does not exist is 3; more than one, or none, is usage."""
    done = used.run("explain", *arguments, ok=False)
    assert done.returncode == status
    assert done.stderr
    assert not done.stdout


def test_one_that_was_started_again(project: Project) -> None:
    """How the run before ended, and how many restarts there were of late; a run that lives has no exit of its own."""
    crash = "test -f crashed && echo up && exec sleep 1000; touch crashed; echo 'no table' >&2; exit 4"
    policy = {"restart": "on-failure", "restart_delay": 0.1, "health_check": "log://up"}
    project.write('[project]\nname = "shop"\n' + process("web", crash, **policy))
    project.run("start", "web", "--no-wait")
    project.run("wait", "web")
    lines = project.run("explain", "web").stdout.splitlines()
    assert lines[0] == "web is running and healthy: nothing is wrong with it"
    assert "  restarts   1 of 10 within 5m" in lines
    assert any(re.fullmatch(r"  last exit  exit code 4: no table at [\d-]+ [\d:]+, run 1", line) for line in lines)
    before = project.json("explain", "web")["causes"][0]["run_before"]
    assert (before["run"], before["reason"]) == (1, "exit code 4: no table")


def test_names_that_mean_nothing(used: Project) -> None:
    """Status 3, and the nearest name; what is new in the file of a project that runs is told apart."""
    done = used.run("explain", "wel", ok=False)
    assert (done.returncode, done.stderr) == (3, "runcept: no process wel in shop\n  hint: Did you mean well?\n")
    used.run("start", "well")
    file = used.path / ".runcept.toml"
    before = file.read_text()
    file.write_text(before + process("new", "exec sleep 1000"))
    for command in ("explain", "wait"):
        done = used.run(command, "new", ok=False)
        assert done.returncode == 3
        assert "new is new in the project file of shop, which runs as it was before" in done.stderr
        assert "`runcept start new` takes the file over and starts it." in done.stderr
    file.write_text(before)


def test_a_project_that_was_never_activated(project: Project) -> None:
    """What is in its file is explained all the same, with what would start it."""
    project.write('[project]\nname = "shop"\n[[process]]\nname = "web"\ncommand = "exec sleep 1000"\n')
    assert project.run("explain", "web").stdout.splitlines() == [
        "web is stopped: never started",
        "",
        (
            "  next       Nothing starts it by itself; `runcept start web` starts it; `runcept activate` starts all "
            "of the project."
        ),
    ]
    assert project.json("status")["state"] == "inactive"


def test_a_port_that_is_taken(project: Project) -> None:
    """Its owner is named, and what to do; there was no exit."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        project.write('[project]\nname = "shop"\n' + process("web", "exec sleep 1000", ports=[port]))
        project.run("start", "web", ok=False)
        lines = project.run("explain", "web").stdout.splitlines()
    assert lines[0].startswith(f"web has failed: port {port} is held by pid {os.getpid()} (")
    assert lines[-1] == '  fix        Stop that process, or set ports = "auto".'
    assert not any(line.startswith("  last exit") for line in lines)


def test_a_stop_that_waits_for_a_dependent(project: Project) -> None:
    """Who has to end before, and when it is killed; both are told who asked for it."""
    deaf = "trap '' TERM; echo deaf; while :; do sleep 0.1; done"
    project.write(
        '[project]\nname = "shop"\n'
        + process("db", "exec sleep 1000")
        + process("web", deaf, depends_on=["db"], stop_timeout="60s", health_check="log://deaf")
    )
    project.run("start", "web")
    project.run("stop", "db", "--no-wait")
    lines = project.run("explain", "db").stdout.splitlines()
    assert lines[0] == "db is running: it is to be stopped, and web, which depends on it, has to end before"
    assert re.fullmatch(
        r"  because web is stopping: stopped by request \(cli\): SIGTERM was sent, SIGKILL follows after 1m; it is "
        r"killed in \d+s",
        lines[1].replace("1m; it is killed in 1m", "1m; it is killed in 60s"),
    )
    assert "  next       It is stopped when web has ended." in lines


def test_wrong_ports_and_what_a_model_is_told(project: Project) -> None:
    """Where it listens and where the check asks; the assistant's text has the same facts, and is bounded."""
    (port,) = free_ports(1)
    project.write(
        '[project]\nname = "shop"\n'
        + process(
            "site",
            f"exec python3 -m http.server --bind 127.0.0.1 {port}",
            health_check="http://localhost:1/",
            health_check_start_period="1ms",
            health_check_interval="1s",
        )
        + process("web", "exec sleep 1000", depends_on=["site"])
    )
    project.run("start", "web", "--no-wait")
    listens = f"It listens on {port}, and its health check asks 1: make them the same."
    wait_until(lambda: project.json("explain", "web")["fix"] == listens, what="the server")
    wait_until(lambda: project.json("explain", "web")["causes"][1]["health"] == "unhealthy", what="three failures")
    lines = project.run("explain", "web").stdout.splitlines()
    assert lines[0] == "web is pending: it waits for site to be ready"
    assert lines[1].startswith("  because site is unhealthy: http://localhost:1/ refused the connection, ")
    assert lines[-1] == f"  fix        {listens}"
    answer = Assistant(project)("explain_process", name="web")
    assert answer.text.startswith(
        "web is pending: it waits for site to be ready\n"
        "  because site is unhealthy: http://localhost:1/ refused the connection, "
    )
    assert f"\nFix: {listens}\nNext: It starts by itself when site is ready." in answer.text
    assert answer.structure["summary"].startswith(
        "web is pending because site is unhealthy because http://localhost:1/"
    )
    assert answer.structure["fix"] == answer.structure["advice"] == listens
    assert answer.structure["causes"][1]["failing"]["failures"] >= 3
