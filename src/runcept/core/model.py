"""What a project is, once every default is applied and every path resolved: immutable, comparable, storable.

Made by `config`, read by everything. Durations are seconds, sizes bytes, paths absolute.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

__all__ = [
    "Activity",
    "Condition",
    "Dependency",
    "Health",
    "HealthCheck",
    "Hooks",
    "Kind",
    "LogLimits",
    "Probe",
    "Process",
    "Project",
    "Restart",
    "RestartPolicy",
    "State",
    "Wake",
]


class State(StrEnum):
    """Where a process is in its life."""

    STOPPED = "stopped"
    PENDING = "pending"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    BACKOFF = "backoff"
    EXITED = "exited"
    FAILED = "failed"


class Health(StrEnum):
    """What the health check says; none where there is no check."""

    NONE = "none"
    UNKNOWN = "unknown"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


class Condition(StrEnum):
    """What a dependency must have reached before its dependent is started."""

    READY = "ready"
    STARTED = "started"
    COMPLETED = "completed"


class Restart(StrEnum):
    """When a process that ended by itself is started again."""

    NO = "no"
    ON_FAILURE = "on-failure"
    ALWAYS = "always"


class Kind(StrEnum):
    """A service is expected to stay; a task to end, and it is ready when it has ended with success."""

    SERVICE = "service"
    TASK = "task"


class Probe(StrEnum):
    """How health is asked for."""

    HTTP = "http"
    TCP = "tcp"
    CMD = "cmd"
    LOG = "log"


class Activity(StrEnum):
    """What counts as use of a process, against its inactivity timeout and its project's."""

    REQUESTS = "requests"
    """Any request of a command line or an assistant that names the environment."""
    CONNECTIONS = "connections"
    """A TCP connection from outside the environment to a port that it listens on."""
    OUTPUT = "output"
    """New lines."""
    CPU = "cpu"
    """More than 1 % of a core."""


class Wake(StrEnum):
    """What starts a process again that was stopped for inactivity."""

    CONNECT = "connect"
    """A connection to its port, which is kept for it meanwhile."""


class Dependency(msgspec.Struct, frozen=True):
    """One entry of `depends_on`."""

    name: str
    condition: Condition = Condition.READY


class HealthCheck(msgspec.Struct, frozen=True):
    """One health check. `url` is as written: http(s)://…, tcp://host:port, cmd://…, log://REGEX."""

    url: str
    probe: Probe
    target: str
    """http: the URL; tcp: "host:port"; cmd: the shell command; log: the regular expression.

    The port of the first two may be $PORT, which `check_port.resolved` makes that of a run."""
    interval: float = 30.0
    timeout: float = 5.0
    retries: int = 3
    """Failures in a row that make it unhealthy."""
    start_period: float = 60.0
    """Failures within this long after the start do not count."""
    status: tuple[int, ...] = ()
    """http: the accepted status codes; empty: 200 to 399."""


class RestartPolicy(msgspec.Struct, frozen=True):
    """Whether and how soon to start again."""

    when: Restart = Restart.NO
    delay: float = 0.5
    max_delay: float = 30.0
    max_restarts: int = 10
    """More than this many restarts within `window` and the process is failed."""
    window: float = 300.0
    on_unhealthy: bool = False


class LogLimits(msgspec.Struct, frozen=True):
    """When a log is rotated and what is kept of it."""

    max_size: int = 50_000_000
    keep: int = 5
    compress: bool = True
    max_total: int = 2_000_000_000
    """Bytes of all logs of the project together, beyond which rotations are removed, the oldest first."""


class Hooks(msgspec.Struct, frozen=True):
    """Shell commands that are run when something happens to a process; "": nothing is."""

    ready: str = ""
    failed: str = ""
    unhealthy: str = ""
    exited: str = ""


class Process(msgspec.Struct, frozen=True):
    """One `[[process]]`, resolved."""

    name: str
    command: str
    """As a person would read it."""
    argv: tuple[str, ...]
    """What is executed: for a string command the project's shell and the command."""
    working_dir: str
    description: str = ""
    env: dict[str, str] = {}
    """Global, project and process environment, merged; the captured one goes below it at the start."""
    depends_on: tuple[Dependency, ...] = ()
    restart: RestartPolicy = RestartPolicy()
    success_exit_codes: tuple[int, ...] = (0,)
    health_check: HealthCheck | None = None
    stop_signal: str = "SIGTERM"
    stop_timeout: float = 10.0
    ports: tuple[int, ...] = ()
    auto_port: bool = False
    """`ports = "auto"`: a free one is chosen at the start."""
    autostart: bool = True
    kind: Kind = Kind.SERVICE
    inactivity_timeout: float | None = None
    """None: no timeout of its own."""
    activity: tuple[Activity, ...] = (Activity.REQUESTS, Activity.CONNECTIONS)
    log: LogLimits = LogLimits()
    hooks: Hooks = Hooks()
    watch: tuple[str, ...] = ()
    """Globs of files, relative to the project's directory, whose change restarts it; "!" before one excludes."""
    wake: Wake | None = None

    @property
    def doorstep(self) -> str:
        """Where a connection wakes it, as it is said: "port 8000"; empty where none does."""
        numbers = " or ".join(map(str, self.ports))
        return f"port {numbers}" if self.wake is not None else ""


class Project(msgspec.Struct, frozen=True):
    """One `.runcept.toml`, resolved. The canonical absolute `path` of its directory is its identity."""

    path: str
    name: str
    description: str = ""
    inactivity_timeout: float | None = None
    """None: off."""
    auto_reload: bool = False
    """Reload when the project file or an env file changes."""
    auto_activate: bool = False
    """Activate when a trusting shell enters the directory."""
    notify: bool = False
    """Show failures on the desktop."""
    env_files: tuple[str, ...] = ()
    """All that were read for it: what it depends on beside its file. Absolute paths."""
    shell: tuple[str, ...] = ("/bin/sh", "-c")
    """Also runs `cmd://` health checks and hooks."""
    working_dir: str = ""
    """The base of those of its processes; where commands run that are of none. "": `path`."""
    env: dict[str, str] = {}
    """Global and project environment, merged: of commands that are of no process."""
    processes: tuple[Process, ...] = ()
    """In the order of the file; names are unique, dependencies exist and have no cycle."""

    def process(self, name: str) -> Process:
        """The process of this name; KeyError when there is none."""
        for process in self.processes:
            if process.name == name:
                return process
        raise KeyError(name)
