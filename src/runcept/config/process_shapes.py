"""The kinds of value that are about running a program: its command, environment, ports and signals."""

from __future__ import annotations

from runcept.config.problems import Place, Wrong
from runcept.config.shapes import Shape, expected, integer, kind, list_of, path, read_filled, read_text, text
from runcept.config.toml_source import scalar
from runcept.core.globs import alternatives
from runcept.errors import nearest

__all__ = ["command", "environment", "ports", "signal_name", "watched"]


def _read_environment(value: object, place: Place) -> dict[str, str]:
    if not isinstance(value, dict):
        raise expected("a table", value, 'Write env = { NAME = "value" }.')
    variables = {}
    for variable, content in value.items():
        here = place / variable
        if not variable or "=" in variable or "\0" in variable:
            here.problem(f"{variable!r} cannot be the name of an environment variable", at_key=True)
            continue
        written = _environment_text(content, here)
        if written is not None:
            variables[variable] = written
    return variables


def _environment_text(value: object, place: Place) -> str | None:
    text = scalar(value)
    if text is None:
        hint = "" if isinstance(value, list | dict) else "Put it in quotes."
        place.problem(f"expected a string, number or boolean, found {kind(value)}", hint)
    elif "\0" in text:
        place.problem("a NUL character cannot be passed to a process")
    else:
        return text
    return None


environment = Shape(
    "table",
    {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}},
    _read_environment,
)


def _read_command(value: object, place: Place) -> str | tuple[str, ...]:
    if isinstance(value, str):
        return read_filled(value, place).strip()
    if not isinstance(value, list):
        raise expected("a string or a list of strings", value)
    words = list_of(text, at_least=1).read(value, place)
    if words and value[0] == "":
        (place / 0).problem("the program's name is empty")
    return tuple(words)


command = Shape(
    "string or list of strings",
    {
        "anyOf": [
            {"type": "string", "pattern": r"\S"},
            {"type": "array", "items": {"type": "string"}, "minItems": 1},
        ]
    },
    _read_command,
)


_port = integer(1, 65535)


def _read_ports(value: object, place: Place) -> tuple[int, ...] | str:
    if value == "auto":
        return "auto"
    if isinstance(value, int) and not isinstance(value, bool):
        raise expected('a list of ports or "auto"', value, f"Write [{value}].")
    if not isinstance(value, list):
        is_number = isinstance(value, str) and value.strip().isdecimal() and value.isascii()
        raise expected('a list of ports or "auto"', value, f"Write [{str(value).strip()}]." if is_number else "")
    found: tuple[int, ...] = list_of(_port, unique=True).read(value, place)
    return found


ports = Shape(
    'list of integers, or "auto"',
    {"anyOf": [{"const": "auto"}, {"type": "array", "items": _port.schema, "uniqueItems": True}]},
    _read_ports,
)


def _read_signal(value: object, place: Place) -> str:
    from signal import Signals

    numbers = {str(number.value): number.name for number in Signals}
    if not isinstance(value, bool) and str(value) in numbers:
        raise Wrong(f"a signal is written by its name, not as {value!r}", f'Write "{numbers[str(value)]}".')
    given = read_text(value, place).upper()
    full = given if given.startswith("SIG") else f"SIG{given}"
    if full not in Signals.__members__:
        near = nearest(full, list(Signals.__members__))
        raise Wrong(f"{value!r} is not a signal", f"Did you mean {near}?" if near else "One is SIGTERM.")
    return Signals[full].name


signal_name = Shape("signal", {"type": "string", "pattern": "^([sS][iI][gG])?[A-Za-z][A-Za-z0-9+-]*$"}, _read_signal)


def _read_glob(value: object, place: Place) -> str:
    given = read_filled(value, place)
    if not given.removeprefix("!").strip():
        raise Wrong("it excludes nothing", 'Write a glob behind the "!".')
    try:
        alternatives(given)
    except ValueError as error:
        raise Wrong(str(error)) from error
    return given


_globs = list_of(Shape("glob", path.schema, _read_glob), label="list of globs")


def _read_watched(value: object, place: Place) -> tuple[str, ...]:
    found: tuple[str, ...] = _globs.read(value, place)
    if found and all(glob.startswith("!") for glob in found):
        raise Wrong("it only excludes, and so watches nothing", 'Put what is to be watched before it, as "**".')
    return found


watched = Shape("list of globs", _globs.schema, _read_watched)
