"""What follows from a picture and from texts."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifier.ml.judging.fusion import (
    KEPT_CONFIDENCE,
    Evidence,
    Outcome,
    PictureEvidence,
    TextSaid,
    fuse,
)
from classifier.ml.labels import BAGS, GARMENTS, GROUP_OF_GARMENT, GROUPS, ONE_PIECE, UPPER_PART
from classifier.ml.text.reading import DESCRIPTION_SCORE, TITLE_SCORE, Verdict


def _see(*, kept: bool = True, seen: bool = True, **shares: float) -> PictureEvidence:
    """A picture with these probabilities of Shirt, Coat, Dress, Bag and Trouser; what is left is Sneaker's."""
    probabilities = [shares.get(name, 0.0) for name in GARMENTS]
    probabilities[GARMENTS.index("Sneaker")] += 1.0 - sum(shares.values())
    groups = dict.fromkeys(GROUPS, 0.0)
    for garment, probability in zip(GARMENTS, probabilities, strict=True):
        groups[GROUP_OF_GARMENT[garment]] += probability
    group = max(groups, key=groups.__getitem__)
    within = [name for name in GARMENTS if GROUP_OF_GARMENT[name] == group]
    garment = max(within, key=lambda name: probabilities[GARMENTS.index(name)])
    return PictureEvidence(group, garment, groups[group], probabilities, is_kept=kept, is_seen=seen)


def _name(group: str, *, garment: str = "", score: float = TITLE_SCORE, has_vote: bool = True) -> TextSaid:
    return TextSaid(Verdict.GROUP, group, garment, score, has_vote)


def _deny(*, score: float = TITLE_SCORE, has_vote: bool = True) -> TextSaid:
    return TextSaid(Verdict.NONE_OF_THESE, score=score, has_vote=has_vote)


SILENT = TextSaid(has_vote=True)


@pytest.mark.parametrize("text", [SILENT, TextSaid(Verdict.AMBIGUOUS, score=1.0, has_vote=True)])
def test_where_texts_name_nothing_the_picture_decides(text: TextSaid) -> None:
    sure, unsure = _see(Dress=0.9), _see(Dress=0.6, kept=False)

    fused = fuse(sure, text)
    assert (fused.outcome, fused.group, fused.garment) == (Outcome.LABELLED, ONE_PIECE, "Dress")
    assert (fused.confidence, fused.evidence) == (sure.confidence, Evidence.PICTURE)
    assert fuse(unsure, text).outcome == Outcome.UNSURE


def test_a_title_makes_an_unsure_picture_sure() -> None:
    picture = _see(Shirt=0.5, Dress=0.4, kept=False)

    agreed, won = fuse(picture, _name(UPPER_PART)), fuse(picture, _name(ONE_PIECE))

    assert (agreed.outcome, agreed.group, agreed.evidence) == (Outcome.LABELLED, UPPER_PART, Evidence.BOTH)
    assert (won.outcome, won.group, won.garment, won.evidence) == (
        Outcome.LABELLED,
        ONE_PIECE,
        "Dress",
        Evidence.TEXT,
    )
    assert won.confidence == pytest.approx(0.4 * 36 / (0.4 * 36 + 0.6))


def test_one_title_alone_makes_no_sure_label() -> None:
    fused = fuse(_see(Shirt=0.6, Coat=0.3, Dress=0.05, kept=False), _name(ONE_PIECE))

    assert (fused.outcome, fused.group) == (Outcome.UNSURE, ONE_PIECE)
    assert fused.confidence is not None
    assert fused.confidence < KEPT_CONFIDENCE
    assert fuse(_see(seen=False, kept=False), _name(ONE_PIECE)).outcome == Outcome.UNSURE


def test_a_sure_picture_and_another_title_disagree() -> None:
    assert fuse(_see(Shirt=0.97, Dress=0.02), _name(ONE_PIECE)).outcome == Outcome.DISAGREEMENT


def test_a_description_counts_less() -> None:
    unsure = _see(Shirt=0.5, Dress=0.3, kept=False)
    described = _name(ONE_PIECE, score=DESCRIPTION_SCORE)

    assert fuse(_see(Shirt=0.97), described).outcome == Outcome.LABELLED
    assert fuse(unsure, _name(ONE_PIECE)).outcome == Outcome.LABELLED
    assert (fuse(unsure, described).outcome, fuse(unsure, described).group) == (Outcome.UNSURE, ONE_PIECE)
    assert fuse(unsure, _deny(score=DESCRIPTION_SCORE)).outcome == Outcome.UNSURE


def test_texts_without_a_vote_move_the_confidence_alone() -> None:
    unsure, sure = _see(Shirt=0.5, Dress=0.4, kept=False), _see(Shirt=0.9, Dress=0.05)

    for picture, outcome in ((unsure, Outcome.UNSURE), (sure, Outcome.LABELLED)):
        agreed = fuse(picture, _name(UPPER_PART, has_vote=False))
        contradicted = fuse(picture, _name(ONE_PIECE, has_vote=False))
        assert {agreed.group, contradicted.group} == {UPPER_PART}
        assert {agreed.outcome, contradicted.outcome} == {outcome}
        assert {agreed.evidence, contradicted.evidence} == {Evidence.PICTURE}
        assert agreed.confidence is not None
        assert contradicted.confidence is not None
        assert agreed.confidence > picture.confidence > contradicted.confidence
        assert fuse(picture, _deny(has_vote=False)).outcome == outcome


def test_a_negative_title_makes_it_none_of_these() -> None:
    fused = fuse(_see(Bag=0.99), _deny())

    assert (fused.outcome, fused.group, fused.garment, fused.confidence) == (Outcome.NONE_OF_THESE, "", "", None)
    assert fused.evidence == Evidence.TEXT
    assert fuse(_see(Shirt=0.8), _deny()).outcome == Outcome.NONE_OF_THESE
    contradicted = fuse(_see(Shirt=0.95), _deny())
    assert contradicted.outcome == Outcome.DISAGREEMENT
    assert contradicted.confidence == pytest.approx(0.95 / (0.95 + 36 * 0.05))


def test_the_garment_is_the_one_that_the_title_names() -> None:
    picture = _see(Shirt=0.5, Coat=0.2, Dress=0.2, kept=False)

    assert fuse(picture, _name(UPPER_PART, garment="Coat")).garment == "Coat"
    assert fuse(picture, _name(UPPER_PART)).garment == "Shirt"


@given(
    st.lists(st.floats(0, 1), min_size=10, max_size=10).filter(lambda values: sum(values) > 0.01),
    st.sampled_from([*GROUPS, ""]),
    st.sampled_from([TITLE_SCORE, DESCRIPTION_SCORE]),
    st.booleans(),
    st.booleans(),
)
def test_whatever_is_said_there_is_a_label(
    values: list[float], group: str, score: float, has_vote: bool, is_kept: bool
) -> None:
    shares = np.array(values) / sum(values)
    picture = _see(kept=is_kept, **dict(zip(GARMENTS, shares.tolist(), strict=True)))

    fused = fuse(picture, TextSaid(Verdict.GROUP if group else Verdict.NONE_OF_THESE, group, "", score, has_vote))

    if fused.outcome == Outcome.NONE_OF_THESE:
        assert fused.group == fused.garment == ""
    else:
        assert GROUP_OF_GARMENT[fused.garment] == fused.group
        assert fused.confidence is not None
        assert 0 <= fused.confidence <= 1 + 1e-9
    # Texts without a vote change no group.
    if not has_vote:
        assert fused.group == picture.group


def _learn(**odds: float) -> TextSaid:
    """A title of which reviews taught these odds for Upper, Dress (one piece) and none; what is left is Footwear's."""
    learned = [
        odds.get("upper", 0.0),
        0.0,
        odds.get("piece", 0.0),
        1.0 - sum(odds.values()),
        0.0,
        odds.get("none", 0.0),
    ]
    return TextSaid(learned=learned)


def test_what_reviews_taught_about_titles_counts_where_texts_say_nothing() -> None:
    picture = _see(Shirt=0.5, Dress=0.4, kept=False)

    won = fuse(picture, _learn(piece=0.96, upper=0.03, none=0.0))
    assert (won.outcome, won.group, won.garment, won.evidence) == (
        Outcome.LABELLED,
        ONE_PIECE,
        "Dress",
        Evidence.TEXT,
    )
    agreed = fuse(picture, _learn(upper=0.96, piece=0.03))
    assert (agreed.outcome, agreed.group, agreed.evidence) == (Outcome.LABELLED, UPPER_PART, Evidence.BOTH)
    assert fuse(picture, _learn(upper=0.4, piece=0.4)).outcome == Outcome.UNSURE
    assert fuse(_see(Shirt=0.9), _learn(piece=0.99)).outcome == Outcome.DISAGREEMENT
    blank = fuse(_see(Shirt=0.99, kept=False, seen=False), _learn(piece=0.99))
    assert (blank.outcome, blank.group) == (Outcome.UNSURE, ONE_PIECE)


def test_a_vote_of_the_lexicon_leaves_what_reviews_taught_aside() -> None:
    picture, learned = _see(Shirt=0.5, Dress=0.4, kept=False), _learn(piece=0.99).learned

    assert fuse(picture, replace(_name(UPPER_PART), learned=learned)) == fuse(picture, _name(UPPER_PART))
    assert fuse(picture, replace(_deny(), learned=learned)).outcome == Outcome.NONE_OF_THESE
    without_vote = fuse(picture, replace(_name(UPPER_PART, has_vote=False), learned=learned))
    assert (without_vote.outcome, without_vote.group) == (Outcome.LABELLED, ONE_PIECE)


@pytest.mark.parametrize("probability, outcome", [(0.95, Outcome.NONE_OF_THESE), (0.6, Outcome.UNSURE)])
def test_a_picture_that_surely_shows_none_of_the_groups_makes_none_of_these(probability: float, outcome: str) -> None:
    picture = replace(_see(Bag=0.97, kept=False), none_probability=probability)

    assert fuse(picture, SILENT).outcome == outcome
    assert fuse(picture, _name(BAGS)).outcome == Outcome.LABELLED
    assert fuse(replace(picture, is_seen=False), SILENT).outcome == Outcome.UNSURE
    # A title like those that were reviewed as none of these says the same.
    assert fuse(picture, _learn(none=0.95)).outcome == Outcome.NONE_OF_THESE
