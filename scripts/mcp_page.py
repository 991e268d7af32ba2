"""`python -m scripts.mcp_page`: the parts of docs/mcp.md that are made by running the server.

A project with a mistake in it runs under a home of its own; the official client speaks to `runcept mcp` as an assistant
does, mends the mistake, and every call is written down with what came back. Paths, pids and instants are replaced by
such as a reader may have; answers are cut where it says so.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters

from runcept.mcp.tools import TOOLS

__all__ = ["main"]

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "mcp.md"
BIN = Path(sys.executable).parent
SHOWN = "/home/ada/shop"
STRUCTURE_MAX = 1100
FILES = {
    ".runcept.toml": """\
[project]
name = "shop"

[[process]]
name = "web"
command = "python3 -u -m http.server 8087 --bind 127.0.0.1"
ports = [8087]
health_check = "http://127.0.0.1:8087/"

[[process]]
name = "worker"
command = "python3 -u worker.py"
depends_on = ["web"]
""",
    "worker.py": """\
import json
import time

PRICES = {"tea": 3, "coffee": 4}


def total(order):
    return sum(PRICES[item] * count for item, count in order["items"].items())


orders = [{"id": 1, "items": {"tea": 2}}, {"id": 2, "items": {"cake": 1}}]
for order in orders:
    print("order", order["id"], "comes to", total(order))
print("waiting for orders")
time.sleep(1000)
""",
}
MENDED = ("PRICES[item] * count", "PRICES.get(item, 0) * count")


def main() -> None:
    """Write the parts into the page."""
    with _project() as (project, home):
        session, examples = asyncio.run(_recorded(project, home))
    text = PAGE.read_text(encoding="utf-8")
    for name, part in (("tools", _table()), ("session", session), ("examples", examples)):
        begin, end = f"<!-- {name}: made by scripts/mcp_page.py -->\n", f"<!-- end of {name} -->"
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        text = f"{before}{begin}\n{part.rstrip()}\n\n{end}{after}"
    PAGE.write_text(text, encoding="utf-8")
    sys.stdout.write(f"wrote {PAGE.relative_to(ROOT)}\n")


@contextmanager
def _project() -> Iterator[tuple[Path, Path]]:
    with tempfile.TemporaryDirectory() as directory:
        project, home = Path(directory, "shop"), Path(directory, "home")
        project.mkdir()
        for name, text in FILES.items():
            (project / name).write_text(text, encoding="utf-8")
        environ = os.environ | {"RUNCEPT_HOME": str(home)}
        try:
            yield project, home
        finally:
            subprocess.run([BIN / "runcept", "daemon", "stop", "--kill"], env=environ, check=True, capture_output=True)
            shutil.rmtree(home, ignore_errors=True)


async def _recorded(project: Path, home: Path) -> tuple[str, str]:
    server = StdioServerParameters(
        command=str(BIN / "runcept"), args=["mcp"], cwd=project, env={"RUNCEPT_HOME": str(home)}
    )
    async with Client(server, mode="legacy") as client:
        record = _Record(client, project, home)
        session = await _session(record, project)
        examples = await _examples(record)
        return session, examples


async def _session(record: _Record, project: Path) -> str:
    """An assistant is told: "the worker does not work"."""
    parts = [
        "> *Ada: the worker crashes, please mend it.*\n",
        "The assistant looks first at what there is.\n",
        await record.call("get_environment_status"),
        "Nothing runs. It starts the project, and the verdict has the cause already:\n",
        await record.call("activate_environment"),
        "It reads `worker.py`: an order may hold what has no price. It mends that in its editor, and restarts:\n",
    ]
    worker = project / "worker.py"
    worker.write_text(worker.read_text(encoding="utf-8").replace(*MENDED), encoding="utf-8")
    parts += [
        f"```diff\n-    return sum({MENDED[0]} …\n+    return sum({MENDED[1]} …\n```\n",
        await record.call("restart_process", name="worker"),
        "It runs, and has lived through its first second. The assistant makes sure that it does what it should:\n",
        await record.call("get_process_logs", name="worker", lines=3, stream="stdout"),
        (
            "> *The worker crashed on order 2: `cake` has no price, and `PRICES[item]` raised a KeyError. Such items "
            "count 0 now;\n> both orders are done, and it waits for more. Should an unknown item rather be refused?*"
        ),
    ]
    return "\n".join(parts)


async def _examples(record: _Record) -> str:
    """Every tool once."""
    calls: list[tuple[str, dict[str, Any]]] = [
        ("get_environment_status", {}),
        ("list_environments", {}),
        ("list_processes", {}),
        ("list_all_processes", {}),
        ("get_process_status", {"name": "web"}),
        ("start_process", {"name": "worker"}),
        ("explain_process", {"name": "worker"}),
        ("wait_for_process", {"name": "web", "until": "line", "pattern": "Serving HTTP"}),
        ("get_process_logs", {"name": "worker", "lines": 2}),
        ("search_logs", {"pattern": "order \\d+"}),
        ("search_logs", {}),
        ("restart_process", {"name": "worker"}),
        ("stop_process", {"name": "worker"}),
        ("activate_environment", {}),
        ("deactivate_environment", {}),
        ("kill_all_processes", {}),
    ]
    parts = []
    for tool, arguments in calls:
        parts += [f"### {tool}\n", await record.call(tool, structure=True, **arguments)]
    missing = TOOLS.keys() - {tool for tool, _ in calls}
    if missing:
        raise AssertionError(f"there is no example of {', '.join(missing)}")
    return "\n".join(parts)


class _Record:
    """Calls, as a page shows them."""

    def __init__(self, client: Client, project: Path, home: Path) -> None:
        self._client = client
        self._paths = {str(project): SHOWN, str(home): "/home/ada/.runcept"}

    async def call(self, tool: str, *, structure: bool = False, **arguments: Any) -> str:
        result = await self._client.call_tool(tool, arguments)
        (content,) = result.content
        answer = self._shown(content.text)
        text = f"```\n→ {tool} {json.dumps(arguments)}\n{answer}\n```\n"
        if structure:
            whole = self._shown(json.dumps(_without_nulls(result.structured_content), ensure_ascii=False))
            text += f"\n```json\n{_cut(whole)}\n```\n"
        return text

    def _shown(self, text: str) -> str:
        for path, shown in self._paths.items():
            text = text.replace(path, shown)
        text = re.sub(r"/\S+/lib/python3", "/usr/lib/python3", text)
        text = re.sub(r"\d{4}-\d\d-\d\dT(\d\d:\d\d:\d\d)\.\d+Z", r"2026-11-26T\1Z", text)
        return re.sub(r'(pid |"pid": )\d+', r"\g<1>4711", text)


def _without_nulls(structure: Any) -> Any:
    """Nulls and empty lists tell a reader of the page nothing."""
    if isinstance(structure, Mapping):
        return {key: _without_nulls(value) for key, value in structure.items() if value not in (None, "", [])}
    return [_without_nulls(each) for each in structure] if isinstance(structure, list) else structure


def _cut(text: str) -> str:
    return text if len(text) <= STRUCTURE_MAX else text[:STRUCTURE_MAX] + " …"


def _table() -> str:
    rows = ["| tool | does | arguments |", "| --- | --- | --- |"]
    for tool in TOOLS.values():
        names = [field for field in tool.arguments.__struct_fields__ if field != "environment"]
        marks = {True: " (read-only)", False: " (destructive)" if tool.operation.destructive else ""}
        words = tool.description.split(". ")[0].rstrip(".")
        rows.append(
            f"| `{tool.name}` | {words}{marks[tool.operation.read_only]} | {', '.join(f'`{each}`' for each in names)} |"
        )
    return "\n".join(rows)


if __name__ == "__main__":
    main()
