"""The server of `runcept mcp http` without its token, which the conformance suite cannot send; for tests alone.

`python -m tests.conformance.serve HOME PROJECT [--fixtures]` prints its address and serves until SIGTERM.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import warnings

from mcp.shared.exceptions import MCPDeprecationWarning
from tests.conformance.fixtures import add_fixtures

from runcept.mcp.http import PATH, make_http_server, serve
from runcept.mcp.updates import Updates


async def main(home: str, project: str, *, fixtures: bool) -> None:
    updates = Updates(home)
    server = make_http_server(home, updates, project)
    if fixtures:
        add_fixtures(server, updates._bus)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sys.stdout.write(f"http://127.0.0.1:{listener.getsockname()[1]}{PATH}\n")
        sys.stdout.flush()
        await serve(server.streamable_http_app(streamable_http_path=PATH), updates, listener)


if __name__ == "__main__":
    warnings.simplefilter("ignore", MCPDeprecationWarning)  # logging and sampling, of which the suite asks
    asyncio.run(main(sys.argv[1], sys.argv[2], fixtures="--fixtures" in sys.argv[3:]))
