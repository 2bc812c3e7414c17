"""Which artefact a command uses: the version asked for, the active one, or the one that comes with the product."""

import logging
from dataclasses import dataclass
from pathlib import Path

from django.core.management.base import CommandError
from django.db import DatabaseError

from classifier.ml.artefacts import DEFAULT_ARTEFACT, SigningKey
from classifier.models import ModelVersion
from classifier.registry.selectors import find_active_model_version
from classifier.registry.services import artefact_key, get_artefact_folder
from config.db.troubles import explain

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ChosenArtefact:
    """An artefact's folder, with what it is checked against: both None for the one that comes with the product."""

    folder: Path
    manifest_sha256: str | None
    key: SigningKey | None


def choose_artefact(model_version_id: int | None = None) -> ChosenArtefact:
    """The artefact of that model version, or of the active one; the shipped one when none is or there is no database.

    Raises `CommandError` when a version was asked for and is not there.
    """
    try:
        version = (
            find_active_model_version()
            if model_version_id is None
            else ModelVersion.objects.filter(pk=model_version_id).first()
        )
    except DatabaseError as error:
        if model_version_id is not None:
            raise CommandError(f"model version {model_version_id} was not found: {explain(error)}") from error
        logger.info("using the artefact that comes with the product: %s", explain(error))
        version = None
    if version is not None:
        return ChosenArtefact(
            folder=get_artefact_folder(version), manifest_sha256=version.manifest_sha256, key=artefact_key()
        )
    if model_version_id is not None:
        raise CommandError(f"there is no model version {model_version_id}")
    return ChosenArtefact(folder=DEFAULT_ARTEFACT, manifest_sha256=None, key=None)
