"""The environment of a login shell, for processes that no command line has given one."""

from __future__ import annotations

import subprocess
import sys

ASK = """
import asyncio
from runcept.daemon.surroundings import login_environ

async def main():
    answers = await asyncio.gather(*(login_environ() for _ in range(20)))
    assert answers[0]["HOME"]
    print(len({id(answer) for answer in answers}))

asyncio.run(main())
"""


def test_twenty_who_ask_at_once_ask_one_shell() -> None:
    """All get the same answer; a shell for each of a thousand processes takes minutes to say the same."""
    asked = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True)
    assert asked.stdout.strip() == "1"
