"""`runcept init --from PATH`: find the file, tell its format, read it, and make the text of the project file."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import msgspec

from runcept.config.environment import read_env_file, resolve
from runcept.config.importing.compose import COMPOSE_FILES, from_compose
from runcept.config.importing.draft import Draft, Proposal, name_from, settle
from runcept.config.importing.pitchfork import PITCHFORK_FILES, from_pitchfork
from runcept.config.importing.process_compose import PROCESS_COMPOSE_FILES, from_process_compose
from runcept.config.importing.procfile import LINE, PROCFILES, from_procfile
from runcept.config.importing.values import Table, Unmapped
from runcept.config.importing.writing import comment, write_keys, write_lost, write_process
from runcept.config.importing.yaml_source import read_yaml
from runcept.config.problems import Wrong
from runcept.config.toml_source import TomlSource, read_text
from runcept.errors import ConfigInvalid, ConfigUnreadable, ForeignFileInvalid, FormatUnknown, NotFound, UsageError
from runcept.paths import PROJECT_FILE

__all__ = ["Imported", "import_file", "lost", "read_draft", "settled"]

FORMATS = ["Procfile", "docker-compose.yml", "process-compose.yaml", "pitchfork.toml"]
_FILES = (PROCFILES, COMPOSE_FILES, PROCESS_COMPOSE_FILES, PITCHFORK_FILES)
_BYTES_MAX = 256 * 1024
"""The largest compose files there are have some 60 KB; YAML takes about 4 s for so much."""
_PROCESSES_MAX = 500
_DEPTH = 6
_HEAD = "From {file}, by `runcept init`. Look through it, then `runcept activate`."


class Imported(NamedTuple):
    """A project file that was made from another one."""

    text: str
    source: str
    """The file that was read, absolute."""
    draft: Draft
    """Settled: what is in the text, and what is not."""


def import_file(given: str, directory: str) -> Imported:
    """The project file that `directory` would get from the file (or the directory with one) at the path `given`.

    Errors: NotFound; UsageError for a directory with files of several formats; ConfigUnreadable, ForeignFileInvalid,
    FormatUnknown.
    """
    source = _find(given)
    base = os.path.dirname(source)
    if os.path.basename(base) == ".config":
        base = os.path.dirname(base)
    draft = read_draft(source, base)
    if not draft.processes:
        raise ForeignFileInvalid(source, 0, "it describes no process", "Is this the right file?")
    if len(draft.processes) > _PROCESSES_MAX:
        raise ForeignFileInvalid(source, 0, f"it describes more than {_PROCESSES_MAX} processes")
    draft = _with_lost(draft, _not_read(source))
    if os.path.exists(os.path.join(base, ".env")):
        draft = _with_project(draft, env_files=[".env", *draft.project.get("env_files", [])])
    draft = settled(_moved(draft, os.path.relpath(base, directory)), directory)
    name = name_from(str(draft.project.get("name", "")), name_from(os.path.basename(directory), "project"))
    draft = _with_project(draft, name=name)
    if not draft.processes:
        raise ForeignFileInvalid(source, 0, f"nothing in it can be run: {draft.unmapped[0].reason}")
    return Imported(_text_of(draft, os.path.basename(source)), source, draft)


def _text_of(draft: Draft, file: str) -> str:
    """The project file of a settled draft."""
    ordered = {key: draft.project[key] for key in ("name", *draft.project)}
    head = [*comment(_HEAD.format(file=file)), "", "[project]"]
    project = [*write_keys(ordered, "project", write_lost(draft.unmapped, file)), ""]
    return "\n".join([*head, *project, *(_process_text(each, file) for each in draft.processes)])


def _process_text(each: Proposal, file: str) -> str:
    return write_process(msgspec.structs.replace(each, source=""), file) + "\n"  # the head says where it is from


def settled(draft: Draft, directory: str) -> Draft:
    """As `draft.settle`, with env files looked at in `directory`."""
    files = {file for each in (draft.project, *(p.keys for p in draft.processes)) for file in each.get("env_files", ())}
    return settle(draft, {file: why for file in files if (why := _why_unreadable(directory, file))})


def _why_unreadable(directory: str, file: str) -> str:
    place = "" if "\0" in file or not file.strip() else resolve(directory, file)
    if not place or not os.path.exists(place):
        return "there is no such file: make it, then list it"
    try:
        read_env_file(place)
    except Wrong as wrong:
        return wrong.message.replace(place, file)
    return ""


def _variables(directory: str, file: str = ".env") -> dict[str, str]:
    """What the file `.env` of a directory says; nothing when it cannot be read."""
    try:
        return read_env_file(os.path.join(directory, file))
    except Wrong:
        return {}


def read_draft(source: str, base: str, here: Callable[[str], bool] | None = None) -> Draft:
    """What the file says, not yet settled; `here` as for `from_compose`."""
    text = _text(source)
    name = os.path.basename(source)
    form, table = _form(source, name, text)
    if form is PROCFILES or table is None:
        return from_procfile(text, name, _variables(base, ".overmind.env"), _first_port(base, name))
    if form is COMPOSE_FILES:
        return from_compose(table, name, base, _variables(base), here)
    if form is PROCESS_COMPOSE_FILES:
        return from_process_compose(table, name, _variables(base))
    return from_pitchfork(table, name)


def _text(source: str) -> str:
    try:
        if os.path.getsize(source) > _BYTES_MAX:
            raise ConfigUnreadable(source, f"it is larger than {_BYTES_MAX // 1024} KiB", "Is this the right file?")
        return read_text(source).replace("\r\n", "\n")
    except OSError as error:
        raise NotFound(f"there is no file {source}", hint="Name the file to read.", path=source) from error


def _find(given: str) -> str:
    place = os.path.realpath(given)
    if not os.path.exists(place):
        raise NotFound(f"there is no file {given}", hint="Name the file to read, or its directory.", path=given)
    if not os.path.isdir(place):
        return place
    found = [next((n for n in names if os.path.isfile(os.path.join(place, n))), None) for names in _FILES]
    files = [name for name in found if name is not None]
    if not files:
        raise FormatUnknown(given, "no file in it is of a format that can be read", FORMATS)
    if len(files) > 1:
        hint = f"Name one: --from {os.path.join(given, files[0])}"
        raise UsageError(f"{given} has {', '.join(files[:-1])} and {files[-1]}", hint=hint)
    return os.path.join(place, files[0])


def _form(source: str, name: str, text: str) -> tuple[Iterable[str], Table | None]:
    """The format, by the file's name, else by what is in it; and its values."""
    lowered = name.lower()
    if lowered.startswith("procfile") or lowered.endswith(".procfile"):
        return PROCFILES, None
    if name == PROJECT_FILE:
        raise FormatUnknown(source, "it is a project file already", FORMATS)
    if lowered.endswith(".toml"):
        table = _toml(source, text)
        if "daemons" in table or lowered.startswith("pitchfork"):
            return PITCHFORK_FILES, table
    elif lowered.endswith((".yaml", ".yml")):
        table = read_yaml(source, text)
        if "processes" in table or (lowered.startswith("process-compose") and "services" not in table):
            return PROCESS_COMPOSE_FILES, table
        if "services" in table or "compose" in lowered:
            return COMPOSE_FILES, table
    else:
        lines = [line for line in text.split("\n") if line.strip() and not line.lstrip().startswith("#")]
        if lines and all(LINE.fullmatch(line.rstrip()) for line in lines):
            return PROCFILES, None
    raise FormatUnknown(source, "it is of no format that can be read", FORMATS)


def _toml(source: str, text: str) -> Table:
    try:
        read = TomlSource(source, text)
    except ConfigInvalid as error:
        problems: Any = error.fields["problems"]
        raise ForeignFileInvalid(source, problems[0]["line"], problems[0]["message"]) from error
    from runcept.config.positions import Positions

    positions = Positions(read.text)

    def tabled(value: Any, path: tuple[str | int, ...]) -> Any:
        if isinstance(value, list) and len(path) < _DEPTH:
            return [tabled(inner, (*path, at)) for at, inner in enumerate(value)]
        if not isinstance(value, dict):
            return value
        lines = {key: positions.find((*path, key), key=True).line for key in value}
        return Table({key: tabled(inner, (*path, key)) for key, inner in value.items()}, lines)

    table: Table = tabled(read.values, ())
    return table


def _first_port(base: str, name: str) -> int:
    """As foreman, which takes PORT of `.env`; for Procfile.dev `bin/dev` of Rails sets it."""
    said = _variables(base).get("PORT", "")
    if not said and name == "Procfile.dev":
        try:
            found = re.search(r"PORT=\"?\$\{PORT:-(\d{2,5})\}", read_text(os.path.join(base, "bin", "dev")))
        except (OSError, ConfigUnreadable):
            found = None
        said = found[1] if found else ""
    return int(said) if said.isdecimal() and said.isascii() and len(said) < 6 else 5000


def _not_read(source: str) -> list[Unmapped]:
    """Files beside it that its tool would read as well."""
    stem, _, kind = os.path.basename(source).rpartition(".")
    names = [f"{stem}.override.{kind}", f"{stem}.local.{kind}"]
    there = [name for name in names if stem and os.path.isfile(os.path.join(os.path.dirname(source), name))]
    return [Unmapped(name, "", "a file of its own, which is not read", 0) for name in there]


def _with_lost(draft: Draft, more: list[Unmapped]) -> Draft:
    return msgspec.structs.replace(draft, unmapped=(*more, *draft.unmapped))


def _with_project(draft: Draft, **keys: Any) -> Draft:
    return msgspec.structs.replace(draft, project={**draft.project, **keys})


def _moved(draft: Draft, base: str) -> Draft:
    """Paths of a project file in another directory than the one that they were written for."""
    if base == ".":
        return draft
    project = {**draft.project, "working_dir": base}
    if "env_files" in project:
        project["env_files"] = _below(base, project["env_files"])
    return msgspec.structs.replace(
        draft, project=project, processes=tuple(_process_moved(each, base) for each in draft.processes)
    )


def _process_moved(each: Proposal, base: str) -> Proposal:
    keys: dict[str, Any] = dict(each.keys)
    for key in ("env_files", "watch"):
        if key in keys:
            keys[key] = _below(base, keys[key])
    return msgspec.structs.replace(each, keys=keys)


def _below(base: str, paths: Iterable[str]) -> list[str]:
    return [
        path
        if path.startswith(("/", "~"))
        else f"!{os.path.join(base, path[1:])}"
        if path[:1] == "!"
        else os.path.join(base, path)
        for path in paths
    ]


def lost(draft: Draft) -> list[tuple[str, Unmapped]]:
    """All that is not in the file, each with the process that it was of ("": of none), in the order of the text."""
    own = [("", each) for each in draft.unmapped]
    return own + [(process.name, each) for process in draft.processes for each in process.unmapped]
