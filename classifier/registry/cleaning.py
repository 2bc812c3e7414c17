"""What lies in ARTEFACTS_DIR or the bucket and belongs to no version, and artefacts that are missing or damaged."""

import logging
import re
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from classifier.ml.artefacts import ArtefactError
from classifier.models import Base, ModelVersion
from classifier.registry.services import find_manifest, verify_registered_artefact
from classifier.registry.sharing import list_shared, list_unshared, remove_shared, share_artefact

logger = logging.getLogger(__name__)

# Longer than any training: a folder that somebody still writes into is never taken for one that was left behind.
SAFE_AGE_SECONDS = 24 * 3600.0

# Only names that the product itself gives: those of trainings at work and of `config.files`, and hashes of artefacts.
_OWN_NAME = re.compile(r"\.training-.+|\..+\.part|[0-9a-f]{64}")
_ARTEFACT_NAME = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class CleaningReport:
    """The folders that were removed, by name, and what is wrong with the artefacts of versions, by version id.

    `shared` are the artefacts that this machine has and the bucket had not.
    """

    removed: list[str]
    damaged: dict[int, str]
    shared: list[str] = field(default_factory=list)


def clean_artefacts(*, older_than_seconds: float = SAFE_AGE_SECONDS, dry_run: bool = False) -> CleaningReport:
    """Remove what trainings and registrations that were killed left behind; check every version's artefact.

    A folder goes when no version names it, by its row or its manifest, and nothing in it changed for
    `older_than_seconds`. With `dry_run` nothing is removed, and the report says what would be. A damaged artefact is
    reported and left as it is; while a manifest cannot be read no artefact goes. One that the bucket has not, since it
    is from before there was one, is put there. Raises `StorageError`.
    """
    left_behind = _list_left_behind(older_than_seconds)
    for folder in left_behind:
        if not dry_run:
            shutil.rmtree(folder)
            logger.info("removed %s, which belongs to no model version", folder)
    removed = [folder.name for folder in left_behind]
    newest = timezone.now() - timedelta(seconds=older_than_seconds)
    for name in sorted(_list_unnamed(list_shared())):
        if _OWN_NAME.fullmatch(name) and remove_shared(name, newest=newest, dry_run=dry_run):
            removed.append(f"{name} (bucket)")
    damaged = _find_damaged()
    return CleaningReport(removed, damaged, shared=[] if damaged else _share_missing(dry_run=dry_run))


def _share_missing(*, dry_run: bool) -> list[str]:
    missing = sorted(list_unshared(_list_named() | (_find_bases() or set())))
    for name in () if dry_run else missing:
        share_artefact(Path(settings.ARTEFACTS_DIR) / name)
    return missing


def _list_left_behind(older_than_seconds: float) -> list[Path]:
    root = Path(settings.ARTEFACTS_DIR)
    if not root.is_dir():
        return []
    folders = [path for path in sorted(root.iterdir()) if path.is_dir() and _OWN_NAME.fullmatch(path.name)]
    newest = time.time() - older_than_seconds
    old = [folder for folder in folders if _get_last_change(folder) <= newest]
    # Asked for after the folders were listed: a version that is registered meanwhile is among the rows.
    unnamed = _list_unnamed(folder.name for folder in old)
    return [folder for folder in old if folder.name in unnamed]


def _list_unnamed(names: Iterable[str]) -> set[str]:
    """Return those of the names that no version needs."""
    unnamed, bases = set(names) - _list_named(), _find_bases()
    if bases is None:
        return {name for name in unnamed if not _ARTEFACT_NAME.fullmatch(name)}
    return unnamed - bases


def _list_named() -> set[str]:
    """Return the folders that rows name: of all versions and of their bases."""
    bases = Base.objects.filter(versions__isnull=False)
    return {*ModelVersion.objects.values_list("folder", flat=True), *bases.values_list("folder", flat=True)} - {""}


def _find_bases() -> set[str] | None:
    """Return the bases that the versions' manifests name, or None where a manifest cannot be read.

    The row of a base names one folder. A base with the same networks that was calibrated anew has the same row and
    another folder, which the manifests of its heads alone name.
    """
    manifests = [find_manifest(version) for version in ModelVersion.objects.order_by("pk")]
    if None in manifests:
        return None
    return {manifest.base for manifest in manifests if manifest is not None and manifest.base is not None}


def _get_last_change(folder: Path) -> float:
    return max(path.lstat().st_mtime for path in (folder, *folder.rglob("*")))


def _find_damaged() -> dict[int, str]:
    damaged = {}
    for version in ModelVersion.objects.order_by("pk"):
        try:
            verify_registered_artefact(version)
        except ArtefactError as error:
            damaged[version.pk] = str(error)
    return damaged
