"""A file that is not TOML: what the parser says becomes a sentence and a hint that a person can use."""

from __future__ import annotations

from pathlib import Path

import pytest

from runcept.config.project import load_project
from runcept.config.settings import Settings
from runcept.errors import ConfigInvalid

HEAD = '[project]\nname = "shop"\n'
MISTAKES = [
    # the text behind the head: line, words of the message, words of the hint
    ("[project]\n", 3, "'project' is declared twice", "[[process]]"),
    ("[project.env]\na.b = 1\n[project.env.a]\n", 5, "'project', 'env', 'a' is declared twice", ""),
    ('[[process]]\nname = "web\ncommand = "x"\n', 4, "the text is not closed on its line", "End it with a quote"),
    ("x = 'y", 3, "the text is not closed", "End it with a quote"),
    ('x = """y', 3, "the text is not closed", 'End it with """'),
    ("env = { A = 1,\n B = 2 }\n", 3, "a key was expected here", "stands on one line"),
    ("env = { A = 1, }\n", 3, "a key was expected here", "no comma comes after its last key"),
    ("env = { A = 1 B = 2 }\n", 3, "the table is not closed", "a comma between its keys"),
    ('x = ["a" "b"]\n', 3, "the list is not closed", "a comma between its elements"),
    ('x = ["a",\ny = 1\n', 4, "the list above this line is not closed", "End it with ]"),
    ('x = ["a",\n[[process]]\nname = "web"\n', 4, "the list above this line is not closed", "End it with ]"),
    ("x = [\n  hello,\n]\n", 4, "Invalid value", "A text value needs quotes"),
    ("x = hello\n", 3, "Invalid value", "A text value needs quotes"),
    ("x = 1 y = 2\n", 3, "more than one value on a line", "A line is `key = value`"),
    ("[[process]\n", 3, "Expected ']]'", "[[process]]"),
    (f"a = 1\nb = {'7' * 5000}\n", 4, "a number of more than 4300 digits", "quotes"),
]


@pytest.mark.parametrize(("text", "line", "message", "hint"), MISTAKES, ids=[each[0][:30] for each in MISTAKES])
def test_what_is_no_toml_is_told_in_words_for_its_writer(
    tmp_path: Path, text: str, line: int, message: str, hint: str
) -> None:
    """On the line where it is, with a hint."""
    (tmp_path / ".runcept.toml").write_text(HEAD + text)
    with pytest.raises(ConfigInvalid) as caught:
        load_project(str(tmp_path), Settings())
    (problem,) = caught.value.fields["problems"]  # type: ignore[misc]
    assert problem["line"] == line
    assert message in problem["message"]
    assert hint in problem["hint"]
