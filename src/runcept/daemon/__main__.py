"""`python -m runcept.daemon HOME [--foreground] [--again]`: how a client and the keeper start the daemon."""

from __future__ import annotations

import sys

from runcept.daemon.app import main

if __name__ == "__main__":
    options = sys.argv[2:]
    sys.exit(main(sys.argv[1], foreground="--foreground" in options, again="--again" in options))
