"""A server that stands in for `runcept mcp`: `python mcp_standin.py MODE [FILE]`; each mode is a way to be or to fail.

It speaks lines of JSON-RPC on stdin and stdout with nothing but the standard library. FILE gets what it was started
with, and is how a test knows that it was.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, TextIO

__all__: list[str] = []

Message = dict[str, Any]
TOOLS = [{"name": name, "inputSchema": {"type": "object"}} for name in ("start_process", "stop_process")]


def result(asked: Message) -> Message:
    """What a server that works answers."""
    if asked["method"] == "tools/list":
        return {"tools": TOOLS}
    version = asked["params"]["protocolVersion"]
    about = {"name": "runcept", "version": "9.9"}
    return {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": about}


def write(text: str, stream: TextIO = sys.stdout) -> None:
    stream.write(text + "\n")
    stream.flush()


def say(message: Message) -> None:
    write(json.dumps({"jsonrpc": "2.0", **message}))


def heard() -> Iterator[Message]:
    for line in sys.stdin:
        yield json.loads(line)


def works(answer: Callable[[Message], Message] = lambda asked: {"result": result(asked)}) -> None:
    for message in heard():
        if "id" in message:
            say({"id": message["id"], **answer(message)})


def crashes() -> None:
    write("Traceback (most recent call last):\n\nModuleNotFoundError: No module named 'runcept'\n", sys.stderr)
    sys.exit(3)


def crashes_with_a_secret() -> None:
    write("no account for API_TOKEN=ghp_0123456789abcdef", sys.stderr)
    sys.exit(1)


def is_killed() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def prints_garbage() -> None:
    write("Welcome to the server!")
    works()


def hangs() -> None:
    write("waiting for the database", sys.stderr)
    for _ in heard():
        time.sleep(3600)


def answers_an_error() -> None:
    works(lambda _: {"error": {"code": -32603, "message": "the daemon cannot be started"}})


def answers_an_error_to_the_second() -> None:
    refused: Message = {"error": {"code": -32603, "message": "no tools today"}}
    works(lambda asked: refused if asked["method"] == "tools/list" else {"result": result(asked)})


def answers_nonsense() -> None:
    works(lambda _: {"result": None})


def asks_back() -> None:
    """Notifications, a ping and a request come before the answer, which comes only once the two were answered."""
    waiting: Message | None = None
    answered = set()
    for message in heard():
        if "method" not in message:
            answered.add((message["id"], "error" in message))
        elif message["method"] == "initialize":
            waiting = message
            say({"method": "notifications/message", "params": {"level": "info", "data": "hello"}})
            say({"id": "p", "method": "ping"})
            say({"id": "r", "method": "roots/list"})
        elif "id" in message:
            say({"id": message["id"], "result": result(message)})
        if waiting and answered == {("p", False), ("r", True)}:
            say({"id": waiting["id"], "result": result(waiting)})
            waiting = None


def clings_to_life() -> None:
    """It works, and then neither the end of its stdin nor SIGTERM ends it; nor a child that it has."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"], stdin=subprocess.DEVNULL)
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        json.dump([os.getpid(), child.pid], file)
    works()
    time.sleep(3600)


def leaves_a_child_with_its_pipes() -> None:
    """It ends at once, and what it leaves holds its stdout open."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    if len(sys.argv) > 2:
        with open(sys.argv[2], "w", encoding="utf-8") as file:
            json.dump([child.pid], file)
    sys.exit(7)


def tells_what_it_was_given() -> None:
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        json.dump({"cwd": os.getcwd(), "environ": dict(os.environ), "arguments": sys.argv[3:]}, file)
    works()


def floods_stderr() -> None:
    for number in range(20_000):
        write(f"warning {number} {'x' * 80}", sys.stderr)
    works()


if __name__ == "__main__":
    globals()[sys.argv[1]]()
