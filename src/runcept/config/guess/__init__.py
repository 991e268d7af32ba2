"""A first project file for a directory, guessed from what is in it: Procfile, package.json, compose file, Python."""

from __future__ import annotations

import os
import shutil

import msgspec

from runcept.config.environment import read_env_file
from runcept.config.guess.node import from_package_json
from runcept.config.guess.python import from_python
from runcept.config.importing.compose import COMPOSE_FILES
from runcept.config.importing.draft import Draft, Proposal, name_from
from runcept.config.importing.pitchfork import PITCHFORK_FILES
from runcept.config.importing.process_compose import PROCESS_COMPOSE_FILES
from runcept.config.importing.procfile import PROCFILES
from runcept.config.importing.project_file import read_draft, settled
from runcept.config.importing.writing import comment, toml_string, write_process
from runcept.config.problems import Wrong
from runcept.errors import ConfigError, NotFound

__all__ = ["guess"]

_HEAD = """\
# What this project runs. `runcept activate` starts it, `runcept validate` checks this file.

[project]
name = {name}
{env_files}
# description = "…"
# inactivity_timeout = "30m"       # stop everything after this long without use
# env = {{ LOG_LEVEL = "debug" }}    # for every process; beside it: env_files, working_dir, shell
"""
_FOOT = """\
# More keys of a process:
#   depends_on = ["database"]                       what must be ready before it is started
#   health_check = "http://localhost:8000/health"   or tcp://host:port, cmd://COMMAND, log://REGEX
#   restart = "on-failure"                          or "always"; "no" if not written
#   ports = [8000]                                  checked to be free, and given to it as $PORT; or "auto"
#   env = { DEBUG = true }                          and env_files = [".env.local"]
#   working_dir = "backend"                         where it runs
#   stop_timeout = "10s"                            what it has to end in after stop_signal = "SIGTERM"
"""
_EXAMPLE = Proposal(
    "example",
    "while true; do date; sleep 5; done",
    note="An example: put your own programs in its place.",
)


def guess(directory: str) -> str:
    """The text of a commented `.runcept.toml`; it is always valid, and has at least one process.

    What is certain enough is active; what a person has to decide about stands there as a comment. Only looks at files.
    """
    directory = os.path.realpath(directory)
    unread: list[str] = []
    compose = _imported(directory, COMPOSE_FILES, unread)
    needs = {each.name: each.needs for each in compose}
    own = [
        msgspec.structs.replace(each, needs=each.needs or needs.get(each.name, ())) for each in _own(directory, unread)
    ]
    unread += _others(directory)
    proposals = list(settled(Draft((*own, *compose)), directory).processes)
    if not any(each.active for each in proposals):
        proposals.insert(0, _EXAMPLE)
    proposals.sort(key=lambda each: (not each.active, each.needs != ()))
    head = _HEAD.format(name=toml_string(name_from(os.path.basename(directory), "project")), env_files=_env(directory))
    texts = (write_process(each, each.source.partition(",")[0]) + "\n" for each in proposals)
    return "\n".join([head, *unread, *texts, _FOOT])


def _own(directory: str, unread: list[str]) -> list[Proposal]:
    """What runs from the sources: a Procfile says it, else one has to guess."""
    if listed := _imported(directory, PROCFILES, unread):
        return listed
    python = from_python(directory)
    main = "frontend" if any(each.active and each.name == "web" for each in python) else "web"
    return [*python, *from_package_json(directory, main)]


def _imported(directory: str, files: tuple[str, ...], unread: list[str]) -> list[Proposal]:
    """What the first of these files that says something says; why one cannot be read goes to `unread`, as a comment."""
    for name in files:
        try:
            draft = read_draft(
                os.path.join(directory, name), directory, lambda program: shutil.which(program) is not None
            )
        except NotFound:
            continue
        except ConfigError as error:
            why = error.message.replace(f"{directory}{os.sep}", "")
            unread.append("\n".join([*comment(f"{name} is not understood: its processes are missing here. {why}"), ""]))
            continue
        if draft.processes:
            return list(draft.processes)
    return []


def _others(directory: str) -> list[str]:
    """A comment about each file that is a project file of another tool, and wants to be taken over as one."""
    there = (name for files in (PROCESS_COMPOSE_FILES, PITCHFORK_FILES) for name in files)
    return [
        f"# {name} is here: `runcept init --from {name} --force` makes this file of it.\n"
        for name in there
        if os.path.isfile(os.path.join(directory, name))
    ]


def _env(directory: str) -> str:
    """The line about `.env`, which stays a comment when that file cannot be read as one."""
    file = os.path.join(directory, ".env")
    if not os.path.exists(file):
        return '# env_files = [".env"]'
    try:
        read_env_file(file)
    except Wrong as wrong:
        return f'# env_files = [".env"]  # {toml_string(wrong.message)}'
    return 'env_files = [".env"]'
