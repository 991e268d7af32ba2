"""Every error a user can meet: code, sentence, hint, exit status.

    RunceptError                      1
    ├── UsageError                    2   the command line asks for something that cannot be
    │   ├── ConfirmationNeeded
    │   ├── InstantUnclear
    │   ├── PatternInvalid
    │   ├── CursorInvalid
    │   └── BadRequest                    a message that is not of the protocol
    │       └── UnknownMethod
    ├── NotFound                      3
    │   ├── ProjectNotFound
    │   ├── EnvironmentNotFound
    │   ├── EnvironmentAmbiguous
    │   └── ProcessNotFound
    ├── ConfigError                   4
    │   ├── ConfigInvalid
    │   └── ConfigUnreadable
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
    ├── TimedOut                    124
    └── Interrupted                 130

A call site passes facts; the class writes the words. Nothing here does I/O.
"""

from __future__ import annotations

__all__ = [
    "BadRequest",
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
    "HomeUnsafe",
    "InstantUnclear",
    "Interrupted",
    "KeeperLost",
    "LogNotReadable",
    "LogNotRemovable",
    "LogsUnwritable",
    "NoDescriptorLeft",
    "NotFound",
    "PatternInvalid",
    "PortTaken",
    "PreviousRunLives",
    "ProcessNotFound",
    "ProjectNotFound",
    "RemoteError",
    "RunceptError",
    "SpawnRefused",
    "StartError",
    "TimedOut",
    "UnknownMethod",
    "UsageError",
    "WorkingDirectoryUnusable",
    "nearest",
]


def nearest(word: str, choices: list[str]) -> str | None:
    """The one of `choices` that a typist of `word` most likely meant, or None."""
    from difflib import get_close_matches  # 6 ms: only where there is an error

    typed = max(3, len(word) // 2)  # who types "events" has not left out half of "environments"
    lowered = {choice.lower(): choice for choice in choices if abs(len(choice) - len(word)) <= typed}
    found = get_close_matches(word.lower(), list(lowered), n=1, cutoff=0.6)
    return lowered[found[0]] if found else None


class RunceptError(Exception):
    """Base of all errors. `fields` are the facts, in JSON types, that a script may act on."""

    code: str = "failed"
    exit_status: int = 1
    hint: str = ""

    def __init__(self, message: str, *, hint: str | None = None, **fields: object) -> None:
        super().__init__(message)
        self.message = message
        self.fields = fields
        if hint is not None:
            self.hint = hint

    def as_dict(self) -> dict[str, object]:
        """`{"code", "message", "hint", ...fields}`: the value of `error` in JSON output."""
        return {"code": self.code, "message": self.message, "hint": self.hint, **self.fields}


class RemoteError(RunceptError):
    """An error that the daemon answered with; it looks like the one that was raised there."""

    def __init__(self, code: str, message: str, hint: str, exit_status: int, fields: dict[str, object]) -> None:
        super().__init__(message, hint=hint, **fields)
        self.code = code
        self.exit_status = exit_status


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


class ConfigError(RunceptError):
    """The project file or the global settings are invalid."""

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

    def __init__(self, socket: str, why: str) -> None:
        super().__init__(f"the daemon does not answer at {socket}: {why}", socket=socket)


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


class StartError(RunceptError):
    """Why a process could not be started. The message is the process's `reason`."""

    code = "start-failed"


class CommandNotFound(StartError):
    """execve(2) or the search in PATH found no such file."""

    code = "command-not-found"

    def __init__(self, command: str) -> None:
        super().__init__(f"command not found: {command}", hint="Install it, or correct `command`.", command=command)


class CommandNotExecutable(StartError):
    """The file is there but has no execute permission."""

    code = "command-not-executable"

    def __init__(self, command: str) -> None:
        super().__init__(f"{command} is not executable", hint=f"chmod +x {command}", command=command)


class CommandIsDirectory(StartError):
    """The command names a directory."""

    code = "command-is-directory"

    def __init__(self, command: str) -> None:
        super().__init__(f"{command} is a directory, not a program", hint="Correct `command`.", command=command)


class WorkingDirectoryUnusable(StartError):
    """chdir(2) into the working directory failed."""

    code = "working-directory-unusable"

    def __init__(self, directory: str, why: str) -> None:
        super().__init__(
            f"cannot work in {directory}: {why}", hint="Create it, or correct `working_dir`.", directory=directory
        )


class SpawnRefused(StartError):
    """The operating system refused for a reason of its own: no memory, too many processes, a bad interpreter."""

    code = "spawn-refused"
    hint = "Of a script, check the first line; else `ulimit -a` shows the limits it may have met."

    def __init__(self, command: str, why: str) -> None:
        super().__init__(f"cannot start {command}: {why}", command=command)


class NoDescriptorLeft(StartError):
    """So much runs that another process could not be looked after with the descriptors that the daemon may have."""

    code = "no-descriptor-left"
    hint = "Stop something; or `runcept daemon stop`, raise `ulimit -n`, and start again."

    def __init__(self, command: str, runs: int) -> None:
        super().__init__(
            f"cannot start {command}: `ulimit -n` leaves room for {runs} processes; stop something,"
            " or raise it after `runcept daemon stop`",
            command=command,
            runs=runs,
        )


class LogsUnwritable(StartError):
    """There is no place for the output of a process: `.runcept` cannot be made in the project."""

    code = "logs-unwritable"
    hint = "Make the directory of the project writable for you, and check that its disk has room."

    def __init__(self, directory: str, why: str) -> None:
        super().__init__(f"cannot write logs to {directory}: {why}", directory=directory)


class PortTaken(StartError):
    """A port that a process declares is another process's: bound by it, or promised to it by Runcept.

    `process` and `environment` (a path) where that one is managed as well.
    """

    code = "port-taken"

    def __init__(
        self,
        port: int,
        owner_pid: int | None,
        owner: str,
        process: str | None = None,
        environment: str | None = None,
    ) -> None:
        who = f"pid {owner_pid} ({owner})" if owner_pid else owner
        if process is not None:
            ours = f"{process} of {environment}"
            who = f"{who}, which is {ours}" if owner_pid else f"{ours}, which {owner}"
        super().__init__(
            f"port {port} is held by {who}",
            hint='Stop that process, or set ports = "auto".',
            port=port,
            owner_pid=owner_pid,
            owner=owner,
            owner_process=process,
            owner_environment=environment,
        )


class PreviousRunLives(StartError):
    """What is left of the run before could not be ended, and there are no two of one process."""

    code = "previous-run-lives"
    hint = "End it by other means (it may be another user's, or wait for a disk), then start again."

    def __init__(self, survivors: str) -> None:
        super().__init__(f"the run before has not ended, and cannot be: {survivors}", survivors=survivors)


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
        super().__init__(f"the log {path} cannot be read: {why}", path=path)


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


class Interrupted(RunceptError):
    """The user stopped waiting with Ctrl-C; the daemon goes on with what it was asked."""

    code = "interrupted"
    exit_status = 130
