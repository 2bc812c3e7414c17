"""The classifier of a model version, loaded once in each process, and whether it says here what it always said."""

from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
from django.db import transaction
from numpy.typing import NDArray

from classifier.ml.artefacts import ArtefactAnswersError
from classifier.ml.inference import Classifier
from classifier.models import ArtefactAnswers, ModelVersion
from classifier.registry.services import artefact_key, get_artefact_folder, verify_registered_artefact

#: So far a probability may be from what it was: other libraries and processors round in other ways.
GOLDEN_TOLERANCE: Final = 0.02


def get_classifier(version: ModelVersion) -> Classifier:
    """Return the version's classifier, verified against the row's hash when it is first needed in this process.

    Never at import: a worker's children load it once they are forked, and its main process only where the watch goes
    back by itself. Raises `ArtefactError` when the files on this machine are not those that were registered, or their
    network labels nothing.
    """
    return _load(str(get_artefact_folder(version)), version.manifest_sha256)


def verify_version(version: ModelVersion) -> None:
    """Check the version's files byte by byte, that their network labels pictures, and its golden answers.

    Raises `ArtefactError`.
    """
    verify_registered_artefact(version)
    get_classifier(version)
    check_golden_answers(version)


def record_golden_answers(classifier: Classifier, *, digest: str) -> None:
    """Keep what the artefact with this hash says of a fixed batch, if that is not known yet. Raises `ArtefactError`."""
    if not ArtefactAnswers.objects.filter(pk=digest).exists():
        golden = classifier.answer_golden().tobytes()
        with transaction.atomic():
            ArtefactAnswers.objects.get_or_create(pk=digest, defaults={"golden": golden})


def check_golden_answers(version: ModelVersion) -> None:
    """Check that the version says of a fixed batch on this machine what it said when it was registered, if it was.

    Raises `ArtefactError`.
    """
    recorded = ArtefactAnswers.objects.filter(pk=version.manifest_sha256).values_list("golden", flat=True).first()
    if recorded is None:
        return
    expected = np.frombuffer(bytes(recorded), np.float16).astype(np.float64)
    found = _answer_golden(str(get_artefact_folder(version)), version.manifest_sha256)
    distance = float(np.abs(found - expected).max())
    if distance > GOLDEN_TOLERANCE:
        raise ArtefactAnswersError(
            f"{version.name} does not say here what it said when it was registered: a probability of the same "
            f"pictures is another one by {distance:.3f}, and at most {GOLDEN_TOLERANCE} is rounding"
        )


# Two: a run that is still on the version before, and the active one.
@lru_cache(maxsize=2)
def _load(folder: str, manifest_sha256: str) -> Classifier:
    classifier = Classifier.load(Path(folder), manifest_sha256=manifest_sha256, key=artefact_key())
    classifier.check()
    return classifier


# What a process answers does not change, and health is asked every second.
@lru_cache(maxsize=8)
def _answer_golden(folder: str, manifest_sha256: str) -> NDArray[np.float64]:
    return _load(folder, manifest_sha256).answer_golden().ravel().astype(np.float64)
