"""What the shipped artefact says of the demo's garments as a shop shows them: in frames, and turned."""

from functools import cache

import numpy as np
import pytest

from catalog.demo.sample import read_pictures, read_true_garments
from classifier.ml.artefacts import DEFAULT_ARTEFACT
from classifier.ml.inference import Classifier
from classifier.ml.labels import GROUP_OF_GARMENT
from classifier.ml.types import Picture, Prediction
from tests.support.drawings import render_for_shop

SHOWN = 100


@cache
def load_classifier() -> Classifier:
    """The shipped artefact."""
    return Classifier.load(DEFAULT_ARTEFACT)


@cache
def render_pages() -> tuple[list[Picture], list[str]]:
    """Pages of a shop, and the groups of what they show."""
    pictures, garments = read_pictures(), read_true_garments()
    # Some are things that are no garments.
    names = [name for name in pictures if name in garments][:SHOWN]
    pages = [render_for_shop(pictures[name], side=168, margin=12) for name in names]
    return pages, [GROUP_OF_GARMENT[garments[name]] for name in names]


@cache
def classify_pages() -> list[Prediction]:
    """What is said of the pages as they are."""
    return load_classifier().classify(render_pages()[0])


def test_pages_are_answered_and_right() -> None:
    groups = render_pages()[1]
    answered = [said.group == group for said, group in zip(classify_pages(), groups, strict=True) if not said.abstained]
    # They are no photographs, and a label of what is unlike these is less sure.
    assert len(answered) > 0.75 * SHOWN
    assert sum(answered) > 0.98 * len(answered)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_turned_pages_are_mostly_not_answered(turns: int) -> None:
    pages, groups = render_pages()
    said = load_classifier().classify([np.ascontiguousarray(np.rot90(page, turns)) for page in pages])
    wrong = sum(not one.abstained and one.group != group for one, group in zip(said, groups, strict=True))
    # Without doubt about their standing half of them would be answered, and wrongly.
    assert wrong <= 0.1 * SHOWN


@pytest.mark.parametrize(
    "rows, columns, colour",
    [(1, 1, (128, 128, 128)), (8, 8, (0, 0, 0)), (0, 65, (0, 0, 0))],
    ids=["a line", "a frame of 5 %", "bars beside it"],
)
def test_pages_in_a_frame_are_answered_alike(rows: int, columns: int, colour: tuple[int, int, int]) -> None:
    pages, _ = render_pages()
    framed = np.empty((SHOWN, len(pages[0]) + 2 * rows, len(pages[0]) + 2 * columns, 3), dtype=np.uint8)
    framed[:] = colour
    framed[:, rows : rows + len(pages[0]), columns : columns + len(pages[0])] = pages
    said = load_classifier().classify(list(framed))
    pairs = list(zip(said, classify_pages(), strict=True))
    assert sum(one.group == other.group for one, other in pairs) > 0.98 * SHOWN
    answered = [one for one, other in pairs if not other.abstained]
    # Of those answered without it, nine of ten are with it.
    assert sum(not one.abstained for one in answered) > 0.9 * len(answered)
