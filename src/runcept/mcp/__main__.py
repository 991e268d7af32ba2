"""`python -m runcept.mcp HOME IDLE_SECONDS`, with its lock as descriptor 3: how a relay starts the MCP host."""

from __future__ import annotations

import sys

from runcept.client.code import Code

if __name__ == "__main__":
    code = Code()
    from runcept.mcp.host import main

    main(sys.argv[1], float(sys.argv[2]), code)
