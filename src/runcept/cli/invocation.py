"""One run of the command line: the options that every command has, and the ways to the daemon and to the reader.

Every command gets it; it holds nothing that outlives the command.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from runcept.api.messages import NoParams, Params
from runcept.api.operations import OPERATIONS
from runcept.cli.surroundings import Surroundings
from runcept.client.connection import PATIENCE, Connection, OnProgress, rest
from runcept.core.printable import escaped, printable
from runcept.errors import RunceptError
from runcept.paths import home

__all__ = ["Invocation", "Options", "paint"]

_T = TypeVar("_T")
_COLORS = {"red": "31", "green": "32", "yellow": "33", "cyan": "36", "bold": "1", "dim": "2"}


@dataclass(slots=True)
class Options:
    """The options that stand before or after any command."""

    json: bool = False
    environment: str | None = None
    quiet: bool = False
    verbose: bool = False
    color: str = "auto"


@dataclass(slots=True)
class Invocation:
    """Where we are, what was asked for everywhere, and what follows from both."""

    surroundings: Surroundings
    options: Options = field(default_factory=Options)

    @property
    def home(self) -> str:
        """The home that this command works with."""
        return home(self.surroundings.environ)

    @property
    def drawn(self) -> bool:
        """Whether stdout is for eyes: laid out for a width, with symbols; else plain aligned text."""
        return not self.options.json and (self.surroundings.stdout_is_terminal or self.options.color == "always")

    @property
    def color(self) -> bool:
        """Whether stdout takes escape sequences."""
        return self.drawn and self._colors_wanted

    @property
    def error_color(self) -> bool:
        """Whether stderr takes escape sequences."""
        return (self.surroundings.stderr_is_terminal or self.options.color == "always") and self._colors_wanted

    @property
    def progress(self) -> bool:
        """Whether what happens is shown while it happens: on a terminal that can move its cursor."""
        return (
            self.surroundings.stderr_is_terminal
            and not self.options.json
            and not self.options.quiet
            and self.surroundings.environ.get("TERM") != "dumb"
        )

    @property
    def _colors_wanted(self) -> bool:
        if self.options.color != "auto":
            return self.options.color == "always"
        environ = self.surroundings.environ
        return not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"

    def print(self, text: str = "") -> None:
        """One line, or several, to stdout."""
        self.surroundings.stdout.write(text + "\n")

    def say(self, text: str) -> None:
        """One line to stdout that is not the answer itself; --quiet and --json leave it out."""
        if not self.options.quiet and not self.options.json:
            self.print(printable(text, color=False))

    def tell(self, text: str) -> None:
        """One line to stderr."""
        self.surroundings.stderr.write(text + "\n")

    def warn(self, warnings: Sequence[str]) -> None:
        """What a user should know besides the answer, to stderr."""
        for warning in warnings:
            self.tell(f"{paint('runcept:', 'yellow' if self.error_color else '')} {printable(warning, color=False)}")

    def print_json(self, document: object) -> None:
        """One JSON document on stdout: in one line for programs, indented on a terminal. Any msgspec type will do."""
        self.surroundings.stdout.flush()
        encoded = _json(document)
        self._write_json(msgspec.json.format(encoded) if self.surroundings.stdout_is_terminal else encoded)
        self.surroundings.stdout.flush()

    def write_json(self, document: object) -> None:
        """One of many, in one line: it is seen once stdout is flushed, and nothing but JSON was printed."""
        self._write_json(_json(document))

    def _write_json(self, encoded: bytes) -> None:
        if self.surroundings.stdout_is_terminal:
            encoded = "\n".join(map(escaped, encoded.decode().split("\n"))).encode()
        self.surroundings.stdout.buffer.write(encoded + b"\n")

    def call(
        self,
        method: str,
        params: Params | None = None,
        on_progress: OnProgress | None = None,
        *,
        patience: float | None = PATIENCE,
    ) -> Any:
        """Ask the daemon, started where none runs. As `asked`, with what `Connection.call` takes."""
        params = NoParams() if params is None else params

        def call(connection: Connection, elapsed: float) -> Any:
            return connection.call(method, rest(params, elapsed), on_progress, patience=patience)

        return self.asked(call, idempotent=OPERATIONS[method].idempotent)

    def asked(self, ask: Callable[[Connection, float], _T], *, idempotent: bool = True) -> _T:
        """What `ask` makes of a connection to the daemon, as `client.asking` has it."""
        from runcept.client.asking import asked

        return asked(self.home, self.surroundings.environ, ask, idempotent=idempotent)

    def ask(self, question: str) -> bool:
        """Whether the user answers yes; the question goes to stderr. Enter, or the end of input, is no."""
        self.surroundings.stderr.write(f"{question} [y/N] ")
        self.surroundings.stderr.flush()
        try:
            return self.surroundings.stdin.readline().strip().lower() in {"y", "yes"}
        except KeyboardInterrupt:
            self.tell("")  # the shell's prompt is to begin a line
            raise

    def nobody_reads(self) -> bool:
        """Whether the pipe at stdout was closed: `logs -f | head -1` must not wait for another line to notice."""
        from select import POLLERR, poll

        watch = poll()
        watch.register(self.surroundings.stdout.fileno(), 0)
        return any(event & POLLERR for _, event in watch.poll(0))

    def report(self, error: RunceptError) -> int:
        """Say what went wrong, as contract §4 has it; gives the exit status."""
        if self.options.json:
            self.print_json({"error": error.as_dict()})
            return error.exit_status
        self.surroundings.stdout.flush()
        paint_red = "red" if self.error_color else ""
        path = str(error.fields.get("path", ""))
        sentence = printable(self._near(path, error.message), color=False)
        self.tell(f"{paint('runcept:', paint_red)} {sentence}")
        if report := self._problems(path, error):
            self.tell("\n" + "\n".join(printable(line, color=False) for line in report.rstrip("\n").split("\n")))
        elif error.hint:
            hint = paint("hint:", "cyan" if self.error_color else "")
            self.tell(f"  {hint} {printable(error.hint, color=False)}")
        if self.options.verbose:
            for key, value in {"code": error.code, **error.fields}.items():
                if key not in {"report", "problems"}:
                    self.tell(f"  {key}: {printable(str(value), color=False)}")
        return error.exit_status

    def _near(self, path: str, sentence: str) -> str:
        """The sentence with the path as one would type it here."""
        from runcept.cli.present import near_path

        near = near_path(path, self.surroundings.cwd, self.surroundings.environ.get("HOME"))
        return sentence.replace(path, near) if len(path) > 1 else sentence

    def _problems(self, path: str, error: RunceptError) -> str:
        """The report of an invalid file, for the width of our terminal; empty for other errors."""
        found = error.fields.get("problems")
        if not isinstance(found, list) or not found:
            return str(error.fields.get("report", ""))
        from runcept.config.problems import report

        room = {"width": self.surroundings.width} if self.surroundings.stderr_is_terminal else {}
        return report(self._near(path, path), found, **room)


def _json(document: object) -> bytes:
    try:
        return msgspec.json.encode(document)
    except UnicodeEncodeError:  # a path that is not UTF-8: shown as JSON can, with lone surrogates escaped
        return json.dumps(msgspec.to_builtins(document)).encode()


def paint(text: str, color: str) -> str:
    """`text` in a colour of the eight that every terminal has; unchanged for an empty colour."""
    return f"\x1b[{_COLORS[color]}m{text}\x1b[0m" if color else text
