"""docs/commands.md: every command, argument and option, as the click application has them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

from runcept.cli.app import ROOT
from runcept.cli.commands.status import list_processes
from runcept.cli.framework import Group

__all__ = ["commands_page"]

EVERYWHERE = [param for param in list_processes.params if isinstance(param, click.Option)]
"""The options that every command has: those of one that has none of its own."""

_HEAD = """\
# Commands

<!-- Made by `make docs` from src/runcept/cli: change the commands there. -->

`runcept` alone, and `--help` after any command, show what is here. `runit` is the same program.

Where a command takes `[PATH]` and names, an argument that holds a `/` or names a directory is the path. Without a
path, the project is the one of the working directory: its `.runcept.toml`, or the nearest one above it. A time to wait
is seconds, or text such as `500ms` or `1h30m`.

"""

_STATUSES = """
## Exit status

| status | means |
|---|---|
| 0 | done |
| 1 | the operation failed: a process could not be started, or has failed |
| 2 | usage: the command line asks for something that cannot be |
| 3 | there is no such process, environment, project file or client |
| 4 | the project file or the settings are invalid, or the file of a client is |
| 5 | the daemon cannot be reached or started |
| 124 | the time was up |
| 130 | interrupted |

An error is one sentence on stderr, then a hint. With `--json` it is `{"error": {"code", "message", "hint", …}}` on
stdout, with the same exit status; the codes are in [errors.md](errors.md).
"""


def commands_page() -> str:
    """The page as text."""
    root = click.Context(ROOT, info_name="runcept")
    parts = [_HEAD, *_index(), "\n## Options of every command\n\nThey may stand before or after the command.\n\n"]
    parts += _options(root, [*EVERYWHERE, *_own_options(ROOT)])
    for command in _commands(root, ROOT):
        parts += _section(root, ROOT, command)
    return "".join([*parts, _STATUSES])


def _index() -> Iterator[str]:
    yield "| | | |\n|---|---|---|\n"
    section = ""
    for name, entry in ROOT.entries.items():
        heading = f"**{entry.section}**" if entry.section != section else ""
        section = entry.section
        yield f"| {heading} | [`{name}`](#{name}) | {_cell(entry.help)} |\n"


def _commands(context: click.Context, group: Group) -> Iterator[click.Command]:
    """Those of a group, in its order."""
    found = (group.get_command(context, name) for name in group.list_commands(context))
    return (command for command in found if command is not None)


def _section(parent: click.Context, group: Group, command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=command.name, parent=parent)
    path = context.command_path
    yield f"\n{'##' if group is ROOT else '###'} {path.removeprefix('runcept ')}\n\n"
    words = inspect.cleandoc(command.help or "")
    if isinstance(command, Group):
        yield f"{words}\n"
        for each in _commands(context, command):
            yield from _section(context, command, each)
        return
    own = _own_options(command)
    arguments = [param.make_metavar(context) for param in command.params if isinstance(param, click.Argument)]
    usage = " ".join([path, *(["[OPTIONS]"] if own else []), *arguments])
    yield f"    {usage}\n\n{words}\n"
    if also := [f"`runcept {alias}`" for alias, name in group.aliases.items() if name == command.name]:
        yield f"\nAlso: {', '.join(also)}.\n"
    if own:
        yield "\n"
        yield from _options(context, own)


def _own_options(command: click.Command) -> list[click.Option]:
    shared = {option.name for option in EVERYWHERE}
    return [
        param
        for param in command.params
        if isinstance(param, click.Option) and param.name not in shared and not param.hidden
    ]


def _options(context: click.Context, options: list[click.Option]) -> Iterator[str]:
    yield "| option | |\n|---|---|\n"
    for option in options:
        names, _ = option.get_help_record(context) or ("", "")
        default = f" Default: {option.default}." if option.show_default else ""
        yield f"| `{_cell(names)}` | {_cell((option.help or '') + default)} |\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
