"""Runcept runs the programs of a development project as one thing."""

__version__ = "0.1.0"
