"""`python -m scripts.generate_docs [--check]`: write the pages of docs/ that code makes, or say which differ."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.peers import results
from benchmarks.peers.page import page as benchmarks_page
from benchmarks.peers.page import picture as benchmarks_picture

from runcept.config.reference import reference_markdown
from scripts.commands_page import commands_page
from scripts.errors_page import errors_page
from scripts.states_page import states_page

__all__ = ["PAGES", "main", "outdated"]

ROOT = Path(__file__).resolve().parents[1]
PAGES: Mapping[str, Callable[[], str]] = {
    "docs/benchmarks.md": lambda: benchmarks_page(results.load()),
    "docs/pictures/logs-throughput.svg": lambda: benchmarks_picture(results.load()),
    "docs/commands.md": commands_page,
    "docs/configuration.md": reference_markdown,
    "docs/errors.md": errors_page,
    "docs/states.md": states_page,
}


def outdated(root: Path) -> dict[str, str]:
    """The pages below `root` that are missing or not what the code says, and what they should be."""
    made = {name: page() for name, page in PAGES.items()}
    return {name: text for name, text in made.items() if not _is(root / name, text)}


def _is(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


def main() -> int:
    """Exit status 1: with --check, a page is not what the code says."""
    parser = argparse.ArgumentParser(prog="python -m scripts.generate_docs", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, name what is out of date, exit 1")
    check = parser.parse_args().check
    pages = outdated(ROOT)
    for name, text in pages.items():
        if not check:
            (ROOT / name).write_text(text, encoding="utf-8")
        sys.stderr.write(f"{name} is out of date: `make docs` writes it\n" if check else f"wrote {name}\n")
    return 1 if check and pages else 0


if __name__ == "__main__":
    sys.exit(main())
