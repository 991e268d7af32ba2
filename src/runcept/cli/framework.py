"""What click lacks for us: options that stand before or after any command, commands imported when they run, our help.

Knows no command. A command's callback gets the Invocation as its first argument.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, NamedTuple

import click

from runcept.cli.invocation import Invocation, paint
from runcept.errors import UsageError, nearest

__all__ = ["Command", "Entry", "Group", "command", "usage_error"]

_HELP_WIDTH = 100


class Entry(NamedTuple):
    """One command of a group, before it is imported: where it is, under which heading and words help shows it."""

    module: str
    attribute: str
    section: str
    help: str


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    if value not in {None, False}:
        setattr(ctx.ensure_object(Invocation).options, str(param.name), value)


def _environments(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    from runcept.cli.parameters import complete_environment

    return complete_environment(ctx, param, incomplete)


def _global_options() -> list[click.Parameter]:
    def option(*names: str, **attributes: Any) -> click.Option:
        return click.Option(names, expose_value=False, callback=_remember, **attributes)

    return [
        option(
            "-e",
            "--environment",
            metavar="ENV",
            shell_complete=_environments,
            help="The project: a path in it, or the name of a known environment.",
        ),
        option("--json", is_flag=True, help="Answer with one JSON document on stdout."),
        option("-q", "--quiet", is_flag=True, help="Say only what is needed."),
        option("-v", "--verbose", is_flag=True, help="Say more."),
        option("--color", type=click.Choice(["auto", "always", "never"]), help="When to use colours and layout."),
    ]


class _Formatter(click.HelpFormatter):
    """click's, with headings in bold where colours are wanted, and without its final colons."""

    color = False

    def write_heading(self, heading: str) -> None:
        self.write(f"{paint(heading, 'bold' if self.color else '')}\n")


class _Ours(click.Command):
    """What commands and groups share: the global options, and help through the Invocation's stdout."""

    def add_global_options(self) -> None:
        self.params.extend(_global_options())

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does; but every error tells of which command it is."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            error.ctx = error.ctx or ctx
            raise

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        del ctx
        if self._help_option is None:
            self._help_option = click.Option(
                ["-h", "--help"],
                is_flag=True,
                is_eager=True,
                expose_value=False,
                callback=_show_help,
                help="Show this and exit.",
            )
        return self._help_option

    def get_help(self, ctx: click.Context) -> str:
        invocation = ctx.ensure_object(Invocation)
        formatter = _Formatter(width=min(invocation.surroundings.width, _HELP_WIDTH))
        formatter.color = invocation.color
        self.format_help(ctx, formatter)
        return formatter.getvalue().rstrip("\n")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        everywhere = {option.name for option in _global_options()}
        own: list[tuple[str, str]] = []
        shared: list[tuple[str, str]] = []
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and isinstance(param, click.Option):
                (shared if param.name in everywhere else own).append(record)
        for heading, records in (("Options", own), ("Options of every command", shared)):
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)


def _show_help(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        ctx.ensure_object(Invocation).print(ctx.get_help())
        ctx.exit()


class Command(_Ours):
    """One command."""

    def __init__(self, *arguments: Any, **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self.add_global_options()


class Group(_Ours, click.Group):
    """A group whose commands are known by their Entry and imported when used.

    Alone it prints its help; or a `callback` of its own, which is called with or without a command, says what it does.
    """

    def __init__(self, name: str, entries: Mapping[str, Entry], aliases: Mapping[str, str], **attributes: Any) -> None:
        super().__init__(
            name,
            invoke_without_command=True,
            subcommand_metavar="COMMAND …",
            **{"callback": _help_of_group, **attributes},
        )
        self.entries = entries
        self.aliases = aliases
        self.add_global_options()

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table; aliases are not listed."""
        del ctx
        return [*self.entries]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name or alias, imported now."""
        del ctx
        entry = self.entries.get(self.aliases.get(cmd_name, cmd_name))
        if entry is None:
            return None
        found = getattr(import_module(entry.module), entry.attribute)
        assert isinstance(found, click.Command)  # noqa: S101  the table of commands is ours
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first argument names. Errors: UsageError, with the nearest name."""
        name = args[0]
        found = self.get_command(ctx, name)
        if found is None and not ctx.resilient_parsing:
            options = [option for param in self.params for option in param.opts]
            near = f"--{name}" if f"--{name}" in options else nearest(name, [*self.entries, *self.aliases])
            known = f"Did you mean {near}?" if near else f"See `{ctx.command_path} --help`."
            group = ctx.command_path.partition(" ")[2]
            raise UsageError(f"there is no command {f'{group} {name}'.strip()}", hint=known, command=name)
        return name if found else None, found, args[1:]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands under their headings."""
        del ctx
        widest = max(len(name) for name in self.entries)
        for section in dict.fromkeys(entry.section for entry in self.entries.values()):
            with formatter.section(section):
                rows = [(name.ljust(widest), e.help) for name, e in self.entries.items() if e.section == section]
                formatter.write_dl(rows)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands, then the options."""
        self.format_commands(ctx, formatter)
        super().format_options(ctx, formatter)


def _help_of_group() -> None:
    ctx = click.get_current_context()
    if ctx.invoked_subcommand is None:
        ctx.ensure_object(Invocation).print(ctx.get_help())


def command(name: str, **attributes: Any) -> Callable[[Callable[..., Any]], click.Command]:
    """A decorator that makes a function, called with the Invocation first, a Command; its docstring is the help."""

    def decorate(function: Callable[..., Any]) -> click.Command:
        return click.command(name, cls=Command, **attributes)(click.pass_obj(function))

    return decorate


def usage_error(error: click.UsageError) -> UsageError:
    """A usage error of click's in our words: one sentence, and a hint with the nearest option or where help is."""
    path = error.ctx.command_path if error.ctx else "runcept"
    hint = f"See `{path} --help`."
    message = error.format_message()
    if isinstance(error, click.NoSuchOption):
        message = f"{path} has no option {error.option_name}"
        known = [name for param in error.ctx.command.params for name in param.opts] if error.ctx else []
        near = nearest(error.option_name, [name for name in known if name.startswith("--")])
        hint = f"Did you mean {near}?" if near else hint
    elif isinstance(error, click.MissingParameter) and error.param is not None:
        message = f"{path} needs {error.param.make_metavar(error.ctx)}" if error.ctx else message
    elif isinstance(error, click.BadParameter) and error.param is not None:
        message = f"{_called(error.param)}: {error.message}"
    elif isinstance(error, click.BadOptionUsage):
        message = f"{path} {message.removeprefix('Option ')}".replace(f"'{error.option_name}'", error.option_name)
    elif extra := re.fullmatch(r"Got unexpected extra arguments? \((.*)\)", message):
        message = f"{path} does not take {extra[1]}"
    return UsageError(message[:1].lower() + message[1:].rstrip("."), hint=hint)


def _called(param: click.Parameter) -> str:
    return max(param.opts, key=len) if isinstance(param, click.Option) else str(param.metavar or param.name)
