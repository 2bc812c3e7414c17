"""Cells of a CSV file: several images, and nothing in its many spellings."""

import time
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.interchange.cells import defuse_cell, join_images, restore_cell, split_images
from catalog.values import RecordError

ONE, TWO = "https://a.example/1.jpg", "https://a.example/2.jpg"


@pytest.mark.parametrize(
    "cell, images",
    [
        ("", []),
        (" | ", []),
        (f"{ONE} {TWO}", [ONE, TWO]),
        (f"{ONE}, {TWO}", [ONE, TWO]),
        (f"{ONE},{TWO}", [ONE, TWO]),
        (f"{ONE};{TWO};", [ONE, TWO]),
        (f"{ONE}|{TWO}", [ONE, TWO]),
        (f"{ONE}\r\n{TWO}\r\n", [ONE, TWO]),
        (f"{ONE} demo/2.png", [ONE, "demo/2.png"]),
        ("front.jpg;back.JPG", ["front.jpg", "back.JPG"]),
        ("a.png b.webp", ["a.png", "b.webp"]),
        ("my dress.jpg, other dress.jpg", ["my dress.jpg", "other dress.jpg"]),
        ("mine/p 12-0.jpg", ["mine/p 12-0.jpg"]),
        ("https://a.example/1.jpg,w_300,h_200", ["https://a.example/1.jpg,w_300,h_200"]),
        ("https://a.example/i?id=1,2;3 https://a.example/i", ["https://a.example/i?id=1,2;3", "https://a.example/i"]),
        ("https://a.example/1.jpg?v=1,https://a.example/x", ["https://a.example/1.jpg?v=1", "https://a.example/x"]),
        ("https://a.example/1 | demo/two", ["https://a.example/1", "demo/two"]),
    ],
)
def test_a_cell_is_split_where_every_piece_is_an_image(cell: str, images: list[str]) -> None:
    assert split_images(cell) == images


@pytest.mark.parametrize(
    "cell, expected",
    [
        ("https://a.example/red dress.jpg", "%20 for a space within an address"),
        ("https://a.example/spring look/blue shoe.jpg", "%20 for a space within an address"),
        ("https://a.example/1 demo/2.png", "| between images"),
        ("S, M, L", "images separated by spaces, commas or |"),
        ("one two", "images separated by spaces, commas or |"),
    ],
)
def test_a_cell_that_may_mean_one_or_several_is_refused(cell: str, expected: str) -> None:
    with pytest.raises(RecordError, match="expected") as refusal:
        split_images(cell)
    assert expected in str(refusal.value)


@pytest.mark.parametrize("cell", [" ", ",", "a.jpg,", "a.jpg?", "x ", "|"])
def test_a_long_cell_takes_no_longer_than_its_length_says(cell: str) -> None:
    started = time.process_time()
    with suppress(RecordError):
        split_images(cell * (130_000 // len(cell)) + " b")
    # Seconds or minutes, if the work grew with the square of the length.
    assert time.process_time() - started < 2


# The first letters of a run are read from a file, which takes a second on a busy machine.
@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.one_of(st.text(" ,;|ab./:", min_size=1), st.sampled_from([ONE, TWO, "a b.png", "x.jpg"]))))
def test_joined_images_are_split_again(images: list[str]) -> None:
    cell = join_images(images)
    assert cell is None or split_images(cell) == images


@pytest.mark.parametrize("cell", ["n/a", "N/A", "#N/A", "null", "None", "NaN", "nil", "-", "--", "\u2013", "\\N"])
def test_a_placeholder_is_nothing_unless_it_is_meant(cell: str) -> None:
    assert restore_cell(cell) == ""
    assert restore_cell(defuse_cell(cell)) == cell


@pytest.mark.parametrize("cell", ["na", "nonesuch", "null and void", "-5%", "N/A.jpg"])
def test_words_that_begin_so_are_themselves(cell: str) -> None:
    assert restore_cell(cell) == cell
