"""The page docs/configuration.md, made from `config.schema`: `python -m runcept.config.reference` prints it."""

from __future__ import annotations

import json
import sys
from collections.abc import Set as AbstractSet

from runcept.config.schema import DEPENDENCY, HEALTH_CHECK, HOOKS, LOG, PROCESS, PROJECT, SETTINGS, SHARED
from runcept.config.tables import Key, Table

__all__ = ["reference_markdown"]

_INTRODUCTION = """\
# Configuration

<!-- Made by `python -m runcept.config.reference`: change src/runcept/config/schema.py instead. -->

A project is described by a file `.runcept.toml` in its directory. `runcept init` writes one, `runcept validate` checks
it: every problem is reported at once, with its line and column. `runcept config schema` prints a JSON Schema for
editors.

```toml
[project]
name = "shop"

[[process]]
name = "redis"
command = "redis-server --port 6379"
health_check = "tcp://localhost:6379"

[[process]]
name = "web"
command = "python -m shop.web"
depends_on = ["redis"]
restart = "on-failure"
ports = [8000]
health_check = "http://localhost:8000/health"
env = { LOG_LEVEL = "debug" }
```

A **duration** is a number of seconds, or text such as `"500ms"`, `"30s"`, `"1h30m"`, `"2d"`. A **size** is a number of
bytes, or text such as `"10MB"` (10⁶ bytes each) or `"1GiB"` (2³⁰). A **name** is 1 to 64 of `A-Z a-z 0-9 . _ -` and
begins with a letter or digit. A key that does not exist is an error.
"""

_PROJECT = "One table, for what all processes share. It also takes the [shared keys](#shared-keys)."
_PROCESS = "One table for each program. It also takes the [shared keys](#shared-keys)."
_SHARED = """\
In `[[process]]` they are about that process; in `[project]` they are defaults for its processes, and in the
[settings](#settings) for all projects. The nearest one wins; of `log` each of its keys does. `restart` and
`auto_restart` are one setting: the nearest level that has either decides."""
_HEALTH = (
    """\
A process is ready once its first check succeeds; without a check, once it runs. `health_check` is a URL, or a table
with these keys, which win over the `health_check_…` keys. For the port of an `http(s)://` or `tcp://` check, `$PORT`
(or `$PORT0`, `$PORT1`…) stands for that of `ports`: with `ports = "auto"`, `http://localhost:$PORT/health` asks where
the process was told to listen."""
    ""
)
_DEPENDENCY = "An entry is a name, or a table with these keys. Circles are refused."
_SETTINGS = """\
The file `config.toml` in Runcept's home (`$RUNCEPT_HOME`, else `~/.runcept`) holds what is true for every project. It
takes these keys at its top level, and the [shared keys](#shared-keys)."""
_HOOKS = (
    "Commands that are run by `shell` when something happens to the process, beside everything else;"
    " [hooks.md](hooks.md) tells what they get, and what they may cost."
)
_ENVIRONMENT = """\
## The environment of a process

Later ones win:

1. the environment of the shell that last activated the project
2. `env` of the settings
3. `env_files` of the project, then those of the process, each in order
4. `env` of the project
5. `env` of the process

Values are taken as they are: `$` and `%` are not expanded, neither here nor in dotenv files. Of a float, the text
counts: `VERSION = 1.10` is `1.10`. A line `NAME` without `=` in a dotenv file leaves that variable as it is.
"""


def reference_markdown() -> str:
    """The whole page."""
    shared = {key.name for key in SHARED}
    sections = [
        _INTRODUCTION,
        _section("`[project]`", _PROJECT, PROJECT, without=shared),
        _section("`[[process]]`", _PROCESS, PROCESS, without=shared),
        _section("Shared keys", _SHARED, Table("", SHARED)),
        _section("`health_check`", _HEALTH, HEALTH_CHECK),
        _section("`depends_on`", _DEPENDENCY, DEPENDENCY),
        _section("`log`", "The log of a process is `.runcept/logs/NAME.jsonl` in the project.", LOG),
        _section("`hooks`", _HOOKS, HOOKS),
        _ENVIRONMENT,
        _section("Settings", _SETTINGS, SETTINGS, without=shared),
    ]
    return "\n".join(sections)


def _section(title: str, text: str, table: Table, without: AbstractSet[str] = frozenset()) -> str:
    rows = [_row(key) for key in table.keys if key.name not in without]
    return "\n".join(
        [f"## {title}", "", text, "", "| key | type | default | meaning |", "|---|---|---|---|", *rows, ""]
    )


def _row(key: Key) -> str:
    cells = (f"`{key.name}`", _code_words(key.shape.label), _default(key), key.meaning)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _code_words(label: str) -> str:
    return " or ".join(f"`{word}`" if word.startswith('"') else word for word in label.split(" or "))


def _default(key: Key) -> str:
    if key.required:
        return "required"
    if key.default is None:
        return key.default_note or "none"
    return f"`{json.dumps(key.default)}`"


if __name__ == "__main__":
    sys.stdout.write(reference_markdown())
