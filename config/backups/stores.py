"""The files of a backup: those of the media storage and of the artefacts, by name and hash."""

import os
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, Final

from django.conf import settings
from django.core.files import File
from django.core.files.storage import FileSystemStorage, Storage, storages

from config.backups import BackupError
from config.backups.sums import copy_and_hash, read_sums
from config.files import UNFINISHED, new_file

#: Below that there are no folders of ours: somebody's link leads in a circle.
_DEEPEST: Final = 20


def get_artefacts() -> Storage:
    """Return where artefacts are kept: the bucket if there is one, else ARTEFACTS_DIR."""
    return storages["artefacts"] if "artefacts" in storages.backends else FileSystemStorage(settings.ARTEFACTS_DIR)


def list_names(store: Storage, *, without: Collection[str] = ()) -> Iterator[str]:
    """Give the names of all files, but of those in some folders at the top; a store that is not there has none.

    Raises `BackupError` where the store cannot say.
    """
    yield from _walk(store, "", without, depth=0)


def _walk(store: Storage, folder: str, without: Collection[str], *, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        raise BackupError(
            f"expected folders in {_DEEPEST} levels at most, there are more in {folder}: links in a circle?"
        )
    try:
        folders, files = store.listdir(folder)
    except FileNotFoundError:
        return
    except NotImplementedError as error:
        raise BackupError("expected a media storage that lists its files, this one does not") from error
    prefix = f"{folder}/" if folder else ""
    for name in sorted(files):
        if not UNFINISHED.fullmatch(name):
            yield prefix + name
    for name in sorted(folders):
        if name not in without and not UNFINISHED.fullmatch(name):
            yield from _walk(store, prefix + name, without, depth=depth + 1)


def save_file(store: Storage, name: str, target: Path | None, *, link: bool = False) -> str | None:
    """Copy a file of the store, or link it, or neither without a target; return its SHA-256, None if it is gone."""
    try:
        with store.open(name) as file:
            if target is None:
                return copy_and_hash(file)
            target.parent.mkdir(parents=True, exist_ok=True)
            if link:
                os.link(os.path.realpath(store.path(name)), target)
                return copy_and_hash(file)
            with target.open("wb") as copy:
                return copy_and_hash(file, copy)
    except FileNotFoundError:
        return None


def check_empty(store: Storage, folder: Path, sums: Path, *, what: str, without: Collection[str] = ()) -> None:
    """Raise `BackupError` if the store has a file that the backup does not have; what it has already may be there.

    `folder` holds the backup's copies, `sums` their names.
    """
    foreign = next((name for name in list_names(store, without=without) if not (folder / name).is_file()), None)
    if foreign is not None:
        raise BackupError(
            f"expected no {what} but the backup's, found {foreign}. They belong to one database: "
            "name a new place for them"
        )
    for name, digest in read_sums(sums):
        if store.exists(name) and _hash(store, name) != digest:
            raise BackupError(f"expected no {what} but the backup's, {name} is there and is another file")


def put_files(store: Storage, folder: Path, sums: Path) -> Iterator[int]:
    """Put what the store lacks into it, and give how many files are through. Raises `BackupError`, `OSError`."""
    for number, (name, _) in enumerate(read_sums(sums), start=1):
        if not store.exists(name):
            with (folder / name).open("rb") as file:
                _put(store, name, file)
        yield number


def _put(store: Storage, name: str, file: IO[bytes]) -> None:
    """Write a file of the store, whole or not at all."""
    if isinstance(store, FileSystemStorage):
        path = Path(store.path(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        with new_file(path) as copy:
            shutil.copyfileobj(file, copy)
    elif (saved := store.save(name, File(file))) != name:
        store.delete(saved)
        raise BackupError(f"expected a storage that keeps names, it made {saved} of {name}")


def compare_files(store: Storage, sums: Path) -> Iterator[tuple[str, bool]]:
    """Give each name of the list, and whether the store has that file."""
    for name, digest in read_sums(sums):
        yield name, store.exists(name) and _hash(store, name) == digest


def _hash(store: Storage, name: str) -> str:
    with store.open(name) as file:
        return copy_and_hash(file)
