"""The table of clients is what the documentation says."""

from __future__ import annotations

from pathlib import Path

import pytest

from runcept.cli.mcp_clients.table import CLIENTS, Client, Scope

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "mcp.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)
def test_the_page_names_the_files_of_each_client(client: Client) -> None:
    """Under its name, and as it is typed."""
    files = [
        client.place(scope, "~", ".", {}, "linux").paths[0].removeprefix("./") for scope in (Scope.PROJECT, Scope.USER)
    ]
    assert f"| {client.title} | `{client.name}` | `{files[0]}` | `{files[1]}` | " in PAGE


def test_the_page_names_what_moves_a_client() -> None:
    """Every variable that is heeded, and where a Mac has it otherwise."""
    for client in CLIENTS.values():
        assert not client.directory.variable or f"`{client.directory.variable}`" in PAGE
        if client.mac_directory is not None:
            assert client.place(Scope.USER, "~", None, {}, "darwin").paths[0] in PAGE.replace("\n", " ")
