"""The first project file for a directory: what is guessed from what is there, and that it is always valid."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runcept.config.guess import guess
from runcept.config.project import load_project
from runcept.config.settings import Settings
from runcept.core.model import Process, Project


def guessed(directory: Path, **files: str) -> Project:
    """The project that is guessed for these files ("__" in a name is a "."), after it went through the validator."""
    for name, text in files.items():
        file = directory / name.replace("__", ".").replace("_in_", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    (directory / ".runcept.toml").write_text(guess(str(directory)), encoding="utf-8")
    return load_project(str(directory), Settings())


def by_name(project: Project) -> dict[str, Process]:
    """The processes by their name."""
    return {process.name: process for process in project.processes}


def comments(directory: Path) -> str:
    """The commented lines of the file that was written."""
    lines = (directory / ".runcept.toml").read_text(encoding="utf-8").split("\n")
    return "\n".join(line for line in lines if line.startswith("#"))


def test_an_empty_directory_gets_a_template(tmp_path: Path) -> None:
    """One example process, and the keys one is likely to want as comments."""
    directory = tmp_path / "My Shop!"
    directory.mkdir()
    project = guessed(directory)
    assert project.name == "My-Shop"
    assert [process.name for process in project.processes] == ["example"]
    for key in ("depends_on", "health_check", "restart", "ports", "env_files", "inactivity_timeout"):
        assert key in comments(directory)


@pytest.mark.parametrize(
    ("lockfile", "runner"),
    [
        ("package-lock.json", "npm"),
        ("yarn.lock", "yarn"),
        ("pnpm-lock.yaml", "pnpm"),
        ("bun.lockb", "bun"),
        ("bun.lock", "bun"),
        ("other", "npm"),
    ],
)
def test_scripts_of_package_json_run_with_its_package_manager(tmp_path: Path, lockfile: str, runner: str) -> None:
    """The lockfile says which; the script that develops is the program, workers stand beside it, builds do not."""
    (tmp_path / lockfile).touch()
    scripts = {"build": "tsc", "start": "node .", "dev": "vite --port 5174", "worker": "node w.js", "test": "jest"}
    found = by_name(guessed(tmp_path, package__json=json.dumps({"scripts": scripts})))
    assert {name: process.command for name, process in found.items()} == {
        "web": f"{runner} run dev",
        "worker": f"{runner} run worker",
    }
    assert 'health_check = "http://localhost:5174"' in comments(tmp_path)


def test_the_package_manager_field_counts_without_a_lockfile(tmp_path: Path) -> None:
    """As corepack reads it."""
    package = {"packageManager": "pnpm@9.1.0", "scripts": {"start": "node ."}}
    assert by_name(guessed(tmp_path, package__json=json.dumps(package)))["web"].command == "pnpm run start"


@pytest.mark.parametrize("text", ["{", "[]", '{"scripts": []}', '{"scripts": {"dev": 1}}', "[" * 100_000])
def test_a_broken_package_json_suggests_nothing(tmp_path: Path, text: str) -> None:
    """It is not our file to complain about."""
    assert list(by_name(guessed(tmp_path, package__json=text))) == ["example"]


def test_a_procfile_is_taken_line_by_line(tmp_path: Path) -> None:
    """A command that uses $PORT gets the one that foreman would give it; a release step is started by name alone."""
    procfile = (
        "# comment\nweb: gunicorn app --bind :$PORT\nworker:   python w.py 'a b'\nrelease: ./migrate\n\nnonsense\n"
    )
    found = by_name(guessed(tmp_path, Procfile=procfile, package__json='{"scripts": {"dev": "x"}}'))
    assert list(found) == ["web", "worker", "release"]
    assert found["web"].ports == (5000,)
    assert found["worker"].command == "python w.py 'a b'"
    assert not found["release"].autostart
    assert "line 6: nonsense" not in comments(tmp_path)  # in a directory that is guessed at, that is nobody's concern


COMPOSE = """\
# a comment
version: "3.9"
x-common: {a: b}
services:
  web:
    build: ./api
    command: ["python", "-m", "app", "--name", "a b"]
    ports:
    - "8000:80"
    depends_on:
      cache:
        condition: service_healthy
  worker:
    build: { context: . }
    command: celery -A app worker --label $$X   # comment
    depends_on: [cache, web, unknown]
  cache:
    image: ghcr.io/library/redis:7-alpine
    ports: ["127.0.0.1:6390:6379"]
    environment:
      NOTE: "a # b: c"
    healthcheck:
      test: >
        redis-cli
        ping: pong
  mail:
    image: mailhog/mailhog
  built:
    build: .

volumes:
  data:
"""


def test_a_compose_file_becomes_local_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A known server on PATH is run here at its host port; commands are taken over; the rest is left to docker."""
    server = tmp_path / "bin" / "redis-server"
    server.parent.mkdir()
    server.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(server.parent))
    (tmp_path / "api").mkdir()
    found = by_name(guessed(tmp_path, compose__yaml=COMPOSE))
    assert sorted(found) == ["cache", "web", "worker"]
    assert found["cache"].command == "redis-server --port 6390 --save ''"
    assert found["cache"].ports == (6390,)
    assert found["cache"].health_check is not None
    assert found["web"].command == "python -m app --name 'a b'"
    assert found["web"].working_dir == str(tmp_path.resolve() / "api")
    assert found["worker"].command == "celery -A app worker --label $X"
    assert [each.name for each in found["web"].depends_on] == ["cache"]
    assert [each.name for each in found["worker"].depends_on] == ["cache", "web"]
    assert 'command = "docker compose up --no-deps --no-log-prefix mail"' in comments(tmp_path)
    assert "Its command is in the Dockerfile." in comments(tmp_path)


def test_a_server_that_is_not_installed_is_a_comment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot start is not started, nor waited for."""
    monkeypatch.setenv("PATH", str(tmp_path))
    found = by_name(guessed(tmp_path, **{"docker-compose__yml": COMPOSE}))
    assert "cache" not in found
    assert found["web"].depends_on == ()
    assert "redis-server is not on PATH." in comments(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "services:\n\tweb: x\n",
        "services:\n  web: *anchor\n",
        "services:\n  web: {}\n  web: {}\n",
        "- a\n- b\n",
        "services: [a, b\n",
        "%%%",
    ],
)
def test_a_compose_file_that_is_not_understood_is_named(tmp_path: Path, text: str) -> None:
    """Rather than half of it taken over wrongly."""
    assert list(by_name(guessed(tmp_path, compose__yaml=text))) == ["example"]
    assert "compose.yaml is not understood" in comments(tmp_path)


def test_compose_services_in_a_circle_lose_their_order(tmp_path: Path) -> None:
    """At least where it closes: the file that is written is valid, whatever the other one was."""
    text = "services:\n" + "".join(
        f"  {name}:\n    build: .\n    command: x\n    depends_on: [{need}]\n" for name, need in ("ab", "ba")
    )
    found = by_name(guessed(tmp_path, compose__yaml=text))
    assert sum(len(process.depends_on) for process in found.values()) == 1


def test_django_runs_its_server(tmp_path: Path) -> None:
    """With the interpreter of the project's own environment."""
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").touch()
    found = by_name(
        guessed(
            tmp_path,
            manage__py="import django\n",
            requirements__txt="Django>=5\ncelery[redis]>=5\n",
            shop_in_celery__py="from celery import Celery\n\napp = Celery('shop')\n",
        )
    )
    assert found["web"].command == ".venv/bin/python manage.py runserver 8000"
    assert found["web"].ports == (8000,)
    assert found["worker"].command == ".venv/bin/celery -A shop.celery:app worker --loglevel=info"


@pytest.mark.parametrize(
    ("requirement", "source", "command"),
    [
        ("fastapi", "app: FastAPI = FastAPI()", "uv run uvicorn shop.main:app --reload --port 8000"),
        ("uvicorn", "api = fastapi.FastAPI(title='x')", "uv run uvicorn shop.main:api --reload --port 8000"),
        ("flask", "site = Flask(__name__)", "uv run flask --app shop.main:site run --debug --port 5000"),
    ],
)
def test_web_frameworks_run_the_application_that_is_found(
    tmp_path: Path, requirement: str, source: str, command: str
) -> None:
    """The module that makes it, in src or beside, run by uv where its lockfile is."""
    (tmp_path / "uv.lock").touch()
    pyproject = f'[project]\nname = "shop"\ndependencies = ["{requirement}>=1"]\n[project.scripts]\nshop-cli = "a:b"\n'
    found = by_name(guessed(tmp_path, pyproject__toml=pyproject, src_in_shop_in_main__py=f"import x\n\n{source}\n"))
    assert {name: process.command for name, process in found.items()} == {"web": command}
    assert 'command = "uv run shop-cli"' in comments(tmp_path)


def test_an_application_that_is_not_found_is_a_comment(tmp_path: Path) -> None:
    """Its name has to be written by a person."""
    assert list(by_name(guessed(tmp_path, requirements__txt="flask\n"))) == ["example"]
    assert "The application was not found: correct its name." in comments(tmp_path)


def test_a_python_server_and_a_frontend_stand_beside_each_other(tmp_path: Path) -> None:
    """Two programs of one project get two names."""
    found = by_name(guessed(tmp_path, manage__py="import django\n", package__json='{"scripts": {"dev": "vite"}}'))
    assert sorted(found) == ["frontend", "web"]


def test_a_dotenv_file_is_used_if_it_can_be_read(tmp_path: Path) -> None:
    """One that is not NAME=value lines stays a comment that says so."""
    (tmp_path / ".env").write_text("A=1\n", encoding="utf-8")
    assert guessed(tmp_path).processes[0].env == {"A": "1"}
    (tmp_path / ".env").write_text("'A\n", encoding="utf-8")
    assert guessed(tmp_path).processes[0].env == {}
    assert "line 1 of" in comments(tmp_path)
