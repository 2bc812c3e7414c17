"""Model versions: an artefact folder becomes a row, and is verified whenever it is used."""

import logging
import os
import shutil
from functools import lru_cache
from pathlib import Path

from django.conf import settings
from django.db import transaction

from classifier.ml import artefacts
from classifier.ml.heads import Heads, read_heads
from classifier.models import Base, ModelVersion
from classifier.registry.sharing import fetch_artefact, share_artefact

logger = logging.getLogger(__name__)

#: Versions of which this process has said that their heads are not here.
_told: set[int] = set()


def artefact_key() -> artefacts.SigningKey | None:
    """Return what signs and checks manifests, or None when ARTEFACT_KEY is not set."""
    if not settings.ARTEFACT_KEY:
        return None
    former = tuple(key.encode() for key in settings.ARTEFACT_KEY_FALLBACKS)
    return artefacts.SigningKey(settings.ARTEFACT_KEY.encode(), former)


def get_artefact_folder(version: ModelVersion) -> Path:
    """Return the folder of the version's artefact, fetched from the bucket if there is one and this machine has it not.

    It is there on every machine that shares ARTEFACTS_DIR or reaches the bucket.
    """
    folder = Path(settings.ARTEFACTS_DIR) / version.folder
    fetch_artefact(folder, key=artefact_key())
    return folder


def register_model_version(folder: Path) -> ModelVersion:
    """Make a model version of an artefact folder, whose verified files are copied below ARTEFACTS_DIR; saved.

    The same artefact registered twice is one version. Raises what `copy_artefact` raises; there is no version then.
    """
    return record_model_version(copy_artefact(folder))


def copy_artefact(folder: Path) -> artefacts.VerifiedArtefact:
    """Copy an artefact's verified files below ARTEFACTS_DIR, and into the bucket if there is one.

    The base of a head is copied beside it, once for all heads that name it. Whoever registers a folder vouches for it:
    the copy is signed with ARTEFACT_KEY when that is set, and only signed copies are loaded then. Raises
    `ArtefactError` when a file is missing or is not what the manifest says; nothing is written then. Raises
    `StorageError` when the bucket takes no file, after some tries: call it outside a transaction.
    """
    artefact = artefacts.verify_artefact(folder)
    for copied in (artefact.base, artefact):
        if copied is not None:
            _copy_artefact(copied)
            share_artefact(Path(settings.ARTEFACTS_DIR) / copied.sha256)
    return artefact


def record_model_version(artefact: artefacts.VerifiedArtefact) -> ModelVersion:
    """Make a model version of an artefact that was copied; saved. The same artefact is one version."""
    manifest, digest = artefact.manifest, artefact.sha256
    with transaction.atomic():
        base = _find_or_create_base(artefact)
        version, created = ModelVersion.objects.get_or_create(
            manifest_sha256=digest,
            defaults={
                "name": manifest.version,
                "folder": digest,
                "base": base,
                "recipe": manifest.recipe["name"],
                "seed": manifest.seed,
                "metrics": manifest.metrics,
            },
        )
    logger.info("model version %s (%s) %s", version.pk, version.name, "registered" if created else "was there")
    return version


def _find_or_create_base(artefact: artefacts.VerifiedArtefact) -> Base:
    """Return the row of what looks for this artefact; a base that is a version itself has the row of that."""
    known = ModelVersion.objects.filter(manifest_sha256=artefact.manifest.base).select_related("base").first()
    if known is not None:
        return known.base
    name, folder = (artefact.base or artefact).manifest.version, artefact.manifest.base or ""
    digest = bytes.fromhex(artefact.looks_sha256)
    base, _ = Base.objects.get_or_create(digest=digest, defaults={"name": name, "folder": folder})
    return base


def _copy_artefact(artefact: artefacts.VerifiedArtefact) -> None:
    """Write the artefact below ARTEFACTS_DIR, whole or not at all: what was verified, whatever else lies beside it.

    A copy that is damaged is replaced.
    """
    target = Path(settings.ARTEFACTS_DIR) / artefact.sha256
    key = artefact_key()
    if target.is_dir():
        try:
            artefacts.verify_artefact(target)
        except artefacts.ArtefactError:
            shutil.rmtree(target)
        else:
            if key is not None:
                artefacts.sign_artefact(target, key=key)
            return
    try:
        artefacts.write_artefact(target, artefact, key=key)
    except OSError:
        # Another process that registers the same artefact may have been first; its copy has the same name and bytes.
        if not target.is_dir():
            raise


def verify_registered_artefact(version: ModelVersion) -> artefacts.VerifiedArtefact:
    """Return the version's artefact on this machine, which is, byte for byte, the registered one.

    Raises `ArtefactError` that says which file is missing or changed.
    """
    folder = get_artefact_folder(version)
    return artefacts.verify_artefact(folder, expected_sha256=version.manifest_sha256, key=artefact_key())


def sign_registered_artefacts() -> int:
    """Sign the artefacts of all versions that are as registered with the present key; return how many folders.

    Raises `ArtefactError` where there is no key, or for the first one that is missing, changed or signed by nobody, and
    `StorageError` when the bucket takes no signature.
    """
    key = artefact_key()
    if key is None:
        raise artefacts.ArtefactError("expected a key to sign with in ARTEFACT_KEY, there is none")
    signed = set()
    for version in ModelVersion.objects.order_by("pk"):
        verify_registered_artefact(version)
        folder = get_artefact_folder(version)
        base = artefacts.load_manifest(folder).base
        for each in (folder, *([artefacts.find_base(folder, sha256=base)] if base else [])):
            artefacts.sign_artefact(each, key=key)
            share_artefact(each)
            signed.add(each)
    return len(signed)


def check_registered_manifest(version: ModelVersion) -> None:
    """Check that the version's manifest is the registered one and that every file it names is there to be read.

    Unlike `verify_registered_artefact` it does not hash the files, so that it may be asked every second. Raises
    `ArtefactError`.
    """
    folder = get_artefact_folder(version)
    manifest = artefacts.load_manifest(folder, expected_sha256=version.manifest_sha256, key=artefact_key())
    _check_files(folder, manifest)
    if manifest.base is not None:
        base = artefacts.find_base(folder, sha256=manifest.base)
        _check_files(base, artefacts.load_manifest(base, expected_sha256=manifest.base, key=artefact_key()))


def _check_files(folder: Path, manifest: artefacts.Manifest) -> None:
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


def find_heads(version: ModelVersion) -> Heads | None:
    """Return what answers for the version from features, or None when this machine has it not or another one."""
    folder = get_artefact_folder(version)
    try:
        return _load_heads(folder, version.manifest_sha256)
    except artefacts.ArtefactError as error:
        # Once: whoever decides a million labels asks a thousand times.
        if version.pk not in _told:
            _told.add(version.pk)
            logger.warning("the heads of model version %s cannot be used: %s", version.pk, error)
        return None


@lru_cache(maxsize=2)
def _load_heads(folder: Path, manifest_sha256: str) -> Heads:
    return read_heads(artefacts.verify_artefact(folder, expected_sha256=manifest_sha256, key=artefact_key()))
