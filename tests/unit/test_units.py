"""Durations and sizes as people read and write them."""

from __future__ import annotations

import pytest

from runcept.units import duration, format_duration, format_size, size


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0ms"), (0.3, "300ms"), (0.9994, "999ms"), (0.9996, "1s"), (1.2, "1.2s"), (5, "5s"), (9.94, "9.9s"),
        (9.96, "10s"), (59.4, "59s"), (59.7, "1m"), (245, "4m5s"), (3599.9, "1h"), (3605, "1h"), (5400, "1h30m"),
        (86400 + 60, "1d"), (2 * 86400 + 7200, "2d2h"),
    ],
)  # fmt: skip
def test_a_duration_is_rounded_before_its_unit_is_chosen(seconds: float, text: str) -> None:
    """No "1000ms", no "10.0s", and nothing of an hour and five seconds but the hour."""
    assert format_duration(seconds) == text
    assert duration(text) == pytest.approx(seconds, rel=0.01, abs=0.001)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (812, "812 B"), (1023.4, "1023 B"), (1023.6, "1.0 KiB"), (9.8 * 1024**2, "9.8 MiB"), (99.97 * 1024, "100 KiB"),
        (1023.7 * 1024, "1.0 MiB"), (5000 * 1024**4, "5000 TiB"),
    ],
)  # fmt: skip
def test_a_size_is_rounded_before_its_unit_is_chosen(count: float, text: str) -> None:
    """No "1024 B"."""
    assert format_size(count) == text


def test_only_the_digits_of_a_file_are_numbers() -> None:
    """What another script has for a three would not be read by anybody else."""
    for text in ("\u0663s", "\u0663", "1h\u0663m"):
        with pytest.raises(ValueError, match="not a duration"):
            duration(text)
    with pytest.raises(ValueError, match="not a size"):
        size("\u0663MB")
