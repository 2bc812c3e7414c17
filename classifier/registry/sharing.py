"""Artefacts in the bucket that machines share: put there when they are registered, fetched where they are needed.

Without a bucket nothing here does anything: machines share ARTEFACTS_DIR then.
"""

import hashlib
import logging
import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from django.core.files.base import ContentFile
from django.core.files.storage import Storage, storages

from catalog.pictures.storage import StorageError, reaching_storage, save_object
from classifier.ml.artefacts import (
    MANIFEST_FILE,
    MAX_ARTEFACT_BYTES,
    MODEL_CARD_FILE,
    SIGNATURE_FILE,
    ArtefactError,
    ArtefactMissingError,
    ArtefactTamperedError,
    Manifest,
    SigningKey,
    verify_artefact,
)
from config.files import new_folder

logger = logging.getLogger(__name__)

#: Pauses between tries to put an artefact into the bucket, in seconds: hours of training may be behind it.
_PAUSES: Final = (1, 5, 15, 30)
#: After a try to fetch that failed the bucket is left alone for so many seconds: pages ask for manifests often.
_LEFT_ALONE_SECONDS: Final = 10.0
_failed_at: dict[str, float] = {}


def _find_storage() -> Storage | None:
    return storages["artefacts"] if "artefacts" in storages.backends else None


def share_artefact(folder: Path) -> None:
    """Put the verified artefact in `folder` into the bucket, its manifest last. Raises `StorageError`."""
    storage = _find_storage()
    if storage is None:
        return
    paths = sorted(folder.iterdir(), key=lambda path: path.name == MANIFEST_FILE)
    for pause in (*_PAUSES, None):
        try:
            with reaching_storage():
                for path in paths:
                    save_object(storage, f"{folder.name}/{path.name}", ContentFile(path.read_bytes()))
            return
        except StorageError as error:
            if pause is None:
                raise
            logger.warning("artefact %s is not in the bucket yet: %s", folder.name, error)
            time.sleep(pause)


def fetch_artefact(folder: Path, *, key: SigningKey | None) -> None:
    """Have the artefact lie in `folder`, which has its hash for a name, with its base beside it, if the bucket has it.

    Nothing appears there that is not, byte for byte, what was registered, signed with the `key` if there is one. What
    is wrong is logged: whoever looks into the folder next finds that nothing is there.
    """
    if folder.is_dir() or _find_storage() is None:
        return
    if time.monotonic() - _failed_at.get(folder.name, -_LEFT_ALONE_SECONDS) < _LEFT_ALONE_SECONDS:
        return
    try:
        _fetch(folder, key=key)
    except (ArtefactError, OSError) as error:
        _failed_at[folder.name] = time.monotonic()
        logger.warning("artefact %s cannot be fetched from the bucket: %s", folder.name, error)
    else:
        _failed_at.pop(folder.name, None)
        logger.info("fetched artefact %s from the bucket", folder.name)


def _fetch(folder: Path, *, key: SigningKey | None) -> None:
    content = _read(folder.name, MANIFEST_FILE)
    if hashlib.sha256(content).hexdigest() != folder.name:
        raise ArtefactTamperedError(f"{folder.name}/{MANIFEST_FILE}: expected this SHA-256, received another")
    manifest = Manifest.from_bytes(content)
    if manifest.base is not None and not (base := folder.parent / manifest.base).is_dir():
        _fetch(base, key=key)
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        with new_folder(folder, durable=True) as partial:
            (partial / MANIFEST_FILE).write_bytes(content)
            (partial / MODEL_CARD_FILE).write_bytes(manifest.model_card())
            for name in (*manifest.files, *((SIGNATURE_FILE,) if key else ())):
                (partial / name).write_bytes(_read(folder.name, name))
            verify_artefact(partial, expected_sha256=folder.name, key=key)
    except OSError:
        # Another process of this machine may have been first; its copy has the same name and bytes.
        if not folder.is_dir():
            raise


def _read(artefact: str, name: str) -> bytes:
    content: bytes | None = None
    with reaching_storage(), suppress(FileNotFoundError), storages["artefacts"].open(f"{artefact}/{name}") as file:
        content = file.read(MAX_ARTEFACT_BYTES + 1)
    if content is None:
        raise ArtefactMissingError(f"expected {artefact}/{name} in the bucket")
    if len(content) > MAX_ARTEFACT_BYTES:
        raise ArtefactTamperedError(f"{artefact}/{name}: expected at most {MAX_ARTEFACT_BYTES} bytes, received more")
    return content


def list_shared() -> list[str]:
    """Return the names of the artefacts in the bucket, whole or not. Raises `StorageError`."""
    storage = _find_storage()
    if storage is None:
        return []
    with reaching_storage():
        try:
            return storage.listdir("")[0]
        except FileNotFoundError:
            return []


def list_unshared(names: Iterable[str]) -> list[str]:
    """Return those of the artefacts that the bucket has not, none without a bucket. Raises `StorageError`."""
    storage = _find_storage()
    if storage is None:
        return []
    with reaching_storage():
        return [name for name in names if not storage.exists(f"{name}/{MANIFEST_FILE}")]


def remove_shared(name: str, *, newest: datetime, dry_run: bool) -> bool:
    """Remove an artefact from the bucket unless a file of it was written after `newest`; return whether that is so.

    Raises `StorageError`.
    """
    storage = storages["artefacts"]
    with reaching_storage():
        names = [f"{name}/{file}" for file in storage.listdir(name)[1]]
        if any(storage.get_modified_time(file) > newest for file in names):
            return False
        for file in () if dry_run else names:
            storage.delete(file)
    return True
