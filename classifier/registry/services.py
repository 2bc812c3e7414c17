"""Model versions: an artefact folder becomes a row, and one of them is active."""

import logging
import os
import shutil
from collections.abc import Collection
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from classifier.ml import artefacts
from classifier.models import STAGE_TRANSITIONS, ModelVersion
from config.files import new_folder

logger = logging.getLogger(__name__)


class StageTransitionError(ValueError):
    """A change of stage that `STAGE_TRANSITIONS` does not allow."""


class StaleActivationError(Exception):
    """Another version was activated since the caller looked."""


def artefact_key() -> bytes | None:
    """Return the key that signs and checks manifests, or None when ARTEFACT_KEY is not set."""
    return settings.ARTEFACT_KEY.encode() or None


def get_artefact_folder(version: ModelVersion) -> Path:
    """Return the folder of the version's artefact; it exists on every machine that shares ARTEFACTS_DIR."""
    return Path(settings.ARTEFACTS_DIR) / version.folder


def register_model_version(folder: Path, *, activate: bool = False) -> ModelVersion:
    """Make a model version of an artefact folder, verified and copied below ARTEFACTS_DIR; saved.

    The same artefact registered twice is one version. Whoever registers a folder vouches for it: the copy is signed
    with ARTEFACT_KEY when that is set, and only signed copies are loaded then. Raises `ArtefactError` when a file is
    missing or is not what the manifest says; nothing is written then.
    """
    manifest = artefacts.verify_artefact(folder).manifest
    digest = artefacts.manifest_sha256(folder)
    _copy_artefact(folder, name=digest)
    with transaction.atomic():
        version, created = ModelVersion.objects.get_or_create(
            manifest_sha256=digest,
            defaults={
                "name": manifest.version,
                "folder": digest,
                "recipe": manifest.recipe["name"],
                "seed": manifest.seed,
                "metrics": manifest.metrics,
            },
        )
        if activate:
            version = activate_model_version(version)
    logger.info("model version %s (%s) %s", version.pk, version.name, "registered" if created else "was there")
    return version


def _copy_artefact(folder: Path, *, name: str) -> None:
    """Copy the artefact to `name` below ARTEFACTS_DIR, whole or not at all; a copy that is damaged is replaced."""
    target = Path(settings.ARTEFACTS_DIR) / name
    key = artefact_key()
    if target.is_dir():
        try:
            artefacts.verify_artefact(target)
        except artefacts.ArtefactError:
            if folder.resolve() == target.resolve():
                raise
            shutil.rmtree(target)
        else:
            if key is not None:
                artefacts.sign_artefact(target, key=key)
            return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with new_folder(target, durable=True) as copy:
            shutil.copytree(folder, copy, dirs_exist_ok=True)
            copy.chmod(0o755)
            if key is not None:
                artefacts.sign_artefact(copy, key=key)
    except OSError:
        # Another process that registers the same artefact may have been first; its copy has the same name and bytes.
        if not target.is_dir():
            raise


def verify_registered_artefact(version: ModelVersion) -> None:
    """Check that the version's artefact on this machine is, byte for byte, the registered one.

    Raises `ArtefactError` that says which file is missing or changed.
    """
    artefacts.verify_artefact(get_artefact_folder(version), expected_sha256=version.manifest_sha256, key=artefact_key())


def check_registered_manifest(version: ModelVersion) -> None:
    """Check that the version's manifest is the registered one and that every file it names is there to be read.

    Unlike `verify_registered_artefact` it does not hash the files, so that it may be asked every second. Raises
    `ArtefactError`.
    """
    folder = get_artefact_folder(version)
    manifest = artefacts.load_manifest(folder, expected_sha256=version.manifest_sha256, key=artefact_key())
    for name in manifest.files:
        if not os.access(folder / name, os.R_OK):
            raise artefacts.ArtefactMissingError(f"expected a file that can be read at {folder / name}")


def find_manifest(version: ModelVersion) -> artefacts.Manifest | None:
    """Return the version's registered manifest, or None when this machine has it not or another one."""
    try:
        return artefacts.load_manifest(
            get_artefact_folder(version), expected_sha256=version.manifest_sha256, key=artefact_key()
        )
    except artefacts.ArtefactError as error:
        logger.warning("the manifest of model version %s cannot be shown: %s", version.pk, error)
        return None


def get_activation_tag() -> str:
    """Return a short text for which version is active since when; every activation changes it."""
    return _build_activation_tag(ModelVersion.objects.filter(stage=ModelVersion.Stage.ACTIVE).first())


def _build_activation_tag(active: ModelVersion | None) -> str:
    if active is None:
        return "none"
    return f"{active.pk}-{active.activated_at:%Y%m%dT%H%M%S.%f}" if active.activated_at else str(active.pk)


def activate_model_version(version: ModelVersion, *, expected_tags: Collection[str] | None = None) -> ModelVersion:
    """Make this version the active one and retire the one before, in one transaction; return it refreshed.

    Running workers use it for the next run. With `expected_tags` it happens only while `get_activation_tag` is one of
    them: raises `StaleActivationError` otherwise. Raises `StageTransitionError` if its stage does not allow it.
    """
    with transaction.atomic():
        # All rows in one order: two activations at once wait for each other instead of meeting in the unique index.
        rows = {row.pk: row for row in ModelVersion.objects.select_for_update().order_by("pk")}
        active = next((row for row in rows.values() if row.stage == ModelVersion.Stage.ACTIVE), None)
        tag = _build_activation_tag(active)
        if expected_tags is not None and tag not in expected_tags:
            raise StaleActivationError(
                f"Expected {', '.join(sorted(expected_tags)) or 'nothing'} to be active; it is {tag} by now."
            )
        chosen = rows[version.pk]
        if chosen == active:
            return chosen
        if active is not None:
            _change_stage(active, ModelVersion.Stage.RETIRED)
        chosen.activated_at = timezone.now()
        _change_stage(chosen, ModelVersion.Stage.ACTIVE)
    return chosen


def _change_stage(version: ModelVersion, stage: ModelVersion.Stage) -> None:
    if stage not in STAGE_TRANSITIONS[version.stage]:
        allowed = ", ".join(sorted(STAGE_TRANSITIONS[version.stage])) or "nothing"
        raise StageTransitionError(
            f"Model version {version.pk} is {version.stage}: expected a change to {allowed}; received {stage}."
        )
    version.stage = stage
    version.save(update_fields=["stage", "activated_at"])
