"""How wide a text is, and cutting it."""

from __future__ import annotations

import pytest

from runcept.core.columns import cut, width_of


@pytest.mark.parametrize(("text", "width"), [("", 0), ("abc", 3), ("統計", 4), ("e\u0301", 1), ("aé統", 4)])
def test_a_text_is_as_wide_as_a_terminal_draws_it(text: str, width: int) -> None:
    """Wide characters take two columns, combining ones none."""
    assert width_of(text) == width


@pytest.mark.parametrize("text", ["abcdef", "統計情報", "e\u0301e\u0301e\u0301", "", "a統b計c"])
@pytest.mark.parametrize("end", ["", "…"])
def test_what_is_cut_fits_and_is_the_beginning(text: str, end: str) -> None:
    """As much as there is room for, down to nothing."""
    for width in range(10):
        shown = cut(text, width, end)
        assert width_of(shown) <= width
        assert text.startswith(shown.removesuffix(end))
        if shown != text:
            assert width - width_of(shown) <= 1
            assert shown.endswith(end) or not width
