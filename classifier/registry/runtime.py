"""The classifier of a model version, loaded once in each process."""

from functools import lru_cache
from pathlib import Path

from classifier.ml.inference import Classifier
from classifier.models import ModelVersion
from classifier.registry.services import artefact_key, get_artefact_folder, verify_registered_artefact


def get_classifier(version: ModelVersion) -> Classifier:
    """Return the version's classifier, verified against the row's hash when it is first needed in this process.

    Loading happens after the worker has forked, never at import. Raises `ArtefactError` when the files on this machine
    are not those that were registered, or their network labels nothing.
    """
    return _load(str(get_artefact_folder(version)), version.manifest_sha256)


def verify_version(version: ModelVersion) -> None:
    """Check that the version's files are, byte for byte, the registered ones, and that their network labels pictures.

    Raises `ArtefactError`.
    """
    verify_registered_artefact(version)
    get_classifier(version)


# Two: a run that is still on the version before, and the active one.
@lru_cache(maxsize=2)
def _load(folder: str, manifest_sha256: str) -> Classifier:
    classifier = Classifier.load(Path(folder), manifest_sha256=manifest_sha256, key=artefact_key())
    classifier.check()
    return classifier
