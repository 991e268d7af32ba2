"""The same output under Runcept and under other tools, in one run: how fast it is in a log, and whether all of it is.

`python -m benchmarks.peers --install DIR` puts the others into DIR, each by its package client; nothing else needs
them. `python -m benchmarks.peers --tools DIR --write-docs` measures, and writes docs/benchmarks.md.
"""
