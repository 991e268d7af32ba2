"""redis-server on $PORT where the machine has it; else fakeredis, a stand-in in pure Python."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading


def become_redis(program: str, port: str) -> None:
    """Replace this process by redis-server: the pid that Runcept watches is then the server's own."""
    os.execv(program, [program, "--bind", "127.0.0.1", "--port", port, "--save", ""])


def stand_in(port: int) -> None:
    """Speak redis until SIGTERM or SIGINT."""
    from fakeredis import TcpFakeServer

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with TcpFakeServer(("127.0.0.1", port)) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
        print(f"redis-server is not installed: a stand-in in Python listens on port {port}")
        stop.wait()
        server.shutdown()
    print("the stand-in stopped")


if __name__ == "__main__":
    redis_server = shutil.which("redis-server")
    if redis_server:
        become_redis(redis_server, os.environ["PORT"])
    sys.exit(stand_in(int(os.environ["PORT"])))
