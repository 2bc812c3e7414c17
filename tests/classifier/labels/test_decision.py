"""What decides a label, from facts alone."""

from datetime import UTC, datetime
from typing import Any

import pytest

from classifier.labels.decision import Classified, Decision, Failure, PictureFacts, Reviewed, decide

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


def test_without_an_image_there_is_nothing_to_decide() -> None:
    assert decide(None) == Decision(status="no_image")
