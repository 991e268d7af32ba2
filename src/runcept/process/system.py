"""The half that fits this system: `linux` or `portable`, which have the same functions. Nothing of its own."""

from __future__ import annotations

import sys

if sys.platform == "linux":
    from runcept.process.linux import (
        NO_TAG,
        SEES_ALL,
        boot_id,
        carries,
        command_of,
        entries,
        entry,
        holders,
        listening,
        set_tag,
        sockets,
        tag_of,
    )
else:
    from runcept.process.portable import (
        NO_TAG,
        SEES_ALL,
        boot_id,
        carries,
        command_of,
        entries,
        entry,
        holders,
        listening,
        set_tag,
        sockets,
        tag_of,
    )

__all__ = [
    "NO_TAG",
    "SEES_ALL",
    "boot_id",
    "carries",
    "command_of",
    "entries",
    "entry",
    "holders",
    "listening",
    "set_tag",
    "sockets",
    "tag_of",
]
