"""Another picture for an image: by another address, or by a file that comes with the request.

An address never changes on its row: what was said of a picture was said of what its address gave. Every product that
shows the image gets the image of the new address instead.
"""

import hashlib
import unicodedata
from pathlib import PurePosixPath

from django.db import transaction
from django.utils.text import get_valid_filename

from catalog.labels import refresh_labels
from catalog.models import Image, ProductImages
from catalog.pictures.decoding import PictureError, decode_picture
from catalog.pictures.formats import EXTENSIONS, MAX_FILE_BYTES
from catalog.pictures.storage import THUMBNAIL_SIZE, write_once
from config.db.bulk import insert_missing_rows
from config.db.statements import allow_long_statements

#: The folder of the media storage with the pictures that came with a request.
UPLOADS = "uploads"
_MAX_NAME_CHARACTERS = 100
# A file system takes 255; the extension and what hides the file until it is whole have 28 of them.
_MAX_NAME_BYTES = 220


@allow_long_statements()
def replace_image(image: Image, *, url: str) -> tuple[Image, int]:
    """Give every product that shows the image the image of this address, which is created if it is missing.

    Return that image and how many products it was; the former one stays, with what was said of it.
    """
    with transaction.atomic():
        replacement = Image.objects.get(pk=insert_missing_rows(Image, field="url", values=[url])[url])
        places = ProductImages.objects.filter(image=image)
        product_ids = sorted(set(places.values_list("product_id", flat=True)))
        places.update(image=replacement)
        refresh_labels(product_ids)
    return replacement, len(product_ids)


def store_upload(path: str, data: bytes) -> str:
    """Write a picture under a name of its own to the media storage, and return that name.

    Raises `PictureError` before anything is written, and `StorageError`.
    """
    if len(data) > MAX_FILE_BYTES:
        raise PictureError("too_large", f"expected at most {MAX_FILE_BYTES:,} bytes")
    decoded = decode_picture(data, target_size=THUMBNAIL_SIZE)
    name = build_upload_name(path, data=data, extension=EXTENSIONS[decoded.picture_format])
    write_once(name, data)
    return name


def build_upload_name(path: str, *, data: bytes, extension: str) -> str:
    """Return the name in the media storage: the same for the same bytes under the same name, whoever sends them."""
    stem = PurePosixPath(path.replace("\\", "/")).stem or "picture"
    stem = get_valid_filename(f"{unicodedata.normalize('NFC', stem)}_")[:-1][:_MAX_NAME_CHARACTERS]
    stem = stem.encode()[:_MAX_NAME_BYTES].decode(errors="ignore").strip(".") or "picture"
    return f"{UPLOADS}/{hashlib.sha256(data).hexdigest()[:16]}/{stem}.{extension}"
