"""Occlusion: what covering parts of a picture does to a label, with a network whose answer is known."""

from functools import partial

import numpy as np
import pytest

from classifier.ml.artefacts import DEFAULT_ARTEFACT
from classifier.ml.inference import Classifier
from classifier.ml.labels import BAGS, FOOTWEAR, GROUPS, UPPER_PART
from classifier.ml.occlusion import build_occlusion_map


def build_form(*, top: int = 0, left: int = 0, height: int = 28, width: int = 28) -> np.ndarray:
    """A form of 28 x 28 that is white in one rectangle and black around it."""
    form = np.zeros((28, 28), dtype=np.uint8)
    form[top : top + height, left : left + width] = 255
    return form


def footwear_by_corner(forms: np.ndarray) -> np.ndarray:
    """A network to which the white share of the upper left 8 x 8 pixels is Footwear, and the rest Bags."""
    share = forms[:, :8, :8].mean(axis=(1, 2)) / 255
    probabilities = np.zeros((len(forms), len(GROUPS)))
    probabilities[:, GROUPS.index(FOOTWEAR)] = share
    probabilities[:, GROUPS.index(BAGS)] = 1 - share
    return probabilities


def test_the_one_part_that_decides_is_found_and_named():
    found = build_occlusion_map(build_form(), group=FOOTWEAR, group_probabilities=footwear_by_corner)

    assert (found.group, found.probability, found.largest) == (FOOTWEAR, 1.0, 1.0)
    assert [(part.place, part.decrease, part.probability, part.likeliest) for part in found.parts] == [
        ("upper left", 1.0, 0.0, BAGS)
    ]
    assert np.unravel_index(found.decreases.argmax(), (28, 28)) == (0, 0)
    assert found.decreases[0, 0] == 1.0
    assert not found.decreases[20:].any()
    assert not found.decreases[:, 20:].any()


def test_what_speaks_against_a_group_is_negative():
    found = build_occlusion_map(build_form(), group=BAGS, group_probabilities=footwear_by_corner)

    assert (found.probability, found.largest) == (0.0, 1.0)
    assert [(part.place, part.decrease, part.likeliest) for part in found.parts] == [("upper left", -1.0, BAGS)]
    assert found.decreases.min() == -1.0


def test_covers_are_black_squares_of_a_third_of_the_side_and_reach_every_pixel():
    seen = []

    def remember(forms):
        seen.append(forms)
        return np.full((len(forms), 5), 0.2)

    form = build_form()
    build_occlusion_map(form, group=UPPER_PART, group_probabilities=remember)

    (forms,) = seen
    assert forms.shape == (50, 28, 28)
    assert np.array_equal(forms[0], form)
    assert {int((covered == 0).sum()) for covered in forms[1:]} == {100}
    assert (forms[1:] == 0).any(axis=0).all()
    assert form.all()


def test_changes_that_are_not_notable_have_no_sentence():
    def nearly_sure(forms):
        probabilities = np.full((len(forms), 5), 0.0025)
        probabilities[:, 0] = 0.99 - 0.04 * (forms.mean(axis=(1, 2)) < 255)
        return probabilities

    found = build_occlusion_map(build_form(), group=UPPER_PART, group_probabilities=nearly_sure)

    assert found.parts == ()
    assert found.largest == pytest.approx(0.04)


def test_parts_do_not_overlap_and_there_are_three_at_most():
    def by_area(forms):
        probabilities = np.zeros((len(forms), 5))
        probabilities[:, 0] = forms.mean(axis=(1, 2)) / 255
        return probabilities

    found = build_occlusion_map(build_form(), group=UPPER_PART, group_probabilities=by_area)

    assert len(found.parts) == 3
    assert len({part.place for part in found.parts}) == 3


def test_a_form_that_is_not_square_is_refused():
    with pytest.raises(ValueError, match="square"):
        build_occlusion_map(np.zeros((28, 27), np.uint8), group=BAGS, group_probabilities=footwear_by_corner)


@pytest.mark.parametrize("frame", [0, 12])
def test_the_shipped_network_can_be_asked_and_agrees_with_its_label(frame):
    classifier = Classifier.load(DEFAULT_ARTEFACT)
    inner = np.full((300, 200, 3), 245, dtype=np.uint8)
    inner[40:260, 60:90] = inner[40:260, 110:140] = inner[40:90, 60:140] = (40, 60, 120)
    picture = np.pad(inner, ((frame, frame), (frame, frame), (0, 0)))

    (said,) = classifier.classify([picture])
    view = classifier.view(picture)
    found = build_occlusion_map(
        view.pixels,
        group=said.group,
        group_probabilities=partial(classifier.group_probabilities, photograph=view.inner),
    )

    # Features that are stored have half the precision.
    assert found.probability == pytest.approx(said.confidence, abs=1e-4)
    assert found.decreases.shape == (28, 28)
