"""`make demo`: starts examples/web-stack with the real `runcept`, uses it, looks at it, stops it.

It has a home of its own in a temporary directory, so that a daemon you already run is left alone.
Exits 0 when all went well; 1 with a sentence on stderr when something did not; 130 after Ctrl-C.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

ROOT = Path(__file__).resolve().parent.parent
STACK = "examples/web-stack"
BIN = Path(sys.executable).parent
JOB_SECONDS = 20

NEXT = f"""
That was it. Now with your own hands:

  source .venv/bin/activate
  cd {STACK}
  runcept activate
  runcept logs -f            # Ctrl-C ends the watching, not the processes
  runcept status worker
  runcept deactivate

Then `runcept init` in a project of yours.
"""


class Failed(Exception):
    """The demo cannot go on; the message says why."""


def say(text: str) -> None:
    """Print at once, before what a command prints."""
    print(text, flush=True)


def show(command: str, environ: dict[str, str]) -> None:
    """Print the command as one would type it, then run it."""
    say(f"\n$ {command}")
    status = subprocess.run(shlex.split(command), env=environ, cwd=ROOT, check=False).returncode
    if status:
        raise Failed(f"`{command}` exited {status}")


def status(environ: dict[str, str]) -> dict[str, Any]:
    """The environment as `runcept --json status` gives it."""
    command = ["runcept", "--json", "status", STACK]
    return json.loads(subprocess.run(command, env=environ, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)


def ask(url: str, body: dict[str, str] | None = None) -> dict[str, Any]:
    """The JSON that the API answers."""
    with urlopen(Request(url, json.dumps(body).encode() if body else None), timeout=10) as reply:
        return json.load(reply)


def use(environ: dict[str, str]) -> None:
    """Give the API one job over HTTP, and wait until the worker has done it."""
    [port] = next(each["ports"] for each in status(environ)["processes"] if each["name"] == "api")
    url, job = f"http://127.0.0.1:{port}/jobs", {"text": "to be or not to be"}
    say(f"\n$ curl -d '{json.dumps(job)}' {url}")
    answer = ask(url, job)
    say(json.dumps(answer))
    deadline = time.monotonic() + JOB_SECONDS
    while (done := ask(f"{url}/{answer['id']}"))["state"] != "done":
        if time.monotonic() > deadline:
            raise Failed(f"the worker did not finish the job within {JOB_SECONDS} s")
        time.sleep(0.05)
    say(f"\n$ curl {url}/{answer['id']}\n{json.dumps(done)}")


@contextmanager
def daemon_of_its_own() -> Iterator[dict[str, str]]:
    """The environment of commands with a temporary home; the daemon and all it runs end with the block."""
    with tempfile.TemporaryDirectory(prefix="runcept-demo-") as home:
        path = f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        environ = {**os.environ, "PATH": path, "RUNCEPT_HOME": os.path.join(home, "home")}
        try:
            yield environ
        finally:
            subprocess.run(["runcept", "-q", "daemon", "stop"], env=environ, cwd=ROOT, check=True)


def demo() -> None:
    """All of it, in the order in which one would do it."""
    began = time.monotonic()
    with daemon_of_its_own() as environ:
        show(f"runcept activate {STACK}", environ)
        use(environ)
        show(f"runcept status {STACK}", environ)
        show(f"runcept logs -e {STACK} -n 20", environ)
        show(f"runcept deactivate {STACK}", environ)
    say(f"{NEXT}\n({time.monotonic() - began:.1f} s)")


def main() -> int:
    """Run the demo; its exit status."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        demo()
    except (Failed, OSError, subprocess.CalledProcessError) as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted; everything that was started has been stopped.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
