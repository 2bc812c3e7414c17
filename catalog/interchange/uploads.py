"""Files of the page Import while they wait for their confirmation, where every machine of the site finds them.

Their names are for nobody to guess. Every function raises `StorageError`.
"""

from datetime import timedelta
from typing import IO, Any

from django.core.files.base import ContentFile, File
from django.core.files.storage import Storage, storages
from django.utils import timezone

from catalog.pictures.storage import reaching_storage


def write_upload(name: str, content: "File[Any]") -> None:
    """Keep a file, in the place of one that has the name already."""
    with reaching_storage():
        _get_storage().delete(name)
        _get_storage().save(name, content)


def open_upload(name: str) -> IO[bytes] | None:
    """Open a file to read its bytes; None if there is none."""
    with reaching_storage():
        try:
            file: IO[bytes] = _get_storage().open(name)
        except FileNotFoundError:
            return None
    return file


def read_upload(name: str) -> bytes | None:
    """Return a file's bytes; None if there is none."""
    file = open_upload(name)
    if file is None:
        return None
    with reaching_storage(), file:
        return file.read()


def claim_upload(name: str) -> bool:
    """Make a file that says that somebody is at work; return whether there was none. One of several callers gets it."""
    with reaching_storage():
        try:
            saved = _get_storage().save(name, ContentFile(b"claimed"))
        except FileExistsError:
            return False
        if saved != name:
            _get_storage().delete(saved)
        return saved == name


def remove_upload(name: str) -> None:
    """Remove a file if there is one."""
    with reaching_storage():
        _get_storage().delete(name)


def remove_old_uploads(age: timedelta) -> None:
    """Remove files that are older."""
    with reaching_storage():
        try:
            names = _get_storage().listdir("")[1]
        except FileNotFoundError:
            return
        newest = timezone.now() - age
        for name in names:
            try:
                if _get_storage().get_modified_time(name) < newest:
                    _get_storage().delete(name)
            except FileNotFoundError:
                continue


def _get_storage() -> Storage:
    return storages["imports"]
