"""The gate: no version comes into production unseen that may be worse than the one that is there."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from django.db.models import Q

from classifier.adoption.reviewed import TestPicture, list_said, list_test_pictures, list_titled_test_pictures
from classifier.labels.precision import TAUGHT_BY_TITLES
from classifier.ml import pipeline
from classifier.ml.artefacts import ArtefactError, manifest_sha256, verify_artefact
from classifier.ml.data.dataset import DatasetError, find_fashion_mnist
from classifier.ml.heads import SeenPictures, predict
from classifier.ml.inference import Classifier
from classifier.ml.judging.gate import Comparison, compare_groups
from classifier.ml.judging.shares import LEAST_COUNT
from classifier.ml.labels import GROUPS
from classifier.ml.pipeline import TestAnswers
from classifier.models import ArtefactAnswers, Base, ModelVersion
from classifier.registry.runtime import check_golden_answers, get_classifier, record_golden_answers
from classifier.registry.selectors import find_active_model_version
from config.db.statements import allow_long_statements

logger = logging.getLogger(__name__)
AnswerTest = Callable[..., TestAnswers]
#: What is compared of the catalogue: the groups and, as one more, none of them.
_SHOWN: Final = (*GROUPS, "none of these")


@dataclass(frozen=True, slots=True)
class Examination:
    """What the gate found out about an artefact while `tag` stood for the version in production.

    `test_pictures` are the comparisons on Fashion-MNIST's, `catalogue` those on the catalogue's own, and `titled` those
    by titles, of what titles taught; None where there was nothing to compare with, or too little. `problem` says why
    the gate is not met, empty where it is.
    """

    tag: str
    test_pictures: Sequence[Comparison] | None = None
    catalogue: Sequence[Comparison] | None = None
    titled: Sequence[Comparison] | None = None
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        """The examination as plain JSON, as it is part of the evidence of a request."""
        parts = {"test_pictures": self.test_pictures, "catalogue": self.catalogue, "titled": self.titled}
        return {"problem": self.problem} | {
            name: None if found is None else [comparison.to_json() for comparison in found]
            for name, found in parts.items()
        }


def describe_version(version: ModelVersion) -> dict[str, Any]:
    """Return what names a version as it is now, as plain JSON."""
    return {
        "id": version.pk,
        "name": version.name,
        "manifest_sha256": version.manifest_sha256,
        "activated_at": version.activated_at.isoformat() if version.activated_at else None,
    }


def examine_artefact(folder: Path, *, data_dir: Path | None = None) -> Examination:
    """Compare a verified artefact with the version in production, on pictures that neither was trained on.

    Either is asked the test pictures if it never was, which are fetched where they are not in `data_dir` or here.
    There is nothing to compare with where no version is in production, where it is this artefact, and where its own
    files are lost. Raises `ArtefactError` if the artefact's network labels nothing.
    """
    candidate = Classifier.load(folder)
    candidate.check()
    answer = partial(record_test_answers, data_dir=data_dir)
    return _examine(candidate, digest=manifest_sha256(folder), base_id=_find_base_id(folder), answer=answer)


def examine_version(version: ModelVersion, *, ask: bool = False) -> Examination:
    """Compare a registered version likewise, by what both answered before; only with `ask` are they asked, for seconds.

    Raises `ArtefactError` if it does not load, or does not say what it did when it was registered.
    """
    check_golden_answers(version)
    answer = record_test_answers if ask else get_test_answers
    return _examine(get_classifier(version), digest=version.manifest_sha256, base_id=version.base_id, answer=answer)


def _examine(candidate: Classifier, *, digest: str, base_id: int | None, answer: AnswerTest) -> Examination:
    active = find_active_model_version()
    tag = active.activation_tag if active else "none"
    if active is None or active.manifest_sha256 == digest:
        return Examination(tag)
    try:
        production = get_classifier(active)
    except ArtefactError:
        return Examination(tag)
    compare = partial(_compare_seen, candidate, production, base_ids=(base_id, active.base_id))
    catalogue = compare(list_test_pictures)
    # Heads change nothing of Fashion-MNIST's pictures, and where titles are enough there may be no review.
    is_taught = candidate.manifest.recipe.get("trainable") == TAUGHT_BY_TITLES
    titled = None
    if is_taught:
        # Few titles may name a group, and then most are read.
        with allow_long_statements():
            titled = compare(list_titled_test_pictures)
    found: list[Comparison] | None = None
    problems: list[str] = []
    try:
        answers = [
            answer(one, digest=sha256) for one, sha256 in ((candidate, digest), (production, active.manifest_sha256))
        ]
        found = pipeline.compare_answers(answers[0], other=answers[1])
    except DatasetError as error:
        problems.append(f"It cannot be compared with {active.name}, which is in production: {error}.")
    if is_taught and catalogue is None and titled is None:
        problems.append(
            f"Titles taught it, and fewer than {LEAST_COUNT} photographs of the catalogue's test part, reviewed or by "
            f"their titles, say whether it is worse than {active.name}."
        )
    problems.append(_tell_worse((*(found or ()), *(catalogue or ()), *(titled or ())), active))
    return Examination(tag, found, catalogue, titled, problem=" ".join(filter(None, problems)))


def _tell_worse(comparisons: Sequence[Comparison], active: ModelVersion) -> str:
    """Return in what an artefact may be worse; empty where it is in nothing."""
    worse = [comparison for comparison in comparisons if comparison.is_worse]
    if not worse:
        return ""
    return (
        f"It may be worse than {active.name}, which is in production: the lower end of a difference is below its "
        f"margin. {'; '.join(map(str, worse))}."
    )


def get_test_answers(classifier: Classifier, *, digest: str) -> TestAnswers:
    """Return what an artefact said of the test pictures. Raises `DatasetError` if it was never asked."""
    row = ArtefactAnswers.objects.filter(pk=digest).first()
    if row is None or not row.pictures_sha256:
        raise DatasetError(
            f"{classifier.version} was not asked Fashion-MNIST's test pictures yet; change_stage request --to "
            "production does"
        )
    said, truth = (np.frombuffer(bytes(content), np.uint8) for content in (row.said, row.truth))
    return TestAnswers(row.pictures_sha256, said, truth)


def record_test_answers(classifier: Classifier, *, digest: str, data_dir: Path | None = None) -> TestAnswers:
    """Return the same, and ask if it was never asked. Raises `DatasetError` where the pictures cannot be had."""
    if not ArtefactAnswers.objects.filter(pk=digest).exclude(pictures_sha256="").exists():
        found = pipeline.answer_test_pictures(classifier, data_dir=data_dir)
        record_golden_answers(classifier, digest=digest)
        said = {"pictures_sha256": found.pictures_sha256, "said": found.said.tobytes(), "truth": found.truth.tobytes()}
        ArtefactAnswers.objects.filter(pk=digest).update(**said)
    return get_test_answers(classifier, digest=digest)


def record_answers(folder: Path, *, data_dir: Path | None = None) -> None:
    """Keep what a verified artefact says of the fixed batch, and of the test pictures if they are on this machine.

    So a page compares it at once, and it is known elsewhere what it said here. Raises `ArtefactError` if its network
    labels nothing; that it cannot be asked the test pictures is logged.
    """
    classifier, digest = Classifier.load(folder), manifest_sha256(folder)
    record_golden_answers(classifier, digest=digest)
    if (found := data_dir or find_fashion_mnist()) is not None:
        try:
            record_test_answers(classifier, digest=digest, data_dir=found)
        except DatasetError as error:
            logger.warning("%s was not asked the test pictures: %s", classifier.version, error)


def _compare_seen(
    candidate: Classifier,
    production: Classifier,
    list_pictures: Callable[[Sequence[int]], Sequence[TestPicture]],
    *,
    base_ids: tuple[int | None, int],
) -> list[Comparison] | None:
    """Return the comparisons on pictures of the catalogue in which both bases looked, None for fewer than 30."""
    own, other = base_ids
    pictures = [] if own is None else list_pictures([own, other])
    if not pictures:
        return None
    truth = np.array([picture.shows for picture in pictures])
    mine, others = (
        list_said(predict(SeenPictures.of([picture.features[place] for picture in pictures]), heads=one.heads))
        for place, one in enumerate((candidate, production))
    )
    return compare_groups(mine, other=others, truth=truth, names=_SHOWN) or None


def _find_base_id(folder: Path) -> int | None:
    """Return the base whose networks look for this artefact, or None where none such was ever registered."""
    artefact = verify_artefact(folder)
    known = Q(digest=bytes.fromhex(artefact.looks_sha256)) | Q(versions__manifest_sha256=artefact.manifest.base)
    return Base.objects.filter(known).order_by("pk").values_list("pk", flat=True).first()
