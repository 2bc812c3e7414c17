"""The figures of a catalogue's labels, on numbers that can be counted by hand."""

import pytest

from classifier.ml.judging.catalogues import NONE, Answer, judge_answers
from classifier.ml.labels import GROUPS

UPPER, BOTTOM, ONE, FOOTWEAR, BAGS = GROUPS


def say(group: str | None, confidence: float = 0.9, *, sure: bool = True, evidence: str = "picture") -> Answer:
    return Answer(group, is_sure=sure, confidence=confidence, evidence=evidence)


def judge(*rows: tuple[int, str, Answer]) -> dict:
    """The figures of so many products each of that truth and answer."""
    answers = [answer for count, _, answer in rows for _ in range(count)]
    return judge_answers(answers, truth=[true for count, true, _ in rows for _ in range(count)])


def test_groups_answers_and_what_is_none_are_counted() -> None:
    # Given 100 garments of two groups, and 40 things of none,
    figures = judge(
        (40, UPPER, say(UPPER)),
        (10, UPPER, say(BAGS, 0.6, sure=False)),
        (40, BAGS, say(BAGS, 0.8, evidence="both")),
        (10, BAGS, say(None, 0.95, evidence="text")),
        (10, NONE, say(BAGS, 0.85)),
        (10, NONE, say(BAGS, 0.5, sure=False)),
        (20, NONE, say(None, 0.99, evidence="text")),
    )
    # then a garment that is said to be none is wrong and has no answer,
    assert (figures["products"], figures["garments"], figures[NONE]) == (140, 100, 40)
    assert figures["accuracy"]["value"] == pytest.approx(0.8)
    assert figures["balanced_accuracy"]["value"] == pytest.approx((40 / 50 + 40 / 50) / 2)
    assert figures["recall"][UPPER]["value"] == pytest.approx(0.8)
    assert figures["recall"][ONE] == {"value": None, "low": None, "high": None, "count": 0}
    assert figures["answered"]["value"] == pytest.approx(0.8)
    assert figures["accuracy_of_answered"]["value"] == 1.0
    assert figures["said_none"]["value"] == pytest.approx(0.1)
    assert figures["none_answered"]["value"] == pytest.approx(10 / 40)
    # of the surest 95, those 15 at the edge (10 unsure, 5 said to be none) are wrong,
    assert figures["accuracy_of_surest"]["0.8"]["value"] == 1.0
    assert figures["accuracy_of_surest"]["0.95"]["value"] == pytest.approx(80 / 95)
    assert figures["accuracy_of_surest"]["0.95"]["low"] < 80 / 95 < figures["accuracy_of_surest"]["0.95"]["high"]
    # 78 garments are as sure as 0.8, where the 10 things at 0.85 are answered,
    assert figures["none_answered_at"]["0.78"]["value"] == pytest.approx(10 / 40)
    # and each product stands in one cell.
    counts = dict(zip(figures["confusion"]["true"], figures["confusion"]["counts"], strict=True))
    assert figures["confusion"]["said"][-2:] == ["none of these", "not sure"]
    assert counts[UPPER] == [40, 0, 0, 0, 0, 0, 10]
    assert counts[BAGS] == [0, 0, 0, 0, 40, 10, 0]
    assert counts[NONE] == [0, 0, 0, 0, 10, 20, 10]
    assert {name: row["garments"] for name, row in figures["evidence"].items()} == {
        "both": 40,
        "picture": 50,
        "text": 10,
    }
    assert figures["evidence"]["picture"]["answered"]["value"] == pytest.approx(40 / 50)


def test_the_order_of_products_of_equal_confidence_does_not_matter() -> None:
    rows = [(40, UPPER, say(UPPER)), (40, UPPER, say(BAGS)), (60, NONE, say(BAGS)), (60, NONE, say(BAGS, 0.95))]
    figures = judge(*rows)
    assert figures["accuracy_of_surest"]["0.8"]["value"] == pytest.approx(0.5)
    # Of the garments 62 of 80 are taken, all at 0.9: the things at 0.95 count whole, those at 0.9 as the garments do.
    assert figures["none_answered_at"]["0.78"]["value"] == pytest.approx((60 + 60 * 62 / 80) / 120)
    assert judge(*reversed(rows)) == figures


def test_a_garment_said_to_be_none_is_never_among_the_surest_things() -> None:
    figures = judge((30, UPPER, say(None)), (20, NONE, say(None)), (20, NONE, say(BAGS, 0.1)))
    # No confidence has 0.78 of the garments answered: every thing with a group counts, and none without.
    assert figures["none_answered_at"]["0.78"]["value"] == pytest.approx(0.5)


def test_of_few_and_of_none_nothing_is_told() -> None:
    figures = judge((10, UPPER, say(UPPER)))
    told = [figures[name]["value"] for name in ("accuracy", "balanced_accuracy", "answered", "none_answered")]
    assert told == [None] * 4
    assert judge((31, NONE, say(None)))["none_answered_at"]["0.78"]["value"] is None
    with pytest.raises(ValueError, match="received 0 and 1"):
        judge_answers([], truth=[UPPER])
