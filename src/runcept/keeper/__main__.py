"""The program `PYTHON -I -S THIS_DIRECTORY HOME SOCKET [NAME=VALUE…]`; nobody imports it.

Who starts it gives it a session of its own, `/` as its directory, /dev/null as stdin and stdout, and its log as stderr.
"""

from __future__ import annotations

import os
import sys

__all__: list[str] = []

# Not our own directory, where run.py is no top-level module; and the package root last: the standard library wins.
sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(sys.path.pop(0)))))

from runcept.keeper.loop import main

sys.exit(main(*sys.argv[1:3], **dict(word.split("=") for word in sys.argv[3:])))
