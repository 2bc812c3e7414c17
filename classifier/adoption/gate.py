"""The gate: no version comes into production unseen that may be worse than the one that is there."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from django.db import transaction
from django.db.models import Q
from numpy.typing import NDArray

from classifier.adoption.reviewed import list_test_pictures
from classifier.ml import pipeline
from classifier.ml.artefacts import ArtefactAnswersError, ArtefactError, manifest_sha256, verify_artefact
from classifier.ml.data.dataset import DatasetError, find_fashion_mnist
from classifier.ml.heads import Heads, SeenPictures, predict
from classifier.ml.inference import Classifier
from classifier.ml.judging.fusion import DOUBTED
from classifier.ml.judging.gate import Comparison, compare_groups
from classifier.ml.labels import GROUPS
from classifier.ml.pipeline import TestAnswers
from classifier.models import ArtefactAnswers, Base, ModelVersion
from classifier.registry.runtime import get_classifier
from classifier.registry.selectors import find_active_model_version

#: So far a probability may be from what it was: other libraries and processors round in other ways.
GOLDEN_TOLERANCE: Final = 0.02
# Where the site looks for test pictures that are not on its machine: it fetches none.
_NOWHERE: Final = Path()
#: What is compared of the catalogue: the groups and, as one more, none of them.
_SHOWN: Final = (*GROUPS, "none of these")


@dataclass(frozen=True, slots=True)
class Examination:
    """What the gate found out about an artefact while `tag` stood for the version in production.

    `test_pictures` are the comparisons on Fashion-MNIST's, `catalogue` those on the catalogue's own; None where there
    was nothing to compare with, or too little. `problem` says why the gate is not met, empty where it is.
    """

    tag: str
    test_pictures: Sequence[Comparison] | None = None
    catalogue: Sequence[Comparison] | None = None
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        """The examination as plain JSON, as it is part of the evidence of a request."""
        parts = {"test_pictures": self.test_pictures, "catalogue": self.catalogue}
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

    There is nothing to compare with where no version is in production, where it is this artefact, and where its own
    files are lost. Raises `ArtefactError` if the artefact's network labels nothing, or not what it did.
    """
    candidate = Classifier.load(folder)
    candidate.check()
    return _examine(candidate, digest=manifest_sha256(folder), base_id=_find_base_id(folder), data_dir=data_dir)


def examine_version(version: ModelVersion, *, download: bool = False) -> Examination:
    """Do the same with a registered version. Only with `download` are test pictures fetched that are not here."""
    data_dir = None if download else find_fashion_mnist() or _NOWHERE
    return _examine(get_classifier(version), digest=version.manifest_sha256, base_id=version.base_id, data_dir=data_dir)


def _examine(candidate: Classifier, *, digest: str, base_id: int | None, data_dir: Path | None) -> Examination:
    active = find_active_model_version()
    tag = active.activation_tag if active else "none"
    _check_golden(candidate, digest=digest)
    if active is None or active.manifest_sha256 == digest:
        return Examination(tag)
    try:
        production = get_classifier(active)
    except ArtefactError:
        return Examination(tag)
    catalogue = _compare_catalogue(candidate, production, base_ids=(base_id, active.base_id))
    try:
        answers = [
            find_or_record_answers(one, digest=sha256, data_dir=data_dir)
            for one, sha256 in ((candidate, digest), (production, active.manifest_sha256))
        ]
    except DatasetError as error:
        problem = f"It cannot be compared with {active.name}, which is in production: {error}."
        return Examination(tag, catalogue=catalogue, problem=problem)
    found = pipeline.compare_answers(answers[0], other=answers[1])
    worse = [comparison for comparison in (*found, *(catalogue or ())) if comparison.is_worse]
    problem = ""
    if worse:
        problem = (
            f"It may be worse than {active.name}, which is in production: the lower end of a difference is below its "
            f"margin. {'; '.join(map(str, worse))}."
        )
    return Examination(tag, found, catalogue, problem)


def find_or_record_answers(classifier: Classifier, *, digest: str, data_dir: Path | None = None) -> TestAnswers:
    """Return what the classifier of the artefact with this hash says of the test pictures; it is asked once.

    Raises `DatasetError` where it was never asked and the pictures cannot be had.
    """
    row = ArtefactAnswers.objects.filter(pk=digest).first()
    if row is not None:
        said, truth = (np.frombuffer(bytes(content), np.uint8) for content in (row.said, row.truth))
        return TestAnswers(row.pictures_sha256, said, truth)
    if data_dir == _NOWHERE:
        raise DatasetError("Fashion-MNIST is not on this machine; the command change_stage fetches it")
    answers = pipeline.answer_test_pictures(classifier, data_dir=data_dir)
    with transaction.atomic():
        ArtefactAnswers.objects.get_or_create(
            pk=digest,
            defaults={
                "pictures_sha256": answers.pictures_sha256,
                "said": answers.said.tobytes(),
                "truth": answers.truth.tobytes(),
                "golden": classifier.answer_golden().tobytes(),
            },
        )
    return answers


def check_golden_answers(version: ModelVersion) -> None:
    """Check that the version says of a fixed batch what it said when it was first examined, if it was.

    Raises `ArtefactError`.
    """
    if ArtefactAnswers.objects.filter(pk=version.manifest_sha256).exists():
        _check_golden(get_classifier(version), digest=version.manifest_sha256)


def _check_golden(classifier: Classifier, *, digest: str) -> None:
    golden = ArtefactAnswers.objects.filter(pk=digest).values_list("golden", flat=True).first()
    if golden is None:
        return
    expected, found = np.frombuffer(bytes(golden), np.float16), classifier.answer_golden().ravel()
    distance = float(np.abs(found.astype(np.float64) - expected).max())
    if distance > GOLDEN_TOLERANCE:
        raise ArtefactAnswersError(
            f"{classifier.version} does not say here what it said when it was first examined: a probability of the "
            f"same pictures is another one by {distance:.3f}, and at most {GOLDEN_TOLERANCE} is rounding"
        )


def _compare_catalogue(
    candidate: Classifier, production: Classifier, *, base_ids: tuple[int | None, int]
) -> list[Comparison] | None:
    """Return the comparisons on the reviewed pictures of the catalogue's test part, None for fewer than 30."""
    own, other = base_ids
    pictures = [] if own is None else list_test_pictures([own, other])
    if not pictures:
        return None
    truth = np.array([picture.shows for picture in pictures])
    mine, others = (
        _say(SeenPictures.of([picture.features[place] for picture in pictures]), heads=one.heads)
        for place, one in enumerate((candidate, production))
    )
    return compare_groups(mine, other=others, truth=truth, names=_SHOWN) or None


def _say(seen: SeenPictures, *, heads: Heads) -> NDArray[np.int64]:
    """Return what is said of pictures, by what a base saw: indices of `_SHOWN`."""
    return np.array(
        [
            len(GROUPS) if said.none_probability >= DOUBTED else GROUPS.index(said.group)
            for said in predict(seen, heads=heads)
        ]
    )


def _find_base_id(folder: Path) -> int | None:
    """Return the base whose networks look for this artefact, or None where none such was ever registered."""
    artefact = verify_artefact(folder)
    known = Q(digest=bytes.fromhex(artefact.looks_sha256)) | Q(versions__manifest_sha256=artefact.manifest.base)
    return Base.objects.filter(known).order_by("pk").values_list("pk", flat=True).first()
