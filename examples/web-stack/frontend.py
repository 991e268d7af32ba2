"""The page in public/, and /api/… handed on to the API, as the development server of a frontend does."""

from __future__ import annotations

import os
import signal
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

API_URL = os.environ["API_URL"]


class Handler(SimpleHTTPRequestHandler):
    """One connection of a browser."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments, directory="public")

    def do_GET(self) -> None:
        if self.path.startswith("/api/"):
            self.hand_on(None)
        else:
            super().do_GET()

    def do_POST(self) -> None:
        self.hand_on(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def hand_on(self, body: bytes | None) -> None:
        """Ask the API, and answer what it answers."""
        request = Request(API_URL + self.path.removeprefix("/api"), body, {"Content-Type": "application/json"})
        try:
            with urlopen(request, timeout=10) as reply:
                status, content = reply.status, reply.read()
        except HTTPError as error:
            with error:
                status, content = error.code, error.read()
        except URLError as error:
            self.send_error(502, f"the api does not answer: {error.reason}")
            return
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_request(self, code: int | str = "-", *_: object) -> None:
        print(self.command, self.path, int(code))


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    with ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler) as server:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
        print(f"the page is at http://127.0.0.1:{server.server_port}")
        server.serve_forever(poll_interval=0.05)
    print("frontend stopped")


if __name__ == "__main__":
    main()
