"""`python -m runcept.daemon HOME [--foreground]`: how a client and the keeper start the daemon."""

from __future__ import annotations

import sys

from runcept.daemon.app import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1], foreground="--foreground" in sys.argv[2:]))
