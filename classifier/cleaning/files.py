"""Files of pictures, thumbnails and explanations that no row names, by their content hashes.

Only names that the product gives itself, in folders that it makes itself: what others put into the media storage stays.
"""

import re
from collections.abc import Sequence
from typing import Final

from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from catalog.models import Image, StoredPicture
from catalog.pictures.storage import UNNAMED_AGE, former_thumbnail_name, list_folder, remove_file, thumbnail_name
from classifier.cleaning.rules import Figures, Terms, find_gone_images, find_newest

PICTURES: Final = "pictures"
KINDS: Final = (PICTURES, "thumbnails", "explanations")
#: Folders of the first level, of each kind, and of all.
FOLDERS: Final = 256
ALL_FOLDERS: Final = FOLDERS * len(KINDS)
# Names that are looked up together.
CHUNK_SIZE: Final = 1000
_NAMED_BY_HASH: Final = re.compile(rf"(?:{'|'.join(KINDS)})/.*/([0-9a-f]{{64}})(?:-[0-9a-f]+-[0-9]+)?\.[a-z]+")
# As `config.files` names what is being written, and the storage what it removes.
_HALF_DONE: Final = re.compile(r".*/\.[^/]+\.part")


def clean_files(after: int, terms: Terms, figures: Figures) -> int | None:
    """Look at the next folder from this number on, of each kind 256; return the one after it, None at the end.

    There is nothing to do in a store that cannot list its files.
    """
    kind, number = divmod(after, FOLDERS)
    found = list_folder(KINDS[kind])
    if found is None:
        return None
    present = sorted(int(name, 16) for name in found[0] if re.fullmatch("[0-9a-f]{2}", name))
    chosen = next((place for place in present if place >= number), FOLDERS)
    if chosen < FOLDERS:
        names = _list_names(f"{KINDS[kind]}/{chosen:02x}", depth=2)
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

    What a killed process left half written goes as well. Raises StorageError.
    """
    # Before the rows are read: who takes a picture in hand after this makes the file young.
    newest = find_newest(terms.age)
    hashes = {name: match[1] for name in names if (match := _NAMED_BY_HASH.fullmatch(name))}
    rows = StoredPicture.objects.filter(sha256__in=set(hashes.values()))
    left = rows.exclude(Exists(gone.filter(pk=OuterRef("image_id")))).order_by()
    held = list(left.values_list("sha256", "storage_name").distinct())
    images = Image.objects.filter(url__in=hashes).exclude(Exists(gone.filter(pk=OuterRef("pk"))))
    named = {name for _, name in held}.union(images.values_list("url", flat=True))
    held_hashes = {sha256 for sha256, _ in held}
    unnamed = {
        name: newest
        for name, sha256 in hashes.items()
        if name not in named and (name.startswith(f"{PICTURES}/") or sha256 not in held_hashes)
    }
    half_done = min(newest, timezone.now() - UNNAMED_AGE)
    unnamed |= {name: half_done for name in names if _HALF_DONE.fullmatch(name)}
    for name, limit in unnamed.items():
        size = remove_file(name, newest=limit, dry_run=terms.dry_run)
        if size is not None:
            figures.files += 1
            figures.bytes += size
