"""The program `PYTHON -I -S THIS_DIRECTORY HOME SOCKET [OPTION…]`; nobody imports it.

For tests: `--portable`, the half for other systems than Linux; `--bound BYTES` and `--alone SECONDS`, see `Keeper`.
"""

from __future__ import annotations

import os
import sys

__all__: list[str] = []

_here = os.path.dirname(os.path.abspath(__file__))
# The package root goes last: the standard library wins. Our own directory goes: run.py is no top-level module.
sys.path[:] = [
    *(entry for entry in sys.path if os.path.abspath(entry) != _here),
    os.path.dirname(os.path.dirname(_here)),
]

from runcept.keeper.loop import main  # noqa: E402  importable from here on

sys.exit(main(sys.argv[1:]))
