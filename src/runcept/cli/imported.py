"""What `runcept init --from` says: what was read, what was written, which keys have no place in it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from runcept.cli.invocation import Invocation
from runcept.cli.layout import Cell, Column, Row, Table

if TYPE_CHECKING:
    from runcept.config.importing.project_file import Imported

__all__ = ["tell_imported"]

_SHOWN = 20
"""Keys that are listed on a terminal or in a pipe; the file has them all, and so has --json."""


def tell_imported(invocation: Invocation, imported: Imported, document: Mapping[str, object]) -> None:
    """The summary; with --json `document` and `from`, `unmapped`: [{process, key, value, reason, line}]."""
    from runcept.config.importing.project_file import lost

    unmapped = lost(imported.draft)
    if invocation.options.json:
        keys = [
            {
                "process": process or None,
                "key": each.key,
                "value": each.value,
                "reason": each.reason,
                "line": each.line or None,
            }
            for process, each in unmapped
        ]
        invocation.print_json({**document, "from": imported.source, "unmapped": keys})
        return
    cwd = invocation.surroundings.cwd
    count = len(imported.draft.processes)
    processes = "1 process" if count == 1 else f"{count} processes"
    invocation.say(
        f"wrote {os.path.relpath(str(document['path']), cwd)} from {os.path.relpath(imported.source, cwd)}: {processes}"
    )
    if unmapped:
        file = os.path.basename(imported.source)
        what = f"1 key of {file} has" if len(unmapped) == 1 else f"{len(unmapped)} keys of {file} have"
        invocation.say(f"{what} no place in it; a comment says why:")
        if not invocation.options.quiet:
            _show(invocation, imported)
        if len(unmapped) > _SHOWN:
            invocation.say(f"  … and {len(unmapped) - _SHOWN} more")
    invocation.say("Look through it, then `runcept activate`.")


def _show(invocation: Invocation, imported: Imported) -> None:
    from runcept.config.importing.project_file import lost

    rows = [
        Row([Cell(str(each.line or "-")), Cell(process or "-"), Cell(each.key)], remark=Cell(each.reason, "dim"))
        for process, each in lost(imported.draft)[:_SHOWN]
    ]
    columns = [Column("LINE", right=True), Column("PROCESS"), Column("KEY")]
    Table(columns, rows, remark="WHY").print(invocation)
