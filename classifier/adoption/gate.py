"""The gate of `--activate`: no version comes into production unseen that may be worse than the one that is there."""

from dataclasses import dataclass
from pathlib import Path

from django.contrib.auth.models import User

from classifier.adoption.services import activate_model_version, get_activation_tag
from classifier.ml import pipeline
from classifier.ml.artefacts import ArtefactError, manifest_sha256
from classifier.ml.data.dataset import DatasetError
from classifier.ml.inference import Classifier
from classifier.ml.judging.gate import MARGIN, Comparison
from classifier.models import ModelVersion
from classifier.registry.runtime import get_classifier
from classifier.registry.selectors import find_active_model_version


class GateNotMetError(Exception):
    """A version may be worse than the one in production, and nobody said why it shall be activated all the same."""


@dataclass(frozen=True, slots=True)
class Examination:
    """What the gate found out about an artefact while `tag` stood for the version in production.

    `comparison` is None where there was nothing to compare with. `problem` says why the gate is not met, empty where it
    is.
    """

    tag: str
    comparison: Comparison | None = None
    problem: str = ""


def examine_artefact(folder: Path, *, data_dir: Path | None = None) -> Examination:
    """Compare a verified artefact with the version in production, on pictures that neither was trained on.

    There is nothing to compare with where no version is in production, where it is this artefact, and where its own
    files are lost. Raises `ArtefactError` if the artefact's network labels nothing.
    """
    tag = get_activation_tag()
    candidate = Classifier.load(folder)
    candidate.check()
    active = find_active_model_version()
    if active is None or active.manifest_sha256 == manifest_sha256(folder):
        return Examination(tag)
    try:
        production = get_classifier(active)
    except ArtefactError:
        return Examination(tag)
    try:
        comparison = pipeline.compare_classifiers(candidate, other=production, data_dir=data_dir)
    except DatasetError as error:
        return Examination(tag, problem=f"It cannot be compared with {active.name}, which is in production: {error}.")
    if not comparison.is_worse:
        return Examination(tag, comparison)
    problem = (
        f"It may be worse than {active.name}, which is in production: {comparison}. The lower end of the interval must "
        f"not be below {-100 * MARGIN:+.2f}."
    )
    return Examination(tag, comparison, problem)


def activate_examined_version(
    version: ModelVersion, examination: Examination, *, user: User | None = None, reason: str = ""
) -> ModelVersion:
    """Bring an examined version into production as `activate_model_version` does; what was found is kept.

    Raises `GateNotMetError` where the gate is not met and no reason is given, `StaleActivationError` where another
    version was activated since, and what `activate_model_version` raises.
    """
    if examination.problem and not reason:
        raise GateNotMetError(examination.problem)
    return activate_model_version(
        version,
        expected_tags=[examination.tag],
        user=user,
        comparison=examination.comparison.to_json() if examination.comparison else None,
        reason=reason if examination.problem else "",
    )
