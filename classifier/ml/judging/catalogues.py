"""How good the labels of a catalogue's products are, where what each product is is known.

A product is of one of the groups, or of none of them; the decision gives it a group, surely or not, or says that it is
none of them.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from classifier.ml.judging.evaluation import expected_calibration_error
from classifier.ml.judging.shares import Share, measure_mean_share, measure_share
from classifier.ml.labels import GROUPS

#: What a product of no group is called in a list of labels.
NONE: Final = "none"
#: What the decision may say of a product, as the columns of the confusion: a group, or one of these.
SAID: Final = (*GROUPS, "none of these", "not sure")
TRUE: Final = (*GROUPS, NONE)
#: The shares of garments that are answered, the surest first, at which the answers are judged ...
ANSWERED_SHARES: Final = (0.8, 0.95)
#: ... and at which those answered of what is no garment are counted, so that versions compare whatever they answer.
NONE_SHARE: Final = 0.78
#: Of garments so many may be taken for none of the groups where it is counted how much that is none is missed.
LOST_SHARE: Final = 0.05


@dataclass(frozen=True, slots=True)
class Answer:
    """What the decision says of one product.

    ``group`` is None where it is none of the groups. ``is_sure`` is false where a person has to look. ``confidence``
    lies in 0..1. ``evidence`` says on what the answer stands. The higher its ``none_score``, the more it looks as if it
    were none of the groups.
    """

    group: str | None
    is_sure: bool
    confidence: float
    evidence: str
    none_score: float = 0.0


def judge_answers(answers: Sequence[Answer], *, truth: Sequence[str]) -> dict[str, Any]:
    """The figures, plain JSON, of one answer for each product whose true group is in ``TRUE``.

    A group counts for ``accuracy`` and ``recall`` whether the decision is sure of it or not. A product is answered when
    it surely has a group. Garments said to be none of these come last where the surest are taken. Of products with
    equal confidence at the edge each counts in part, so that their order does not matter. Raises ``ValueError`` when
    the lengths differ or nothing was given.
    """
    if not answers or len(answers) != len(truth):
        raise ValueError(f"expected as many answers as products, received {len(answers)} and {len(truth)}")
    said = [answer.group for answer in answers]
    right = np.array([one == true for one, true in zip(said, truth, strict=True)])
    garments = np.array([true != NONE for true in truth])
    answered = np.array([answer.is_sure and answer.group is not None for answer in answers])
    confidence = np.array([answer.confidence if answer.group is not None else -1.0 for answer in answers])
    named = garments & (confidence >= 0)
    said_none = np.array([group is None for group in said])
    cells = Counter((true, _name_said(answer)) for answer, true in zip(answers, truth, strict=True))
    parts = {group: [one == group for one in truth] for group in GROUPS}
    counts = {group: (int(right[chosen].sum()), sum(chosen)) for group, chosen in parts.items()}
    return {
        "products": len(answers),
        "garments": int(garments.sum()),
        NONE: int((~garments).sum()),
        "balanced_accuracy": measure_mean_share(list(counts.values())).to_json(),
        "accuracy": _share(right, within=garments),
        "recall": {group: measure_share(chosen, of=of).to_json() for group, (chosen, of) in counts.items()},
        "answered": _share(answered, within=garments),
        "accuracy_of_answered": _share(right, within=garments & answered),
        "accuracy_of_surest": {
            str(share): _judge_surest(confidence[garments], right=right[garments], share=share).to_json()
            for share in ANSWERED_SHARES
        },
        "said_none": _share(said_none, within=garments),
        "none_answered": _share(answered, within=~garments),
        "none_answered_at": {
            str(NONE_SHARE): _count_as_sure(
                confidence[~garments], surest=confidence[garments], share=NONE_SHARE
            ).to_json()
        },
        "none_missed": _count_missed(np.array([answer.none_score for answer in answers]), garments=garments),
        "calibration_error": expected_calibration_error(confidence[named], right=right[named]) if named.any() else None,
        "confusion": {
            "true": list(TRUE),
            "said": list(SAID),
            "counts": [[cells[true, name] for name in SAID] for true in TRUE],
        },
        "evidence": {
            name: {
                "garments": int((chosen & garments).sum()),
                "answered": _share(answered, within=chosen & garments),
                "accuracy_of_answered": _share(right, within=chosen & garments & answered),
                "none_answered": _share(answered, within=chosen & ~garments),
            }
            for name in sorted({answer.evidence for answer in answers})
            for chosen in [np.array([answer.evidence == name for answer in answers])]
        },
    }


def _name_said(answer: Answer) -> str:
    if not answer.is_sure:
        return SAID[-1]
    return answer.group or SAID[-2]


def _share(chosen: NDArray[np.bool_], *, within: NDArray[np.bool_]) -> dict[str, Any]:
    return measure_share(int((chosen & within).sum()), of=int(within.sum())).to_json()


def _judge_surest(confidence: NDArray[np.float64], *, right: NDArray[np.bool_], share: float) -> Share:
    """How many of the surest are right, where that share of the products is taken."""
    taken, edge, part = _take_surest(confidence, share=share)
    chosen = float(right[taken].sum() + part * right[edge].sum())
    return measure_share(chosen, of=round(share * len(confidence)))


def _count_as_sure(confidence: NDArray[np.float64], *, surest: NDArray[np.float64], share: float) -> Share:
    """How many are as sure as the surest of others, of which that share is taken; nothing without any others."""
    if not len(surest):
        return measure_share(0, of=0)
    _, edge, part = _take_surest(surest, share=share)
    least, has_group = surest[edge].min(), confidence >= 0
    sure, equal = has_group & (confidence > least), has_group & (confidence == least)
    return measure_share(float(sure.sum() + part * equal.sum()), of=len(confidence))


def _count_missed(scores: NDArray[np.float64], *, garments: NDArray[np.bool_]) -> dict[str, Any]:
    """How much of what is none of the groups scores no more than a garment may that is not lost."""
    if not garments.any():
        return measure_share(0, of=0).to_json()
    most = np.quantile(scores[garments], 1 - LOST_SHARE)
    missed = scores[~garments] <= most
    return measure_share(int(missed.sum()), of=len(missed)).to_json()


def _take_surest(
    confidence: NDArray[np.float64], *, share: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], float]:
    """Those that are taken whole, those at the edge, bool[N] both, and the part of each at the edge, 0..1."""
    count = round(share * len(confidence))
    if not count:
        nobody = np.zeros(len(confidence), dtype=bool)
        return nobody, nobody, 0.0
    least = np.sort(confidence)[::-1][count - 1]
    taken, edge = confidence > least, confidence == least
    return taken, edge, float((count - taken.sum()) / edge.sum())
