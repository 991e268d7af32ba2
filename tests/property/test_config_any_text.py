"""No bytes make reading raise anything but a ConfigError, whose places lie in the file; no directory a bad guess."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runcept.config.guess import guess
from runcept.config.project import load_project
from runcept.config.schema import PROCESS, PROJECT
from runcept.config.settings import Settings
from runcept.core.model import Project
from runcept.errors import ConfigError, ConfigInvalid

KEYS = [*sorted({key.name for table in (PROJECT, PROCESS) for key in table.keys}), "url", "status", "a.b", '"é ü"']
VALUES = st.recursive(
    st.sampled_from(
        [
            "1",
            "-1",
            "0.5",
            "true",
            '"auto"',
            '"off"',
            '"web"',
            '"é"',
            "''",
            '"tcp://h:1"',
            '"log://("',
            "1979-05-27",
            "nan",
        ]
    )
    | st.integers().map(str)
    | st.text(st.characters(codec="utf-8"), max_size=6).map(lambda text: f'"{text}"'),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.lists(st.tuples(st.sampled_from(KEYS), inner), max_size=3).map(
            lambda pairs: "{ " + ", ".join(f"{key} = {value}" for key, value in pairs) + " }"
        )
    ),
    max_leaves=5,
)
LINES = st.one_of(
    st.sampled_from(
        ["[project]", "[[process]]", "[process.env]", "[project.log]", "[x]", "[[process.health_check]]", "#"]
    ),
    st.tuples(st.sampled_from(KEYS), VALUES).map(" = ".join),
)
DOCUMENTS = st.lists(LINES, max_size=12).map(lambda lines: "\n".join(lines).encode())
SMALL_TEXT = st.text(st.sampled_from("ab:-_ .$'\"\\[]{}&*|>#\n\t1é\x7f"), max_size=40)


@contextmanager
def directory() -> Iterator[Path]:
    """A directory for one example."""
    with TemporaryDirectory() as path:
        yield Path(path)


@given(st.binary(max_size=200) | DOCUMENTS | st.tuples(DOCUMENTS, st.binary(max_size=20)).map(b"".join))
@example(b"a = " + b"[" * 5000)
@example(b"a = " + b"9" * 5000)
@example(b"[project]\nname='x'\nstop_timeout = " + b"9" * 4000)
@example(b"[project]\nname='x'\nlog.max_size = '" + b"9" * 99 + b"'")
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_a_project_or_a_config_error(data: bytes) -> None:
    """And each problem has a place that an editor can go to, a sentence, and stands in the report."""
    with directory() as path:
        (path / ".runcept.toml").write_bytes(data)
        try:
            load_project(str(path), Settings())
        except ConfigInvalid as error:
            check_places(data.decode("utf-8-sig"), error.fields)
        except ConfigError:
            pass  # not text at all: there is no place in it


VALID = """\
[project]
name = "shop"
working_dir = "."
inactivity_timeout = "1h30m"
shell = ["/bin/sh", "-c"]
env = { DEBUG = true, VERSION = 1.10 }
stop_timeout = "5s"

[[process]]
name = "db"
command = "serve --port 1 && true"
ports = [15432]
health_check = "tcp://127.0.0.1:15432"
log = { max_size = "50MB", keep = 5, compress = true }

[[process]]
name = "web"
command = ["serve", "--port", "$PORT"]
depends_on = ["db", { name = "migrate", condition = "completed" }]
health_check = { url = "http://localhost:80/x", interval = "30s", timeout = 5, retries = 3, status = [200, 204] }
ports = "auto"
restart = "on-failure"
restart_delay = "500ms"
success_exit_codes = [0, 143]
stop_signal = "SIGTERM"

[[process]]
name = "migrate"
kind = "task"
command = "migrate"
"""
TOKENS = re.findall(r'"[^"]*"|[A-Za-z_]+|[0-9.]+|\\n|\\s|.', VALID)
STRANGE = st.sampled_from([
    "", '"', "'", "[", "]", "{", "}", "=", ".", ",", "\n", "\r", "\r\n", "\0", "#", "\\", '"""', "[[", "]]",
    "nan", "-inf", "1e999", "0x", "9" * 30, "9" * 5000, "1979-05-27T07:32:00Z", "07:32:00", "true", "[" * 300,
    '"\\ud800"', "\ufeff", "\u202e", "\U0001f600", '"cmd://"', '"tcp://[::1]:0"', '"http://u:p@h"', '"log://(?P<"',
    '"log://(a*)*b"', '"1h1h"', '"10XB"', '"SIGKILL"', "[{}]", "{ a = {} }",
])  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """The valid file with some of its tokens dropped, doubled, exchanged or replaced, and some lines moved."""
    tokens = list(TOKENS)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(tokens) - 1))
        match draw(st.integers(0, 4)):
            case 0:
                tokens[at] = draw(STRANGE)
            case 1:
                tokens[at] *= draw(st.integers(0, 3))
            case 2:
                other = draw(st.integers(0, len(tokens) - 1))
                tokens[at], tokens[other] = tokens[other], tokens[at]
            case 3:
                tokens[at] = draw(VALUES)
            case _:
                del tokens[at : at + draw(st.integers(1, 12))]
    lines = "".join(tokens).split("\n")
    if draw(st.booleans()):
        at, to = (draw(st.integers(0, len(lines) - 1)) for _ in range(2))
        lines.insert(to, lines.pop(at))
    return "\n".join(lines)


@given(mutated())
@example(VALID)
@example(VALID.replace("[[process]]", "[process]"))
@example(VALID.replace("name", "n\x00me"))
@settings(max_examples=300, deadline=None)
def test_a_valid_file_with_faults_is_a_project_or_a_config_error(text: str) -> None:
    """Near what is right, where the reader believes most: what it takes is whole, what it refuses has its places."""
    with directory() as path:
        (path / ".runcept.toml").write_text(text, encoding="utf-8", errors="surrogatepass", newline="")
        try:
            project = load_project(str(path), Settings())
        except ConfigInvalid as error:
            check_places(text.removeprefix("\ufeff"), error.fields)
            return
        except ConfigError:
            return
        assert all(process.argv and process.name for process in project.processes)
        msgspec.json.decode(msgspec.json.encode(project), type=Project)


def check_places(text: str, fields: dict[str, Any]) -> None:
    """The rule: lines and columns count from 1 and lie in the file; just after the end of a line is in it."""
    lines = text.replace("\r\n", "\n").split("\n")
    assert fields["problems"]
    for problem in fields["problems"]:
        assert 1 <= problem["line"] <= len(lines)
        assert 1 <= problem["column"] <= len(lines[problem["line"] - 1]) + 1
        assert problem["message"]
        assert f":{problem['line']}:{problem['column']}: " in fields["report"]


@given(
    procfile=st.lists(st.tuples(st.sampled_from(["web", "_", "a-b"]), SMALL_TEXT).map(": ".join)).map("\n".join),
    compose=st.lists(
        st.tuples(
            st.sampled_from(["web", "db", '"q"', "é"]),
            st.sampled_from(
                ["image: redis", "build: .", "command: ", "depends_on: [web, db]", "ports: ['0:1', \"5:70000\"]"]
            ),
            SMALL_TEXT,
        ).map(lambda parts: f"  {parts[0]}:\n    {parts[1]}\n    command: {parts[2]}\n")
    ).map(lambda services: "services:\n" + "".join(services)),
    scripts=st.dictionaries(st.sampled_from(["dev", "worker", "dev:api", "start"]), SMALL_TEXT),
    dotenv=SMALL_TEXT,
)
@settings(max_examples=60, deadline=None)
def test_whatever_a_directory_holds_the_guess_is_valid(
    procfile: str, compose: str, scripts: dict[str, str], dotenv: str
) -> None:
    """It has at least one process, too."""
    with directory() as path:
        (path / "Procfile").write_text(procfile, encoding="utf-8")
        (path / "compose.yaml").write_text(compose, encoding="utf-8")
        (path / "package.json").write_text(json.dumps({"scripts": scripts}), encoding="utf-8")
        (path / ".env").write_text(dotenv, encoding="utf-8")
        (path / ".runcept.toml").write_text(guess(str(path)), encoding="utf-8")
        assert load_project(str(path), Settings()).processes
