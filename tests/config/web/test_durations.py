"""Lengths of time in words."""

import pytest

from config.web.texts import format_duration


@pytest.mark.parametrize(
    "seconds, words",
    [
        (-1, "0 s"),
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (75, "1 min 15 s"),
        (3599.9, "1 h 00 min"),
        (4000, "1 h 06 min"),
        (100_000, "1 d 03 h"),
    ],
)
def test_a_length_of_time_has_its_two_largest_units(seconds: float, words: str) -> None:
    assert format_duration(seconds) == words
