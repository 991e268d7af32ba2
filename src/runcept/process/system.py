"""The half that fits this system: `linux` or `portable`, which have the same functions. Nothing of its own."""

from __future__ import annotations

import sys

if sys.platform == "linux":
    from runcept.process.linux import NO_TAG, boot_id, carries, command_of, entries, entry, listening, set_tag, tag_of
else:
    from runcept.process.portable import (
        NO_TAG,
        boot_id,
        carries,
        command_of,
        entries,
        entry,
        listening,
        set_tag,
        tag_of,
    )

__all__ = ["NO_TAG", "boot_id", "carries", "command_of", "entries", "entry", "listening", "set_tag", "tag_of"]
