"""`python -m tests.chaos [--seed N] [--minutes M]`: a random campaign, its table, and exit status 1 unless all is 0."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

from tests.chaos.campaign import Campaign


def main() -> int:
    """Run it; the directory stays where something was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--minutes", type=float, default=2.0)
    chosen = parser.parse_args()
    sys.stdout.write(f"seed {chosen.seed}, {chosen.minutes:g} min\n")
    root = Path(tempfile.mkdtemp(prefix="runcept-chaos-"))
    campaign = Campaign(root, chosen.seed)
    try:
        report = campaign.run(60 * chosen.minutes)
    finally:
        campaign.sweep()
    sys.stdout.write(report.table() + "\n")
    if report.is_good:
        campaign.stage.remove()
        return 0
    sys.stdout.write(f"the evidence is in {root}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
