"""Words teach pictures: titles that name one group teach a head on the base in production, without one review."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from catalog.models import Product
from classifier.adoption.reviewed import list_test_pictures
from classifier.features.selectors import find_features
from classifier.labels.facts import find_held_hashes
from classifier.labels.precision import refresh_precisions
from classifier.labels.texts import list_named
from classifier.ml.heads import Heads, SeenPictures
from classifier.ml.labels import GROUPS
from classifier.ml.pipeline import TrainedArtefact, TrainingRequest
from classifier.ml.teaching.group_heads import TaughtHead, teach
from classifier.ml.types import Features, ProgressCallback, TrainingProgress
from classifier.models import ModelVersion
from classifier.registry.selectors import find_active_model_version, get_active_model_version
from classifier.splits.selectors import find_tested
from classifier.training.heads import get_heads, save_heads

#: Pictures whose titles name one group: so many at least, and of each group; more than the most say nothing new.
MINIMUM_TITLES: Final = 300
MINIMUM_OF_GROUP: Final = 20
MAXIMUM_TITLES: Final = 20_000
#: So none of a group is looked for beyond its share: a catalogue that came by groups has pictures of the last ones too.
MAXIMUM_OF_GROUP: Final = MAXIMUM_TITLES // len(GROUPS)
#: Of 256 pictures so many judge and do not teach, by the first byte of their hash: no picture is on both sides.
HELD_OUT: Final = 51
# Products that are read together, all with such titles, and those among whom a page looks for enough before it offers
# the training: mostly it finds these among the first few.
CHUNK_SIZE: Final = 2000
LOOKED_THROUGH: Final = 200_000
_OFFER_SIZE: Final = 500


class TooFewTitlesError(Exception):
    """There are too few pictures whose titles name one group; the message says how many, and how many it takes."""


@dataclass(frozen=True, slots=True)
class TitledPicture:
    """A picture that a product shows first, what its title calls it, and what the base saw in it."""

    sha256: str
    group: int
    features: Features


def list_titled_pictures(
    version: ModelVersion, *, progress: ProgressCallback = lambda _progress: None
) -> Iterator[TitledPicture]:
    """Yield the different photographs whose product's title names one group and in which the version's base looked.

    Of each group the first `MAXIMUM_OF_GROUP` are there. Pictures in canonical form teach nothing, for the head answers
    for none, nor do test pictures in disguise, nor those of the catalogue's test part. After each chunk of products
    `progress` is called.
    """
    after, seen, numbers = 0, set(), Counter[int]()
    while rows := list(list_named().filter(pk__gt=after)[:CHUNK_SIZE]):
        after = rows[-1][0]
        wanted = [row for row in rows if numbers[GROUPS.index(row[1])] < MAXIMUM_OF_GROUP]
        for picture in _find_teaching(version, wanted):
            if picture.sha256 not in seen and numbers[picture.group] < MAXIMUM_OF_GROUP:
                seen.add(picture.sha256)
                numbers[picture.group] += 1
                yield picture
        progress(TrainingProgress("load"))
        if all(numbers[group] == MAXIMUM_OF_GROUP for group in range(len(GROUPS))):
            return


def _find_teaching(version: ModelVersion, rows: Iterable[tuple[int, str, int]]) -> list[TitledPicture]:
    """Return what the pictures of products, as `list_named` gives them, may teach, by their image's id."""
    groups = {image_id: GROUPS.index(group) for _, group, image_id in rows}
    held = find_held_hashes(groups)
    features = find_features(version.base_id, set(held.values()) - find_tested(held.values()))
    return [
        TitledPicture(sha256, groups[image_id], features[sha256])
        for image_id, sha256 in sorted(held.items())
        if sha256 in features and features[sha256].may_teach
    ]


def has_enough_titles() -> bool:
    """Whether the first `CHUNK_SIZE` products whose titles name one group have pictures enough that may teach.

    Of the catalogue's first `LOOKED_THROUGH` products: where few titles say anything, all would be read for a page.
    """
    version = find_active_model_version()
    if version is None:
        return False
    behind = Product.objects.order_by("pk").values_list("pk", flat=True)[LOOKED_THROUGH : LOOKED_THROUGH + 1].first()
    named = list_named() if behind is None else list_named().filter(pk__lt=behind)
    rows, found = list(named[:CHUNK_SIZE]), set[str]()
    for start in range(0, len(rows), _OFFER_SIZE):
        found |= {picture.sha256 for picture in _find_teaching(version, rows[start : start + _OFFER_SIZE])}
        if len(found) >= MINIMUM_TITLES:
            return True
    return False


def teach_by_titles(request: TrainingRequest, *, output: Path, progress: ProgressCallback) -> TrainedArtefact:
    """Write a head of the version in production that the catalogue's titles taught, with its base, into ``output``.

    Raises `TooFewTitlesError`, `NoActiveModelVersionError` and `ArtefactError`.
    """
    version = get_active_model_version()
    progress(TrainingProgress("load"))
    # What pictures say of titles before these teach any stays for good.
    refresh_precisions()
    pictures = list(list_titled_pictures(version, progress=progress))
    numbers = Counter(picture.group for picture in pictures)
    if len(pictures) < MINIMUM_TITLES or min(numbers[group] for group in range(len(GROUPS))) < MINIMUM_OF_GROUP:
        found = ", ".join(f"{numbers[group]} of {name}" for group, name in enumerate(GROUPS))
        raise TooFewTitlesError(
            f"Expected {MINIMUM_TITLES} pictures that the network in production has seen and whose titles name one "
            f"group, {MINIMUM_OF_GROUP} of each; there are {found}."
        )
    progress(TrainingProgress("train"))
    features = SeenPictures.of([picture.features for picture in pictures]).features.astype(np.float32)
    groups = np.array([picture.group for picture in pictures])
    taught = teach(features, groups=groups, held_out=_hold_out(pictures))
    progress(TrainingProgress("save", metrics={"accuracy": taught.accuracy}))
    figures = {
        "titles": {"pictures": len(pictures)},
        "held_out": {
            "pictures": taught.pictures,
            "accuracy": taught.accuracy,
            "balanced_accuracy": taught.balanced_accuracy,
        },
        "reviewed": _judge_by_reviews(version, taught),
    }
    calibration = get_heads(version).calibration
    heads = Heads(calibration, photographs=taught.head)
    return save_heads(version, heads, request=request, output=output, figures={"parts": figures})


def _hold_out(pictures: list[TitledPicture]) -> NDArray[np.bool_]:
    """Return which of the pictures judge, bool[N]; of each group the one of the least hash does in any case."""
    least = {group: min(one.sha256 for one in pictures if one.group == group) for group in range(len(GROUPS))}
    return np.array([bytes.fromhex(one.sha256)[0] < HELD_OUT or one.sha256 == least[one.group] for one in pictures])


def _judge_by_reviews(version: ModelVersion, taught: TaughtHead) -> dict[str, float]:
    """Return how many pictures that taught nothing people labelled, and of how many of these the head says the same.

    That are photographs of the test part that show a group, by which the gate judges as well.
    """
    judging = [
        (picture.features[0], picture.shows)
        for picture in list_test_pictures([version.base_id])
        if picture.shows < len(GROUPS) and not picture.features[0].canonical
    ]
    if not judging:
        return {"pictures": 0}
    said = taught.head.probabilities(SeenPictures.of([seen for seen, _ in judging]).features).argmax(axis=1)
    right = float((said == np.array([shows for _, shows in judging])).mean())
    return {"pictures": len(judging), "accuracy": right}
