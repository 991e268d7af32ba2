"""The tools that are compared: how each is told to run programs and keep what they write, without limit or rotation.

A tool is started by a generator function: `(place, commands) -> yields where logs are and which processes are the
tool's`. `place` is a directory of its own; `commands` are argvs by name. What it started ends with the generator.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import shlex
import shutil
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.stage import stage

__all__ = ["CROWD", "TOOLS", "Running", "Tool", "Tools"]

Commands = Mapping[str, Sequence[str]]

CROWD = 1000
"""How many processes a tool has to run that is said to be able to run many."""
NUMBER = re.compile(r"\d+(\.\d+)+")
PATIENCE = 10.0


@dataclass(frozen=True)
class Running:
    """A tool that has been told what to run. `pids`: its own processes; their descendants are also counted as its."""

    logs: Callable[[str], Path]
    """The log that what a command of that name writes is kept in."""
    pids: tuple[int, ...]


@dataclass(frozen=True)
class Tool:
    """One way to run one tool."""

    name: str
    keeps: str
    """records, timestamps, names or nothing: what stands in the log beside the bytes; it goes with each line."""
    note: str
    """How it was told to keep them."""
    program: str
    """Its command; "" for what is here anyway."""
    start: Callable[[Tools, Path, Commands], AbstractContextManager[Running]]
    head: bytes = b""
    tail: bytes = b""
    """Regular expressions of what it puts around a line."""
    many: bool = False
    """Whether it can be given a thousand processes, and is to."""


class Tools:
    """Where the programs are: in a directory that `--install` filled, or on the PATH."""

    def __init__(self, directory: Path | None) -> None:
        self._path = os.environ.get("PATH", os.defpath)
        if directory is not None:
            own = ("venv/bin", "npm/node_modules/.bin", "cargo/bin")
            self._path = os.pathsep.join([*(str(directory / each) for each in own), self._path])

    def find(self, program: str) -> str | None:
        """The path of a program."""
        return shutil.which(program, path=self._path)

    def version(self, program: str) -> str:
        """What it says of itself."""
        asked = [self._need(program), "--version"]
        if program == "pm2":  # asked, it would start a daemon
            package = Path(asked[0]).resolve().parents[1] / "package.json"
            return str(json.loads(package.read_text(encoding="utf-8"))["version"])
        done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=30)
        found = NUMBER.search(done.stdout + done.stderr)
        return found[0] if found else "?"

    @contextmanager
    def run(self, place: Path, program: str, *arguments: str, output: Path | None = None) -> Iterator[int]:
        """Have it running in a session of its own; its pid. It is told to end, and killed if it does not."""
        log = output or place / f"{program}.out"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [self._need(program), *arguments],
                cwd=place,
                env=self.environ(place),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        with ended(process):
            yield process.pid

    def environ(self, place: Path) -> dict[str, str]:
        """As they see it: a home of their own, and no settings of the one who measures."""
        kept = {key: value for key, value in os.environ.items() if key in {"LANG", "LC_ALL", "TZ", "USER", "LOGNAME"}}
        return kept | {"PATH": self._path, "HOME": str(place), "PM2_HOME": str(place / "pm2"), "TERM": "xterm"}

    def _need(self, program: str) -> str:
        found = self.find(program)
        if found is None:
            raise FileNotFoundError(program)
        return found


@contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """At the end it is over, and so is what is left of its session."""
    try:
        yield
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def cat(_tools: Tools, place: Path, commands: Commands) -> Iterator[Running]:
    """`COMMAND | cat > LOG`: what a pipe and a file take at least."""
    [(name, argv)] = commands.items()
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as producer, (place / f"{name}.log").open("wb") as log:
        reader = subprocess.Popen(["cat"], stdin=producer.stdout, stdout=log)
        assert producer.stdout
        producer.stdout.close()
        try:
            yield Running(lambda each: place / f"{each}.log", (reader.pid,))
        finally:
            producer.kill()
            reader.wait()


@contextmanager
def runcept(_tools: Tools, _place: Path, commands: Commands) -> Iterator[Running]:
    """As in any project, with a size at which nothing is rotated."""
    project = '[project]\nname = "peers"\nlog = {max_size = "1TB"}\n' + "".join(
        f"[[process]]\nname = {json.dumps(name)}\ncommand = {json.dumps(list(argv))}\n"
        for name, argv in commands.items()
    )
    with stage(project) as here:
        here.runcept("activate")
        daemon = here.document("daemon", "status")["pid"]
        keeper = int(Path(here.home, "keeper.lock").read_text(encoding="ascii").split()[0])
        yield Running(lambda name: here.project / ".runcept" / "logs" / f"{name}.jsonl", (daemon, keeper))


@contextmanager
def supervisor(tools: Tools, place: Path, commands: Commands) -> Iterator[Running]:
    """Its daemon, in the foreground, without its socket."""
    lines = ["[supervisord]", "nodaemon=true", "logfile=/dev/null", "logfile_maxbytes=0", f"pidfile={place}/pid"]
    lines.append("minfds=8192")
    for name, argv in commands.items():
        lines += [f"[program:{name}]", f"command={shlex.join(argv)}", "autorestart=false", "startsecs=0"]
        lines += [f"stdout_logfile={place}/{name}.log", "stdout_logfile_maxbytes=0", "redirect_stderr=true"]
    write(place / "supervisord.conf", *lines)
    with tools.run(place, "supervisord", "-c", "supervisord.conf") as pid:
        yield Running(lambda name: place / f"{name}.log", (pid,))


@contextmanager
def circus(tools: Tools, place: Path, commands: Commands, time_format: str = "") -> Iterator[Running]:
    """Its daemon, with FileStream."""
    lines = ["[circus]", f"endpoint=ipc://{place}/e", f"pubsub_endpoint=ipc://{place}/p", "statsd=False"]
    for name, (program, *arguments) in commands.items():
        lines += [f"[watcher:{name}]", f"cmd={program}", f"args={shlex.join(arguments)}", "respawn=False"]
        lines += ["copy_env=True", "stdout_stream.class=FileStream", f"stdout_stream.filename={place}/{name}.log"]
        if time_format:
            lines.append(f"stdout_stream.time_format={time_format}")
    write(place / "circus.ini", *lines)
    with tools.run(place, "circusd", "circus.ini") as pid:
        yield Running(lambda name: place / f"{name}.log", (pid,))


@contextmanager
def honcho(tools: Tools, place: Path, commands: Commands) -> Iterator[Running]:
    """Its standard output, in a file."""
    write(place / "Procfile", *(f"{name}: exec {shlex.join(argv)}" for name, argv in commands.items()))
    log = place / "honcho.log"
    with tools.run(place, "honcho", "start", output=log) as pid:
        yield Running(lambda _name: log, (pid,))


@contextmanager
def pm2(tools: Tools, place: Path, commands: Commands, time_format: str = "") -> Iterator[Running]:
    """Its daemon, told by a file of applications."""
    options = {"interpreter": "none", "autorestart": False, "exec_mode": "fork"}
    if time_format:
        options["log_date_format"] = time_format
    apps = [
        {"name": name, "script": argv[0], "args": list(argv[1:]), "out_file": f"{place}/{name}.log"}
        | {"error_file": f"{place}/{name}.err"}
        | options
        for name, argv in commands.items()
    ]
    write(place / "apps.json", json.dumps({"apps": apps}))
    with tools.run(place, "pm2", "start", "apps.json") as starter:
        os.waitid(os.P_PID, starter, os.WEXITED | os.WNOWAIT)
        pid = int((place / "pm2" / "pm2.pid").read_text(encoding="ascii"))
        try:
            yield Running(lambda name: place / f"{name}.log", (pid,))
        finally:
            with tools.run(place, "pm2", "kill") as killer:
                os.waitid(os.P_PID, killer, os.WEXITED | os.WNOWAIT)


@contextmanager
def concurrently(tools: Tools, place: Path, commands: Commands, prefix: str = "{time} {name}") -> Iterator[Running]:
    """Its standard output, in a file."""
    log = place / "concurrently.log"
    arguments = ["--no-color", "--prefix", prefix, "--names", ",".join(commands)]
    with tools.run(
        place, "concurrently", *arguments, *(f"exec {shlex.join(argv)}" for argv in commands.values()), output=log
    ) as pid:
        yield Running(lambda _name: log, (pid,))


@contextmanager
def mprocs(tools: Tools, place: Path, commands: Commands) -> Iterator[Running]:
    """On a terminal of 40 lines, which somebody reads; it gives each program a terminal too."""
    write(place / "mprocs.json", json.dumps({"procs": {name: {"cmd": list(argv)} for name, argv in commands.items()}}))
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    command = [tools.find("mprocs") or "mprocs", "--config", "mprocs.json", "--log-dir", str(place)]
    process = subprocess.Popen(
        command,
        cwd=place,
        env=tools.environ(place),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    reader = threading.Thread(target=drain, args=[ours])
    reader.start()
    with ended(process):
        yield Running(lambda name: place / f"{name}.log", (process.pid,))
    reader.join()
    os.close(ours)


def drain(terminal: int) -> None:
    """Read what is shown until nobody has the other side open."""
    with contextlib.suppress(OSError):
        while os.read(terminal, 65_536):
            pass


def write(path: Path, *lines: str) -> None:
    """A file of these lines."""
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


TOOLS = (
    Tool("cat", "nothing", "a pipe into `cat > FILE`: the limit", "", cat),
    Tool(
        "Runcept",
        "records",
        "its log: a JSON record with instant and stream for each line, written ahead and committed",
        "",
        runcept,
        rb'\{"ts":"[^"]{27}","stream":"stdout","message":"',
        rb'"\}',
        many=True,
    ),
    Tool("supervisor", "nothing", "`stdout_logfile`", "supervisord", supervisor, many=True),
    Tool("circus", "nothing", "`FileStream`", "circusd", circus, many=True),
    Tool(
        "circus with time",
        "timestamps",
        "`FileStream` with `time_format`",
        "circusd",
        partial(circus, time_format="%Y-%m-%d %H:%M:%S"),
        rb"[-\d]{10} [:\d]{8} \[\d+\] \| ",
    ),
    Tool("honcho", "timestamps", "its output, into a file", "honcho", honcho, rb"[:\d]{8} \S+ +\| "),
    Tool("pm2", "nothing", "`out_file`", "pm2", pm2, many=True),
    Tool(
        "pm2 with time",
        "timestamps",
        "`out_file` and `log_date_format`",
        "pm2",
        partial(pm2, time_format="YYYY-MM-DDTHH:mm:ss.SSSZ"),
        rb"[-\dT]{11}[:\d]{8}\.\d{3}\S+: ",
    ),
    Tool(
        "concurrently",
        "names",
        "its output, into a file",
        "concurrently",
        partial(concurrently, prefix="{name}"),
        rb"\S+ ",
    ),
    Tool(
        "concurrently with time",
        "timestamps",
        "the same with `--prefix '{time} {name}'`",
        "concurrently",
        concurrently,
        rb"[-\d]{10} [:.\d]{12} \S+ ",
    ),
    Tool("mprocs", "nothing", "`--log-dir`, of a terminal", "mprocs", mprocs, tail=rb"\r?"),
)
