"""`make conformance`: the official suite against our server, in both eras, then the Inspector; and a table of it all.

The suite runs against two profiles of the server of `runcept mcp http`: `fixtures`, where it offers beside its own what
the suite's scenarios ask for, and all that is scored has to pass; and `product`, as it is, where the files
`expected-REVISION.yml` say what cannot pass, and why. Exit 1 when anything is not as expected.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.chaos.stage import Stage
from tests.conformance.tools import SUITE, run_node

REVISIONS = ("2025-11-25", "2026-07-28")
TASKS = (
    *("tasks-lifecycle", "tasks-capability-negotiation", "tasks-wire-fields", "tasks-request-state-removal"),
    *("tasks-mrtr-input", "tasks-request-headers", "tasks-dispatch-and-envelope", "tasks-status-notifications"),
    *("tasks-required-task-error", "tasks-mrtr-composition"),
)
"""Scenarios of an extension of the protocol that we do not have."""
UNSCORED = {
    "2025-11-25": ("server-session-lifecycle", "json-schema-2020-12", "server-sse-polling"),
    "2026-07-28": (*TASKS, "json-schema-2020-12", "http-header-validation", "http-custom-header-server-validation"),
}
"""What the suite runs and does not count, as it says when nothing is listed as expected."""
PROFILES = ("fixtures", "product")
PROJECT = '[project]\nname = "conformance"\n[[process]]\nname = "web"\ncommand = ["sleep", "1000"]\n'
HERE = Path(__file__).parent
INSPECTOR_TESTS = "tests/e2e/test_mcp_inspector.py"


class Result(NamedTuple):
    """One run: how many checks passed and failed, of these how many are of scenarios that are not scored.

    `expected` are those that an expected-failures file lists, which are warnings too.
    """

    what: str
    passed: int
    failed: int
    unscored: int
    expected: int
    is_fine: bool
    output: str


@contextlib.contextmanager
def serving(stage: Stage, profile: str) -> Iterator[str]:
    """The address of a server of this profile."""
    command = [sys.executable, "-m", "tests.conformance.serve", stage.home, str(stage.project)]
    options = ["--fixtures"] if profile == "fixtures" else []
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def suite(stage: Stage, profile: str, revision: str) -> Result:
    """The official suite, all that is required for a revision."""
    with serving(stage, profile) as address:
        arguments = ["server", "--url", address, "--requirements", revision]
        if profile == "product":
            arguments += ["--expected-failures", str(HERE / f"expected-{revision}.yml")]
        done = run_node(SUITE, arguments, stage.evidence)
    output = done.stdout + done.stderr
    total = re.search(r"^Total: (\d+) passed, (\d+) failed", output, re.MULTILINE)
    failed = dict(re.findall(r"^\S+ (\S+): \d+ passed, (\d+) failed$", output, re.MULTILINE))
    return Result(
        f"suite, {revision}, {profile}",
        passed=int(total[1]) if total else 0,
        failed=int(total[2]) if total else 0,
        unscored=sum(int(failed.get(each, 0)) for each in UNSCORED[revision]),
        expected=len(re.findall(r"^  ~ ", output, re.MULTILINE)),
        is_fine=done.returncode == 0 and total is not None,
        output=output,
    )


def inspector() -> Result:
    """The tests of the Inspector, which CI runs as well."""
    command = [sys.executable, "-m", "pytest", "-q", INSPECTOR_TESTS]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|error|skipped)", done.stdout)}
    failed = sum(counts.get(word, 0) for word in ("failed", "error", "skipped"))
    is_fine = done.returncode == 0 and not failed
    return Result("Inspector, both eras", counts.get("passed", 0), failed, 0, 0, is_fine, done.stdout + done.stderr)


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="runcept-test-") as directory:
        stage = Stage(Path(directory).resolve())
        stage.write_file(PROJECT)
        stage.ask_for("activate")  # so that there is a process to list
        try:
            results = [suite(stage, profile, revision) for profile in PROFILES for revision in REVISIONS]
        finally:
            stage.end()
    results.append(inspector())
    for result in results:
        if not result.is_fine:
            sys.stdout.write(f"\n{result.what}:\n{result.output}\n")
    head = f"{'':32}{'passed':>8}{'failed':>8}{'not scored':>12}{'expected':>10}"
    sys.stdout.write(f"\n{head}\n")
    for result in results:
        numbers = f"{result.passed:>8}{result.failed:>8}{result.unscored:>12}{result.expected:>10}"
        sys.stdout.write(f"{result.what:32}{numbers}  {'as expected' if result.is_fine else 'NOT AS EXPECTED'}\n")
    return 0 if all(result.is_fine for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
