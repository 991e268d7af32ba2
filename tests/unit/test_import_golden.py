"""Files of the shape that well-known projects have, and the project file that each becomes: tests/imports/NAME.

`python -m tests.unit.test_import_golden` writes what the code makes of them now: read the difference.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from runcept.config.importing.project_file import import_file
from runcept.config.project import load_project
from runcept.config.settings import Settings

CASES = sorted(path for path in (Path(__file__).resolve().parents[1] / "imports").iterdir() if path.is_dir())
EXPECTED = "expected.toml"


def made(case: Path, root: Path) -> str:
    """The project file that a copy of the case becomes, in a directory of its name; it is valid."""
    directory = root / case.name
    shutil.copytree(case, directory, ignore=shutil.ignore_patterns(EXPECTED))
    text = import_file(str(directory), str(directory.resolve())).text
    (directory / ".runcept.toml").write_text(text, encoding="utf-8")
    load_project(str(directory), Settings())
    return text


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_file_becomes_what_was_agreed(case: Path, tmp_path: Path) -> None:
    """To the byte: comments and their columns are what a person reads first."""
    assert made(case, tmp_path) == (case / EXPECTED).read_text(encoding="utf-8")


def test_there_are_cases_of_every_format() -> None:
    """At least three each."""
    patterns = ("Procfile*", "*docker-compose*", "process-compose*", "pitchfork.toml")
    counts = {pattern: sum(any(case.glob(pattern)) for case in CASES) for pattern in patterns}
    assert all(count >= 3 for count in counts.values()), counts


if __name__ == "__main__":
    for each in CASES:
        with tempfile.TemporaryDirectory() as place:
            (each / EXPECTED).write_text(made(each, Path(place)), encoding="utf-8")
    sys.stdout.write(f"wrote {len(CASES)} files\n")
