"""The ten garments of Fashion-MNIST, the five groups they form, and the table between them.

This is the only module that knows the order of either list. An integer label anywhere in the product is an
index into ``GARMENTS`` or into ``GROUPS``.
"""

from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

#: The garments in the order of the data set's labels 0 to 9.
GARMENTS: Final[tuple[str, ...]] = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

#: The groups in the order in which every table and every probability vector lists them.
GROUPS: Final[tuple[str, ...]] = ("Upper part", "Bottom part", "One piece", "Footwear", "Bags")
UPPER_PART, BOTTOM_PART, ONE_PIECE, FOOTWEAR, BAGS = GROUPS

GROUP_OF_GARMENT: Final[MappingProxyType[str, str]] = MappingProxyType(
    {
        "T-shirt/top": UPPER_PART,
        "Trouser": BOTTOM_PART,
        "Pullover": UPPER_PART,
        "Dress": ONE_PIECE,
        "Coat": UPPER_PART,
        "Sandal": FOOTWEAR,
        "Shirt": UPPER_PART,
        "Sneaker": FOOTWEAR,
        "Bag": BAGS,
        "Ankle boot": FOOTWEAR,
    }
)

#: For each garment's index the index of its group, int64[10].
GROUP_INDEX_OF_GARMENT: Final[NDArray[np.int64]] = np.array(
    [GROUPS.index(GROUP_OF_GARMENT[garment]) for garment in GARMENTS], dtype=np.int64
)
GROUP_INDEX_OF_GARMENT.setflags(write=False)

#: The indices of each group's garments.
LABELS_OF_GROUP: Final[MappingProxyType[str, tuple[int, ...]]] = MappingProxyType(
    {group: tuple(np.flatnonzero(index == GROUP_INDEX_OF_GARMENT).tolist()) for index, group in enumerate(GROUPS)}
)

#: float32[10, 5], one where the garment belongs to the group: a product with it sums garments into groups.
GARMENT_TO_GROUP: Final[NDArray[np.float32]] = np.eye(len(GROUPS), dtype=np.float32)[GROUP_INDEX_OF_GARMENT]
GARMENT_TO_GROUP.setflags(write=False)


def group_probabilities(garment_probabilities: NDArray[np.floating]) -> NDArray[np.floating]:
    """The probability of each group: the sum of its garments' probabilities, float[N, 5] for float[N, 10].

    Raises ``ValueError`` for an array of another shape.
    """
    if garment_probabilities.ndim != 2 or garment_probabilities.shape[1] != len(GARMENTS):
        raise ValueError(
            f"expected garment probabilities of shape (N, {len(GARMENTS)}), received {garment_probabilities.shape}"
        )
    return np.asarray(garment_probabilities @ GARMENT_TO_GROUP.astype(garment_probabilities.dtype))


def group_labels(garment_labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """The group's index for each garment's index, int64 of the same shape."""
    return GROUP_INDEX_OF_GARMENT[np.asarray(garment_labels, dtype=np.int64)]


def garments_within_groups(
    garment_probabilities: NDArray[np.floating], *, groups: NDArray[np.integer]
) -> NDArray[np.int64]:
    """The most probable garment within the given group of each row, int64[N].

    ``garment_probabilities`` is float[N, 10], ``groups`` int[N] with indices into ``GROUPS``. The garment always
    belongs to the group, even where another group's garment is more probable.
    """
    outside = GROUP_INDEX_OF_GARMENT[None, :] != np.asarray(groups)[:, None]
    return np.asarray(np.where(outside, -1.0, garment_probabilities).argmax(axis=1))


def within_groups(garments: NDArray[np.floating], *, groups: NDArray[np.floating]) -> NDArray[np.float64]:
    """Garment probabilities float64[N, 10] with these sums over groups float64[N, 5], the shares within as before."""
    # Nothing is quite impossible: where a group's garments had nothing, their even shares are as good as any.
    possible = np.maximum(garments.astype(np.float64), 1e-300)
    return np.asarray(possible * (groups / group_probabilities(possible))[:, GROUP_INDEX_OF_GARMENT])


# For choices: each group with its garments.
GARMENTS_OF_GROUPS = [(group, [name for name in GARMENTS if GROUP_OF_GARMENT[name] == group]) for group in GROUPS]
