"""Heads of this catalogue's own: what people called its pictures teaches them, on the base in production."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from catalog.models import Product
from classifier.adoption.reviewed import find_class, list_said
from classifier.features.selectors import find_features
from classifier.labels.facts import find_picture_facts
from classifier.ml.data.parts import Part
from classifier.ml.heads import SeenPictures, predict
from classifier.ml.judging.catalogues import TRUE, Answer, judge_answers
from classifier.ml.judging.fusion import DOUBTED, KEPT_CONFIDENCE, Evidence
from classifier.ml.judging.gate import compare
from classifier.ml.labels import GROUPS
from classifier.ml.pipeline import TrainedArtefact, TrainingRequest
from classifier.ml.teaching.reviews import NONE, Retrained, ReviewedPictures, retrain
from classifier.ml.types import Features, Prediction, ProgressCallback, TrainingProgress
from classifier.models import ModelVersion, OutOfFoldAnswer, Review, TrainingRun, Verdict
from classifier.registry.selectors import get_active_model_version
from classifier.splits.selectors import Place
from classifier.splits.services import assign_parts
from classifier.training.heads import get_heads, save_heads

RECIPE: Final = "reviewed"
#: More than the newest of these say nothing new.
MAXIMUM_REVIEWS: Final = 20_000
# Images that are read together: parts may be missing, for which their files are read, and a training can be cancelled
# between two chunks.
_CHUNK_SIZE: Final = 500


@dataclass(frozen=True, slots=True)
class ReviewedPicture:
    """A photograph, the review that stands for it, and what the base saw in it.

    `shows` is the index of a group, or `NONE`. `title` is that of the first product that shows it first, or empty.
    """

    review_id: int
    shows: int
    title: str
    features: Features
    place: Place


def list_reviewed_pictures(
    version: ModelVersion, *, progress: ProgressCallback = lambda _progress: None
) -> list[ReviewedPicture]:
    """Return the different photographs that people labelled and in which the version's base looked, newest last.

    Those that fell into no part are left out, as are unusable pictures, those in canonical form, for which no head
    answers, and test pictures in disguise. `progress` is called after each chunk.
    """
    pictures: dict[str, ReviewedPicture] = {}
    image_ids = _list_reviewed_images()
    for start in range(0, len(image_ids), _CHUNK_SIZE):
        facts = find_picture_facts(image_ids[start : start + _CHUNK_SIZE])
        held = {pk: (of.sha256, of.review) for pk, of in facts.items() if of.review is not None and of.sha256}
        features = find_features(version.base_id, [sha256 for sha256, _ in held.values()])
        places, titles = assign_parts(held), _find_titles(held)
        for image_id, (sha256, review) in sorted(held.items()):
            shows, seen = find_class(review), features.get(sha256)
            if shows is not None and seen is not None and seen.may_teach and image_id in places:
                title, place = titles.get(image_id, ""), places[image_id]
                pictures.setdefault(sha256, ReviewedPicture(review.id, shows, title, seen, place))
        progress(TrainingProgress("load"))
    return sorted(pictures.values(), key=lambda picture: picture.review_id)


def _list_reviewed_images() -> list[int]:
    """Return the images of the newest reviews that stand."""
    standing = Review.objects.standing().filter(image__isnull=False).order_by("-pk")
    return list(dict.fromkeys(standing.values_list("image_id", flat=True)[:MAXIMUM_REVIEWS]))


def _find_titles(image_ids: Collection[int]) -> dict[int, str]:
    """Return the title of the first product that shows each image first."""
    shown = Product.objects.filter(product_images__image__in=image_ids, product_images__image_index=0)
    rows = shown.order_by("-pk").values_list("product_images__image_id", "title")
    return dict(rows)


def count_new_reviews() -> int:
    """Return how many reviews stand that were given since the last training with reviews began that made a version."""
    reviews = Review.objects.standing().exclude(verdict=Verdict.UNUSABLE)
    last = TrainingRun.objects.filter(recipe=RECIPE, state=TrainingRun.State.DONE, output="").order_by("-pk").first()
    return reviews.filter(created_at__gt=last.started_at).count() if last is not None else reviews.count()


def train_by_reviews(
    request: TrainingRequest, *, output: Path, progress: ProgressCallback
) -> tuple[TrainedArtefact, list[OutOfFoldAnswer]]:
    """Write heads that reviews taught, on the base of the version in production, with that base into `output`.

    With it come the answers out of fold, which are not saved yet and name no version. Raises `TooFewReviewsError`,
    `NoActiveModelVersionError` and `ArtefactError`.
    """
    version = get_active_model_version()
    progress(TrainingProgress("load"))
    former = get_heads(version)
    pictures = list_reviewed_pictures(version, progress=progress)
    taught = [picture for picture in pictures if picture.place.part != Part.TEST]
    # One picture of each family, as the gate takes.
    test = list({picture.place.family: picture for picture in pictures if picture.place.part == Part.TEST}.values())
    progress(TrainingProgress("train"))
    retrained = retrain(
        ReviewedPictures(
            seen=_join(taught),
            classes=np.array([picture.shows for picture in taught], dtype=np.int64),
            titles=[picture.title for picture in taught],
            families=np.array([picture.place.family for picture in taught], dtype=np.int64),
        ),
        calibration=former.calibration,
        first=former.first if version.recipe == RECIPE else former.photographs,
    )
    progress(TrainingProgress("evaluate"))
    numbers = Counter(picture.shows for picture in taught)
    figures: dict[str, Any] = {
        "reviews": {name: numbers[index] for index, name in enumerate(TRUE)},
        "in_production": version.name,
        "out_of_fold": judge_answers(_answer_out_of_fold(retrained), truth=_name_shown(taught)),
        "titles": _describe_titles(retrained),
    }
    if test:
        seen, truth = _join(test), _name_shown(test)
        said = [predict(seen, heads=heads) for heads in (retrained.heads, former)]
        shown = np.array([picture.shows for picture in test])
        this, other = (list_said(of) == shown for of in said)
        figures["test"] = {
            "this": judge_answers(_answer(said[0]), truth=truth),
            "in_production": judge_answers(_answer(said[1]), truth=truth),
            "difference": compare(this, other=other).to_json(),
        }
    progress(TrainingProgress("save"))
    trained = save_heads(version, retrained.heads, request=request, output=output, figures={"catalogue": figures})
    return trained, _build_answers(taught, retrained.by_both)


def record_out_of_fold(answers: Sequence[OutOfFoldAnswer], *, version: ModelVersion) -> None:
    """Save what was said out of fold of the reviews that taught a version; those of reviews that are gone are not."""
    known = set(Review.objects.filter(pk__in=[answer.review_id for answer in answers]).values_list("pk", flat=True))
    for answer in answers:
        answer.model_version = version
    OutOfFoldAnswer.objects.bulk_create(
        [answer for answer in answers if answer.review_id in known], batch_size=_CHUNK_SIZE
    )


def _join(pictures: Sequence[ReviewedPicture]) -> SeenPictures:
    return SeenPictures.of([picture.features for picture in pictures])


def _name_shown(pictures: Sequence[ReviewedPicture]) -> list[str]:
    return [TRUE[picture.shows] for picture in pictures]


def _answer(said: Sequence[Prediction]) -> list[Answer]:
    """Return what pictures alone answer."""
    return [
        _build_answer(one.group, is_kept=not one.abstained, confidence=one.confidence, none=one.none_probability)
        for one in said
    ]


def _answer_out_of_fold(retrained: Retrained) -> list[Answer]:
    nones, groups = retrained.by_pictures[:, NONE], retrained.by_pictures[:, :NONE]
    confidence = groups.max(axis=1) / np.maximum(1 - nones, 1e-9)
    kept = (confidence >= (retrained.heads.threshold or 0.0)) & (nones < DOUBTED)
    return [
        _build_answer(GROUPS[group], is_kept=is_kept, confidence=certain, none=none)
        for group, is_kept, certain, none in zip(
            groups.argmax(axis=1).tolist(), kept.tolist(), confidence.tolist(), nones.tolist(), strict=True
        )
    ]


def _build_answer(group: str, *, is_kept: bool, confidence: float, none: float) -> Answer:
    """Return what a picture makes of its product: none of the groups from `KEPT_CONFIDENCE` of that on."""
    is_none = none >= KEPT_CONFIDENCE
    return Answer(None if is_none else group, is_none or is_kept, confidence, Evidence.PICTURE, none_score=none)


def _describe_titles(retrained: Retrained) -> dict[str, Any]:
    gain, margin = retrained.title_gain or (None, None)
    return {"count": retrained.heads.titles is not None, "gain": gain, "margin": margin}


def _build_answers(pictures: Sequence[ReviewedPicture], said: NDArray[np.float64]) -> list[OutOfFoldAnswer]:
    return [
        OutOfFoldAnswer(
            review_id=picture.review_id,
            group=GROUPS[answer] if answer != NONE else "",
            confidence=min(1.0, confidence),
        )
        for picture, answer, confidence in zip(
            pictures, said.argmax(axis=1).tolist(), said.max(axis=1).tolist(), strict=True
        )
    ]
