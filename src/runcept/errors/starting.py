"""Why a process could not be started: each is the reason of a process, and has a hint for whoever reads that."""

from __future__ import annotations

from runcept.errors.base import RunceptError

__all__ = [
    "CommandIsDirectory",
    "CommandNotExecutable",
    "CommandNotFound",
    "LogsUnwritable",
    "NoDescriptorLeft",
    "PortTaken",
    "PreviousRunLives",
    "SpawnRefused",
    "StartError",
    "WorkingDirectoryUnusable",
]


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
