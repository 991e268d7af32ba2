"""`python -m runcept.host HOME IDLE_SECONDS`, with its lock as descriptor 3: how the command line starts the host."""

from __future__ import annotations

import sys

from runcept.host.app import main

if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
