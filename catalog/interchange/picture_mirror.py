"""Pictures by group that are kept up to date in a folder or a bucket: what is new is added, what changed moves.

A picture lies under its content's hash, so a file that is there is the right one. Each is written whole or not at all;
then comes the manifest, whole as well; then what it does not name goes. So whoever reads by the manifest finds every
file that it names, until the next update, and an update that was broken off is finished by the next.
"""

import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Final

from django.core.files.base import File
from django.core.files.storage import FileSystemStorage, Storage

from catalog.interchange.picture_files import MANIFEST_NAME, build_folder_name, build_line, build_path
from catalog.interchange.writing import ExportedPicture, ExportReport
from catalog.pictures.formats import EXTENSIONS, find_format
from catalog.pictures.storage import StorageError, find_picture_bytes, reaching_storage, save_object
from classifier.ml.labels import GROUPS
from config.files import UNFINISHED, new_file

#: What lies in the folders is ours by its name alone; whatever else is there stays.
_OWN_NAME: Final = re.compile(rf"([0-9a-f]{{64}})\.({'|'.join(EXTENSIONS.values())})")
_FORMAT_OF_EXTENSION: Final = {extension: format for format, extension in EXTENSIONS.items()}


@dataclass(slots=True)
class MirrorReport(ExportReport):
    """What an update did: pictures that came, that went to another group's folder, that went, and that were there."""

    added: int = 0
    moved: int = 0
    removed: int = 0
    kept: int = 0


def update_pictures(
    batches: Iterable[list[ExportedPicture]], *, target: Storage, report: MirrorReport
) -> Iterator[None]:
    """Bring the pictures in `target` to what the batches say, and yield after each product.

    Only one update of a target at a time. The paths of all pictures are in memory, some 200 MB for a million. Raises
    `StorageError`.
    """
    mirror = _Mirror(target, report)
    with tempfile.TemporaryFile() as manifest:
        for batch in batches:
            for picture in batch:
                path = mirror.bring(picture)
                report.products += 1
                report.missing += path is None
                manifest.write(build_line(picture, path=path))
                yield
        manifest.seek(0)
        _put(target, MANIFEST_NAME, manifest, durable=True)
    mirror.remove_others()


def is_begun(folder: Path) -> bool:
    """Return whether a folder has nothing but what an update left that broke off before its first manifest."""
    groups = {build_folder_name(group) for group in (*GROUPS, None)}
    for path in folder.iterdir():
        if UNFINISHED.fullmatch(path.name):
            continue
        if path.name not in groups or not path.is_dir():
            return False
        if not all(_OWN_NAME.fullmatch(file.name) or UNFINISHED.fullmatch(file.name) for file in path.iterdir()):
            return False
    return True


class _Mirror:
    """The pictures of a target: those that earlier updates wrote, and those that this one has named so far."""

    def __init__(self, target: Storage, report: MirrorReport) -> None:
        self.target, self.report = target, report
        self.present = _list_present(target)
        self.extensions = dict(map(_split, self.present))
        self.named: set[str] = set()

    def bring(self, picture: ExportedPicture) -> str | None:
        """Have a product's picture lie in its group's folder; return its path, None if we do not hold its bytes."""
        stored = picture.image.picture
        if stored is None:
            return None
        known = self.extensions.get(stored.sha256)
        path = build_path(picture, format=_FORMAT_OF_EXTENSION[known]) if known else None
        if path is not None and (path in self.named or path in self.present):
            self.report.kept += path not in self.named
            self.named.add(path)
            return path
        content = None
        with suppress(StorageError):  # a file that cannot be read now is missing until the next update
            content = find_picture_bytes(picture.image)
        path = build_path(picture, format=find_format(content)) if content else None
        if path is None or content is None:
            return None
        _put(self.target, path, BytesIO(content))
        self.report.files += 1
        self.report.moved += known is not None
        self.report.added += known is None
        self.extensions[stored.sha256] = _split(path)[1]
        self.named.add(path)
        return path

    def remove_others(self) -> None:
        """Remove the pictures that were not named."""
        still_there = {_split(path)[0] for path in self.named}
        for path in sorted(self.present - self.named):
            with reaching_storage():
                self.target.delete(path)
            self.report.removed += _split(path)[0] not in still_there


def _list_present(target: Storage) -> set[str]:
    """Return the paths of the pictures that earlier updates wrote."""
    found = set()
    for folder in map(build_folder_name, (*GROUPS, None)):
        with reaching_storage(), suppress(FileNotFoundError):
            found |= {f"{folder}/{name}" for name in target.listdir(folder)[1] if _OWN_NAME.fullmatch(name)}
    return found


def _split(path: str) -> tuple[str, str]:
    """Return the hash and the extension of a picture's path."""
    sha256, _, extension = path.rpartition("/")[2].partition(".")
    return sha256, extension


def _put(target: Storage, name: str, content: IO[bytes], *, durable: bool = False) -> None:
    """Put a file under this name, whole, in the place of one that has it already."""
    with reaching_storage():
        if isinstance(target, FileSystemStorage):
            place = Path(target.path(name))
            place.parent.mkdir(parents=True, exist_ok=True)
            with new_file(place, durable=durable) as file:
                shutil.copyfileobj(content, file)
            return
        save_object(target, name, File(content, name=name))
