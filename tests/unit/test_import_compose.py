"""docker-compose.yml as a project file: which services run here and how, and key by key what becomes of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.import_stage import Taken

from runcept.core.model import Kind, Restart

WEB = "services:\n  web:\n    build: .\n    command: serve\n"


def web(directory: Path, keys: str, **files: str) -> Taken:
    """One service of the sources with these keys."""
    lines = "".join(f"    {line}\n" for line in keys.split("\n"))
    return Taken(directory, "compose.yaml", WEB + lines, **files)


def test_what_is_of_the_sources_runs_here_and_what_is_an_image_by_compose(tmp_path: Path) -> None:
    """With a build and a command, or a command and the sources mounted; else the command is in an image."""
    text = (
        "services:\n  a: {build: ., command: run a}\n  b: {image: node, command: run b, volumes: ['.:/app']}\n"
        "  c: {image: postgres, command: postgres -c x=1}\n  d: {build: ./d}\n  e: {image: x/y, profiles: [e]}\n"
        "  f: {build: ., entrypoint: ./f.sh}\n"
    )
    taken = Taken(tmp_path, "docker-compose.yml", text)
    up = "docker compose up --no-deps --no-log-prefix"
    assert {name: taken[name].command for name in taken.names} == {
        "a": "run a", "b": "run b", "c": f"{up} c", "d": f"{up} --build d", "e": f"{up} e", "f": "./f.sh",
    }  # fmt: skip
    assert taken["c"].stop_signal == "SIGINT"
    assert taken["c"].stop_timeout == 30
    assert not taken["e"].autostart
    assert '# command = "docker run --rm x/y"  # without compose' in taken.text


def test_a_file_of_another_name_is_named_to_compose(tmp_path: Path) -> None:
    """Which would not find it itself."""
    taken = Taken(tmp_path, "compose.dev.yaml", "services: {db: {image: postgres}}\n")
    assert taken["db"].command == "docker compose -f compose.dev.yaml up --no-deps --no-log-prefix db"


@pytest.mark.parametrize(
    ("written", "command"),
    [
        ("command: a --b 'c d'", "a --b 'c d'"),
        ('command: [a, --b, c d, $$E, "x${F:-1}"]', "a --b 'c d' '$E' \"x${F:-1}\""),
        ("command: [sh, -c, 'a && b $$C']", "a && b $C"),
        ("command: a $${B} ${C:-2}", "a ${B} ${C:-2}"),
        ("entrypoint: ./e.sh\ncommand: [a, b]", "./e.sh a b"),
        ("command: >\n  a\n  b", "a b"),
    ],
)
def test_commands_are_one_line_for_a_shell(tmp_path: Path, written: str, command: str) -> None:
    """That means what the container would be given: `$$` is a dollar sign, a reference is put in when it is run."""
    keys = "".join(f"    {line}\n" for line in written.split("\n"))
    taken = Taken(tmp_path, "compose.yaml", f"services:\n  web:\n    build: .\n{keys}")
    assert taken["web"].command == command


def test_dependencies_have_their_conditions(tmp_path: Path) -> None:
    """What is waited for to end is a task; started and ready are one where nothing tells health."""
    text = (
        "services:\n  web:\n    build: .\n    command: x\n    depends_on:\n      db: {condition: service_healthy}\n"
        "      migrate: {condition: service_completed_successfully, restart: true}\n"
        "      plain: {condition: service_started}\n"
        "      checked: {condition: service_started, required: false}\n"
        "  db: {image: a, healthcheck: {test: b}}\n  migrate: {build: ., command: m}\n  plain: {image: a}\n"
        "  checked: {image: a, healthcheck: {test: b}}\n"
        "  old: {build: ., command: x, depends_on: [plain, checked, gone]}\n"
        "  linked: {build: ., command: x, links: ['db:database']}\n"
    )
    taken = Taken(tmp_path, "compose.yaml", text)
    assert taken.needs("web") == {"db": "ready", "migrate": "completed", "plain": "ready", "checked": "started"}
    assert taken.needs("old") == {"plain": "ready", "checked": "started"}
    assert taken.needs("linked") == {"db": "started"}
    assert taken["migrate"].kind is Kind.TASK
    assert set(taken.lost) == {"web.depends_on.migrate.restart", "web.depends_on.checked.required", "old.depends_on"}


def test_a_task_that_is_an_image_is_run_once(tmp_path: Path) -> None:
    """`up` would not tell its exit status."""
    text = (
        "services:\n  seed: {image: seeder, restart: always}\n"
        "  web: {build: ., command: x, depends_on: {seed: {condition: service_completed_successfully}}}\n"
    )
    taken = Taken(tmp_path, "compose.yaml", text)
    assert taken["seed"].command == "docker compose run --rm --no-deps -T seed"
    assert taken["seed"].restart.when is Restart.ON_FAILURE


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("test: curl -f http://localhost:80/x || exit 1", "http://localhost:80/x"),
        ("test: [CMD, curl, -fsS, -o, /dev/null, 'http://127.0.0.1/']", "http://127.0.0.1/"),
        ("test: [CMD, wget, --spider, -q, 'http://0.0.0.0:3/h']", "http://localhost:3/h"),
        ("test: curl http://localhost/ | grep ok", "cmd://curl http://localhost/ | grep ok"),
        ("test: [CMD, pg_isready, -U, 'a b']", "cmd://pg_isready -U 'a b'"),
        ("test: [CMD-SHELL, 'test $$A = 1']", "cmd://test $A = 1"),
        ("test: [NONE]", None),
        ("disable: true\n  test: x", None),
        ("interval: 3s", None),
    ],
)
def test_a_health_check_asks_as_the_container_would(tmp_path: Path, written: str, url: str | None) -> None:
    """By itself where curl would ask one page of this machine, else by the command."""
    check = web(tmp_path, f"healthcheck:\n  {written}")["web"].health_check
    assert (check.url if check else None) == url


def test_a_health_check_has_its_times_and_a_container_is_asked_inside(tmp_path: Path) -> None:
    """Durations as Go writes them, from .env too; what is none is told, with its line."""
    text = (
        "services:\n  db:\n    image: postgres\n    healthcheck:\n      test: pg_isready -U $${POSTGRES_USER:-x}\n"
        "      interval: 1m30s\n      timeout: ${T}\n      retries: 7\n"
        "      start_period: soon\n      start_interval: 1s\n"
    )
    taken = Taken(tmp_path, "compose.yaml", text, __env="T=1.5s\n")
    check = taken["db"].health_check
    assert check is not None
    assert check.url == "cmd://docker compose exec -T db sh -c 'pg_isready -U ${POSTGRES_USER:-x}'"
    assert (check.interval, check.timeout, check.retries) == (90, 1.5, 7)
    assert set(taken.lost) == {"db.healthcheck.start_period", "db.healthcheck.start_interval"}


def test_ports_are_those_that_it_listens_on(tmp_path: Path) -> None:
    """Here those of the container, since nothing maps them; of a container those that it publishes."""
    text = (
        "services:\n  web:\n    build: .\n    command: x\n"
        "    ports: ['8080:80', '127.0.0.1:81:81', 82, '83-84:83-84', '[::1]:85:85',"
        " '${P:-86}:86/tcp', '53:53/udp', '${Q}:9', {target: 87, published: '87'}]\n"
        "  db:\n    image: postgres\n    ports: ['5433:5432', {target: 9, published: 10, protocol: udp}]\n"
    )
    taken = Taken(tmp_path, "compose.yaml", text)
    assert taken["web"].ports == (80, 81, 82, 83, 84, 85, 86, 87)
    assert taken["db"].ports == (5433,)
    assert "#   ports: 8080:80" in taken.text
    assert "#   ports: 53:53/udp" in taken.text
    assert "#   ports: ${Q}:9" in taken.text


def test_variables_are_resolved_and_left_to_the_shell_where_they_are_secret_or_unknown(tmp_path: Path) -> None:
    """.env gives what is no secret; its passwords stay in it, and the shell puts them in when it is run."""
    keys = (
        "environment:\n  A: ${LEVEL}\n  B: ${NONE:-fallback}\n  C: ${API_TOKEN}/x\n  D: ${UNKNOWN}\n  LEVEL: ${LEVEL}\n"
        "  E: a$$b\n  F: ${LEVEL:+set}\n  G: ${NONE:-${LEVEL}}\n  UNSET:\n  H: 1.10\n  I: true"
    )
    taken = web(tmp_path, keys, __env="LEVEL=debug\nAPI_TOKEN=hunter2\n")
    assert {name: value for name, value in taken["web"].env.items() if name not in {"API_TOKEN", "LEVEL"}} == {
        "A": "debug", "B": "fallback", "E": "a$b", "F": "set", "G": "debug", "H": "1.10", "I": "true",
    }  # fmt: skip
    assert taken["web"].command == 'export C="${API_TOKEN}/x"\nexport D="${UNKNOWN}"\nexec serve'
    assert "hunter2" not in taken.text


def test_hosts_of_other_services_become_this_machine(tmp_path: Path) -> None:
    """With the port that is published; a word that only looks like a host is left as it is."""
    text = (
        "services:\n  db: {image: postgres, ports: ['5433:5432']}\n  api: {build: ., command: a, ports: ['80:8000']}\n"
        "  web:\n    build: .\n    command: x\n"
        "    environment: ['URL=postgres://u:p@db:5432/db', 'DB_HOST=db', 'NAME=db',"
        " 'API=http://api:8000/v1', 'LIST=db:5432,api:8000']\n"
    )
    taken = Taken(tmp_path, "compose.yaml", text)
    assert taken["web"].env == {
        "URL": "postgres://u:p@localhost:5433/db", "DB_HOST": "localhost", "NAME": "db",
        "API": "http://localhost:8000/v1", "LIST": "localhost:5433,localhost:8000",
    }  # fmt: skip
    assert "db:5432 became localhost:5433" in taken.text


@pytest.mark.parametrize(
    ("written", "when", "most"),
    [
        ("always", Restart.ALWAYS, 10),
        ("unless-stopped", Restart.ALWAYS, 10),
        ("on-failure:3", Restart.ON_FAILURE, 3),
        ('"no"', Restart.NO, 10),
        ("no", Restart.NO, 10),
    ],
)
def test_restart_policies(tmp_path: Path, written: str, when: Restart, most: int) -> None:
    """Those that there are."""
    policy = web(tmp_path, f"restart: {written}")["web"].restart
    assert (policy.when, policy.max_restarts) == (when, most)


def test_env_files_that_are_there_are_listed(tmp_path: Path) -> None:
    """One that is not would be an error, so it is a comment with the line."""
    keys = "env_file:\n  - ./a.env\n  - {path: b.env, required: false}\n  - gone.env"
    taken = web(tmp_path, keys, a__env="A=1\n", b__env="'B\n")
    assert taken["web"].env == {"A": "1"}
    reasons = [each.reason for process in taken.imported.draft.processes for each in process.unmapped]
    assert reasons == ["line 1 of b.env is not NAME=value", "there is no such file: make it, then list it"]


def test_stopping_and_logs(tmp_path: Path) -> None:
    """Signals by name or number, sizes as docker counts them, one file less than there are."""
    keys = "stop_signal: 3\nstop_grace_period: 1m30s\nlogging: {options: {max-size: 10m, max-file: '3'}}"
    process = web(tmp_path, keys)["web"]
    assert (process.stop_signal, process.stop_timeout) == ("SIGQUIT", 90)
    assert (process.log.max_size, process.log.keep) == (10 * 1024**2, 2)


def test_a_service_runs_where_it_is_built_or_where_its_sources_are_mounted(tmp_path: Path) -> None:
    """A place in the container that is not mounted is told."""
    text = (
        "services:\n  a: {build: {context: ./api, target: dev}, command: x}\n"
        "  b: {image: node, command: x, working_dir: /app/web, volumes: ['.:/app', '/app/node_modules']}\n"
        "  c: {build: ., command: x, working_dir: /srv}\n  d: {build: 'https://git.example/x.git', command: x}\n"
    )
    taken = Taken(tmp_path, "compose.yaml", text)
    root = str(tmp_path.resolve())
    assert {name: taken[name].working_dir.removeprefix(root) for name in "abcd"} == {
        "a": "/api",
        "b": "/web",
        "c": "",
        "d": "",
    }
    assert {"a.build.target", "c.working_dir", "d.build"} <= set(taken.lost)


def test_a_service_that_extends_another_has_its_keys(tmp_path: Path) -> None:
    """Of the same file; variables are put together."""
    text = (
        "services:\n  base: {build: ., command: x, environment: {A: '1', B: '1'}}\n"
        "  web: {extends: {service: base}, command: y, environment: {B: '2'}}\n"
        "  far: {extends: {file: o.yaml, service: z}}\n"
    )
    taken = Taken(tmp_path, "compose.yaml", text)
    assert taken["web"].command == "y"
    assert taken["web"].env == {"A": "1", "B": "2"}


def test_what_restarts_a_container_restarts_the_process(tmp_path: Path) -> None:
    """What only copies files into it is not needed: they are here."""
    keys = (
        "develop:\n  watch:\n    - {action: sync, path: ./web, target: /app}\n"
        "    - {action: rebuild, path: package.json}\n"
        "    - {action: sync+restart, path: ./src, target: /src, ignore: [tmp/, '*.log'], include: ['*.py']}"
    )
    taken = web(tmp_path, keys)
    assert taken["web"].watch == ("package.json", "src/*.py", "!src/tmp/**", "!src/*.log")
    assert set(taken.lost) == {"web.develop.watch.action"}


@pytest.mark.parametrize(
    ("dockerfile", "target", "command"),
    [
        ('FROM node\nCMD ["node", "a b.js"]\n', "", "node 'a b.js'"),
        ("FROM x\nENTRYPOINT ./run\nCMD serve \\\n  --port 1\n", "", "./run serve    --port 1"),
        ("FROM x AS dev\nCMD dev\nFROM x AS live\nCMD live\n", "dev", "dev"),
        ("FROM x AS dev\nCMD dev\nFROM x AS live\nCMD live\n", "", "live"),
        ("FROM x\nCMD [\n", "", "["),
        ("FROM x\n", "", None),
        (None, "", None),
    ],
)
def test_the_command_of_a_dockerfile_is_proposed(
    tmp_path: Path, dockerfile: str | None, target: str, command: str | None
) -> None:
    """As a comment: whether all that it needs is on this machine, a person has to say."""
    (tmp_path / "api").mkdir()
    if dockerfile is not None:
        (tmp_path / "api" / "Dockerfile").write_text(dockerfile, encoding="utf-8")
    build = f"{{context: api, target: {target}}}" if target else "api"
    text = Taken(tmp_path, "compose.yaml", f"services: {{web: {{build: {build}}}}}\n").text
    proposed = [line.partition("  # ")[0] for line in text.split("\n") if line.startswith("# command = ")]
    assert proposed == ([] if command is None else [f"# command = {json.dumps(command)}"])
    assert ('# working_dir = "api"' in text) == (command is not None)


KEYS: dict[str, Any] = {
    "networks": "[a]", "volumes": "['x:/y']", "secrets": "[s]", "user": "root",
    "tty": "true", "deploy": "{replicas: 2}",
    "container_name": "n", "cap_add": "[X]", "labels": "{a: b}", "nonsense": "1", "expose": "['1']", "hostname": "h",
}  # fmt: skip


def test_what_has_no_place_is_a_comment_in_its_table(tmp_path: Path) -> None:
    """With its value, why, and the line; keys that begin with x- are nobody's."""
    taken = web(tmp_path, "\n".join([*(f"{key}: {value}" for key, value in KEYS.items()), "x-mine: 1"]))
    assert set(taken.lost) == {f"web.{key}" for key in KEYS}
    assert all(taken.lost.values())
    lines = {each.key: each.line for each in taken.imported.draft.processes[0].unmapped}
    assert lines == {key: number for number, key in enumerate(KEYS, 5)}
    assert "#   deploy: {replicas: 2}" in taken.text
