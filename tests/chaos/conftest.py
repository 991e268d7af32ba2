"""A stage for each test, and a look behind it when the test is over."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.chaos.ledger import Ledger
from tests.chaos.stage import Stage


@pytest.fixture
def stage() -> Iterator[Stage]:
    """A home and a project of their own; when the test is over, all is stopped, and nothing of it may be alive."""
    with tempfile.TemporaryDirectory(prefix="runcept-test-") as directory:
        made = Stage(Path(os.path.realpath(directory)))
        yield made
        try:
            assert made.end(), f"not ended: daemon {made.daemons()}, keeper {made.keepers()}\n{made.said()}"
        finally:
            left = [entry.pid for entry in Ledger(made).journal() if entry.is_alive()]
            made.kill([*made.keepers(), *made.daemons(), *left])
        assert not left, "everything was stopped and these still ran"
