"""What decides a label, from facts alone."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from classifier.labels.decision import Classified, Decision, Failure, PictureFacts, Reviewed, decide
from classifier.ml.judging.fusion import TextSaid
from classifier.ml.labels import GARMENTS, GROUP_OF_GARMENT

THEN = datetime(2026, 11, 1, tzinfo=UTC)
REVIEW = Reviewed(id=7, group="Footwear", garment="Sandal", at=THEN)


def classified(version: int = 1, *, abstained: bool = False, garment_unsure: bool = False) -> Classified:
    return Classified(
        id=10 + version,
        model_version_id=version,
        group="Bags",
        garment="Bag",
        confidence=0.8,
        abstained=abstained,
        garment_unsure=garment_unsure,
        at=THEN,
    )


MACHINE = {
    "group": "Bags",
    "garment": "Bag",
    "confidence": 0.8,
    "source": "machine",
    "model_version_id": 1,
    "classification_id": 11,
    "labelled_at": THEN,
}
PERSON = {
    "group": "Footwear",
    "garment": "Sandal",
    "confidence": 1.0,
    "source": "person",
    "review_id": 7,
    "labelled_at": THEN,
}


@pytest.mark.parametrize(
    "facts,expected",
    [
        ({}, {"status": "pending"}),
        ({"failure": Failure("timeout", THEN)}, {"status": "failed", "reason": "timeout", "labelled_at": THEN}),
        ({"classifications": [classified()]}, {"status": "labelled", **MACHINE}),
        (
            {"classifications": [classified(abstained=True)]},
            {"status": "needs_review", "reason": "unsure", **MACHINE},
        ),
        (
            {"classifications": [classified(garment_unsure=True)]},
            {"status": "labelled", "garment_unsure": True, **MACHINE},
        ),
        (
            {"classifications": [classified(abstained=True, garment_unsure=True)]},
            {"status": "needs_review", "reason": "unsure", **MACHINE},
        ),
        ({"classifications": [classified(1), classified(2)]}, {"status": "labelled", **MACHINE}),
        ({"classifications": [classified()], "failure": Failure("timeout", THEN)}, {"status": "labelled", **MACHINE}),
        (
            {"placeholder_since": THEN, "classifications": [classified()], "failure": Failure("timeout", THEN)},
            {"status": "needs_review", "reason": "placeholder", "labelled_at": THEN},
        ),
        ({"review": REVIEW, "placeholder_since": THEN}, {"status": "reviewed", **PERSON}),
        ({"review": REVIEW}, {"status": "reviewed", **PERSON}),
        ({"review": REVIEW, "failure": Failure("timeout", THEN)}, {"status": "reviewed", **PERSON}),
        (
            {"review": REVIEW, "classifications": [classified(abstained=True)]},
            {"status": "reviewed", **PERSON, "model_version_id": 1, "classification_id": 11},
        ),
    ],
    ids=lambda value: " and ".join(value) or "nothing",
)
def test_a_person_a_suspicion_the_first_version_a_failure_decide(
    facts: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert decide(PictureFacts(image_id=3, **facts)) == Decision(image_id=3, **expected)


def _see(
    garment: str, *, probability: float = 0.97, abstained: bool = False, garment_unsure: bool = False
) -> PictureFacts:
    probabilities = [(1 - probability) / 9] * 10
    probabilities[GARMENTS.index(garment)] = probability
    said = Classified(
        id=11,
        model_version_id=1,
        group=GROUP_OF_GARMENT[garment],
        garment=garment,
        confidence=probability,
        abstained=abstained,
        garment_unsure=garment_unsure,
        at=THEN,
        garment_probabilities=probabilities,
    )
    return PictureFacts(image_id=3, classifications=[said])


DRESS = TextSaid("group", "One piece", "Dress", score=1.0, has_vote=True)
BELT = TextSaid("none_of_these", score=1.0, has_vote=True)


@pytest.mark.parametrize(
    "facts, texts, expected",
    [
        (_see("Dress", probability=0.5, abstained=True), DRESS, ("labelled", "One piece", "Dress", "", "both")),
        (
            _see("Shirt", probability=0.4, abstained=True),
            DRESS,
            ("needs_review", "One piece", "Dress", "unsure", "text"),
        ),
        (_see("Shirt"), DRESS, ("needs_review", "One piece", "Dress", "disagreement", "text")),
        (_see("Bag"), BELT, ("none_of_these", "", "", "", "text")),
        (_see("Shirt"), BELT, ("needs_review", "Upper part", "Shirt", "disagreement", "")),
        (_see("Shirt"), replace(DRESS, has_vote=False), ("labelled", "Upper part", "Shirt", "", "")),
        # Texts label nothing whose picture nobody looked at, and never against a person.
        (PictureFacts(image_id=3), DRESS, ("pending", "", "", "", "")),
        (PictureFacts(image_id=3, review=REVIEW), DRESS, ("reviewed", "Footwear", "Sandal", "", "")),
    ],
)
def test_texts_count_beside_the_picture(facts: PictureFacts, texts: TextSaid, expected: tuple[str, ...]) -> None:
    label = decide(facts, texts)

    assert (label.status, label.group, label.garment, label.reason, label.evidence) == expected


def test_a_garment_that_the_title_names_is_sure() -> None:
    unsure = _see("Shirt", garment_unsure=True)
    shirt = TextSaid("group", "Upper part", "Shirt", score=1.0, has_vote=True)

    assert decide(unsure).garment_unsure
    assert decide(unsure, replace(shirt, garment="")).garment_unsure
    assert not decide(unsure, shirt).garment_unsure
    assert decide(unsure, replace(shirt, has_vote=False)).garment_unsure


def test_without_an_image_there_is_nothing_to_decide() -> None:
    assert decide(None) == Decision(status="no_image")
