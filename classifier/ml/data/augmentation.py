"""What happens to training pictures before the network sees them, in the canonical form, with NumPy and a seed."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from classifier.ml.config import AugmentationSpec
from classifier.ml.data.canvas import Generator
from classifier.ml.data.drawn_kinds import DrawnPicture, draw_backpack, draw_shoe_pair, draw_shorts_or_skirt
from classifier.ml.data.outliers import draw_outlier
from classifier.ml.data.shop_pictures import alter_for_shop, leave_edge, show_outline
from classifier.ml.labels import GARMENT_TO_GROUP, GARMENTS, GROUPS
from classifier.ml.types import Picture

_TROUSER_LABEL: Final = GARMENTS.index("Trouser")
#: What is no clothing: every group is equally probable, and every garment within it.
_NO_GROUP: Final[NDArray[np.float32]] = (GARMENT_TO_GROUP / GARMENT_TO_GROUP.sum(axis=0)).sum(axis=1) / len(GROUPS)


@dataclass(frozen=True, slots=True)
class Examples:
    """What a network learns from in one step.

    ``pictures`` is uint8[N, S, S, 1] (or features float32[N, C]), ``targets`` float32[N, 10] the probabilities of the
    garments, and ``garment_known`` bool[N] says whether more than the group is known; where it is not, only the sums
    of the targets over the groups count.
    """

    pictures: NDArray[np.number]
    targets: NDArray[np.float32]
    garment_known: NDArray[np.bool_]


def augment(
    pictures: Picture, *, targets: NDArray[np.float32], spec: AugmentationSpec, generator: Generator
) -> Examples:
    """New pictures of uint8[N, S, S, 1] and targets float32[N, 10], in the same order; the arguments are not changed.

    Targets change where another thing is drawn in a picture's place: a kind of clothing that the data set has not, of
    which maybe only the group is known, or what is no clothing. The same generator state gives the same pictures.
    """
    result = pictures.copy()
    targets = targets.copy()
    count = len(result)
    known = np.ones(count, dtype=np.bool_)
    if spec.flip:
        flipped = generator.random(count) < 0.5
        result[flipped] = result[flipped, :, ::-1]
    if spec.shift_pixels:
        result = _shift(result, largest=spec.shift_pixels, generator=generator)
    labels, others = targets.argmax(axis=1), pictures[:, :, :, 0]
    worn = generator.random(count) < spec.worn_share
    for index in np.flatnonzero(worn | (generator.random(count) < spec.shop_share)):
        result[index, :, :, 0] = alter_for_shop(
            result[index, :, :, 0],
            label=int(labels[index]),
            others=others,
            other_labels=labels,
            generator=generator,
            **({"worn": 1.0} if worn[index] else {}),
        )
    for index in np.flatnonzero(generator.random(count) < spec.outline_share):
        result[index, :, :, 0] = show_outline(result[index, :, :, 0], generator=generator)
    for place, drawn in _draw_kinds(others, labels=labels, spec=spec, generator=generator):
        result[place, :, :, 0] = drawn.picture
        targets[place] = 0.0
        targets[place, list(drawn.labels)] = 1.0 / len(drawn.labels)
        known[place] = len(drawn.labels) == 1
    for index in np.flatnonzero(generator.random(count) < spec.edge_share):
        result[index, :, :, 0] = leave_edge(result[index, :, :, 0], generator=generator)
    for index in np.flatnonzero(generator.random(count) < spec.erase_share):
        _erase(result[index, :, :, 0], generator=generator)
    for index in np.flatnonzero(generator.random(count) < spec.outlier_share):
        result[index, :, :, 0] = draw_outlier(result[index, :, :, 0], others=others, generator=generator)
        targets[index], known[index] = _NO_GROUP, True
    return Examples(result, targets, known)


def _draw_kinds(
    textures: Picture, *, labels: NDArray[np.integer], spec: AugmentationSpec, generator: Generator
) -> list[tuple[int, DrawnPicture]]:
    """The places uint8[N, S, S] where another kind of clothing is drawn, and what is drawn there."""
    chosen = generator.random(len(textures))
    ends = np.cumsum([spec.shoe_pair_share, spec.shorts_share, spec.backpack_share])
    trousers = np.flatnonzero(labels == _TROUSER_LABEL)
    drawn = []
    for index in np.flatnonzero(chosen < ends[-1]):
        if chosen[index] < ends[0]:
            one = draw_shoe_pair(textures[index], generator=generator)
        elif chosen[index] < ends[1]:
            lent = textures[generator.choice(trousers)] if len(trousers) else None
            one = draw_shorts_or_skirt(textures[index], trousers=lent, generator=generator)
        else:
            one = draw_backpack(textures[index], generator=generator)
        drawn.append((int(index), one))
    return drawn


def _shift(pictures: NDArray[np.uint8], *, largest: int, generator: Generator) -> NDArray[np.uint8]:
    count, height, width, _ = pictures.shape
    padded = np.pad(pictures, ((0, 0), (largest, largest), (largest, largest), (0, 0)))
    rows = generator.integers(0, 2 * largest + 1, (count, 1)) + np.arange(height)
    columns = generator.integers(0, 2 * largest + 1, (count, 1)) + np.arange(width)
    return np.asarray(padded[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]])


def _erase(picture: NDArray[np.uint8], *, generator: Generator) -> None:
    """Overwrite a rectangle of 2 % to 20 % of the picture with one value or with noise, in place."""
    size = picture.shape[0]
    area, ratio = generator.uniform(0.02, 0.2) * size * size, np.exp(generator.uniform(-1, 1))
    height = int(np.clip(round(np.sqrt(area * ratio)), 1, size))
    width = int(np.clip(round(np.sqrt(area / ratio)), 1, size))
    top, left = generator.integers(0, size - height + 1), generator.integers(0, size - width + 1)
    if generator.random() < 0.5:
        picture[top : top + height, left : left + width] = generator.integers(0, 256)
    else:
        picture[top : top + height, left : left + width] = generator.integers(0, 256, (height, width))
