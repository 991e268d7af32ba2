"""`python -m benchmarks [PART…]`: measure everything, or the parts named, and print a table of each."""

from __future__ import annotations

import argparse

from benchmarks import activation, connections, entry, fairness, latency, logs, many, prompt, reading, spawning
from benchmarks.measure import print_table

PARTS = {
    "entry": entry,
    "prompt": prompt,
    "spawning": spawning,
    "activation": activation,
    "latency": latency,
    "many": many,
    "logs": logs,
    "reading": reading,
    "fairness": fairness,
    "connections": connections,
}


def main() -> int:
    """Print the figures of each part as soon as it is measured; 1 where a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} (default: all)")
    names = parser.parse_args().parts or list(PARTS)
    for name in names:
        if name not in PARTS:
            parser.error(f"no part is named {name}; there are {', '.join(PARTS)}")
    met = [print_table(PARTS[name].TITLE, PARTS[name].figures()) for name in names]
    return 0 if all(met) else 1


if __name__ == "__main__":
    raise SystemExit(main())
