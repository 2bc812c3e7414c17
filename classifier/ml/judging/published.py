"""The published results on the 10,000 test images, and which of their cells a classifier does not reach.

This is the only module that holds a published figure. Published figures have two decimals: ours reaches one when it
rounds to it, halves upwards.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from classifier.ml.judging.evaluation import GroupScores
from classifier.ml.labels import GROUPS

#: The figures of a cell, in the order of the published tables; each is a field of ``GroupScores``.
MEASURES: Final[Mapping[str, str]] = MappingProxyType(
    {"recall": "Recall", "precision": "Precision", "negative_predictive_value": "Negative predictive value"}
)


@dataclass(frozen=True, slots=True)
class PublishedResult:
    """One published classifier: its column of the table, and what it costs where that was published.

    ``scores`` maps each group to its figures. ``megabytes`` is the size of its file, ``seconds`` its time for the
    10,000 test images on the publisher's machine.
    """

    name: str
    scores: Mapping[str, GroupScores]
    parameters: int | None = None
    megabytes: float | None = None
    seconds: float | None = None


def _column(*rows: tuple[float, float, float]) -> Mapping[str, GroupScores]:
    return MappingProxyType({group: GroupScores(*row) for group, row in zip(GROUPS, rows, strict=True)})


#: The four published columns by name. Frozen with augmentation was published without its costs.
PUBLISHED: Final[Mapping[str, PublishedResult]] = MappingProxyType(
    {
        result.name: result
        for result in (
            PublishedResult(
                name="MobileNetV2, frozen",
                scores=_column(
                    (0.91, 0.96, 0.94), (0.96, 0.97, 1.0), (0.88, 0.73, 0.99), (0.99, 0.99, 1.0), (0.96, 0.92, 1.0)
                ),
                parameters=2_230_277,
                megabytes=8.8,
                seconds=37.6,
            ),
            PublishedResult(
                name="MobileNetV2, frozen, augmented",
                scores=_column(
                    (0.89, 0.94, 0.93), (0.94, 0.95, 0.99), (0.80, 0.67, 0.98), (0.98, 0.99, 0.99), (0.92, 0.89, 0.99)
                ),
            ),
            PublishedResult(
                name="MobileNetV2, all layers trained",
                scores=_column(
                    (0.96, 0.99, 0.97), (0.99, 0.99, 1.0), (0.96, 0.86, 1.0), (1.0, 1.0, 1.0), (0.99, 0.99, 1.0)
                ),
                parameters=2_230_277,
                megabytes=8.8,
                seconds=37.3,
            ),
            PublishedResult(
                name="SqueezeNet 1.1, all layers trained",
                scores=_column(
                    (0.94, 0.97, 0.96), (0.97, 0.98, 1.0), (0.89, 0.81, 0.99), (1.0, 1.0, 1.0), (0.98, 0.94, 1.0)
                ),
                parameters=855_109,
                megabytes=3.3,
                seconds=35.7,
            ),
        )
    }
)
#: Groups times measures times columns.
CELLS: Final = len(GROUPS) * len(MEASURES) * len(PUBLISHED)

#: The best published figure of each cell over all columns: what reaches these reaches every published cell.
BEST_PUBLISHED: Final[Mapping[str, GroupScores]] = MappingProxyType(
    {
        group: GroupScores(
            **{
                measure: max(getattr(result.scores[group], measure) for result in PUBLISHED.values())
                for measure in MEASURES
            }
        )
        for group in GROUPS
    }
)


def is_reached(published: float, *, ours: float | None) -> bool:
    """Whether ours, rounded to two decimals, is not below the published figure; a share of nothing is below."""
    if ours is None:
        return False
    # 0.285 is a little less than 28.5 hundredths as a binary number and rounds up all the same.
    return math.floor(100 * ours + 0.5 + 1e-9) >= round(100 * published)


def count_higher_cells(ours: Mapping[str, GroupScores]) -> dict[str, int]:
    """How many cells of each column are higher than ours to two decimals; ``ours`` has the figures of every group."""
    return {
        column: sum(
            not is_reached(getattr(scores, measure), ours=getattr(ours[group], measure))
            for group, scores in result.scores.items()
            for measure in MEASURES
        )
        for column, result in PUBLISHED.items()
    }
