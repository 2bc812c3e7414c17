"""What a product's page says of a picture and its label, in words."""

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from django.contrib.auth.models import User

from catalog.models import StoredPicture
from classifier.evidence.product_page import ImagePage, Opinion
from classifier.labels.reads import ImageLabel
from classifier.models import Review


def build_label(**fields: Any) -> ImageLabel:
    """A label by a machine that was not sure, but for these fields: what the sentences read of one, and no more."""
    unsure = {
        "status": "needs_review",
        "source": "machine",
        "group": "Bags",
        "garment": None,
        "reason": "unsure",
        "evidence": "picture",
        "classification": None,
    }
    return cast(ImageLabel, SimpleNamespace(**unsure | {"confidence": 0.4321, "abstained": True} | fields))


PAGE = ImagePage(
    id=1,
    url="1.jpg",
    image_index=0,
    picture=None,
    label=build_label(),
    opinions=[],
    threshold=0.75,
    too_little_evidence=False,
)
OPINION = Opinion(at=datetime(2026, 11, 25, tzinfo=UTC), group="Footwear", garment="Sandal", confidence=0.9, run_id=7)


@pytest.mark.parametrize(
    "page, reason",
    [
        (PAGE, "the network is 43.2 % sure, and a label of Bags is kept from 75.0 % on."),
        (replace(PAGE, threshold=None), "the network is not sure enough."),
        (
            replace(PAGE, too_little_evidence=True),
            "the picture shows too little of what the network knows as clothes, whatever its confidence.",
        ),
    ],
)
def test_a_label_that_is_not_kept_says_why(page: ImagePage, reason: str) -> None:
    assert page.why_not_kept == f"Not kept without a person: {reason}"


@pytest.mark.parametrize(
    "label",
    [
        build_label(abstained=False),
        build_label(source="person", confidence=1.0),
        build_label(status="pending", source=None, group=None, confidence=None, abstained=None),
    ],
)
def test_nothing_is_said_of_a_label_that_is_kept_or_a_persons_or_not_there(label: ImageLabel) -> None:
    assert replace(PAGE, label=label).why_not_kept == ""


def test_a_place_without_a_picture_says_why() -> None:
    assert PAGE.why_no_picture == "Not fetched yet"
    assert replace(PAGE, label=build_label(status="failed")).why_no_picture == "Could not be read"
    assert replace(PAGE, picture=StoredPicture()).why_no_picture == ""


def test_only_a_persons_label_has_a_pressed_button() -> None:
    reviewed = {"source": "person", "status": "reviewed"}
    assert PAGE.pressed == ""
    assert replace(PAGE, label=build_label(**reviewed)).pressed == "Bags"
    assert replace(PAGE, label=build_label(**reviewed, garment="Bag")).pressed == "Bag"


def test_an_opinion_says_what_was_said_and_by_whom() -> None:
    assert (OPINION.label, OPINION.run, OPINION.reviewer_words) == ("Footwear, Sandal", "run 7", "")
    review = Review(group="Footwear", reviewer=User(username="ada"))
    opinion = replace(OPINION, garment="", run_id=None, review=review)
    assert (opinion.label, opinion.run, opinion.reviewer_words) == ("Footwear", "", "ada")
    review.note = 250 * "n"
    assert opinion.reviewer_words == f"ada: {199 * 'n'}…"
    review.note, review.queue, review.suggestion = "", "unsure", "none_of_these"
    assert opinion.reviewer_words == "ada, from Unsure, instead of None of these"
    review.suggestion = "Footwear"
    assert opinion.reviewer_words == "ada, from Unsure, as suggested"
    review.queue, review.suggestion, review.blind = "second_look", "", True
    assert opinion.reviewer_words == "ada, from Second look, blind"
    review.queue, review.blind, review.run_id = "", False, 7
    assert opinion.reviewer_words == "ada, by review run 7"
