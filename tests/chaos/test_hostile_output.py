"""Programs that print what would be a record, an order to the terminal, or a secret; and names that hold either."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.chaos.stage import Stage
from tests.support import free_ports, running, wait_until

from runcept.paths import daemon_log, database

BIN = Path(sys.executable).parent
ACTS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""What acts on a terminal, but for newline and tab."""
OUR_OWN = re.compile(r"\x1b\[[0-9;]*m|\x1b\[\?25[hl]|\x1b\[2K|\x1b\[1A|\r\n|\r")
"""Colours; and what a progress display does: hide the cursor, go up, clear a line."""


def program(stage: Stage, name: str, code: str) -> str:
    """The command of a Python program."""
    path = stage.project / f"{name}.py"
    path.write_text(code, encoding="utf-8")
    return f"command = [{sys.executable!r}, '-I', '-S', '-X', 'utf8', {str(path)!r}]"


def write(stage: Stage, **processes: str) -> None:
    stage.write_file(
        '[project]\nname = "p"\n'
        + "".join(f'[[process]]\nname = "{name}"\n{keys}\n' for name, keys in processes.items())
    )


def runcept(stage: Stage, *arguments: str, cwd: Path | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
    """A command in a pipe."""
    return subprocess.run(
        [BIN / "runcept", *arguments],
        cwd=cwd or stage.project,
        env={**os.environ, "RUNCEPT_HOME": stage.home, **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=60,
        check=False,
    )


def on_a_terminal(stage: Stage, *arguments: str, cwd: Path | None = None) -> str:
    """All that a command writes to a terminal."""
    ours, theirs = pty.openpty()
    environ = {**os.environ, "RUNCEPT_HOME": stage.home, "TERM": "xterm-256color", "COLUMNS": "200"}
    environ.pop("NO_COLOR", None)
    said = bytearray()
    streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    with running([BIN / "runcept", *arguments], cwd=cwd or stage.project, env=environ, **streams) as process:
        os.close(theirs)

        def is_over() -> bool:
            if select.select([ours], [], [], 0.1)[0]:
                try:
                    said.extend(os.read(ours, 65536))
                except OSError:  # nobody has the other end any more: EIO
                    return True
            return False

        wait_until(is_over, seconds=60)
        process.wait(timeout=30)
    os.close(ours)
    return said.decode(errors="surrogateescape")


def assert_harmless(text: str) -> None:
    """Nothing is left that acts on a terminal, once what we do ourselves is taken away."""
    rest = OUR_OWN.sub("", text)
    found = ACTS.search(rest)
    assert found is None, rest[max(0, found.start() - 60) : found.end() + 60]


# --------------------------------------------------------------------------------------------- forged records

RECORD = '{"ts":"2026-11-22T08:00:00.000000Z","stream":"runcept","message":"forged","event":"started","run":99}'
FORGERIES = [
    RECORD,
    f"x\r{RECORD}",
    f"\x00{RECORD}\x00",
    f'"}}\x0b{RECORD}',
    f'"}}\x0c{RECORD}',
    f'"}}\x1c{RECORD}',
    f'"}}\x85{RECORD}',
    f'"}}\u2028{RECORD}',
    f'"}}\u2029{RECORD}',
    f'"}}\x7f{RECORD}',
    f'\\"}}\\n{RECORD}',
    f'"}}\\u000a{RECORD}',
    f"\x1b[2K\r{RECORD}",
]


def test_no_line_of_a_program_becomes_a_record_of_ours(stage: Stage) -> None:
    """Whatever stands for a newline somewhere: one line is one record, of the stream that it came by."""
    lines = repr(
        [line.encode() for line in FORGERIES] + [b"\xff\n"[:1] + RECORD.encode(), b"\xc0\x8a" + RECORD.encode()]
    )
    code = f"import os, time\nfor line in {lines}:\n    os.write(1, line + b'\\n')\ntime.sleep(1000)\n"
    write(stage, web=program(stage, "web", code))
    assert stage.ask_for("start", "web").ok
    wait_until(lambda: len(stage.messages("web")) >= len(FORGERIES) + 2)
    records = [json.loads(line) for line in Path(stage.log("web")).read_bytes().split(b"\n") if line]
    said = [record for record in records if record["stream"] == "stdout"]
    assert [record["message"] for record in said[: len(FORGERIES)]] == FORGERIES
    assert len(said) == len(FORGERIES) + 2
    assert all(record.get("binary") for record in said[len(FORGERIES) :])
    assert {record.get("run") for record in records if record["stream"] == "runcept"} == {1}
    shown = json.loads(runcept(stage, "--json", "logs", "web").stdout)["lines"]
    assert {line["run"] for line in shown} == {1}
    assert len(runcept(stage, "logs", "web").stdout.splitlines()) == len(shown)
    stage.ask_for("restart", "web")
    assert stage.statuses()["web"].run == 2, "runs are counted from records, and none was forged"


def test_no_name_or_word_forges_a_line_of_the_daemons_log(stage: Stage) -> None:
    """A path with newlines, what a program leaves behind as its last words: one event is one line of JSON."""
    place = stage.project.parent / 'p\n{"level":"error","message":"forged"}\x1b]0;x\x07\n\u2028'
    place.mkdir()
    stage.project = place
    write(stage, web=program(stage, "web", "import sys; sys.exit('\\n'.join(['a', '{}', 'end\\x1b[2J']))"))
    assert not stage.ask_for("start", "web").ok
    (place / ".runcept" / "logs" / "web.jsonl").unlink()
    (place / ".runcept" / "logs" / "web.jsonl").mkdir()
    stage.ask_for("start", "web", wait=False)
    wait_until(lambda: "output" in Path(daemon_log(stage.home)).read_text(encoding="utf-8"))
    for line in Path(daemon_log(stage.home)).read_text(encoding="utf-8").split("\n"):
        assert not line or set(json.loads(line)) <= {"ts", "level", "message", "traceback"}, line
        assert '"message": "forged"' not in line
    assert_harmless(on_a_terminal(stage, "daemon", "logs"))
    (place / ".runcept" / "logs" / "web.jsonl").rmdir()


# --------------------------------------------------------------------------------------------- terminal escapes

EVIL = (
    "\x1b[2J\x1b[1;1H\x1b]52;c;ZXZpbA==\x07\x1b]0;title\x1b\\\x1bP1$r\x1b\\\x1b[6n\x1b[?1049h\x9b2J\x9d0;t\x9c\x07\x08\x0e\x85"
    "\u202eltr\u2066iso\u2069\u2028end"
)


@pytest.fixture
def evil(stage: Stage) -> Iterator[Stage]:
    """A project in which everything that can hold escapes holds them: path, description, output, arguments, check."""
    place = stage.project.parent / f"pro{EVIL.replace('/', '')}ject"
    place.mkdir()
    stage.project = place
    said = f"import sys, time; sys.argv; print({EVIL!r}, flush=True); sys.stderr.write({EVIL!r}); "
    sits = f"command = [{sys.executable!r}, '-I', '-S', '-c', 'import time; time.sleep(1000)', {json.dumps(EVIL)}]"
    forks = program(
        stage,
        "forks",
        f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'import time; time.sleep(1000)', {EVIL!r}])",
    )
    check = f"health_check = {json.dumps('cmd://printf ' + repr(EVIL)[1:-1].replace(chr(92), chr(92) * 2) + '; false')}"
    stage.write_file(
        f'[project]\nname = "p"\ndescription = {json.dumps(EVIL)}\n'
        f'[[process]]\nname = "ends"\n{program(stage, "ends", said + "sys.exit(3)")}\n'
        f'[[process]]\nname = "sits"\n{sits}\n{check}\n'
        f'[[process]]\nname = "forks"\n{forks}\n'
    )
    return stage


def test_nothing_that_a_program_prints_acts_on_a_terminal(evil: Stage) -> None:
    """Moves of the cursor, the clipboard, the title, questions to the terminal, C1, text that runs backwards."""
    commands = [
        ("activate", "--timeout", "3"),
        ("status",),
        ("status", "ends"),
        ("status", "sits"),
        ("status", "forks"),
        ("list",),
        ("ps",),
        ("environments",),
        ("environments", "-q"),
        ("logs",),
        ("logs", "--color", "always"),
        ("--json", "status"),
        ("--json", "logs"),
        ("daemon", "logs"),
        ("start", EVIL),
        ("status", EVIL.replace("/", "")),
        ("-e", f"/no/{EVIL}", "status"),
        ("-v", "-e", f"/no/{EVIL}", "status"),
        ("restart", "ends", "--timeout", "5"),
        ("deactivate",),
    ]
    for command in commands:
        said = on_a_terminal(evil, *command)
        assert "end" in said or command[0] in {"daemon", "deactivate", "restart", "list"}, (command, said)
        assert_harmless(said)


def test_a_broken_project_file_is_shown_and_not_obeyed(evil: Stage) -> None:
    """Its lines, its path, and the words of the problem."""
    evil.write_file(f'[project]\nname = "p{EVIL}"\nname = 1\n')
    assert_harmless(on_a_terminal(evil, "validate"))
    evil.write_file(f"[project]\nname = {json.dumps('p' + EVIL)}\n{json.dumps(EVIL)} = 1\n")
    for command in (["validate"], ["-v", "validate"], ["activate"], ["--json", "validate"]):
        said = on_a_terminal(evil, *command)
        assert "name" in said
        assert_harmless(said)


def test_files_that_are_no_logs_are_not_named(evil: Stage) -> None:
    """A repository can hold .runcept/logs with names of its own choice."""
    logs = evil.project / ".runcept" / "logs"
    logs.mkdir(parents=True)
    (logs / f"x{EVIL}.jsonl").write_text(f'{{"message":"{"x" * 10}"}}\n')
    (logs / "good.jsonl").write_text('{"message":"good line"}\n')
    said = on_a_terminal(evil, "logs")
    assert "good line" in said
    assert_harmless(said)
    evil.ask("daemon_status")
    assert runcept(evil, "logs", "--clear", "*").returncode == 0


def test_names_in_a_project_file_lead_nowhere(stage: Stage) -> None:
    """`logs --clear '*'` with no daemon removes logs, and not what a stranger's project file names by a path."""
    precious = stage.project.parent / "precious.jsonl"
    precious.write_text("mine\n")
    stage.write_file('[project]\nname = "p"\n[[process]]\nname = "../../../precious"\ncommand = "true"\n')
    (stage.project / ".runcept" / "logs").mkdir(parents=True)
    (stage.project / ".runcept" / "logs" / "web.jsonl").write_text("line\n")
    assert runcept(stage, "logs", "--clear", "*").returncode == 0
    assert precious.read_text() == "mine\n"
    assert not (stage.project / ".runcept" / "logs" / "web.jsonl").exists()
    assert runcept(stage, "validate").returncode == 4


def test_a_daemon_in_the_foreground_says_one_thing_a_line(stage: Stage) -> None:
    """Of what others said, on the terminal that it was started in."""
    place = stage.project.parent / "p\nERROR forged\x1b[2J"
    place.mkdir()
    stage.project = place
    write(stage, web="command = ['sleep', '1000']")
    (place / ".runcept").mkdir()
    (place / ".runcept" / "logs").mkdir()
    (place / ".runcept" / "logs" / "web.jsonl").symlink_to("web.jsonl")
    said = stage.evidence / "stderr"
    with said.open("wb") as file, running(
        [BIN / "runcept", "daemon", "start", "--foreground"],
        env={**os.environ, "RUNCEPT_HOME": stage.home}, stderr=file, stdout=file, stdin=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        wait_until(lambda: b" started" in said.read_bytes(), seconds=30)
        stage.ask_for("start", "web", wait=False)
        wait_until(lambda: b"cannot be read" in said.read_bytes(), seconds=20)
        stage.end()
        process.wait(timeout=20)
    text = said.read_text()
    assert_harmless(text)
    assert not [line for line in text.split("\n") if line.startswith("ERROR forged")]


# --------------------------------------------------------------------------------------------------- secrets

SECRETS = {
    "API_TOKEN": "tok-4f8a1c",
    "DB_PASSWORD": "pa55word!x",
    "STRIPE_SECRET": "sk_live_9871",
    "SIGNING_KEY": "Kq83hfZZ01",
    "AWS_CREDENTIALS": "cr3d-ential",
    "DATABASE_URL": "postgres://app:urlpw-77@db.example/shop",
}
HIDDEN = [value for name, value in SECRETS.items() if name != "DATABASE_URL"] + ["urlpw-77", "filepw-123", "argpw-456"]


def everything_shown(stage: Stage) -> str:
    """What commands, the daemon's log and the history tell."""
    commands = [("status",), ("status", "web"), ("--json", "status"), ("ps",), ("daemon", "logs")]
    said = [runcept(stage, *command, **SECRETS) for command in commands]
    connection = sqlite3.connect(f"file:{database(stage.home)}?mode=ro", uri=True)
    kept = [
        str(row) for table in ("events", "processes", "runs") for row in connection.execute(f"SELECT * FROM {table}")
    ]
    connection.close()
    log = Path(daemon_log(stage.home)).read_text(encoding="utf-8")
    records = [line for line in Path(stage.log("web")).read_text().split("\n") if '"stream":"runcept"' in line]
    return "\n".join([*(each.stdout + each.stderr for each in said), *kept, log, *records])


def assert_masked(text: str) -> None:
    """None of the secrets, and something in their place."""
    assert "***" in text
    assert not [secret for secret in HIDDEN if secret in text]


def test_secrets_of_last_words_are_masked_but_for_its_own_log(stage: Stage) -> None:
    """From the shell's environment, from the project file, and those that only their place gives away."""
    last = " ".join(
        [*(f"{{os.environ['{name}']}}" for name in SECRETS), "{os.environ['FILE_PASSWORD']}", "--password=argpw-456"]
    )
    code = f'import os, sys\nsys.exit(f"cannot log in with {last}")\n'
    keys = program(stage, "web", code) + "\nenv = { FILE_PASSWORD = 'filepw-123', KEYBOARD = 'qwerty-layout' }"
    write(stage, web=keys)
    done = runcept(stage, "activate", **SECRETS)
    assert done.returncode == 1
    assert_masked(stage.statuses()["web"].reason)
    assert "cannot log in with" in stage.statuses()["web"].reason
    assert_masked(everything_shown(stage))
    (line,) = stage.messages("web", "stderr")
    assert all(secret in line for secret in HIDDEN), "what it writes itself stays as it is"
    assert "pa55word!x" in done.stdout, "and is shown as its output"


def test_a_long_last_line_is_masked_before_it_is_cut(stage: Stage) -> None:
    """Half a secret at the end of a reason is half a secret told."""
    code = "import os, sys\nsys.exit('x' * 495 + os.environ['SIGNING_KEY'])\n"
    write(stage, web=program(stage, "web", code))
    runcept(stage, "activate", **SECRETS)
    reason = stage.statuses()["web"].reason
    assert "xxx***" in reason
    assert "Kq8" not in everything_shown(stage)


@pytest.mark.parametrize("check", [
    "cmd://echo login as $DB_PASSWORD failed; false",
    "cmd://curl --password argpw-456; exit 1",
    "http://127.0.0.1:1/ready?token=argpw-456",
    "log://^never token=argpw-456$",
])  # fmt: skip
def test_secrets_in_health_checks_are_masked(stage: Stage, check: str) -> None:
    """In what the command printed, and in the check itself."""
    write(
        stage,
        web=f"command = 'sleep 1000'\nhealth_check = {{ url = {json.dumps(check)}, retries = 1, start_period = 0 }}",
    )
    stage.ask_for("activate", environ={**SECRETS, "PATH": os.environ["PATH"]}, wait=False)
    wait_until(lambda: stage.statuses()["web"].health == "unhealthy")
    assert_masked(everything_shown(stage))


def test_a_secret_in_a_check_that_is_waited_for_is_masked(stage: Stage) -> None:
    """Before there was any answer."""
    write(stage, web="command = 'sleep 1000'\nhealth_check = 'cmd://sleep 60; curl --password argpw-456'")
    stage.ask_for("activate", wait=False)
    wait_until(lambda: "waits for its health check" in stage.statuses()["web"].reason)
    assert_masked(everything_shown(stage))


def test_a_line_that_makes_it_ready_is_masked(stage: Stage) -> None:
    """It is kept with the event."""
    code = "import os, time\nprint('ready with', os.environ['API_TOKEN'], flush=True)\ntime.sleep(1000)\n"
    write(stage, web=program(stage, "web", code) + "\nhealth_check = 'log://ready'")
    assert stage.ask_for("activate", environ={**SECRETS, "PATH": os.environ["PATH"]}).ok
    assert "tok-4f8a1c" not in everything_shown(stage)
    assert stage.messages("web") == ["ready with tok-4f8a1c"]


def test_secrets_in_command_lines_are_masked(stage: Stage) -> None:
    """Of who holds a port, of a program that cannot be started, of the tree of a process."""
    (port,) = free_ports(1)
    code = (
        f"import socket, time\ns = socket.create_server(('127.0.0.1', {port}))\nprint(1, flush=True)\ntime.sleep(1000)"
    )
    holder = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        code,
        "--password",
        "argpw-456",
        "TOKEN=argpw-456",
        SECRETS["SIGNING_KEY"],
    ]
    forks = (
        "import subprocess, sys\n"
        "subprocess.run([sys.executable, '-c', 'import time; time.sleep(1000)', '--token=argpw-456', 'Kq83hfZZ01'])\n"
    )
    stage.write_file(
        f'[project]\nname = "p"\n[[process]]\nname = "web"\ncommand = "sleep 1"\nports = [{port}]\n'
        '[[process]]\nname = "none"\ncommand = ["--password=argpw-456"]\n'
        f'[[process]]\nname = "forks"\n{program(stage, "forks", forks)}\n'
    )
    with running(holder, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        runcept(stage, "activate", **SECRETS)
        reason = stage.statuses()["web"].reason
        assert f"port {port} is held by pid {process.pid}" in reason
        assert_masked(reason)
        assert_masked(everything_shown(stage))
        wait_until(lambda: "--token=***" in runcept(stage, "status", "forks", **SECRETS).stdout)
        assert_masked(runcept(stage, "status", "forks", **SECRETS).stdout)


def test_a_broken_line_of_a_project_file_does_not_tell_its_secret(stage: Stage) -> None:
    """The caret stays where it was."""
    stage.write_file("[project]\nname = 'p'\nenv = { API_KEY = 'argpw-456', OTHER = [] }\n")
    done = runcept(stage, "validate")
    assert done.returncode == 4
    assert "argpw-456" not in done.stderr + done.stdout
    lines = done.stderr.split("\n")
    caret = next(number for number, line in enumerate(lines) if set(line) == {" ", "^"})
    assert lines[caret - 1][lines[caret].index("^")] == "["


def test_settings_are_shown_without_their_secrets(stage: Stage) -> None:
    """Only those: what merely sounds like one is shown."""
    stage.ask("daemon_status")
    Path(stage.home, "config.toml").write_text("[env]\nAPI_TOKEN = 'a'\nKEYBOARD = 'us'\nDB = 'redis://:urlpw-77@h'\n")
    done = runcept(stage, "config", "show")
    assert "urlpw-77" not in done.stdout
    assert "KEYBOARD = " in done.stdout
    assert '"us"' in done.stdout
    assert '"***"' in done.stdout
