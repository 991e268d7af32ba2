"""Another user of the machine gets nothing from our home: not its files, not its socket, not its processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.chaos.stage import Stage
from tests.support import program

NOBODY = 65534
CONNECT = """
import socket, sys
connection = socket.socket(socket.AF_UNIX)
try:
    connection.connect(sys.argv[1])
except PermissionError:
    sys.exit("refused by the file system")
try:
    connection.sendall(b'{"jsonrpc": "2.0", "id": 1, "method": "daemon_status"}\\n')
    answer = connection.recv(100)
except (BrokenPipeError, ConnectionResetError):
    answer = b""
sys.exit("answered" if answer else "hung up on")
"""


def as_nobody(*command: str) -> str:
    """What the program that nobody runs has said on stderr."""
    python = [program("setpriv"), f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    return subprocess.run([*python, *command], capture_output=True, text=True, check=False, cwd="/").stderr.strip()


def python_for_all() -> str:
    """A python that nobody may execute."""
    for path in ("/usr/bin/python3", sys.executable):
        if os.path.exists(path) and not as_nobody(path, "-c", ""):
            return path
    pytest.skip("there is no python here that another user may run")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_is_refused_by_directory_mode_and_credentials(stage: Stage) -> None:
    """By each alone: first as it is, then with the modes of home and socket thrown open."""
    python = python_for_all()
    stage.write({"steady": ""})
    stage.ask_for("start", "steady")
    for name in ("daemon", "keeper"):
        path = Path(stage.home) / f"{name}.sock"
        assert as_nobody(python, "-I", "-c", CONNECT, str(path)) == "refused by the file system"
    for directory in (stage.home, *list(map(str, Path(stage.home).parents))[:-2]):
        os.chmod(directory, 0o755)
    for name in ("daemon", "keeper"):
        path = Path(stage.home) / f"{name}.sock"
        path.chmod(0o666)
        assert as_nobody(python, "-I", "-c", CONNECT, str(path)) == "hung up on"
    os.chmod(stage.home, 0o700)
    assert stage.statuses()["steady"].state == "running"
