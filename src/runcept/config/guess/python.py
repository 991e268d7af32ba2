"""Processes of Python projects: Django's manage.py, FastAPI, Flask, Celery, and the scripts of pyproject.toml."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator
from glob import escape, glob
from typing import Any, NamedTuple

from runcept.config.guess.files import readable_text
from runcept.config.importing.draft import Proposal, name_from

__all__ = ["from_python"]

_FILES_MAX = 200
_APPS = {
    kind: re.compile(rf"^(\w+)\s*(?::\s*\w+\s*)?=\s*(?:\w+\.)?{kind}\(", re.MULTILINE)
    for kind in ("FastAPI", "Starlette", "Flask", "Celery")
}
_SERVES = re.compile(r"serve|server|web|worker|daemon|api", re.IGNORECASE)


class _App(NamedTuple):
    """An application object: `module:name`."""

    module: str
    name: str


def from_python(directory: str) -> list[Proposal]:
    """What manage.py, the requirements and the sources suggest."""
    pyproject = _pyproject(directory)
    wanted = _requirements(directory, pyproject)
    run = _runner(directory)
    found = list(_django(directory, run))
    if not found:
        found += _web(directory, wanted, run)
    if "celery" in wanted:
        found.append(_celery(directory, run))
    return found + [_script(name, run) for name in _scripts(pyproject)]


def _pyproject(directory: str) -> dict[str, Any]:
    try:
        return tomllib.loads(readable_text(os.path.join(directory, "pyproject.toml")))
    except (ValueError, RecursionError):
        return {}


def _requirements(directory: str, pyproject: dict[str, Any]) -> set[str]:
    """Names of the packages that the project says it needs, wherever it says so."""
    lines = [
        line
        for file in (*glob(os.path.join(escape(directory), "requirements*.txt")), os.path.join(directory, "Pipfile"))
        for line in readable_text(file).split("\n")
    ]
    lines += _strings(pyproject)
    names = (re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", line) for line in lines)
    return {found[1].lower() for found in names if found}


def _strings(value: object, depth: int = 0) -> Iterator[str]:
    """Every key and text in a pyproject.toml: requirements stand in many places, and are not mistaken for much else."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict) and depth < 8:
        yield from value if isinstance(value, dict) else ()
        for each in value.values() if isinstance(value, dict) else value:
            yield from _strings(each, depth + 1)


def _runner(directory: str) -> str:
    """What to put before a program of the project's environment, with its space."""
    for lockfile, runner in (("uv.lock", "uv run "), ("poetry.lock", "poetry run "), ("Pipfile.lock", "pipenv run ")):
        if os.path.exists(os.path.join(directory, lockfile)):
            return runner
    for environment in (".venv", "venv", "env"):
        if os.path.exists(os.path.join(directory, environment, "bin", "python")):
            return f"{environment}/bin/"
    return ""


def _python(run: str) -> str:
    return f"{run}python" if run else "python3"


def _django(directory: str, run: str) -> Iterator[Proposal]:
    if "django" in readable_text(os.path.join(directory, "manage.py")).lower():
        yield Proposal(
            "web",
            f"{_python(run)} manage.py runserver 8000",
            "manage.py",
            keys={"ports": [8000], "health_check": "tcp://localhost:8000"},
        )


def _web(directory: str, wanted: set[str], run: str) -> Iterator[Proposal]:
    if wanted & {"fastapi", "starlette", "uvicorn"}:
        app = _find(directory, "FastAPI") or _find(directory, "Starlette")
        module, name = app or _App("main", "app")
        command, port, source = f"{run}uvicorn {module}:{name} --reload --port 8000", 8000, "FastAPI"
    elif "flask" in wanted:
        app = _find(directory, "Flask")
        module, name = app or _App("app", "app")
        command, port, source = f"{run}flask --app {module}:{name} run --debug --port 5000", 5000, "Flask"
    else:
        return
    yield Proposal(
        "web",
        command,
        f"{source} in the requirements",
        active=app is not None,
        note="" if app else "The application was not found: correct its name.",
        keys={"ports": [port], "health_check": f"tcp://localhost:{port}"},
    )


def _celery(directory: str, run: str) -> Proposal:
    app = _find(directory, "Celery")
    return Proposal(
        "worker",
        f"{run}celery -A {f'{app.module}:{app.name}' if app else 'PROJECT'} worker --loglevel=info",
        "Celery in the requirements",
        active=app is not None,
        note="" if app else "The application was not found: correct its name.",
    )


def _find(directory: str, kind: str) -> _App | None:
    """The first module, nearest to the top, that makes an application of this kind."""
    base = escape(directory)
    files = [file for pattern in ("*.py", "*/*.py", "src/*/*.py") for file in sorted(glob(os.path.join(base, pattern)))]
    for file in files[:_FILES_MAX]:
        if made := _APPS[kind].search(readable_text(file)):
            path = os.path.relpath(file, directory).removeprefix(f"src{os.sep}").removesuffix(".py")
            module = path.removesuffix(f"{os.sep}__init__").replace(os.sep, ".")
            if re.fullmatch(r"[\w.]+", module) and not module.startswith(("test", "conftest")):
                return _App(module, made[1])
    return None


def _scripts(pyproject: dict[str, Any]) -> list[str]:
    project = pyproject.get("project")
    scripts = project.get("scripts") if isinstance(project, dict) else None
    return [name for name in scripts if re.fullmatch(r"[\w.-]+", name)] if isinstance(scripts, dict) else []


def _script(name: str, run: str) -> Proposal:
    return Proposal(
        name_from(name, "script"),
        f"{run}{name}",
        f"pyproject.toml, script {name}",
        active=False,
        note="It looks like a server." if _SERVES.search(name) else "Keep it if it is a program that stays.",
    )
