"""Every error a user can meet: code, sentence, hint, exit status.

    RunceptError                      1
    ├── UsageError                    2   the command line asks for something that cannot be
    │   ├── ConfirmationNeeded
    │   ├── InstantUnclear
    │   ├── PatternInvalid
    │   ├── CursorInvalid
    │   ├── SeveralProcesses
    │   └── BadRequest                    a message that is not of the protocol
    │       └── UnknownMethod
    ├── NotFound                      3
    │   ├── ProjectNotFound
    │   ├── EnvironmentNotFound
    │   ├── EnvironmentAmbiguous
    │   ├── ProcessNotFound
    │   ├── ProcessNotTakenOver
    │   └── ClientNotFound
    ├── ConfigError                   4
    │   ├── ConfigInvalid
    │   ├── ConfigUnreadable
    │   ├── ClientFileInvalid
    │   ├── ForeignFileInvalid
    │   └── FormatUnknown
    ├── DaemonError                   5
    │   ├── HomeUnsafe
    │   ├── DaemonUnreachable
    │   ├── DaemonStartFailed
    │   └── KeeperLost
    ├── StartError                    1   why a process could not be started
    │   ├── CommandNotFound
    │   ├── CommandNotExecutable
    │   ├── CommandIsDirectory
    │   ├── WorkingDirectoryUnusable
    │   ├── SpawnRefused
    │   ├── LogsUnwritable
    │   ├── PreviousRunLives
    │   ├── NoDescriptorLeft
    │   └── PortTaken
    ├── EnvironmentActive             1
    ├── DaemonStopping                1
    ├── FileExists                    1
    ├── LogNotReadable                1
    ├── LogNotRemovable               1
    ├── WillNotBeReady                1
    ├── NotAwaited                    1
    ├── TimedOut                    124
    └── Interrupted                 130

A call site passes facts; the class writes the words. Nothing here does I/O.
"""

from __future__ import annotations

from runcept.errors.base import RemoteError, RunceptError, nearest
from runcept.errors.starting import (
    CommandIsDirectory,
    CommandNotExecutable,
    CommandNotFound,
    LogsUnwritable,
    NoDescriptorLeft,
    PortTaken,
    PreviousRunLives,
    SpawnRefused,
    StartError,
    WorkingDirectoryUnusable,
)

__all__ = [
    "BadRequest",
    "ClientFileInvalid",
    "ClientNotFound",
    "CommandIsDirectory",
    "CommandNotExecutable",
    "CommandNotFound",
    "ConfigError",
    "ConfigInvalid",
    "ConfigUnreadable",
    "ConfirmationNeeded",
    "CursorInvalid",
    "DaemonError",
    "DaemonStartFailed",
    "DaemonStopping",
    "DaemonUnreachable",
    "EnvironmentActive",
    "EnvironmentAmbiguous",
    "EnvironmentNotFound",
    "FileExists",
    "ForeignFileInvalid",
    "FormatUnknown",
    "HomeUnsafe",
    "InstantUnclear",
    "Interrupted",
    "KeeperLost",
    "LogNotReadable",
    "LogNotRemovable",
    "LogsUnwritable",
    "NoDescriptorLeft",
    "NotAwaited",
    "NotFound",
    "PatternInvalid",
    "PortTaken",
    "PreviousRunLives",
    "ProcessNotFound",
    "ProcessNotTakenOver",
    "ProjectNotFound",
    "RemoteError",
    "RunceptError",
    "SeveralProcesses",
    "SpawnRefused",
    "StartError",
    "TimedOut",
    "UnknownMethod",
    "UsageError",
    "WillNotBeReady",
    "WorkingDirectoryUnusable",
    "nearest",
]


class UsageError(RunceptError):
    """The command line asks for something that cannot be."""

    code = "usage"
    exit_status = 2
    hint = "See `runcept --help`."


class ConfirmationNeeded(UsageError):
    """A destructive operation was asked for where nobody can be asked back."""

    code = "confirmation-needed"
    hint = "Add --yes."

    def __init__(self, operation: str) -> None:
        super().__init__(f"{operation} needs a confirmation, and there is no terminal to ask on")


class InstantUnclear(UsageError):
    """A point in time, as in `--since`, that cannot be understood."""

    code = "instant-unclear"
    hint = 'Write "10m" or "1h30m" (ago), "12:30" (today), "yesterday", or "2026-11-22T08:00:00Z".'

    def __init__(self, text: str) -> None:
        super().__init__(f"{text!r} is not a point in time", text=text)


class PatternInvalid(UsageError):
    """A regular expression that does not compile."""

    code = "pattern-invalid"
    hint = "Put a backslash before a character that stands for itself: \\( \\[ \\* \\?"

    def __init__(self, pattern: str, why: str) -> None:
        super().__init__(f"{pattern!r} is not a regular expression: {why}", pattern=pattern)


class CursorInvalid(UsageError):
    """A cursor that no reading of logs gave."""

    code = "cursor-invalid"
    hint = "Leave the cursor out to read from the beginning."

    def __init__(self, cursor: str) -> None:
        super().__init__(f"{cursor[:80]!r} is not a cursor", cursor=cursor)


class BadRequest(UsageError):
    """A message that is not of the protocol: not JSON, not an object, wrong types, too long."""

    code = "bad-request"
    hint = "The client and the daemon may be of different versions: try `runcept daemon restart`."


class UnknownMethod(BadRequest):
    """A request names a method that the daemon does not have."""

    code = "unknown-method"

    def __init__(self, method: str) -> None:
        super().__init__(f"there is no method {method!r}", method=method)


class SeveralProcesses(UsageError):
    """A glob means several processes where one is asked about."""

    code = "several-processes"
    hint = "Name one of them."

    def __init__(self, pattern: str, names: list[str]) -> None:
        super().__init__(f"{pattern} means {', '.join(names)}", pattern=pattern, processes=names)


class NotFound(RunceptError):
    """Something that was named does not exist."""

    code = "not-found"
    exit_status = 3


class ProjectNotFound(NotFound):
    """No project file where one was looked for."""

    code = "project-not-found"
    hint = "Run `runcept init` to write one, or name a project with -e PATH."

    def __init__(self, directory: str, *, upwards: bool = True) -> None:
        above = " or any directory above it" if upwards else ""
        super().__init__(f"no .runcept.toml in {directory}{above}", directory=directory)


class EnvironmentNotFound(NotFound):
    """A name or path that is not of a known environment."""

    code = "environment-not-found"

    def __init__(self, name: str, known: list[str]) -> None:
        near = nearest(name, known)
        hint = (
            f"Did you mean {near}?"
            if near
            else "`runcept environments` lists the known ones; a path is known once activated."
        )
        super().__init__(f"no environment is named {name}", hint=hint, environment=name)


class EnvironmentAmbiguous(NotFound):
    """Several known environments share the name."""

    code = "environment-ambiguous"
    hint = "Name it by its path."

    def __init__(self, name: str, paths: list[str]) -> None:
        super().__init__(
            f"{len(paths)} environments are named {name}: {', '.join(paths)}", environment=name, paths=paths
        )


class ProcessNotFound(NotFound):
    """The project, whose name is `label`, has no process of this name."""

    code = "process-not-found"

    def __init__(self, name: str, label: str, path: str, known: list[str]) -> None:
        near = nearest(name, known)
        hint = f"Did you mean {near}?" if near else f"It has: {', '.join(known)}." if known else "It has no processes."
        super().__init__(f"no process {name} in {label}", hint=hint, process=name, environment=path, known=known)


class ProcessNotTakenOver(NotFound):
    """The project file has the process, and what runs was started from an older version of the file."""

    code = "process-not-taken-over"

    def __init__(self, name: str, label: str, path: str) -> None:
        super().__init__(
            f"{name} is new in the project file of {label}, which runs as it was before",
            hint=f"`runcept start {name}` takes the file over and starts it.",
            process=name,
            environment=path,
        )


class ClientNotFound(NotFound):
    """A program that talks to assistants does not seem to be used by this user: neither it nor its files are there."""

    code = "client-not-found"

    def __init__(self, client: str, title: str, program: str, path: str) -> None:
        super().__init__(
            f"{title} does not seem to be used here: there is no {path}, and no {program} on PATH",
            hint="Start it once and try again; --print shows what it needs, --project is for this project alone.",
            client=client,
            path=path,
        )


class ConfigError(RunceptError):
    """A file is invalid: the project's, the global settings, or that of a client."""

    code = "config"
    exit_status = 4


class ConfigInvalid(ConfigError):
    """A file has problems. `report` holds all of them, ready to print: place, sentence, line, caret, hint."""

    code = "config-invalid"

    def __init__(self, path: str, problems: list[dict[str, object]], report: str) -> None:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(
            f"{path} has {count}", hint="`runcept validate` shows them.", path=path, problems=problems, report=report
        )


class ConfigUnreadable(ConfigError):
    """A file cannot be read as text: it is missing, a directory, unreadable, too large, or not UTF-8."""

    code = "config-unreadable"

    def __init__(self, path: str, why: str, hint: str = "") -> None:
        super().__init__(f"{path}: {why}", hint=hint, path=path)


class ClientFileInvalid(ConfigError):
    """The file of another program, to which an entry was to be added, is not what that program could read."""

    code = "client-file-invalid"
    hint = "Correct it and try again; nothing was written."

    def __init__(self, path: str, line: int, column: int, problems: list[dict[str, object]], report: str) -> None:
        super().__init__(
            f"{path} is left as it is: it has a mistake on line {line}",
            path=path,
            line=line,
            column=column,
            problems=problems,
            report=report,
        )


class ForeignFileInvalid(ConfigError):
    """A file of another tool, from which a project file was to be made, is not what that tool could read.

    `line` counts from 1; 0: it is no line in particular.
    """

    code = "foreign-file-invalid"
    hint = "Correct it and try again; nothing was written."

    def __init__(self, path: str, line: int, why: str, hint: str | None = None) -> None:
        super().__init__(f"{path}{f', line {line}' if line else ''}: {why}", hint=hint, path=path, line=line or None)


class FormatUnknown(ConfigError):
    """A file is of no format that a project file can be made from."""

    code = "format-unknown"

    def __init__(self, path: str, why: str, formats: list[str]) -> None:
        hint = f"`runcept init --from` reads {', '.join(formats[:-1])} and {formats[-1]}."
        super().__init__(f"{path}: {why}", hint=hint, path=path, formats=formats)


class DaemonError(RunceptError):
    """The daemon cannot be reached or started."""

    code = "daemon"
    exit_status = 5


class HomeUnsafe(DaemonError):
    """The home directory could be changed by somebody else."""

    code = "home-unsafe"

    def __init__(self, path: str, why: str, hint: str) -> None:
        super().__init__(f"{path} is not used: {why}", hint=hint, path=path)


class DaemonUnreachable(DaemonError):
    """No daemon answers at the socket."""

    code = "daemon-unreachable"
    hint = "Run `runcept daemon start`; `runcept daemon logs` shows what went wrong."

    def __init__(self, socket: str, why: str, *, has_died: bool = False) -> None:
        super().__init__(f"the daemon does not answer at {socket}: {why}", socket=socket)
        self.has_died = has_died
        """It was asked, and has ended since: another one may answer."""


class DaemonStartFailed(DaemonError):
    """The daemon was started and ended, or did not answer in time."""

    code = "daemon-start-failed"

    def __init__(self, why: str, log: str) -> None:
        super().__init__(f"the daemon did not start: {why}", hint=f"Its log is {log}.", log=log)


class KeeperLost(DaemonError):
    """The keeper cannot be started, does not answer, or ended while it was asked something."""

    code = "keeper-lost"
    hint = "Processes go on running without it; `runcept daemon restart` starts another one, which takes them over."

    def __init__(self, why: str) -> None:
        super().__init__(f"the keeper is lost: {why}")


class EnvironmentActive(RunceptError):
    """An active environment cannot be forgotten."""

    code = "environment-active"
    hint = "Run `runcept deactivate` there first."

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is active", environment=path)


class DaemonStopping(RunceptError):
    """The daemon is about to end and takes no new work."""

    code = "daemon-stopping"
    hint = "Try again."

    def __init__(self) -> None:
        super().__init__("the daemon is stopping")


class FileExists(RunceptError):
    """A file would be overwritten."""

    code = "file-exists"
    hint = "Add --force to overwrite it."

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} exists already", path=path)


class LogNotReadable(RunceptError):
    """A log is there, and the system does not let us read it."""

    code = "log-not-readable"
    hint = "Check what is there, who owns it, and whether it may be read."

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path} cannot be read: {why}", path=path)


class LogNotRemovable(RunceptError):
    """A log was to be emptied, and the system does not let us."""

    code = "log-not-removable"
    hint = "Check who owns its directory, and whether it may be written to."

    def __init__(self, process: str, path: str, why: str) -> None:
        super().__init__(f"the log of {process} cannot be removed: {why}", process=process, path=path)


class TimedOut(RunceptError):
    """What was waited for did not happen in time."""

    code = "timed-out"
    exit_status = 124
    hint = "Give it longer with --timeout."

    def __init__(self, what: str, seconds: float, then: str) -> None:
        super().__init__(f"{what} within {seconds:g}s; {then}", seconds=seconds)


class WillNotBeReady(RunceptError):
    """What was waited for will not happen: the process is down, and nothing starts it by itself."""

    code = "will-not-be-ready"

    def __init__(self, name: str, what: str, now: str) -> None:
        super().__init__(f"{name} {what}: {now}", hint=f"`runcept explain {name}` tells why.", process=name)


class NotAwaited(RunceptError):
    """The wait for several processes ended for another one, before it was known what becomes of this one."""

    code = "not-awaited"
    hint = "Wait for it alone, or mend the other one first."

    def __init__(self, name: str, what: str, now: str) -> None:
        super().__init__(f"{name} {what}; {now}", process=name)


class Interrupted(RunceptError):
    """The user stopped waiting with Ctrl-C; the daemon goes on with what it was asked."""

    code = "interrupted"
    exit_status = 130
