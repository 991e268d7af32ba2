"""YAML of other tools: text as it is written, lines of keys, anchors and merges, mistakes with their lines."""

from __future__ import annotations

import pytest

from runcept.config.importing.yaml_source import read_yaml
from runcept.errors import ForeignFileInvalid

FILE = "/p/compose.yaml"


def test_scalars_are_text_but_for_true_false_and_null() -> None:
    """YAML 1.2, where a port is no number in base 60 and Norway no boolean; what is quoted is text."""
    text = (
        "a: no\nb: 22:22\nc: 1.10\nd: true\ne: ~\nf: 'true'\ng: 0x1F\nh: 2001-01-01\ni: !!int '5'\nj: !reset null\nk:\n"
    )
    expected = {"a": "no", "b": "22:22", "c": "1.10", "d": True, "e": None, "f": "true", "g": "0x1F", "h": "2001-01-01"}
    assert read_yaml(FILE, text) == expected | {"i": "5", "j": None, "k": None}


def test_every_key_knows_its_line() -> None:
    """Also below others, in braces and behind an alias: where the text is that says it."""
    table = read_yaml(FILE, "x-a: &a\n  restart: always\nb:\n  <<: *a\n  c: {d: 1,\n    e: 2}\n")
    assert table.lines == {"x-a": 1, "b": 3}
    assert table["b"].lines == {"restart": 2, "c": 5}
    assert table["b"]["c"].lines == {"d": 5, "e": 6}


def test_merge_keys_give_what_is_not_there() -> None:
    """The own value wins, then the first table of several."""
    text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc: {<<: [*a, *b], x: 3}\n"
    assert read_yaml(FILE, text)["c"] == {"x": "3", "y": "1", "z": "2"}


LAUGHS = "b0: &b0 [x, x]\n" + "".join(f"b{n}: &b{n} [*b{n - 1}, *b{n - 1}]\n" for n in range(1, 60))
MERGES = f"a: &a {{{', '.join(f'k{n}: x' for n in range(1000))}}}\nb: {{<<: [{', '.join(['*a'] * 300)}]}}\n"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "the key a stands there twice"),
        ("a:\n\tb: 1\n", 2, "not valid YAML"),
        ("a: *b\n", 1, "undefined alias"),
        ("a: 1\n---\nb: 2\n", 2, "not valid YAML"),
        ("a:\n  - &x [*x]\n", 2, "an anchor holds itself"),
        ("a: 1\n[b]: 2\n", 2, "cannot be a key"),
        ("a: 1\n<<: 3\n", 2, "<< takes a table"),
        ("- a\n", 1, "expected `key: value` lines"),
        ("", 1, "expected `key: value` lines"),
        (LAUGHS, 17, "its aliases make too much of it"),
        (MERGES, 2, "its aliases make too much of it"),
    ],
)
def test_a_mistake_is_one_sentence_with_its_line(text: str, line: int, words: str) -> None:
    """It says where to look."""
    with pytest.raises(ForeignFileInvalid) as caught:
        read_yaml(FILE, text)
    assert caught.value.fields["line"] == line
    assert words in caught.value.message
    assert caught.value.message.startswith(f"{FILE}, line {line}: ")
    assert caught.value.hint
