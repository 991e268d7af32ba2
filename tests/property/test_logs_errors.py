"""Errors are the same however lines are mixed, wherever files and blocks are cut; and any text is searched."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.records import AT

from runcept.logs import error_search as search_module
from runcept.logs import files as files_module
from runcept.logs.digest import Fold
from runcept.logs.encoder import Encoder
from runcept.logs.error_blocks import Block, Joiner
from runcept.logs.error_search import find_errors
from runcept.logs.record import Line, parse

CRASHES = {
    path.stem: path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    for path in sorted((Path(__file__).parents[1] / "crashes").glob("*.txt"))
}
NOISE = ["GET / 200", "2026-11-22 08:00:00 INFO open", "error=0", '{"level":"info"}', "WARNING: slow", "{", ""]
CHUNKS = st.one_of(st.sampled_from([*CRASHES.values()]), st.lists(st.sampled_from(NOISE), min_size=13, max_size=30))
PIECES = ["ERROR", "Error: ", "Traceback (most recent call last):", '  File "a", line 1, in f', "    at f (a.js:1:2)"]
PIECES += [
    "panic: ",
    "goroutine 1 [running]:",
    "Caused by: ",
    "{",
    '{"level":50,"msg":',
    "level=error msg=",
    "  | ",
    "+-+",
]
TEXTS = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=9)), max_size=5).map("".join)


def joined(lines: Iterable[Line]) -> list[Block]:
    """The errors in the order in which they begin."""
    joiner = Joiner()
    blocks = [block for number, each in enumerate(lines) for block in joiner.feed(each, number)]
    return sorted([*blocks, *joiner.finish()], key=lambda block: block.offset)


def said(texts: Iterable[str], stream: str) -> list[Line]:
    """Lines without an instant."""
    return [Line(None, "web", stream, None, text) for text in texts]


@settings(deadline=None)
@given(st.lists(CHUNKS, max_size=4), st.lists(CHUNKS, max_size=4), st.randoms(use_true_random=False))
def test_streams_are_told_apart_however_they_are_mixed(
    out: list[list[str]], err: list[list[str]], random: object
) -> None:
    """The errors of each stream are those that it has alone."""
    streams = {name: said(chain(*chunks), name) for name, chunks in (("stdout", out), ("stderr", err))}
    alone = {name: [(each.title, each.lines()) for each in joined(lines)] for name, lines in streams.items()}
    order = ["stdout"] * len(streams["stdout"]) + ["stderr"] * len(streams["stderr"])
    random.shuffle(order)  # type: ignore[attr-defined]
    sources = {name: iter(lines) for name, lines in streams.items()}
    found: dict[str, list[tuple[str, list[str]]]] = {"stdout": [], "stderr": []}
    for block in joined(next(sources[name]) for name in order):
        found[block.stream].append((block.title, block.lines()))
    assert found == alone


@settings(max_examples=40, deadline=None)
@given(st.lists(CHUNKS, min_size=1, max_size=8), st.sampled_from([1, 60, 500, 4000, 1 << 18]), st.data())
def test_files_and_blocks_may_be_cut_anywhere(chunks: list[list[str]], size: int, data: st.DataObject) -> None:
    """What is found backwards, block by block and with most lines passed by, is what is found by reading it all."""
    encoder = Encoder()
    texts = [text for chunk in chunks for text in chunk]
    # Each at an instant of its own: files of a log are known by their first bytes.
    records = [encoder.feed(1, AT + number, f"{text}\n".encode()) for number, text in enumerate(texts)]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(records)), max_size=3)))
    expected = Fold()
    for block in reversed(joined(parse(raw.rstrip(b"\n"), "web") for raw in records)):
        expected.add(block)
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setattr(files_module, "_FIRST_BLOCK", size)
        patch.setattr(files_module, "_BLOCK", size)
        patch.setattr(search_module, "_CHUNK", size)
        path = Path(directory) / "web.jsonl"
        for number, (begin, end) in enumerate(zip([0, *cuts], [*cuts, len(records)], strict=True)):
            name = f"{path}.{len(cuts) - number}" if number < len(cuts) else path
            Path(name).write_bytes(b"".join(records[begin:end]))
        page = find_errors({"web": str(path)}, items=1000, size=1 << 30)
    assert {(each.title, each.count, *each.lines) for each in page.errors} == {
        (each.title, each.count, *each.lines) for each in expected.items("web")
    }


@settings(deadline=None)
@given(st.lists(TEXTS, max_size=60))
def test_any_text_is_searched(texts: list[str]) -> None:
    """No line is in two errors of a stream, they come in order, and none is without a name."""
    blocks = joined(said(texts, "stderr"))
    assert sum(len(block.lines()) for block in blocks) <= len(texts) + sum("stack" in text for text in texts)
    assert len({block.offset for block in blocks}) == len(blocks)
    assert all(block.title for block in blocks)
