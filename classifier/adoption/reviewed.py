"""The catalogue's own pictures that judge versions: those of the test part, which taught no version."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from classifier.features.selectors import find_features
from classifier.labels.decision import Reviewed
from classifier.labels.facts import find_picture_facts
from classifier.labels.texts import list_named
from classifier.ml.data.parts import Part
from classifier.ml.judging.fusion import DOUBTED
from classifier.ml.labels import GROUPS
from classifier.ml.types import Features, Prediction
from classifier.models import Review, Verdict
from classifier.splits.selectors import find_parts, find_test_pictures

#: More than the newest of these are not looked at.
MAXIMUM_REVIEWS: Final = 20_000
# Images that are read together.
_CHUNK_SIZE: Final = 2000


@dataclass(frozen=True, slots=True)
class TestPicture:
    """A picture of the test part: the index of the group it shows, one more for none, and what each base saw in it."""

    shows: int
    features: tuple[Features, ...]


def list_test_pictures(base_ids: Sequence[int]) -> list[TestPicture]:
    """Return the reviewed pictures of the test part in which all these bases looked, one of each family."""
    standing = Review.objects.filter(withdrawn_at__isnull=True, image__isnull=False).order_by("-pk")
    reviewed = list(dict.fromkeys(standing.values_list("image_id", flat=True)[:MAXIMUM_REVIEWS]))
    pictures: dict[int, TestPicture] = {}
    for start in range(0, len(reviewed), _CHUNK_SIZE):
        places = find_parts(reviewed[start : start + _CHUNK_SIZE])
        tested = [image_id for image_id, place in places.items() if place.part == Part.TEST]
        if not tested:
            continue
        facts = find_picture_facts(tested)
        held = [of.sha256 for of in facts.values() if of.sha256]
        seen = [find_features(base_id, held) for base_id in base_ids]
        for image_id, of in sorted(facts.items()):
            shows = find_class(of.review) if of.review is not None else None
            if shows is not None and all(of.sha256 in features for features in seen):
                picture = TestPicture(shows, tuple(features[of.sha256] for features in seen))
                pictures.setdefault(places[image_id].family, picture)
    return list(pictures.values())


def list_titled_test_pictures(base_ids: Sequence[int]) -> list[TestPicture]:
    """Return photographs of the test part in which all these bases looked, as the one group that their title names.

    They are what titles would teach otherwise, reviewed or not, one of each family where families are known. Of each
    group the first 2,000 products that are titled so are looked through.
    """
    pictures: dict[int | str, TestPicture] = {}
    for shows, group in enumerate(GROUPS):
        named = list_named().filter(text_evidence__group=group)[:_CHUNK_SIZE]
        tested = find_test_pictures([image_id for _, _, image_id in named])
        seen = [find_features(base_id, tested) for base_id in base_ids]
        for sha256, family in sorted(tested.items()):
            if all(sha256 in features and not features[sha256].canonical for features in seen):
                picture = TestPicture(shows, tuple(features[sha256] for features in seen))
                pictures.setdefault(family, picture)
    return list(pictures.values())


def list_said(said: Sequence[Prediction]) -> NDArray[np.int64]:
    """Return what is said of pictures, as `TestPicture` says what they show: none is said from `DOUBTED` on."""
    return np.array([len(GROUPS) if one.none_probability >= DOUBTED else GROUPS.index(one.group) for one in said])


def find_class(review: Reviewed) -> int | None:
    """Return what the review says that the picture shows, as `TestPicture` has it; None if it is unusable."""
    if review.verdict == Verdict.NONE_OF_THESE:
        return len(GROUPS)
    return GROUPS.index(review.group) if review.verdict == Verdict.GROUP else None
