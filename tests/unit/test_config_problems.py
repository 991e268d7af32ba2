"""What is wrong with a project file: every problem at once, each with its place, a sentence and a hint."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from runcept.config.problems import report
from runcept.config.project import load_project
from runcept.config.settings import Settings
from runcept.errors import ConfigInvalid

HEAD = '[project]\nname = "shop"\n'
WEB = HEAD + '[[process]]\nname = "web"\ncommand = "serve"\n'


def problems(directory: Path, text: str) -> list[dict[str, Any]]:
    """What is found wrong with a file."""
    return invalid(directory, text).fields["problems"]  # type: ignore[return-value]


def invalid(directory: Path, text: str) -> ConfigInvalid:
    """The error that a file raises."""
    (directory / ".runcept.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigInvalid) as caught:
        load_project(str(directory), Settings())
    assert caught.value.exit_status == 4
    return caught.value


def only(directory: Path, text: str) -> tuple[int, int, str, str]:
    """Line, column, message and hint of the only problem of a file."""
    (problem,) = problems(directory, text)
    return problem["line"], problem["column"], problem["message"], problem["hint"]


ONE_LINE = [
    # one line in [[process]]: the column, the message and the hint it must have
    ("restrat = 1", 1, 'unknown key "restrat" in [[process]]', "Did you mean restart?"),
    ("cmd = 'x'", 1, 'unknown key "cmd"', "Did you mean command?"),
    ("cwd = 'x'", 1, 'unknown key "cwd"', "Did you mean working_dir?"),
    ("shell = ['x']", 1, 'unknown key "shell"', "shell belongs into [project]."),
    ("telemetry = true", 1, 'unknown key "telemetry"', "It takes name, command,"),
    ('hooks = { started = "x" }', 11, 'unknown key "started" in hooks', "It takes ready, failed,"),
    ('activity = ["disk"]', 13, "'disk' is not possible here", 'It is one of "requests",'),
    ("watch = true", 9, "expected a list, found a boolean", "Put it in brackets"),
    ('wake = "always"', 8, "'always' is not possible here", 'It is one of "connect".'),
    ('wake = "connect"', 8, "it has no fixed port to be woken by", "Write `ports = [8000]`, with its port."),
    (
        'wake = "connect"\nports = "auto"',
        8,
        "it has no fixed port to be woken by",
        "Write `ports = [8000]`, with its port.",
    ),
    ('wake = "connect"\nports = [80]\nkind = "task"', 8, "a task is not woken by a connection", "Remove `wake`"),
    ("stop_timeout = 'soon'", 16, "'soon' is not a duration", ""),
    ("stop_timeout = -1", 16, "a duration cannot be -1", ""),
    ("stop_timeout = true", 16, "expected a duration", ""),
    ("stop_timeout = '9999999d'", 16, "cannot be longer than 100 years", ""),
    (f"stop_timeout = '{'1' * 200}'", 16, "far too long", ""),
    ("health_check_interval = 0", 25, "at least 1ms", ""),
    ("health_check_retries = 0", 24, "0 is not between 1 and", ""),
    ("max_restarts = 1.5", 16, "expected an integer, found a float", ""),
    ("max_restarts = true", 16, "expected an integer, found a boolean", ""),
    ("auto_restart = 'yes'", 16, "expected true or false, found a string", "Write true or false without quotes."),
    ("restart = true", 11, "expected a string, found a boolean", 'It is one of "no", "on-failure", "always".'),
    ("restart = 'sometimes'", 11, "'sometimes' is not possible here", 'It is one of "no"'),
    ("kind = 'deamon'", 8, "'deamon' is not possible here", '"service", "task"'),
    ("description = 1", 15, "expected a string, found an integer", "Put it in quotes."),
    ("working_dir = ' '", 15, "must not be empty", ""),
    ("working_dir = 'a\\u0000b'".replace("'", '"'), 15, "a NUL character", ""),
    ("inactivity_timeout = 0", 22, "it would be over at once", 'Write "off" for no timeout.'),
    ("inactivity_timeout = false", 22, "it would be over at once", 'Write "off" for no timeout.'),
    ("ports = 8000", 9, 'expected a list of ports or "auto", found an integer', "Write [8000]."),
    ("ports = [0]", 10, "0 is not between 1 and 65535", ""),
    ("ports = [80, 65536]", 14, "65536 is not between 1 and 65535", ""),
    ("ports = [80, 81, 80]", 18, "80 is listed twice", "The first is on line 6."),
    ("ports = ['80']", 10, "expected an integer, found a string", ""),
    ("success_exit_codes = [0, 256]", 26, "256 is not between 0 and 255", ""),
    ("success_exit_codes = []", 22, "must not be empty", ""),
    ("stop_signal = 'SIGTREM'", 15, "'SIGTREM' is not a signal", "Did you mean SIGTERM?"),
    ("stop_signal = 15", 15, "a signal is written by its name, not as 15", 'Write "SIGTERM".'),
    ("stop_signal = '9'", 15, "a signal is written by its name, not as '9'", 'Write "SIGKILL".'),
    ("stop_signal = true", 15, "expected a string", ""),
    ("ports = '8000'", 9, 'expected a list of ports or "auto", found a string', "Write [8000]."),
    ("disabled = true", 1, 'unknown key "disabled"', "It takes name, command,"),
    ("log = { max_size = '50 parrots' }", 20, "'50 parrots' is not a size", ""),
    ("log = { max_size = 0 }", 20, "at least 1 byte", ""),
    ("log = { kep = 1 }", 9, 'unknown key "kep" in log', "Did you mean keep?"),
    ("log = 'x'", 7, "expected a table, found a string", ""),
    ("env = ['A=1']", 7, "expected a table, found a list", 'Write env = { NAME = "value" }.'),
    ("env = { 'A=B' = '1' }", 9, "'A=B' cannot be the name of an environment variable", ""),
    ("env = { '' = '1' }", 9, "'' cannot be the name", ""),
    ('env = { "A\\u0000" = "1" }', 9, "cannot be the name", ""),
    ('env = { A = "1\\u0000" }', 13, "a NUL character", ""),
    ("env = { A = 2026-11-22 }", 13, "found a date or time", "Put it in quotes."),
    ("env = { A = [1] }", 13, "expected a string, number or boolean, found a list", ""),
    ("env_files = '.env'", 13, "expected a list, found a string", "Put it in brackets"),
    ("env_files = ['.env.missing']", 14, "there is no file", "Create it, or take it out of env_files."),
    ("depends_on = 'db'", 14, "expected a list, found a string", "Put it in brackets"),
    ("depends_on = ['web']", 15, "web depends on itself", ""),
    ("depends_on = ['wep']", 15, "there is no process wep", "Did you mean web?"),
    ("depends_on = ['database']", 15, "there is no process database", "The file has: web."),
    ("depends_on = [{ condition = 'ready' }]", 15, "depends_on has no name", "Add name = …"),
    ("health_check = 8000", 16, "expected URL or table, found an integer", ""),
    ("health_check = 'localhost:8000/x'", 16, "has no scheme", "Did you mean http://localhost:8000/x?"),
    ("health_check = 'htp://x'", 16, "a health check cannot be htp://", "Did you mean http://x?"),
    ("health_check = 'postgres://x'", 16, "a health check cannot be postgres://", "tcp://host:port"),
    ("health_check = 'http://'", 16, "is not a URL", "Write http://host:port/path."),
    ("health_check = 'http://a b/'", 16, "is not a URL", ""),
    ("health_check = 'http://u:p@h/'", 16, "names a user", "cmd://curl"),
    ("health_check = 'http://h:0/'", 16, "'0' is not a port", "A port is a number from 1 to 65535; $PORT is"),
    ("health_check = 'http://h:99999/'", 16, "'99999' is not a port", ""),
    ("health_check = 'tcp://h:x'", 16, "'x' is not a port", ""),
    ("health_check = 'tcp://h:{port}'", 16, "'{port}' is not a port", "$PORT is the first of `ports`."),
    ("health_check = 'tcp://h:$PORTX'", 16, "'$PORTX' is not a port", ""),
    ("health_check = 'tcp://h'", 16, "has no port", "Write tcp://host:port."),
    ("health_check = 'tcp://h:1/x'", 16, "nothing after the port", ""),
    ("health_check = 'tcp://::1:80'", 16, "is not a URL", "An IPv6 address stands in brackets: [::1]."),
    ("health_check = 'tcp://[::x]:80'", 16, "'::x' is not an IPv6 address", ""),
    ("health_check = 'cmd:// '", 16, "cmd:// has no command", ""),
    ("health_check = 'log://'", 16, "log:// has no regular expression", ""),
    ("health_check = 'log://(a'", 16, "unterminated subpattern at its character 1", "needs a backslash"),
    ("health_check = 'log://a{99999999999999999999}'", 16, "it is too large", ""),
    ("health_check = { interval = 3 }", 1, "health_check has no url", "Add url = …"),
    ("health_check = { url = 'tcp://h:1', status = [200] }", 46, "tcp:// has no status", "http(s)://"),
    ("health_check = { url = 'http://h', status = [99] }", 46, "99 is not between 100 and 599", ""),
    ("health_check = { url = 'http://h', intervall = 3 }", 36, 'unknown key "intervall"', "Did you mean interval?"),
]


@pytest.mark.parametrize(("line", "column", "message", "hint"), ONE_LINE, ids=[each[0][:40] for each in ONE_LINE])
def test_a_wrong_line_is_told_with_its_place(tmp_path: Path, line: str, column: int, message: str, hint: str) -> None:
    """One wrong key or value: one problem, at the key or at the value, in words that say what to do."""
    found = only(tmp_path, f"{WEB}{line}\n")
    assert found[:2] == (6, column)
    assert message in found[2]
    assert hint in found[3]


@pytest.mark.parametrize(
    ("text", "place", "message", "hint"),
    [
        ("", (1, 1), "the file has no project", "Add [project] and in it name = …"),
        ("[[project]]\nname = 'shop'\n", (1, 3), "there is one project", ""),
        ('name = "x"\n' + WEB, (1, 1), 'unknown key "name" in the file', "name belongs into [project]."),
        (WEB.replace("[[process]]", "[[processes]]"), (3, 3), 'unknown key "processes"', "Did you mean [[process]]?"),
        (WEB.replace("[[process]]", "[process]"), (3, 2), "a process is written [[process]]", ""),
        ("process = 1\n" + HEAD, (1, 11), "expected [[process]] tables, found an integer", ""),
        ("process = [1]\n" + HEAD, (1, 12), "expected a table, found an integer", ""),
        ("project = 1\n", (1, 11), "expected a table, found an integer", ""),
        ("[project]\n", (1, 2), "[project] has no name", "Add name = …"),
        ('[project]\nname = "a/b"\n', (2, 8), "'a/b' cannot be a name", "Use 1 to 64 of"),
        (HEAD + 'command = "x"\n', (3, 1), 'unknown key "command"', "command belongs into [[process]]."),
        (HEAD + 'env_files = ["no.env"]\n', (3, 14), "there is no file", ""),
        (HEAD + 'shell = "/bin/bash"\n', (3, 9), "expected a list, found a string", "Put it in brackets"),
        (HEAD + "[project.env]\nA = [1]\n", (4, 5), "found a list", ""),
        (HEAD + 'log.max_size = "x"\n', (3, 16), "'x' is not a size", ""),
        (HEAD + '[[process]]\nname = "web"\n', (3, 3), '[[process]] "web" has no command', "Add command = …"),
        (WEB.replace('"serve"', "' '"), (5, 11), "must not be empty", ""),
        (WEB.replace('"serve"', "[]"), (5, 11), "must not be empty", ""),
        (WEB.replace('"serve"', "['a', 1]"), (5, 17), "expected a string, found an integer", "Put it in quotes."),
        (WEB.replace('"serve"', "['', 'a']"), (5, 12), "the program's name is empty", ""),
        (WEB.replace('"serve"', "3"), (5, 11), "expected a string or a list of strings", ""),
        (
            WEB + '[[process]]\nname = "b"\ncommand = "b"\ndepends_on = [{ name = "web", condition = "well" }]\n',
            (9, 43),
            "'well' is not possible here",
            '"ready", "started", "completed"',
        ),
        (WEB + '[[process]]\nname = "web"\ncommand = "b"\n', (7, 8), "two processes are named web", "line 4"),
        (WEB + '[[process]]\nname = "b"\ncommand = "b"\n[process.env]\n"" = 1\n', (10, 1), "'' cannot be", ""),
    ],
)
def test_a_wrong_structure_is_told_with_its_place(
    tmp_path: Path, text: str, place: tuple[int, int], message: str, hint: str
) -> None:
    """Tables, headers, arrays of tables and dotted keys have places as well."""
    found = only(tmp_path, text)
    assert found[:2] == place
    assert message in found[2]
    assert hint in found[3]


@pytest.mark.parametrize(
    ("lines", "place", "message", "hint"),
    [
        ("health_check = 'tcp://h:$PORT'", (6, 16), "$PORT, and the process has no ports", 'ports = "auto"'),
        ("ports = [1]\nhealth_check = 'http://h:$PORT1/'", (7, 16), "$PORT1, and the process has one port", "from 0"),
        ("ports = 'auto'\nhealth_check = 'tcp://h:${PORT2}'", (7, 16), "the process has one port, $PORT", ""),
        ("ports = [1, 2]\nhealth_check = {url = 'tcp://h:$PORT2'}", (7, 16), "2 ports, $PORT0 to $PORT1", ""),
    ],
)
def test_a_check_of_a_port_that_the_process_has_not_is_told(
    tmp_path: Path, lines: str, place: tuple[int, int], message: str, hint: str
) -> None:
    """$PORT needs `ports`, and an index that is among them."""
    found = only(tmp_path, f"{WEB}{lines}\n")
    assert found[:2] == place
    assert message in found[2]
    assert hint in found[3]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "-a", ".a", "a b", "a\\nb", "a" * 65, "ä", "web\\n"])
def test_a_name_cannot_leave_its_directory(tmp_path: Path, name: str) -> None:
    """Names become file names: only plain ones are taken."""
    assert "cannot be a name" in only(tmp_path, WEB.replace('"web"', f'"{name}"'))[2]


def process(name: str, *needs: str) -> str:
    """A process with dependencies."""
    listed = ", ".join(f'"{need}"' for need in needs)
    return f'[[process]]\nname = "{name}"\ncommand = "x"\ndepends_on = [{listed}]\n'


def test_a_circle_is_shown_as_a_path(tmp_path: Path) -> None:
    """It begins with the process that stands first in the file, and the place is that process's entry."""
    text = HEAD + process("a", "b") + process("b", "c") + process("c", "a") + process("d", "a")
    assert only(tmp_path, text)[:3] == (6, 15, "the dependencies go in a circle: a → b → c → a")


def test_each_circle_is_told(tmp_path: Path) -> None:
    """Two circles are two problems; one is not hidden behind the other."""
    text = HEAD + process("a", "b") + process("b", "a") + process("c", "d", "a") + process("d", "c")
    found = [problem["message"].rpartition(": ")[2] for problem in problems(tmp_path, text)]
    assert found == ["a → b → a", "c → d → c"]


def test_a_dependency_is_listed_once(tmp_path: Path) -> None:
    """Twice, also with another condition, is a mistake in one of them."""
    twice = 'depends_on = ["b", { name = "b", condition = "started" }]'
    text = HEAD + process("a").replace("depends_on = []", twice) + process("b")
    assert only(tmp_path, text)[:3] == (6, 20, "b is listed twice")


def test_what_depends_on_a_wrong_process_is_not_wrong_on_top(tmp_path: Path) -> None:
    """A name that is no good exists all the same: one cause, one problem."""
    text = HEAD + process("a", "b") + process("b").replace('"x"', "1")
    assert [problem["message"][:8] for problem in problems(tmp_path, text)] == ["expected"]


def test_all_problems_come_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    """Whoever corrects a file does it in one go."""
    text = WEB.replace('"serve"', "1") + "ports = [0]\nx = 1\n" + process("b", "c") + "stop_timeout = 'y'\n"
    assert [problem["line"] for problem in problems(tmp_path, text)] == [5, 6, 7, 11, 12]


def test_the_report_shows_line_caret_and_hint(tmp_path: Path) -> None:
    """The form that editors can jump to, and the place under which the caret stands."""
    text = HEAD + '[[process]]\nname = "web"\ncommand = "x"\n\tdepends_on = ["漢", "wep"]\n'
    error = invalid(tmp_path, text)
    file = Path(tmp_path).resolve() / ".runcept.toml"
    assert str(error) == f"{file} has 2 problems"
    assert str(error.fields["report"]).split("\n")[4:] == [
        f"{file}:6:21: there is no process wep",
        '  \tdepends_on = ["漢", "wep"]',
        "  \t                    ^^^^^",
        "hint: Did you mean web?",
    ]


def test_columns_count_characters(tmp_path: Path) -> None:
    """Not bytes: an editor jumps to the right place behind other scripts too."""
    assert only(tmp_path, WEB + "env = { '漢é' = 'x', B = [] }\n")[:2] == (6, 25)


def test_a_byte_order_mark_shifts_no_column(tmp_path: Path) -> None:
    """It is no character of the first line."""
    assert only(tmp_path, "\ufeffproject = 1\n")[:2] == (1, 11)


def test_the_report_obeys_no_control_character(tmp_path: Path) -> None:
    """A file is shown on a terminal, which must not be told what to do by it."""
    report = str(invalid(tmp_path, WEB + 'stop_signal = "\x7f\u009b31m\u202e\\u001b[31m"\n').fields["report"])
    assert all(character.isprintable() or character in "\n\t" for character in report)


def test_a_long_line_is_shown_around_the_place(tmp_path: Path) -> None:
    """A whole file on one line does not flood the terminal, nor does a value that is quoted in the sentence."""
    padding = ", ".join(f"V{number} = 1" for number in range(1000))
    report = str(
        invalid(tmp_path, f"{WEB}env = {{ {padding}, BAD = [], {padding.replace('V', 'W')} }}\n").fields["report"]
    )
    place, line, caret = report.split("\n")
    assert "found a list" in place
    assert len(line) < 170
    assert line[caret.index("^")] == "["
    assert len(str(invalid(tmp_path, f'{WEB}stop_signal = "{"x" * 100_000}"\n').fields["report"])) < 2000


@pytest.mark.parametrize("width", [20, 40, 80])
def test_a_report_fits_the_terminal(tmp_path: Path, width: int) -> None:
    """The line is cut around the place, which the caret is under still."""
    text = f'{WEB}env = {{ LONG = "{"a" * 60}", B = ["漢漢"], C = "{"z" * 60}" }}\n'
    found = problems(tmp_path, text)
    _, line, caret = report("shop.toml", found, width).split("\n")
    assert sum(2 if character == "漢" else 1 for character in line) <= width
    assert line.count("…") == 2
    assert line[caret.index("^")] == "["
    long = report("shop.toml", problems(tmp_path, f"{WEB}telemetry = 1\n"), width=80).split("\n")[3:]
    assert len(long) > 3
    assert max(map(len, long)) <= 80


def test_a_file_of_problems_is_refused_quickly(tmp_path: Path) -> None:
    """Thousands of mistakes: the first hundred are enough, and do not take long."""
    begin = time.monotonic()
    error = invalid(tmp_path, HEAD + "[[process]]\nx = 1\n" * 20_000)
    assert len(error.fields["problems"]) == 100  # type: ignore[arg-type]
    assert "Only the first 100 problems are shown." in str(error.fields["report"])
    assert time.monotonic() - begin < 15


def test_env_files_are_named_with_what_is_wrong(tmp_path: Path) -> None:
    """The file and the line in it: the problem is there, not in the project file."""
    (tmp_path / "bad.env").write_text("A=1\n\n'B=2\n", encoding="utf-8")
    (tmp_path / "latin.env").write_bytes(b"A=caf\xe9\n")
    (tmp_path / "nul.env").write_bytes(b"A=1\nB=\0\n")
    (tmp_path / "directory.env").mkdir()
    text = WEB + 'env_files = ["bad.env", "latin.env", "nul.env", "directory.env"]\n'
    messages = [problem["message"] for problem in problems(tmp_path, text)]
    assert messages[0] == f"line 3 of {tmp_path.resolve()}/bad.env is not NAME=value"
    assert "latin.env: it is not UTF-8: byte 0xe9 on line 1" in messages[1]
    assert "line 2 of" in messages[2]
    assert "it is a directory" in messages[3]


def test_a_comment_behind_a_value_is_not_the_value(tmp_path: Path) -> None:
    """The caret stands under what is wrong."""
    text = '[project]\nname = "p"\n[[process]]\nname = "web"\ncommand = "x"\nrestart = "on-falure"  # a comment\n'
    (tmp_path / ".runcept.toml").write_text(text)
    with pytest.raises(ConfigInvalid) as caught:
        load_project(str(tmp_path), Settings())
    (problem,) = caught.value.fields["problems"]
    assert (problem["line"], problem["column"]) == (6, 11)
