"""What the entry sends and the host reads; and that the entry, which every command pays for, stays small."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from runcept.cli import entry
from runcept.host.request import MESSAGE_MAX, Request, RequestBroken, read_request
from runcept.paths import home, socket_path


def framed(*fields: bytes) -> bytes:
    """A message of these fields."""
    body = b"\0".join(fields)
    return len(body).to_bytes(4, "big") + body


def test_a_request_is_read_as_it_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arguments, variables and directories of any bytes, an empty argument, a stream that is closed."""
    arguments = ["runcept", "", "a\nb", "größer", "\udcff"]
    monkeypatch.setattr(sys, "argv", arguments)
    monkeypatch.setattr(sys, "stdin", None)
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.setenv("ODD", "a=b\n\udcff")
    request = read_request(entry._message())
    assert isinstance(request, Request)
    assert request.arguments == arguments
    assert request.environ == dict(os.environb)
    assert request.streams[0] is None
    assert request.streams[2] == (sys.stderr.encoding, sys.stderr.errors)
    assert (request.installation, request.world, request.pid) == (entry.installation(), entry.world(), os.getpid())


def test_a_request_comes_in_any_pieces() -> None:
    """Until its last byte has come there is none."""
    message = entry._message()
    assert all(read_request(message[:length]) is None for length in range(0, len(message), 37))
    assert read_request(message) is not None


@pytest.mark.parametrize(
    "received",
    [
        (MESSAGE_MAX + 1).to_bytes(4, "big"),
        b"\0\0\0\1ab",
        b"\0\0\0\4abcd",
        framed(b"installation", b"world", b"one", b"18", b"1", b"runcept", b"", b"", b""),
        framed(b"installation", b"world", b"1", b"18", b"0", b"", b"", b""),
        framed(b"installation", b"world", b"1", b"18", b"9", b"runcept", b"", b"", b""),
        framed(b"installation", b"world", b"1", b"18", b"1", b"runcept", b"utf-8", b"", b""),
    ],
)
def test_what_is_no_request_is_refused(received: bytes) -> None:
    """Too long, longer than it says, too short, numbers that are none, arguments that are not there."""
    with pytest.raises(RequestBroken):
        read_request(received)


@pytest.mark.parametrize(
    "environ",
    [
        {"RUNCEPT_HOME": "/a/../b/", "HOME": "/h"},
        {"RUNCEPT_HOME": "relative", "HOME": "/h"},
        {"RUNCEPT_HOME": "", "HOME": "/h"},
        {"HOME": "/h/"},
        {"HOME": ""},
        {},
    ],
)
def test_the_entry_finds_the_home_that_the_commands_find(environ: dict[str, str]) -> None:
    """It has its own two lines for this, since `runcept.paths` costs more than all of it."""
    assert entry.home_of(environ) == home(environ)
    assert socket_path(home(environ)) == entry.home_of(environ) + "/daemon.sock"
    assert socket_path(home(environ), "host") == entry.home_of(environ) + "/host.sock"


def test_the_entry_imports_next_to_nothing() -> None:
    """Each further module would be paid for by every command."""
    code = "import sys; before = {*sys.modules}; import runcept.cli.entry; print(*sorted({*sys.modules} - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["_socket", "runcept", "runcept.cli", "runcept.cli.entry"]
