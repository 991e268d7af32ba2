"""The console script `runcept` (and `runit`): has the home's warm host run the command, or runs it here.

The host (`runcept.host`) has the command line loaded; it forks, and its child gets our arguments, environment,
directory, umask and standard streams themselves, so that terminals and pipes are as they are here. The child runs what
`in_process` runs: there is one set of commands. Mercurial's chg does the same.

A command runs once: the child begins when it gets our streams, and it gets them when it has said that it is there. If
it does not say so in time, the command is run here. (A stopped host must not hold our streams either.)

What is imported here, every command pays for: `_socket` and `_signal` are the C halves of modules that cost 6 ms more,
and even `__future__` would be a file to find. All else is imported where it is needed.
"""

import _socket
import os
import sys

from runcept import __version__

__all__ = ["ENDED", "KILLED", "PATIENCE", "READY", "REFUSED", "home_of", "installation", "main", "world"]

READY, ENDED, KILLED, REFUSED = 1, 2, 3, 4
"""What the host's side says, each with a number: a pid, an exit status, a signal, nothing."""
PATIENCE = 2.0
"""Seconds in which the child has to be there; a host that is stopped or stuck delays a command by this much."""

_INTERRUPTED = 130
_LOST = 5
_NOT_TO_BE_SERVED = {"--foreground", "exec", "mcp", "kill-all"}
"""They replace this process by another program, or ask on the terminal, which only stops those of its own session."""
_FORWARDED = (1, 2, 3, 15)  # SIGHUP, SIGINT, SIGQUIT, SIGTERM
_SOCKET_PATH_MAX = 107


def main() -> None:
    """Run the command line of this process and exit with its status."""
    home = home_of(os.environ)
    if sys.argv[1:] == ["mcp"]:  # as assistants start it; all other ways go through the command
        from runcept.client.mcp_relay import main as relay

        os._exit(relay(home))
    in_use = os.path.exists(home + "/daemon.sock")  # without a daemon there is no host, and none is started
    can_be_served = in_use and _NOT_TO_BE_SERVED.isdisjoint(sys.argv) and _is_ours(home)
    try:
        status = _served(home + "/host.sock") if can_be_served else None
        if status is not None:
            os._exit(status)  # nothing was written here that could be lost, and taking the interpreter down costs 1 ms
        from runcept.cli.in_process import run_here

        status = run_here(sys.argv[1:])
        if can_be_served:
            from runcept.client.host_start import start_host

            if os.path.exists(home + "/daemon.sock"):
                start_host(home)
    except KeyboardInterrupt:  # before there was a command to interrupt, or after
        status = _INTERRUPTED
    sys.exit(status)


def home_of(environ: "dict[str, str] | os._Environ[str]") -> str:
    """As `runcept.paths.home`, whose imports cost more than the rest of this module; a test holds them together."""
    chosen = environ.get("RUNCEPT_HOME") or os.path.join(environ.get("HOME") or os.path.expanduser("~"), ".runcept")
    return os.path.abspath(chosen)


def installation() -> str:
    """Whose code this is. A host of another installation, version or interpreter must not run our command."""
    return f"{__version__} {__file__} {sys.executable} {sys.version}"


def world() -> str:
    """What two processes of one user have to share to see the same files: the root, the groups, the coding of names."""
    root = os.stat("/")
    return f"{root.st_dev} {root.st_ino} {os.getegid()} {sorted(os.getgroups())} {sys.getfilesystemencoding()}"


def _is_ours(home: str) -> bool:
    """Whether only we can have put the socket there; where not, the command itself will say what is wrong."""
    status = os.stat(home)
    safe = status.st_uid == os.geteuid() and not status.st_mode & 0o022
    return safe and len(os.fsencode(home + "/host.sock")) <= _SOCKET_PATH_MAX


def _served(path: str) -> int | None:
    """The exit status of the command as the host's child ran it; None where it did not begin there, and never will."""
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        pid = _begun(connection, path)
        return None if pid is None else _ended(connection, pid)
    finally:
        connection.close()


def _begun(connection: _socket.socket, path: str) -> int | None:
    """Have the command run; the pid that runs it, or None."""
    connection.settimeout(PATIENCE)
    try:
        if connection.connect_ex(path) or not _listens_as_us(connection):
            return None
        connection.sendall(_message())
        kind, pid = _hear(connection)
        if kind != READY:
            return None
        _hand_over(connection)
    except OSError:  # too late, or the host ended meanwhile
        return None
    return pid


def _listens_as_us(connection: _socket.socket) -> bool:
    """Whether who is to get our environment and our streams is of our user (unix(7), SO_PEERCRED)."""
    if not hasattr(_socket, "SO_PEERCRED"):
        return True
    found = connection.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
    return int.from_bytes(found[4:8], sys.byteorder) == os.geteuid()


def _ended(connection: _socket.socket, pid: int) -> int:
    """Wait for the end of the command; its exit status."""
    connection.settimeout(None)
    _forward_signals(pid)
    kind, number = _hear(connection)
    if kind == ENDED:
        return number
    if kind == KILLED:
        _die_of(number)
    os.write(
        2, b"runcept: the process that ran this command ended without a word; `runcept status` shows what it did\n"
    )
    return _LOST


def _message() -> bytes:
    """What the command is and where it runs; `runcept.host.request` says how it is written."""
    mask = os.umask(0)
    os.umask(mask)
    streams = ["" if each is None else f"{each.encoding} {each.errors}" for each in (sys.stdin, sys.stdout, sys.stderr)]
    fields = [installation(), world(), f"{os.getpid()}", f"{mask}", f"{len(sys.argv)}", *sys.argv, *streams]
    variables = [name + b"=" + value for name, value in os.environb.items()]
    body = b"\0".join([*map(os.fsencode, fields), *variables])
    return len(body).to_bytes(4, "big") + body


def _hand_over(connection: _socket.socket) -> None:
    """Give the child our directory and those of our streams that are open."""
    directory = os.open(".", getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY)
    opened = [number for number, each in enumerate((sys.stdin, sys.stdout, sys.stderr)) if each is not None]
    carried = b"".join(each.to_bytes(4, sys.byteorder) for each in (directory, *opened))
    connection.sendmsg([b"."], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, carried)])
    os.close(directory)


def _hear(connection: _socket.socket) -> tuple[int, int]:
    """The next of the host's words, five bytes; zeros where there is none."""
    said = b""
    while len(said) < 5 and (block := connection.recv(5 - len(said))):
        said += block
    return (said[0], int.from_bytes(said[1:], "big")) if len(said) == 5 else (0, 0)


def _forward_signals(pid: int) -> None:
    """Hand on what is sent to us, unless we were started to ignore it (nohup)."""
    import _signal  # type: ignore[import-not-found]  # the C half of signal

    def forward(number: int, _: object) -> None:
        try:
            os.kill(pid, number)
        except ProcessLookupError:  # host and child have both ended: what they said last is on its way
            return

    def suspend(number: int, _: object) -> None:
        forward(_signal.SIGSTOP, None)
        _signal.signal(number, _signal.SIG_DFL)
        os.kill(os.getpid(), number)  # here we stop, and go on with SIGCONT
        _signal.signal(number, suspend)
        forward(_signal.SIGCONT, None)

    for number in _FORWARDED:
        if _signal.getsignal(number) is not _signal.SIG_IGN:
            _signal.signal(number, forward)
    if _signal.getsignal(_signal.SIGTSTP) is not _signal.SIG_IGN:
        _signal.signal(_signal.SIGTSTP, suspend)


def _die_of(number: int) -> None:
    """End by the signal that ended the child, so that whoever waits for us sees what it would have seen."""
    import _signal

    if number != _signal.SIGKILL:
        _signal.signal(number, _signal.SIG_DFL)
    os.kill(os.getpid(), number)
