"""The HTTP API: POST /jobs {"text": …}, GET /jobs/ID, GET /stats, GET /health. JSON in, JSON out."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import redis
import store

QUEUE = redis.Redis.from_url(os.environ["REDIS_URL"])
LARGEST_BODY = 1_000_000  # bytes


class Problem(Exception):
    """What is wrong with a request, and the status that says so."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


def add_job(body: bytes) -> tuple[HTTPStatus, dict[str, object]]:
    """Write the job down, then put its id into the queue."""
    try:
        text = json.loads(body)["text"]
    except (ValueError, TypeError, KeyError) as error:
        raise Problem(HTTPStatus.BAD_REQUEST, 'expected {"text": "..."}') from error
    if not isinstance(text, str):
        raise Problem(HTTPStatus.BAD_REQUEST, "text is not a string")
    job = store.add(text)
    QUEUE.lpush("jobs", job)
    return HTTPStatus.ACCEPTED, {"id": job, "state": "queued", "url": f"/jobs/{job}"}


def get(path: str) -> tuple[HTTPStatus, dict[str, Any]]:
    """Answer a GET."""
    match path.strip("/").split("/"):
        case ["health"]:
            QUEUE.ping()
            return HTTPStatus.OK, {"redis": "ok", **store.counts()}
        case ["stats"]:
            return HTTPStatus.OK, {**store.counts(), "waiting": QUEUE.llen("jobs")}
        case ["jobs", number] if number.isdecimal() and (job := store.find(int(number))):
            return HTTPStatus.OK, job
    raise Problem(HTTPStatus.NOT_FOUND, f"there is nothing at {path}")


class Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.answer(lambda: get(self.path))

    def do_POST(self) -> None:
        self.answer(self.post)

    def post(self) -> tuple[HTTPStatus, dict[str, object]]:
        length = int(self.headers.get("Content-Length", 0))
        if length > LARGEST_BODY:
            self.close_connection = True
            raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {LARGEST_BODY} bytes")
        body = self.rfile.read(length)
        if self.path != "/jobs":
            raise Problem(HTTPStatus.NOT_FOUND, f"there is nothing at {self.path}")
        return add_job(body)

    def answer(self, work: Any) -> None:
        """Send what `work` gives, or what went wrong."""
        try:
            status, reply = work()
        except Problem as problem:
            status, reply = problem.status, {"error": str(problem)}
        except (redis.RedisError, sqlite3.Error) as error:
            status, reply = HTTPStatus.SERVICE_UNAVAILABLE, {"error": str(error)}
        content = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_request(self, code: int | str = "-", *_: object) -> None:
        if self.path != "/health" or code != HTTPStatus.OK:  # a line for each health check would bury the others
            print(self.command, self.path, int(code))


def main() -> None:
    """Serve until SIGTERM or SIGINT; requests that are under way are answered."""
    with ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler) as server:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
        print(f"api listens on http://127.0.0.1:{server.server_port}")
        server.serve_forever(poll_interval=0.05)
    print("api stopped")


if __name__ == "__main__":
    main()
