"""docs/errors.md: every error that a user can meet, made for the page, so that its words are those of the program."""

from __future__ import annotations

import json
from collections.abc import Iterator

from runcept import errors as e

__all__ = ["EXAMPLES", "errors_page"]

EXAMPLES: tuple[e.RunceptError, ...] = (
    e.UsageError("runcept logs has no option --folow", hint="Did you mean --follow?"),
    e.ConfirmationNeeded("kill-all"),
    e.InstantUnclear("last tuesday"),
    e.PatternInvalid("(GET", "missing ), unterminated subpattern at position 0"),
    e.CursorInvalid("abc"),
    e.SeveralProcesses("w*", ["web", "worker"]),
    e.BadRequest("not a JSON-RPC request: JSON is malformed"),
    e.UnknownMethod("frobnicate"),
    e.ProjectNotFound("/home/ada/shop"),
    e.EnvironmentNotFound("shopp", ["shop", "blog"]),
    e.EnvironmentAmbiguous("shop", ["/home/ada/shop", "/home/ada/old/shop"]),
    e.ProcessNotTakenOver("worker", "shop", "/home/ann/shop"),
    e.ProcessNotFound("wrker", "shop", "/home/ada/shop", ["web", "worker", "redis"]),
    e.ClientNotFound("cursor", "Cursor", "cursor", "/home/ada/.cursor"),
    e.ConfigInvalid("/home/ada/shop/.runcept.toml", [{}, {}], "…"),
    e.ConfigUnreadable("/home/ada/shop/.runcept.toml", "it is a directory", "Name the project file, or its directory."),
    e.ClientFileInvalid("/home/ada/shop/.mcp.json", 3, 5, [{}], "…"),
    e.ForeignFileInvalid("/home/ada/shop/compose.yaml", 12, "the key ports stands there twice"),
    e.FormatUnknown(
        "/home/ada/shop/Makefile",
        "it is of no format that can be read",
        ["Procfile", "docker-compose.yml", "process-compose.yaml", "pitchfork.toml"],
    ),
    e.HomeUnsafe("/home/ada/.runcept", "others may write to it", "chmod 700 /home/ada/.runcept"),
    e.DaemonUnreachable("/home/ada/.runcept/daemon.sock", "connection refused"),
    e.DaemonStartFailed("it did not answer within 10 s", "/home/ada/.runcept/logs/daemon.stderr"),
    e.KeeperLost("it has ended"),
    e.CommandNotFound("celery"),
    e.CommandNotExecutable("/home/ada/shop/run.sh"),
    e.CommandIsDirectory("/home/ada/shop"),
    e.WorkingDirectoryUnusable("/home/ada/shop/backend", "no such file or directory"),
    e.SpawnRefused("/home/ada/shop/run.sh", "exec format error"),
    e.NoDescriptorLeft("npm", 6),
    e.PortTaken(8000, 4711, "node server.js", "web", "/home/ann/shop"),
    e.LogsUnwritable("/home/ada/shop/.runcept", "permission denied"),
    e.PreviousRunLives("pid 4711 (dd of=/mnt/disk)"),
    e.EnvironmentActive("/home/ada/shop"),
    e.DaemonStopping(),
    e.FileExists("/home/ada/shop/.runcept.toml"),
    e.LogNotReadable("/home/ada/shop/.runcept/logs/web.jsonl", "permission denied"),
    e.LogNotRemovable("web", "/home/ada/shop/.runcept/logs/web.jsonl", "permission denied"),
    e.WillNotBeReady("worker", "is not ready", "it is failed: exit code 1: no module named shop"),
    e.NotAwaited("web", "is not ready yet", "it is starting: waits for its health check http://localhost:8000/"),
    e.TimedOut("not ready", 60, "it goes on starting"),
    e.Interrupted("interrupted; what was started goes on running", hint="`runcept status` shows it."),
)
"""One of each class that is raised, in the order of the page."""

_EXAMPLE = e.ProcessNotFound("wrker", "shop", "/home/ada/shop", ["web", "worker", "redis"])
_HEAD = f"""\
# Errors

<!-- Made by `make docs` from src/runcept/errors.py: change the errors there. -->

An error is one sentence on stderr, then a hint, and an [exit status](commands.md#exit-status) that tells what kind of
thing went wrong. With `--json` it is one document on stdout: `code`, `message`, `hint`, and the facts as fields of
their own.

```json
{json.dumps({"error": _EXAMPLE.as_dict()}, indent=2)}
```

Codes, fields and exit statuses are promises to scripts; the words may get better. The sentences below are examples,
made by the same code that makes the real ones.

Why a process could not be started (`start-failed` and below) is an error of no command: it is the `reason` of the
process, which `activate`, `start` and `status` show; they exit 1.
"""


def errors_page() -> str:
    """The page as text."""
    return "".join([_HEAD, *_families()])


def _families() -> Iterator[str]:
    family: type[e.RunceptError] | None = None
    for error in EXAMPLES:
        of = _family(type(error))
        if of is not family:
            family = of
            yield f"\n## {_title(of)}\n\n| code | exit status | sentence | hint |\n|---|---|---|---|\n"
        cells = (f"`{error.code}`", str(error.exit_status), _cell(error.message), _cell(error.hint))
        yield f"| {' | '.join(cells)} |\n"


def _family(error: type[e.RunceptError]) -> type[e.RunceptError]:
    """The class below RunceptError that it descends from, where that has others below it too."""
    top = error.__mro__[error.__mro__.index(e.RunceptError) - 1]
    return top if top.__subclasses__() else e.RunceptError


def _title(family: type[e.RunceptError]) -> str:
    text = "Others" if family is e.RunceptError else (family.__doc__ or "").partition(".")[0]
    return f"{text} (`{family.code}`)" if family is not e.RunceptError else text


def _cell(text: str) -> str:
    for special in "\\|*<":
        text = text.replace(special, f"\\{special}")
    return text
