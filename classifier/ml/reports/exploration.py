"""What is in the data set, as figures: sizes, labels, brightness, copies, confused garments, doubtful labels.

Test pictures are counted, and compared with others to find copies. They train nothing: what is said about confused
garments and doubtful labels comes from training pictures alone, judged out of fold.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from classifier.ml.data.dataset import SPLIT_SEED, FashionMnist, split_training_pictures
from classifier.ml.data.duplicates import (
    LOOK_ALIKE_DISTANCE,
    NEAR_DUPLICATE_DISTANCE,
    PicturePairs,
    find_exact_duplicates,
    find_near_duplicates,
)
from classifier.ml.data.label_errors import (
    FOLDS,
    LabelSuspects,
    confusion_matrix,
    find_label_suspects,
    predict_out_of_fold,
)
from classifier.ml.labels import GARMENTS, GROUP_OF_GARMENT, GROUPS, group_labels, group_probabilities

#: Mean and standard deviation of the training part that the published solution standardises with (80 % of 60,000).
PUBLISHED_TRAINING_MEAN: Final = 72.97
PUBLISHED_TRAINING_DEVIATION: Final = 90.03
#: The distances at which copies are counted.
DISTANCES: Final = (0.04, 0.06, NEAR_DUPLICATE_DISTANCE, 0.10, LOOK_ALIKE_DISTANCE)

#: Told the steps done and all steps of a phase, which is its ``note``: "duplicates" or "label errors".
ExplorationProgress = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Exploration:
    """The figures as JSON values, and the arrays that galleries are made of.

    Indices in ``pairs`` count the training pictures first and the test pictures after them; those in ``suspects`` are
    training pictures.
    """

    figures: Mapping[str, Any]
    pairs: PicturePairs
    suspects: LabelSuspects


def explore(
    dataset: FashionMnist, *, seed: int, progress: ExplorationProgress = lambda done, total, note: None
) -> Exploration:
    """All figures of the data set; the same seed gives the same ones but for ``seconds``."""
    started = time.perf_counter()
    images = np.concatenate([dataset.train_images, dataset.test_images])
    labels = np.concatenate([dataset.train_labels, dataset.test_labels])
    pairs = find_near_duplicates(images, progress=partial(progress, note="duplicates"))
    probabilities = predict_out_of_fold(
        dataset.train_images,
        labels=dataset.train_labels,
        seed=seed,
        progress=partial(progress, note="label errors"),
    )
    suspects = find_label_suspects(probabilities, labels=dataset.train_labels)
    confusion = confusion_matrix(dataset.train_labels, predicted=probabilities.argmax(axis=1), classes=len(GARMENTS))
    parts = {
        "train": (dataset.train_images, dataset.train_labels),
        "test": (dataset.test_images, dataset.test_labels),
    }
    count_pairs = partial(_count_pairs, labels=labels, train_count=len(dataset.train_images))
    figures = {
        "parts": {name: _describe_part(part) for name, (part, _) in parts.items()},
        "labels": {
            "garments": _count_labels(GARMENTS, train=dataset.train_labels, test=dataset.test_labels),
            "groups": _count_labels(
                GROUPS, train=group_labels(dataset.train_labels), test=group_labels(dataset.test_labels)
            ),
        },
        "standardisation": _describe_training_part(dataset),
        "pixels": {name: _describe_pixels(part, labels=given) for name, (part, given) in parts.items()},
        "duplicates": {
            "exact": count_pairs(find_exact_duplicates(images)),
            "near_duplicate_distance": NEAR_DUPLICATE_DISTANCE,
            "by_distance": [{"distance": distance, **count_pairs(pairs.within(distance))} for distance in DISTANCES],
            "split": _count_split_leaks(pairs.within(NEAR_DUPLICATE_DISTANCE), labels=dataset.train_labels),
        },
        "label_errors": {
            "folds": FOLDS,
            "garment_accuracy": round(float(np.trace(confusion) / confusion.sum()), 4),
            "group_accuracy": round(
                float((group_probabilities(probabilities).argmax(axis=1) == group_labels(dataset.train_labels)).mean()),
                4,
            ),
            "confusion": confusion.tolist(),
            "confused_pairs": list_confused_pairs(confusion),
            "suspects": len(suspects.indices),
            "suspects_across_groups": len(suspects.across_groups().indices),
            "suspects_by_label": _count_suspects(suspects, labels=dataset.train_labels),
        },
        "seconds": round(time.perf_counter() - started, 1),
    }
    return Exploration(figures=figures, pairs=pairs, suspects=suspects)


def list_confused_pairs(confusion: NDArray[np.int64]) -> list[dict[str, Any]]:
    """Every two garments that were taken for each other, most often first.

    Each entry has ``garments``, ``mistakes`` in both directions, ``share`` of the two garments' pictures, and
    ``same_group``.
    """
    counts = confusion.sum(axis=1)
    rows = [
        {
            "garments": [GARMENTS[first], GARMENTS[second]],
            "mistakes": int(confusion[first, second] + confusion[second, first]),
            "share": _share(confusion[first, second] + confusion[second, first], counts[first] + counts[second]),
            "same_group": GROUP_OF_GARMENT[GARMENTS[first]] == GROUP_OF_GARMENT[GARMENTS[second]],
        }
        for first in range(len(GARMENTS))
        for second in range(first + 1, len(GARMENTS))
    ]
    return sorted((row for row in rows if row["mistakes"]), key=lambda row: -int(row["mistakes"]))


def is_across(pairs: PicturePairs, *, train_count: int) -> NDArray[np.bool_]:
    """Which pairs join a training picture and a test picture, bool[M]."""
    return (pairs.indices[:, 0] < train_count) & (pairs.indices[:, 1] >= train_count)


def _describe_part(images: NDArray[np.uint8]) -> dict[str, Any]:
    count, height, width = images.shape
    return {
        "images": count,
        "height": height,
        "width": width,
        "minimum": int(images.min()),
        "maximum": int(images.max()),
        "mean": round(float(images.mean()), 2),
        "standard_deviation": round(float(images.std(dtype=np.float64)), 2),
        "black_share": round(float((images == 0).mean()), 4),
    }


def _count_labels(
    names: Sequence[str], *, train: NDArray[np.integer], test: NDArray[np.integer]
) -> list[dict[str, Any]]:
    """How many pictures of each part have each label, and what share of the part that is."""
    counts = {part: np.bincount(labels, minlength=len(names)) for part, labels in (("train", train), ("test", test))}
    return [
        {
            "name": name,
            **{part: int(count[index]) for part, count in counts.items()},
            **{f"{part}_share": _share(count[index], count.sum()) for part, count in counts.items()},
        }
        for index, name in enumerate(names)
    ]


def _describe_training_part(dataset: FashionMnist) -> dict[str, Any]:
    part = dataset.train_images[split_training_pictures(dataset.train_labels).train]
    return {
        "images": len(part),
        "mean": round(float(part.mean()), 2),
        "standard_deviation": round(float(part.std(dtype=np.float64)), 2),
        "published_mean": PUBLISHED_TRAINING_MEAN,
        "published_standard_deviation": PUBLISHED_TRAINING_DEVIATION,
    }


def _describe_pixels(images: NDArray[np.uint8], *, labels: NDArray[np.integer]) -> list[dict[str, Any]]:
    """For each group: the mean over all pixels and the spread of the pictures' means, the median and quartiles."""
    groups = group_labels(labels)
    return [{"group": name, **_describe_group(images[groups == index])} for index, name in enumerate(GROUPS)]


def _describe_group(pixels: NDArray[np.uint8]) -> dict[str, float]:
    means = pixels.reshape(len(pixels), -1).mean(axis=1)
    low, median, high = np.percentile(pixels, (25, 50, 75))
    return {
        "mean": round(float(means.mean()), 2),
        "picture_mean_deviation": round(float(means.std()), 2),
        "median": float(median),
        "lower_quartile": float(low),
        "upper_quartile": float(high),
        "black_share": round(float((pixels == 0).mean()), 4),
    }


def _count_pairs(pairs: PicturePairs, *, labels: NDArray[np.integer], train_count: int) -> dict[str, int]:
    """How many pairs there are within and across the parts, and what their labels say."""
    first, second = pairs.indices[:, 0], pairs.indices[:, 1]
    across = is_across(pairs, train_count=train_count)
    groups = group_labels(labels)
    return {
        "pairs": len(first),
        "within_train": int((second < train_count).sum()),
        "within_test": int((first >= train_count).sum()),
        "across": int(across.sum()),
        "pictures": len(np.unique(pairs.indices)),
        "test_pictures_with_a_training_partner": len(np.unique(second[across])),
        "garments_disagree": int((labels[first] != labels[second]).sum()),
        "groups_disagree": int((groups[first] != groups[second]).sum()),
    }


def _count_split_leaks(pairs: PicturePairs, *, labels: NDArray[np.integer]) -> dict[str, int]:
    """How many pairs of training pictures the product's own split separates."""
    split = split_training_pictures(labels)
    part = np.zeros(len(labels), dtype=np.int64)
    part[split.validation], part[split.calibration], part[split.reserved] = 1, 2, 3
    inside = pairs.indices[pairs.indices[:, 1] < len(labels)]
    separated = inside[part[inside[:, 0]] != part[inside[:, 1]]]
    return {"seed": SPLIT_SEED, "pairs": len(inside), "separated": len(separated)}


def _count_suspects(suspects: LabelSuspects, *, labels: NDArray[np.integer]) -> list[dict[str, Any]]:
    """For each garment: its pictures, the suspects among them, and the garment most of these look like."""
    table, across = (
        confusion_matrix(found.given, predicted=found.predicted, classes=len(GARMENTS))
        for found in (suspects, suspects.across_groups())
    )
    counts = np.bincount(labels, minlength=len(GARMENTS))
    return [
        {
            "garment": name,
            "images": int(counts[index]),
            "suspects": int(table[index].sum()),
            "suspects_across_groups": int(across[index].sum()),
            "share": _share(table[index].sum(), counts[index]),
            "most_like": GARMENTS[int(table[index].argmax())] if table[index].any() else None,
        }
        for index, name in enumerate(GARMENTS)
    ]


def _share(part: int | np.integer, whole: int | np.integer) -> float:
    return round(float(part) / float(whole), 4) if whole else 0.0
