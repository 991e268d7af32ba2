"""What the TOML parser says, in words for whoever wrote the file. Pure."""

from __future__ import annotations

import re

__all__ = ["explained"]

_LINE = "A line is `key = value`, `[table]` or `[[process]]`."
_ROWS = (
    # what the parser says; what we say, where that is not clear; a hint
    (r"Invalid value", "", 'A text value needs quotes: key = "value".'),
    (r"Cannot overwrite a value", "", "The key is set twice."),
    (r"Cannot declare \((.+?),?\) twice", r"\1 is declared twice", "Several processes are written [[process]] each."),
    (r"Cannot mutate immutable namespace \((.+?),?\)", r"\1 has its value already", "Put all of it in one place."),
    (r"Expected '=' after a key in a key/value pair", "", _LINE),
    (r"Invalid statement", "", _LINE),
    (r"Expected newline or end of document after a statement", "more than one value on a line", _LINE),
    (r"Expected '\]+' at the end of an? (?:table|array) declaration", "", "Write [project] or [[process]]."),
    (r"Unescaped '\\' in a string", "", "Write \\\\ for a backslash, or use single quotes."),
    (r"Illegal character '\\n'", "the text is not closed on its line", 'End it with a quote; """ takes several lines.'),
    (r"Expected [\"']'[\"']", "the text is not closed", "End it with a quote."),
    (r"Unterminated string", "the text is not closed", 'End it with """.'),
    (r"Unclosed array", "the list is not closed", "End it with ], and put a comma between its elements."),
    (r"Unclosed inline table", "the table is not closed", "End it with }, and put a comma between its keys."),
    (
        r"Invalid initial character for a key part",
        "a key was expected here",
        "A table in { } stands on one line, and no comma comes after its last key.",
    ),
    (
        r"Exceeds the limit \((\d+) digits\) for integer string conversion.*",
        r"a number of more than \1 digits",
        "Put it in quotes if it is text.",
    ),
)  # fmt: skip
_NEXT = re.compile(r"""\s*(?:[\w"'.-]+\s*=|\[{1,2}\s*(?:process|project)\s*\])""")


def explained(message: str, line: str = "", column: int = 1) -> tuple[str, str]:
    """(sentence, hint) for what tomllib says about a column of a line, counted from 1; no hint where we have none."""
    if message == "Invalid value" and line[: column - 1].strip("[ \t") == "" and _NEXT.match(line):
        return "the list above this line is not closed", "End it with ]."
    for pattern, sentence, hint in _ROWS:
        if found := re.fullmatch(pattern, message):
            return found.expand(sentence) if sentence else message, hint
    return message, ""
