"""From `python -m runcept.host` to the loop: load the command line, stand by the daemon, listen."""

from __future__ import annotations

import gc
import os
import socket

from runcept.client.code import Code
from runcept.client.host_start import listen
from runcept.host.loading import load_everything
from runcept.host.loop import Host
from runcept.paths import socket_path
from runcept.process.apart import stand_apart

__all__ = ["main"]


def main(home: str, idle_seconds: float) -> None:
    """Run until there is a reason to end. Descriptor 3 is the lock that makes us the only one of the home."""
    os.chdir("/")
    stand_apart()
    code = Code()
    load_everything()
    code.keep_loaded()
    daemon = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        daemon.connect(socket_path(home))
    except OSError:  # it has ended meanwhile, and a host without a daemon is of no use
        return
    path = socket_path(home, "host")
    listener = listen(path)
    gc.collect()
    gc.freeze()  # a collection in a child would write to, and so copy, every page that it shares with us
    Host(path, listener, daemon, code, idle_seconds).run()
