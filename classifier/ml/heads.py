"""What follows from features: the answers of a version's heads. NumPy alone; no network is loaded for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from classifier.ml.judging.calibration import Calibration
from classifier.ml.labels import GARMENTS, GROUPS, garments_within_groups, group_probabilities
from classifier.ml.types import FEATURE_TYPE, Features, Prediction


@dataclass(frozen=True, slots=True)
class SeenPictures:
    """What a base saw in N pictures, in half precision, as it is stored.

    ``features`` is float16[N, F], ``logits`` float16[N, 10]; ``blank``, ``canonical`` and ``views`` are N values each.
    """

    features: NDArray[np.float16]
    logits: NDArray[np.float16]
    blank: NDArray[np.bool_]
    canonical: NDArray[np.bool_]
    views: NDArray[np.uint8]

    @classmethod
    def of(cls, pictures: Sequence[Features]) -> Self:
        """The pictures' features side by side. Raises ``ValueError`` unless all have the same number of them."""
        count = len(pictures)
        return cls(
            features=np.frombuffer(b"".join(each.numbers for each in pictures), FEATURE_TYPE).reshape(count, -1),
            logits=np.frombuffer(b"".join(each.logits for each in pictures), FEATURE_TYPE).reshape(count, -1),
            blank=np.array([each.blank for each in pictures], dtype=bool),
            canonical=np.array([each.canonical for each in pictures], dtype=bool),
            views=np.array([each.views for each in pictures], dtype=np.uint8),
        )

    def split(self) -> list[Features]:
        """The features of each picture."""
        return [
            Features(numbers=numbers.tobytes(), logits=logits.tobytes(), blank=blank, canonical=canonical, views=views)
            for numbers, logits, blank, canonical, views in zip(
                self.features.astype(FEATURE_TYPE, copy=False),
                self.logits.astype(FEATURE_TYPE, copy=False),
                self.blank.tolist(),
                self.canonical.tolist(),
                self.views.tolist(),
                strict=True,
            )
        ]


def predict(seen: SeenPictures, *, calibration: Calibration) -> list[Prediction]:
    """What the heads say of pictures, the same whether their features were computed just now or read from a table.

    Pictures in which nothing is to be seen get a label all the same, and abstain.
    """
    judged = calibration.judge(
        seen.logits.astype(np.float32),
        embedding=seen.features.astype(np.float32),
        photograph=~seen.canonical,
        blank=seen.blank,
    )
    garments = judged.garment_probabilities
    groups = group_probabilities(garments)
    predicted = groups.argmax(axis=1)
    within = garments_within_groups(garments, groups=predicted)
    return [
        Prediction(
            group=GROUPS[group],
            garment=GARMENTS[garment],
            confidence=group_row[group],
            abstained=abstains,
            group_probabilities=dict(zip(GROUPS, group_row, strict=True)),
            garment_probabilities=dict(zip(GARMENTS, garment_row, strict=True)),
            features=features,
            garment_unsure=unsure,
        )
        for group, garment, abstains, unsure, group_row, garment_row, features in zip(
            predicted.tolist(),
            within.tolist(),
            judged.abstained.tolist(),
            judged.garment_unsure.tolist(),
            groups.tolist(),
            garments.tolist(),
            seen.split(),
            strict=True,
        )
    ]
