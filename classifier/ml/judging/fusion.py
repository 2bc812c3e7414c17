"""What follows from a picture and from what a product's texts say of it.

Constants, no fitted weights: they were chosen on the training part of one shop's titles and pictures; a part with other
brands measured them (docs/classifier.md has the figures). Of the catalogue nothing counts but whether a country's texts
are right often enough to have a vote; how often beyond that does not, so that labels do not change with every review.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from classifier.ml.labels import BAGS, GARMENTS, GROUP_INDEX_OF_GARMENT, GROUPS
from classifier.ml.text.reading import TITLE_SCORE, Verdict

#: From this precision on a country's texts have a vote; below it they move the confidence alone.
VOTING_PRECISION: Final = 0.97
#: What such a text says for the group that it names, as odds: the others share what is left.
_VOTING_ODDS: Final = (len(GROUPS) - 1) * VOTING_PRECISION / (1.0 - VOTING_PRECISION)
#: What they may say for the confidence: so a picture that gives a group less than a fifth is not made sure of it.
MOST_ODDS: Final = 36.0
#: The same for texts without a vote.
MOST_ODDS_WITHOUT_VOTE: Final = 3.0
#: A label that texts had a part in is kept from this confidence on.
KEPT_CONFIDENCE: Final = 0.9
#: From this probability of none of the groups on a label is in doubt.
DOUBTED: Final = 0.5
#: Against a title with a vote no picture says of the named group that it is less likely, so that the title names the
#: group: after some hundred reviews a head is surer than that, and titles are right more often.
LEAST_PROBABILITY: Final = 0.01
#: From here on a picture of a garment stands against a title that names another thing. Bags never do: the network takes
#: belts and wallets for them.
CONTRADICTING_CONFIDENCE: Final = 0.9

_GROUP_OF_GARMENT: Final = tuple(GROUP_INDEX_OF_GARMENT.tolist())


class Outcome(StrEnum):
    """What becomes of a product of which a picture was looked at."""

    LABELLED = "labelled"
    UNSURE = "unsure"
    DISAGREEMENT = "disagreement"
    NONE_OF_THESE = "none_of_these"


class Evidence(StrEnum):
    """On what a label stands."""

    PICTURE = "picture"
    TEXT = "text"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class PictureEvidence:
    """What a version said of a picture: its answer, float[10] calibrated probabilities of the garments in their order.

    ``is_kept`` is false where it abstained; ``is_seen`` is false where the picture shows too little to be evidence.
    ``none_probability`` is how likely it shows none of the groups, of which the others know nothing.
    """

    group: str
    garment: str
    confidence: float
    garment_probabilities: Sequence[float]
    is_kept: bool
    is_seen: bool = True
    none_probability: float = 0.0


@dataclass(frozen=True, slots=True)
class TextSaid:
    """What a product's texts say (see ``TextReading``), and whether texts have a vote where it is sold.

    ``learned`` is by how much its title multiplies the odds of each group and, last, of none of them, as reviews taught
    (``TitleHead``); empty where nothing taught that.
    """

    verdict: str = Verdict.SILENT
    group: str = ""
    garment: str = ""
    score: float = 0.0
    has_vote: bool = False
    learned: Sequence[float] = ()


#: What texts say that nobody read, or that say nothing.
SILENT: Final = TextSaid()


@dataclass(frozen=True, slots=True)
class Fused:
    """What follows: no group, garment and confidence where it is none of these."""

    outcome: Outcome
    group: str
    garment: str
    confidence: float | None
    evidence: Evidence


def fuse(picture: PictureEvidence, text: TextSaid) -> Fused:
    """The label that a picture and texts give together.

    Texts with a vote multiply the odds of the group that they name, to the power of their score, and the most probable
    group wins; its confidence counts ``MOST_ODDS`` at most. Without a vote they move the confidence alone.

    A picture that surely shows none of the groups makes the product none of these unless texts with a vote name one.
    A sure picture and a title that names another group disagree; a description does not count against a sure picture. A
    title that names another thing makes the product none of these, unless the picture is sure of a garment. Where texts
    with a vote say nothing, what reviews taught about titles counts.
    """
    if text.verdict == Verdict.NONE_OF_THESE and text.has_vote and text.score >= TITLE_SCORE:
        return _deny(picture)
    if text.learned and not (text.verdict == Verdict.GROUP and text.has_vote):
        return _follow_learned(picture, learned=text.learned)
    if text.verdict != Verdict.GROUP:
        return _follow_picture(picture, confidence=picture.confidence)
    named = GROUPS.index(text.group)
    groups = _sum_groups(picture)
    if not text.has_vote:
        weighed = _weigh(groups, named=named, odds=MOST_ODDS_WITHOUT_VOTE**text.score)
        return _follow_picture(picture, confidence=weighed[GROUPS.index(picture.group)])
    groups[named] = max(groups[named], LEAST_PROBABILITY)
    odds = _VOTING_ODDS**text.score
    weighed = _weigh(groups, named=named, odds=odds)
    winner = max(range(len(GROUPS)), key=weighed.__getitem__)
    confidence = _weigh(groups, named=named, odds=min(odds, MOST_ODDS))[winner]
    if picture.is_kept and text.group != picture.group and text.score < TITLE_SCORE:
        return _follow_picture(picture, confidence=picture.confidence)
    if picture.is_kept and text.group != picture.group:
        outcome = Outcome.DISAGREEMENT
    elif picture.is_kept or (picture.is_seen and confidence >= KEPT_CONFIDENCE):
        outcome = Outcome.LABELLED
    else:
        outcome = Outcome.UNSURE
    return Fused(
        outcome=outcome,
        group=GROUPS[winner],
        garment=_choose_garment(picture, text, group=winner),
        confidence=confidence,
        evidence=_name_evidence(picture, text, winner=GROUPS[winner]),
    )


def _name_evidence(picture: PictureEvidence, text: TextSaid, *, winner: str) -> Evidence:
    if text.group != winner:
        return Evidence.PICTURE
    return Evidence.BOTH if picture.group == winner else Evidence.TEXT


def _deny(picture: PictureEvidence) -> Fused:
    """What follows where a title names a thing that is none of the groups."""
    contradicts = picture.is_kept and picture.confidence >= CONTRADICTING_CONFIDENCE and picture.group != BAGS
    if contradicts:
        # What the title says against the group, as much as it may say for one.
        confidence = picture.confidence / (picture.confidence + MOST_ODDS * (1.0 - picture.confidence))
        return Fused(Outcome.DISAGREEMENT, picture.group, picture.garment, confidence, Evidence.PICTURE)
    return Fused(Outcome.NONE_OF_THESE, "", "", None, Evidence.TEXT)


def _follow_picture(picture: PictureEvidence, *, confidence: float) -> Fused:
    if picture.is_seen and picture.none_probability >= KEPT_CONFIDENCE:
        return Fused(Outcome.NONE_OF_THESE, "", "", None, Evidence.PICTURE)
    outcome = Outcome.LABELLED if picture.is_kept else Outcome.UNSURE
    return Fused(outcome, picture.group, picture.garment, confidence, Evidence.PICTURE)


def _follow_learned(picture: PictureEvidence, *, learned: Sequence[float]) -> Fused:
    """What follows from a picture, and from its title by what reviews taught about titles."""
    none = picture.none_probability if picture.is_seen else 0.0
    groups = [probability * odds for probability, odds in zip(_sum_groups(picture), learned, strict=False)]
    total = (1.0 - none) * sum(groups)
    none = none * learned[-1] / ((none * learned[-1] + total) or 1.0)
    if none >= KEPT_CONFIDENCE:
        return Fused(Outcome.NONE_OF_THESE, "", "", None, Evidence.BOTH)
    winner = max(range(len(GROUPS)), key=groups.__getitem__)
    confidence = groups[winner] / (sum(groups) or 1.0)
    agrees = GROUPS[winner] == picture.group
    if picture.is_kept and not agrees:
        outcome = Outcome.DISAGREEMENT
    elif none < DOUBTED and picture.is_seen and (picture.is_kept or confidence >= KEPT_CONFIDENCE):
        outcome = Outcome.LABELLED
    else:
        outcome = Outcome.UNSURE
    return Fused(
        outcome=outcome,
        group=GROUPS[winner],
        garment=_choose_garment(picture, SILENT, group=winner),
        confidence=confidence,
        evidence=Evidence.BOTH if agrees else Evidence.TEXT,
    )


def _sum_groups(picture: PictureEvidence) -> list[float]:
    """The probability of each group, float[5]; where nothing is seen, all are alike."""
    if not picture.is_seen:
        return [1.0 / len(GROUPS)] * len(GROUPS)
    groups = [0.0] * len(GROUPS)
    for group, probability in zip(_GROUP_OF_GARMENT, picture.garment_probabilities, strict=True):
        groups[group] += probability
    return groups


def _weigh(groups: Sequence[float], *, named: int, odds: float) -> list[float]:
    """The groups' probabilities after the odds for the named one, float[5]."""
    weighed = [probability * odds if group == named else probability for group, probability in enumerate(groups)]
    total = sum(weighed) or 1.0
    return [probability / total for probability in weighed]


def _choose_garment(picture: PictureEvidence, text: TextSaid, *, group: int) -> str:
    """The garment that the texts name within the group, else the picture's most probable one."""
    if text.garment and text.group == GROUPS[group]:
        return text.garment
    within = [number for number, of in enumerate(_GROUP_OF_GARMENT) if of == group]
    return GARMENTS[max(within, key=picture.garment_probabilities.__getitem__)]
