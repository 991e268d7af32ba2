"""A first project file for a directory, guessed from what is in it: Procfile, package.json, compose file, Python."""

from __future__ import annotations

import os

import msgspec

from runcept.config.environment import read_env_file
from runcept.config.guess.compose import ComposeFile, read_compose
from runcept.config.guess.node import from_package_json
from runcept.config.guess.procfile import from_procfile
from runcept.config.guess.proposal import Proposal, name_from, settle, toml_string, write_process
from runcept.config.guess.python import from_python
from runcept.config.problems import Wrong

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
    source="",
    note="An example: put your own programs in its place.",
)


def guess(directory: str) -> str:
    """The text of a commented `.runcept.toml`; it is always valid, and has at least one process.

    What is certain enough is active; what a person has to decide about stands there as a comment. Only looks at files.
    """
    directory = os.path.realpath(directory)
    compose = read_compose(directory)
    own = [_with_needs(each, compose) for each in _own(directory)]
    proposals = settle([*own, *compose.proposals])
    if not any(each.active for each in proposals):
        proposals.insert(0, _EXAMPLE)
    proposals.sort(key=lambda each: (not each.active, each.depends_on != ()))
    head = _HEAD.format(name=toml_string(name_from(os.path.basename(directory), "project")), env_files=_env(directory))
    unread = [] if compose.understood else [f"# {compose.file} is not understood: its services are missing here.\n"]
    return "\n".join([head, *unread, *(write_process(each) + "\n" for each in proposals), _FOOT])


def _own(directory: str) -> list[Proposal]:
    """What runs from the sources: a Procfile says it, else one has to guess."""
    if listed := from_procfile(directory):
        return listed
    python = from_python(directory)
    main = "frontend" if any(each.active and each.name == "web" for each in python) else "web"
    return [*python, *from_package_json(directory, main)]


def _with_needs(each: Proposal, compose: ComposeFile) -> Proposal:
    return msgspec.structs.replace(each, depends_on=compose.needs.get(each.name, ()))


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
