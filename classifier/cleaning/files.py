"""Files that no row names: pictures, thumbnails and explanations, by their content hashes, and what people uploaded.

Only names that the product gives itself, in folders that it makes itself: what others put into the media storage stays.
"""

import re
from collections.abc import Sequence
from typing import Final

from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from catalog.models import Image, StoredPicture
from catalog.pictures.replacing import UPLOADS
from catalog.pictures.storage import UNNAMED_AGE, former_thumbnail_name, list_folder, remove_file, thumbnail_name
from classifier.cleaning.rules import Figures, Terms, find_gone_images, find_newest

PICTURES: Final = "pictures"
KINDS: Final = (PICTURES, "thumbnails", "explanations", UPLOADS)
#: Folders of the first level, of each kind, and of all.
FOLDERS: Final = 256
ALL_FOLDERS: Final = FOLDERS * len(KINDS)
# Names that are looked up together.
CHUNK_SIZE: Final = 1000
_NAMED_BY_HASH: Final = re.compile(rf"(?:{'|'.join(KINDS)})/.*/([0-9a-f]{{64}})(?:-[0-9a-f]+-[0-9]+)?\.[a-z]+")
# As `catalog.pictures.replacing` names uploads, `config.files` what is being written, and the storage what it removes.
_UPLOADED: Final = re.compile(rf"{UPLOADS}/[0-9a-f]{{16}}/[^/.][^/]*")
_HALF_DONE: Final = re.compile(r".*/\.[^/]+\.part")


def clean_files(after: int, terms: Terms, figures: Figures) -> int | None:
    """Look at the next folders from this number on, of each kind 256; return the one after them, None at the end.

    A folder's number are the first two digits of its name, so that those of uploads are looked at many together.

    There is nothing to do in a store that cannot list its files.
    """
    kind, number = divmod(after, FOLDERS)
    found = list_folder(KINDS[kind])
    if found is None:
        return None
    folders = {name: int(name[:2], 16) for name in found[0] if re.match("[0-9a-f]{2}", name)}
    chosen = min((place for place in folders.values() if place >= number), default=FOLDERS)
    own = [name for name, place in folders.items() if place == chosen]
    names = [name for folder in own for name in _list_names(f"{KINDS[kind]}/{folder}", depth=2)]
    for start in range(0, len(names), CHUNK_SIZE):
        remove_unnamed(names[start : start + CHUNK_SIZE], terms, figures, gone=find_gone_images(terms))
    following = FOLDERS * kind + min(chosen + 1, FOLDERS)
    return following if following < ALL_FOLDERS else None


def _list_names(folder: str, *, depth: int) -> list[str]:
    """Return the names of the files in a folder and in those within it."""
    folders, files = (depth and list_folder(folder)) or ((), ())
    inner = [name for inside in folders for name in _list_names(f"{folder}/{inside}", depth=depth - 1)]
    return [*(f"{folder}/{name}" for name in files), *inner]


def list_picture_names(pictures: QuerySet[StoredPicture]) -> list[str]:
    """Return the names that the files of these pictures have or may have."""
    rows = pictures.order_by().values_list("sha256", "storage_name").distinct()
    return [name for sha256, own in rows for name in (own, thumbnail_name(sha256), former_thumbnail_name(sha256))]


def remove_unnamed(names: Sequence[str], terms: Terms, figures: Figures, *, gone: QuerySet[Image]) -> None:
    """Remove those of the files that no image names, but for `gone` ones, and that are old enough.

    What a killed process left half written goes as well, once it is an hour old, and so long does an upload wait for
    its image. Raises StorageError.
    """
    # Before the rows are read: who takes a picture in hand after this makes the file young.
    newest = find_newest(terms.age)
    hashes = {name: match[1] for name in names if (match := _NAMED_BY_HASH.fullmatch(name))}
    rows = StoredPicture.objects.filter(sha256__in=set(hashes.values()))
    left = rows.exclude(Exists(gone.filter(pk=OuterRef("image_id")))).order_by()
    held = list(left.values_list("sha256", "storage_name").distinct())
    uploads = [name for name in names if _UPLOADED.fullmatch(name)]
    images = Image.objects.filter(url__in=[*hashes, *uploads]).exclude(Exists(gone.filter(pk=OuterRef("pk"))))
    named = {name for _, name in held}.union(images.values_list("url", flat=True))
    held_hashes = {sha256 for sha256, _ in held}
    unnamed = {
        name: newest
        for name, sha256 in hashes.items()
        if name not in named and (name.startswith(f"{PICTURES}/") or sha256 not in held_hashes)
    }
    hour_ago = min(newest, timezone.now() - UNNAMED_AGE)
    others = [name for name in names if _HALF_DONE.fullmatch(name)]
    unnamed |= dict.fromkeys([*others, *(name for name in uploads if name not in named)], hour_ago)
    for name, limit in unnamed.items():
        size = remove_file(name, newest=limit, dry_run=terms.dry_run)
        if size is not None:
            figures.files += 1
            figures.bytes += size
