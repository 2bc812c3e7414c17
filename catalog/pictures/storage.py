"""A picture's bytes: decoded by `decode_picture`, kept once by content hash, shown as a thumbnail made from its pixels.

Originals are read by the classifier, and leave in exports of pictures; no page shows them. What a page shows is the
thumbnail, and in full size a copy made when it is asked for: pixels and nothing of what came with them (metadata,
scripts, archives).
"""

import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
from celery.exceptions import SoftTimeLimitExceeded
from django.core.exceptions import SuspiciousOperation
from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage, Storage, default_storage
from django.urls import get_script_prefix, reverse
from django.utils import timezone
from PIL import Image as PillowImage

from catalog.models import Image, StoredPicture
from catalog.pictures.appearance import build_look_hash, is_same_look
from catalog.pictures.decoding import DecodedPicture, PictureError, decode_picture, lay_on_ground, to_rgb
from catalog.pictures.formats import EXTENSIONS, MAX_FILE_BYTES
from catalog.values import RecordError, clean_image_url, is_media_name
from config.db.bulk import insert_or_update_rows
from config.db.clock import get_database_time
from config.files import build_temporary_path, write_file

# Pixels on the longer side; a smaller picture keeps its size.
THUMBNAIL_SIZE = 320
# The same of the copy in full size. More is more than a screen has, and costs seconds and hundreds of megabytes.
FULL_SIZE = 2048
_JPEG_QUALITY = 85
# With less than this a disk counts as full: room for 32 pictures of 128 KiB.
FREE_BYTES = 4 * 2**20
# How old a file may be that a picture which has no row yet relies on: longer than any batch is in a worker's hand.
UNNAMED_AGE = timedelta(hours=1)
# Stands for the content hash in a path that is known but for it.
_ANY_HASH = "0" * 64
# What a file system says of a name that no file of it has, or can have.
_NO_SUCH_FILE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)


class StorageError(OSError):
    """The media storage did not do what was asked of it; says nothing of any picture. Whatever the storage raised."""


class StorageTimeoutError(StorageError):
    """The media storage was still being waited for when the task's time limit struck."""


@contextmanager
def reaching_storage() -> Iterator[None]:
    """Turn what the media storage raises into StorageError: an object store's errors have no kind in common."""
    try:
        yield
    except (StorageError, PictureError):
        raise
    except SoftTimeLimitExceeded as error:
        raise StorageTimeoutError("the media storage did not answer within the time limit") from error
    except Exception as error:
        raise StorageError(f"the media storage failed: {type(error).__name__}: {error}") from error


def check_storage() -> None:
    """Write, read and remove a small file; raises StorageError if the media storage is away, read-only or full."""
    name, content = f".probe-{secrets.token_hex(8)}", secrets.token_bytes(16)
    write_once(name, content)
    with reaching_storage():
        with default_storage.open(name) as file:
            read = file.read()
        default_storage.delete(name)
        if read != content:
            raise StorageError(f"the media storage gave {len(read)} other bytes than the {len(content)} it was given")
        if isinstance(default_storage, FileSystemStorage):
            free = shutil.disk_usage(default_storage.location).free
            if free < FREE_BYTES:
                raise StorageError(
                    f"the disk of the media storage is full: expected {FREE_BYTES:,} bytes, has {free:,}"
                )


def raise_if_away(error: StorageError) -> None:
    """Return where the media storage works but for the file that it was asked for; else raise StorageError."""
    if isinstance(error, StorageTimeoutError):
        raise error
    check_storage()


def build_stored_picture(
    image: Image,
    data: bytes,
    *,
    decoded: DecodedPicture | None = None,
    storage_name: str = "",
    etag: str = "",
    last_modified: str = "",
) -> StoredPicture:
    """Write the picture and its thumbnail to the media storage and return the unsaved row that names them.

    `decoded` is what `decode_picture` made of the data, at any size from the thumbnail's; without it that is done here.
    The image comes with the picture that was held before, whose look the new one keeps if it still is that picture.
    `storage_name` names a file of the media storage that holds the data already: then nothing is copied. The size on
    the row is the file's own. Raises what `decode_picture` raises, before anything is written, and StorageError.
    """
    if decoded is None:
        decoded = decode_picture(data, target_size=THUMBNAIL_SIZE)
    sha256 = hashlib.sha256(data).hexdigest()
    former = image.picture
    held_name = former.storage_name if former is not None and former.sha256 == sha256 else ""
    name = storage_name or held_name or _build_name("pictures", f"{sha256}.{EXTENSIONS[decoded.picture_format]}")
    if not storage_name:
        write_once(name, data, is_named=bool(held_name))
    shown = lay_on_ground(decoded.pixels)
    write_once(
        _find_thumbnail_name(sha256) if held_name else thumbnail_name(sha256),
        _encode_jpeg(shown, size=THUMBNAIL_SIZE),
        is_named=bool(held_name),
    )
    former_appearance, (look_hash, look_shape) = _find_look(image, sha256=sha256, shown=shown)
    return StoredPicture(
        image=image,
        url=image.url,
        sha256=sha256,
        former_appearance=former_appearance,
        look_hash=look_hash,
        look_shape=look_shape,
        storage_name=name,
        etag=etag,
        last_modified=last_modified,
        width=decoded.width,
        height=decoded.height,
    )


def _find_look(image: Image, *, sha256: str, shown: np.ndarray) -> tuple[str, tuple[int, float]]:
    """Return the appearance that a picture keeps, empty for its own, and the hash and shape of that look's first bytes.

    What was held of the image's address from before there were hashes is looked at now, if its bytes are still there: a
    file of the media storage may have been replaced in its place.
    """
    former = image.picture
    own = build_look_hash(shown), shown.shape[1] / shown.shape[0]
    if former is None:
        return "", own
    hash, shape = former.look_hash, former.look_shape
    look = (hash, shape) if hash is not None and shape is not None else None
    if former.sha256 == sha256:
        return former.former_appearance, look or own
    if look is None:
        try:
            pixels = to_rgb(find_picture_bytes(image) or b"", target_size=THUMBNAIL_SIZE)
        except PictureError:
            return "", own
        look = build_look_hash(pixels), pixels.shape[1] / pixels.shape[0]
    return (former.appearance, look) if is_same_look(look, own) else ("", own)


def record_stored_pictures(rows: Iterable[StoredPicture]) -> None:
    """Insert the rows, or replace what their images had, in one statement; the last row of an image wins."""
    # In the order of the images, so that two workers with the same images wait for each other instead of dead-locking.
    by_image = {row.image_id: row for row in sorted(rows, key=lambda row: row.image_id)}
    now = get_database_time()
    for row in by_image.values():
        row.fetched_at = now
    fields = [field for field in StoredPicture._meta.concrete_fields if not field.primary_key]
    insert_or_update_rows(
        StoredPicture,
        fields=[field.name for field in fields],
        rows=[[getattr(row, field.attname) for field in fields] for row in by_image.values()],
    )


def find_picture_bytes(image: Image) -> bytes | None:
    """Return the bytes that we hold of the image, or None; a file that no longer has its hash counts as missing.

    Raises StorageError.
    """
    stored = image.picture
    if stored is None:
        return None
    try:
        data = read_media_picture(stored.storage_name)
    except PictureError:
        return None
    return data if hashlib.sha256(data).hexdigest() == stored.sha256 else None


def thumbnail_name(sha256: str) -> str:
    """Return the name in the media storage of the thumbnail of the picture with this content hash."""
    return _build_name("thumbnails", f"{sha256}.jpg")


def former_thumbnail_name(sha256: str) -> str:
    """Return the name that the thumbnail has if it is from before folders had a second level."""
    return f"thumbnails/{sha256[:2]}/{sha256}.jpg"


def _build_name(folder: str, name: str) -> str:
    """Return the place of a file that is named by a hash: of ten million pictures 150 lie in a folder."""
    return f"{folder}/{name[:2]}/{name[2:4]}/{name}"


def _find_thumbnail_name(sha256: str) -> str:
    with reaching_storage():
        is_former = default_storage.exists(former_thumbnail_name(sha256))
    return former_thumbnail_name(sha256) if is_former else thumbnail_name(sha256)


def read_thumbnail(sha256: str) -> bytes:
    """Return the thumbnail of the picture with this content hash; the errors are those of `read_media_picture`."""
    try:
        return read_media_picture(thumbnail_name(sha256))
    except PictureError:
        return read_media_picture(former_thumbnail_name(sha256))


def is_stored(name: str) -> bool:
    """Return whether the media storage has a file of this name. Raises StorageError."""
    with reaching_storage():
        return _is_safe_name(name) and default_storage.exists(name)


def read_media_picture(name: str) -> bytes:
    """Return the bytes of a file in the media storage.

    Raises PictureError: `url_invalid` for a name that could leave the storage, `not_found` if the storage says so, and
    `too_large` before anything is read. Raises StorageError where the storage says nothing of the file.
    """
    if not _is_safe_name(name):
        raise PictureError("url_invalid", "expected a plain name in the media storage")
    with reaching_storage():
        try:
            # One request of an object store, whose answer says the size.
            with default_storage.open(name) as file:
                if file.size > MAX_FILE_BYTES:
                    raise PictureError("too_large", f"expected at most {MAX_FILE_BYTES:,} bytes")
                data: bytes = file.read()
        except (PictureError, SoftTimeLimitExceeded):
            raise
        except Exception as error:
            if not _is_missing(name, error):
                raise
            raise PictureError("not_found", "the media storage has no such picture") from error
    return data


def _is_missing(name: str, error: Exception) -> bool:
    """Whether the error, or the storage when it is asked, says that there is no such file.

    An object store's error for that is FileNotFoundError with some storage classes, and with others its client's own.
    """
    if isinstance(error, OSError):
        return error.errno in _NO_SUCH_FILE or isinstance(error, FileNotFoundError)
    return isinstance(error, SuspiciousOperation) or not default_storage.exists(name)


def _is_safe_name(name: str) -> bool:
    try:
        return is_media_name(name) and clean_image_url(name) == name
    except RecordError:
        return False


def build_full_size(image: Image) -> bytes:
    """Return a JPEG of the picture that we hold of the image, in its own size up to `FULL_SIZE`.

    Raises PictureError where there is none that can be read, and StorageError.
    """
    return _encode_jpeg(to_rgb(find_picture_bytes(image) or b"", target_size=FULL_SIZE), size=FULL_SIZE)


def _encode_jpeg(pixels: np.ndarray, *, size: int) -> bytes:
    picture = PillowImage.fromarray(pixels)
    # For shrinking as good as Pillow's default, bicubic, in 60 % of its time.
    picture.thumbnail((size, size), PillowImage.Resampling.HAMMING)
    encoded = BytesIO()
    picture.save(encoded, "JPEG", quality=_JPEG_QUALITY)
    return encoded.getvalue()


def write_once(name: str, content: bytes, *, is_named: bool = False) -> None:
    """Put the content under exactly this name of the media storage, whole or not at all.

    Whoever else does the same at the same time writes the same: a file that has this size already is left alone. It is
    made young, unless a row names it already (`is_named`): who removes what no row names leaves young files. What a row
    names may have been damaged since, and is written anew if its content is another. Raises StorageError.
    """
    with reaching_storage():
        if not isinstance(default_storage, FileSystemStorage):
            # What writes over what is there makes it young in one request; what has a row is young enough.
            if getattr(default_storage, "file_overwrite", False) and not is_named:
                default_storage.save(name, ContentFile(content))
                return
            is_there = default_storage.exists(name)
            half_age = timezone.now() - UNNAMED_AGE / 2
            if is_there and (_has_content(name, content) if is_named else _is_younger(name, half_age)):
                return
            save_object(default_storage, name, ContentFile(content), replace=is_there)
            return
        path = Path(default_storage.path(name))
        with suppress(FileNotFoundError, PermissionError):
            if path.stat().st_size == len(content) and (not is_named or path.read_bytes() == content):
                if not is_named:
                    os.utime(path)
                return
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, content)


def save_object(target: Storage, name: str, content: "File[bytes]", *, replace: bool = True) -> None:
    """Put a file under exactly this name of an object store, where it appears whole.

    In a store that writes over none, one that is there stays unless it is to be replaced: then there is none for a
    moment.
    """
    saved = target.save(name, content)
    if saved != name:
        target.delete(saved)
        if not replace:
            return
        target.delete(name)
        content.seek(0)
        target.save(name, content)


def _has_content(name: str, content: bytes) -> bool:
    with default_storage.open(name) as file:
        return bool(file.size == len(content) and file.read() == content)


def _is_younger(name: str, than: datetime) -> bool:
    """Whether a file of an object store was written after that time; yes where the store cannot say."""
    try:
        return bool(default_storage.get_modified_time(name) > than)
    except NotImplementedError:
        return True


def list_folder(name: str) -> tuple[list[str], list[str]] | None:
    """Return the names of the folders and of the files in a folder of the media storage; None if it cannot say.

    Raises StorageError.
    """
    with reaching_storage():
        try:
            folders, files = default_storage.listdir(name)
        except NotImplementedError:
            return None
        except FileNotFoundError:
            return [], []
    return folders, files


def remove_file(name: str, *, newest: datetime, dry_run: bool = False) -> int | None:
    """Remove a file unless it was written, or `write_once` relied on it, after `newest`; return its bytes, or None.

    On a file system that holds up to the moment of the removal. An object store that cannot say how old its files are
    loses it at any age. Raises StorageError.
    """
    with reaching_storage():
        if not isinstance(default_storage, FileSystemStorage):
            if not default_storage.exists(name):
                return None
            with suppress(NotImplementedError):
                if default_storage.get_modified_time(name) > newest:
                    return None
            size = int(default_storage.size(name))
            if not dry_run:
                default_storage.delete(name)
            return size
        path = Path(default_storage.path(name))
        try:
            found = path.stat()
            if found.st_mtime > newest.timestamp():
                return None
            if not dry_run:
                # Out of the way first: who relies on it from now on writes it anew, and who did just now made it young.
                aside = path.rename(build_temporary_path(path))
                if aside.stat().st_mtime_ns != found.st_mtime_ns:
                    aside.rename(path)
                    return None
                aside.unlink()
        except FileNotFoundError:
            return None
        return found.st_size


def get_thumbnail_path(sha256: str) -> str:
    """Return the path of the thumbnail of the picture with this content hash."""
    return _find_thumbnail_path(get_script_prefix()).replace(_ANY_HASH, sha256)


@cache
def _find_thumbnail_path(_prefix: str) -> str:
    """Return the path that thumbnails have below the prefix where the site stands: a page would ask for it 50 times."""
    return reverse("thumbnail", args=[_ANY_HASH])
