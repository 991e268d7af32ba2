"""What `start_process` says of commands that do not work, and how soon it says so of those that do."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.mcp_calls import Assistant, assistant_at_work, process
from tests.support import free_ports, program

from runcept.mcp.calls import Answer

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def at_work() -> Iterator[Assistant]:
    with assistant_at_work() as made:
        yield made


@pytest.fixture
def assistant(at_work: Assistant) -> Iterator[Assistant]:
    """With a project of its own; what it has started is stopped."""
    own = at_work.neighbour(f"shop-{next(_NUMBERS)}")
    yield own
    if (own.path / ".runcept.toml").exists():
        own("deactivate_environment")


def verdict(answer: Answer, name: str) -> dict[str, Any]:
    """The problem that is told of the process: in the structure, and each word of it that matters in the text."""
    assert not answer.is_error
    assert answer.structure["ok"] is False
    [problem] = [each for each in answer.structure["problems"] if each["process"] == name]
    assert isinstance(problem, dict)
    for words in (problem["reason"], problem["advice"], *problem["output"]):
        assert words in answer.text
    assert f"{name} is {problem['state']}" in answer.text
    return problem


def failed(assistant: Assistant, command: str | list[str], **keys: Any) -> dict[str, Any]:
    """The problem with a process that has failed to start, within half the time that it had."""
    assistant.write(process("web", command, **keys))
    begun = time.monotonic()
    problem = verdict(assistant("start_process", name="web", timeout=30), "web")
    assert problem["state"] == "failed"
    assert time.monotonic() - begun < 15, "a failure is told at once, not when the time is up"
    return problem


# ------------------------------------------------------------------------------------ the ten broken commands


@pytest.mark.parametrize("command", ["no-such-program --port 1", "echo begins; no-such-program"])
def test_a_missing_program_that_the_shell_looks_for(assistant: Assistant, command: str) -> None:
    """The command is named, and that it has to be installed."""
    problem = failed(assistant, command)
    assert problem["exit_code"] == 127
    assert problem["advice"].startswith("The shell found no command no-such-program: install it")


def test_a_missing_program_that_is_executed_as_it_is(assistant: Assistant) -> None:
    """Nothing ran, so there is no exit code and no output: the reason alone tells."""
    problem = failed(assistant, ["no-such-program", "--port", "1"])
    assert problem["reason"] == "command not found: no-such-program"
    assert problem["advice"] == "Install it, or correct `command`."
    assert (problem["exit_code"], problem["output"]) == (None, [])


def test_a_port_that_a_stranger_holds(assistant: Assistant) -> None:
    """The stranger's pid and command are told."""
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        problem = failed(assistant, "exec sleep 1000", ports=[port])
    assert problem["reason"].startswith(f"port {port} is held by pid {os.getpid()} (")
    assert problem["advice"] == 'Stop that process, or set ports = "auto".'


def test_a_port_that_another_project_holds(assistant: Assistant) -> None:
    """It is told of which project the holder is, and its name there."""
    [port] = free_ports(1)
    other = assistant.neighbour(f"{assistant.path.name}-other")
    serve = f"exec {sys.executable} -m http.server {port} --bind 127.0.0.1"
    other.write(process("api", serve, ports=[port], health_check=f"tcp://127.0.0.1:{port}"))
    started = other("start_process", name="api")
    assert started.structure["ok"], started.text
    [holder] = started.structure["processes"]
    try:
        problem = failed(assistant, "exec sleep 1000", ports=[port])
    finally:
        other("deactivate_environment")
    assert problem["reason"].startswith(f"port {port} is held by pid {holder['pid']} (")
    assert problem["reason"].endswith(f"which is api of {other.path}")


def test_a_port_that_is_taken_and_was_not_declared(assistant: Assistant) -> None:
    """The program's own words are understood: the port, and how to have its holder named the next time."""
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        (assistant.path / "serve.py").write_text(f"import socket\nsocket.create_server(('127.0.0.1', {port}))\n")
        problem = failed(assistant, f"{sys.executable} serve.py")
    assert problem["advice"].startswith(f"Another program listens on its port {port} already")
    assert "`ports`" in problem["advice"]


def test_a_missing_module_of_python(assistant: Assistant) -> None:
    """The package is named, not the submodule, and where it has to be installed."""
    (assistant.path / "app.py").write_text("import no_such_module.orders\n")
    problem = failed(assistant, f"{sys.executable} app.py")
    assert problem["reason"] == "exit code 1: ModuleNotFoundError: No module named 'no_such_module'"
    assert problem["advice"].startswith("Python has no module no_such_module: install it")
    assert problem["output"][0] == "Traceback (most recent call last):"


@pytest.mark.parametrize(
    ("name", "text"), [("app.js", "require('no-such-pkg')\n"), ("app.mjs", "import 'no-such-pkg'\n")]
)
def test_a_missing_package_of_node(assistant: Assistant, name: str, text: str) -> None:
    """Node.js ends with its version; the reason is what went wrong."""
    program("node")
    (assistant.path / name).write_text(text)
    problem = failed(assistant, f"node {name}")
    assert problem["reason"].startswith("exit code 1: Error"), problem["reason"]
    assert "Cannot find" in problem["reason"]
    assert problem["advice"].startswith("Node.js finds no package no-such-pkg: install")


def test_a_syntax_error_of_python(assistant: Assistant) -> None:
    """The file, the line and the mistake."""
    (assistant.path / "app.py").write_text("import os\ndef f(:\n    pass\n")
    problem = failed(assistant, f"{sys.executable} app.py")
    place = re.escape(str(assistant.path / "app.py"))
    assert re.fullmatch(rf"The program has a syntax error in {place}, line 2: invalid syntax\.", problem["advice"])


def test_a_syntax_error_of_node(assistant: Assistant) -> None:
    """The same of a language that prints it in another way."""
    program("node")
    (assistant.path / "app.js").write_text("const a = 1;\nconst b = ;\n")
    problem = failed(assistant, "node app.js")
    assert problem["reason"].startswith("exit code 1: SyntaxError: ")
    assert problem["advice"].startswith(f"The program has a syntax error in {assistant.path}/app.js, line 2: ")


def test_a_crash_a_second_after_the_start(assistant: Assistant) -> None:
    """Without a health check it was running already: the verdict waits for the first second to pass."""
    problem = failed(assistant, "sleep 1; echo starting; echo 'lost the database' >&2; exit 3")
    assert problem["reason"] == "exit code 3: lost the database"
    assert (problem["exit_code"], problem["output"]) == (3, ["lost the database"])


def test_one_that_never_becomes_ready(assistant: Assistant) -> None:
    """When the time is up: where it stands, what was asked, where it listens instead, and how to go on."""
    asked, listens = free_ports(2)
    serve = f"exec {sys.executable} -m http.server {listens} --bind 127.0.0.1"
    assistant.write(process("web", serve, health_check=f"tcp://127.0.0.1:{asked}"))
    begun = time.monotonic()
    answer = assistant("start_process", name="web", timeout=3)
    assert 2.5 < time.monotonic() - begun < 15
    problem = verdict(answer, "web")
    assert problem["state"] == "starting"
    assert str(asked) in problem["reason"]
    assert "refused" in problem["reason"]
    assert f"It listens on {listens}." in problem["advice"]
    assert answer.structure["timed_out"] is True
    assert "use wait_for_process" in answer.text


def test_a_working_directory_that_does_not_exist(assistant: Assistant) -> None:
    """Named in full."""
    problem = failed(assistant, "exec sleep 1000", working_dir="nowhere")
    assert problem["reason"] == f"cannot work in {assistant.path}/nowhere: it does not exist"
    assert problem["advice"] == "Create it, or correct `working_dir`."


def test_a_file_that_the_shell_may_not_execute(assistant: Assistant) -> None:
    """Exit code 126 is explained."""
    (assistant.path / "run.sh").write_text("#!/bin/sh\nsleep 1000\n")
    problem = failed(assistant, "./run.sh")
    assert problem["exit_code"] == 126
    assert "chmod +x" in problem["advice"]


def test_a_file_that_we_may_not_execute(assistant: Assistant) -> None:
    """The same without a shell."""
    (assistant.path / "run.sh").write_text("#!/bin/sh\nsleep 1000\n")
    problem = failed(assistant, ["./run.sh"])
    assert problem["reason"].endswith("run.sh is not executable")
    assert problem["advice"].startswith("chmod +x ")


def test_a_dependency_that_failed(assistant: Assistant) -> None:
    """Both are told: what failed with its last words, and what could not be started for it."""
    assistant.write(
        process("db", "echo 'no space on /data' >&2; exit 4"),
        process("api", "exec sleep 1000", depends_on=["db"]),
        process("web", "exec sleep 1000", depends_on=["api"]),
    )
    answer = assistant("start_process", name="web")
    assert [each["process"] for each in answer.structure["problems"]] == ["db", "api", "web"]
    db, api, web = (verdict(answer, name) for name in ("db", "api", "web"))
    assert (db["reason"], db["output"]) == ("exit code 4: no space on /data", ["no space on /data"])
    assert api["reason"] == "dependency db failed: exit code 4: no space on /data"
    assert web["reason"].startswith("dependency api failed: ")
    assert api["output"] == web["output"] == [], "they wrote nothing: they never ran"


@pytest.fixture
def memory_group() -> Iterator[Path]:
    """A control group with room for 30 MB, and no swap."""
    v1, v2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    is_v1 = (v1 / "cgroup.procs").exists()
    group = (v1 if is_v1 else v2) / f"runcept-test-{os.getpid()}"
    try:
        group.mkdir()
        limit = group / ("memory.limit_in_bytes" if is_v1 else "memory.max")
        limit.write_text(str(30 << 20))
    except OSError as error:
        if group.exists():
            group.rmdir()
        pytest.skip(f"no control group with a limit of memory can be made here: {error}")
    yield group
    group.rmdir()


def test_one_that_the_kernel_kills_for_want_of_memory(assistant: Assistant, memory_group: Path) -> None:
    """A real kill by the kernel, told apart from a SIGKILL that somebody sent."""
    (assistant.path / "eat.py").write_text(
        "import os, sys\n"
        f"open('{memory_group}/cgroup.procs', 'w').write(str(os.getpid()))\n"
        "print('reading the prices', flush=True)\n"
        "held = [bytearray(os.urandom(1 << 20)) for _ in range(200)]\n"
    )
    problem = failed(assistant, f"exec {sys.executable} eat.py")
    assert problem["reason"] == "killed by SIGKILL: the machine, or its control group, was out of memory"
    assert (problem["exit_code"], problem["exit_signal"]) == (None, "SIGKILL")
    assert problem["output"] == ["reading the prices"]


def test_a_kill_that_somebody_sent(assistant: Assistant) -> None:
    """Nothing is said of memory."""
    assert failed(assistant, "kill -9 $$")["reason"] == "killed by SIGKILL"


def test_a_project_file_that_is_not_valid(assistant: Assistant) -> None:
    """Every problem of it with its place and what can be done, as the command line has them."""
    assistant.write(process("web", "exec sleep 1000", depends_on=["db"], comand="x"), head="inactivity_timeout = true")
    answer = assistant("start_process", name="web")
    assert answer.is_error
    error = answer.structure["error"]
    assert (error["code"], error["message"]) == ("config-invalid", f"{assistant.path}/.runcept.toml has 3 problems")
    for words in (".runcept.toml:3:", "comand", "hint: Did you mean command?", "db", "inactivity_timeout"):
        assert words in error["report"], error["report"]
    assert error["report"] in answer.text


# ----------------------------------------------------------------------------------------- those that work


def test_what_is_ready_after_300_ms_is_told_at_once(assistant: Assistant, capsys: pytest.CaptureFixture[str]) -> None:
    """Within 0.6 s on a machine at rest; nobody polls for it."""
    assistant.write(process("web", "sleep 0.3; echo listening; exec sleep 1000", health_check="log://listening"))
    taken = []
    for _ in range(5):
        begun = time.monotonic()
        answer = assistant("start_process", name="web")
        taken.append(time.monotonic() - begun)
        assert answer.structure["ok"], answer.text
        assistant("stop_process", name="web")
    with capsys.disabled():
        sys.stdout.write(f" [0.3 s readiness answered in {min(taken):.3f} s, at most {max(taken):.3f} s]")
    assert 0.3 <= min(taken) < 1.5


def test_what_has_no_health_check_is_looked_at_for_its_first_second(assistant: Assistant) -> None:
    """Then it is said to run; and at once when it is asked for again, for it is older by then."""
    assistant.write(process("web", "exec sleep 1000"))
    begun = time.monotonic()
    answer = assistant("start_process", name="web")
    taken = time.monotonic() - begun
    assert answer.structure["ok"], answer.text
    assert 1.1 < taken < 6
    [view] = answer.structure["processes"]
    assert answer.text == f"web is running (pid {view['pid']})."
    assert view["uptime_seconds"] > 1.1
    begun = time.monotonic()
    assistant("start_process", name="web")
    assert time.monotonic() - begun < 1


def test_what_runs_is_left_alone(assistant: Assistant) -> None:
    """The same pid, the same run, and it is well."""
    assistant.write(process("web", "exec sleep 1000"))
    [first] = assistant("start_process", name="web").structure["processes"]
    again = assistant("start_process", name="web")
    [second] = again.structure["processes"]
    assert again.structure["ok"]
    assert (first["pid"], first["run"]) == (second["pid"], second["run"])


def test_a_restart_has_the_same_verdicts(assistant: Assistant) -> None:
    """A new pid where all is well; what is wrong with the code as it is now, where it is not."""
    assistant.write(process("web", "exec ./run.sh"))
    script = assistant.path / "run.sh"
    script.write_text("#!/bin/sh\nexec sleep 1000\n")
    script.chmod(0o755)
    [first] = assistant("start_process", name="web").structure["processes"]
    good = assistant("restart_process", name="web")
    [second] = good.structure["processes"]
    assert good.structure["ok"], good.text
    assert second["pid"] != first["pid"]
    script.write_text("#!/bin/sh\necho 'no such table' >&2\nexit 9\n")
    problem = verdict(assistant("restart_process", name="web"), "web")
    assert (problem["state"], problem["reason"]) == ("failed", "exit code 9: no such table")


def test_one_that_is_unhealthy_is_a_problem(assistant: Assistant) -> None:
    """It runs, so nothing is started; but it is not well, and the check says why."""
    (assistant.path / "well").touch()
    check = {"url": "cmd://test -f well || { echo the till is shut; exit 7; }", "interval": 0.1, "retries": 2}
    assistant.write(process("web", "exec sleep 1000", health_check=check))
    started = assistant("start_process", name="web")
    assert started.structure["ok"], started.text
    assert "web is running and healthy" in started.text
    (assistant.path / "well").unlink()
    waited = assistant("wait_for_process", name="web", until="line", pattern="never", timeout=0.5)
    assert waited.structure["outcome"] == "timeout"
    problem = {}
    for _ in range(20):
        answer = assistant("start_process", name="web")
        if not answer.structure["ok"]:
            problem = verdict(answer, "web")
            break
        assistant("wait_for_process", name="web", until="exited", timeout=0.5)
    assert problem["state"] == "running"
    assert problem["reason"].startswith("unhealthy: ")
    assert "exited with 7" in problem["reason"]
    assert shutil.which("sh"), "or the check could not run at all"


def test_activating_tells_of_all_that_failed(assistant: Assistant) -> None:
    """What runs is named, and each that does not with its own cause; the first five with their last words."""
    broken = [f"broken-{number}" for number in range(7)]
    assistant.write(
        process("well", "exec sleep 1000", autostart=True),
        *(process(name, f"echo '{name} says no' >&2; exit 1", autostart=True) for name in broken),
    )
    answer = assistant("activate_environment")
    assert re.search(r"^well is running \(pid \d+\)\.$", answer.text, re.MULTILINE)
    problems = [verdict(answer, name) for name in broken]
    assert all(each["reason"] == f"exit code 1: {each['process']} says no" for each in problems)
    assert sum(bool(each["output"]) for each in problems) == 5


def test_progress_is_told_while_it_lasts(assistant: Assistant) -> None:
    """Each process as it changes, with how many of how many are done."""
    assistant.write(
        process("db", "sleep 0.2; echo ready; exec sleep 1000", health_check="log://ready"),
        process("web", "exec sleep 1000", depends_on=["db"]),
    )
    assistant("start_process", name="web")
    words = [each[2] for each in assistant.told]
    assert any(each.startswith("db is starting") for each in words)
    assert any("web is running" in each for each in words)
    assert assistant.told[-1][:2] == (2, 2)


def test_no_call_lasts_longer_than_45_seconds() -> None:
    """Whatever the model asks for: what is left of that for the wait itself."""
    from runcept.mcp.calls import _limited

    assert _limited(3600) + 1.2 < 45
    assert _limited(5) == 5
