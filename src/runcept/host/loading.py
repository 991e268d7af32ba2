"""What the host of the command line has in memory before it is asked."""

from __future__ import annotations

from importlib import import_module
from pkgutil import walk_packages

__all__ = ["load_everything"]

_FACES = ("runcept.cli", "runcept.client", "runcept.config", "runcept.logs")
_ALSO = ("difflib", "hashlib", "psutil", "rich.live", "subprocess")  # what commands import when they need it
_NOT = (".testing",)


def load_everything() -> None:
    """Import all that a command may need."""
    for face in _FACES:
        for each in walk_packages(import_module(face).__path__, f"{face}."):
            if not each.name.endswith(_NOT):
                import_module(each.name)
    for name in _ALSO:
        import_module(name)
