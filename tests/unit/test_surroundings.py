"""What a process is started with, where nobody's environment was captured."""

from __future__ import annotations

import asyncio
import os
import pwd
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from runcept.daemon import surroundings


def test_many_that_start_at_once_ask_one_login_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell of the user's for each of a hundred processes kept a machine busy for half a minute."""
    shell = tmp_path / "shell"
    shell.write_text(f'#!/bin/sh\necho >> {tmp_path}/asked\nGREETING=hello; export GREETING\nexec /bin/sh -c "$3"\n')
    shell.chmod(0o700)
    account = SimpleNamespace(pw_dir=str(tmp_path), pw_name="ada", pw_shell=str(shell))
    monkeypatch.setattr(pwd, "getpwuid", lambda _: account)
    monkeypatch.setattr(surroundings, "_login", None)
    monkeypatch.setattr(surroundings, "_asking", asyncio.Lock())

    async def ask_all() -> list[Mapping[str, str]]:
        return list(await asyncio.gather(*(surroundings.login_environ() for _ in range(20))))

    answers = asyncio.run(ask_all())
    assert (tmp_path / "asked").read_text() == "\n"
    assert all(answer == answers[0] for answer in answers)
    assert answers[0]["GREETING"] == "hello"
    assert answers[0]["HOME"] == str(tmp_path)
    assert os.environ.get("GREETING") is None


def test_a_user_without_an_account_has_no_login_shell() -> None:
    """As in a container: what the daemon has itself is taken, and processes start."""
    if os.geteuid():
        pytest.skip("only root may become a user that does not exist")
    child = os.fork()
    if child == 0:
        status = 1
        with suppress(BaseException):
            os.setuid(48_123)
            status = 0 if asyncio.run(surroundings.login_environ()) == dict(os.environ) else 2
        os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
