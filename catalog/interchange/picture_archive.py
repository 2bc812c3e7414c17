"""A ZIP of pictures that comes with a catalogue file: the names that its rows use become names in the media storage.

Nothing of the archive is believed: not its sizes, not its names, not that a file is a picture. One picture at a time is
in memory, and none is written under a name of the archive's own.
"""

import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import IO, Final

from catalog.interchange.records import ProductRecord, RowError
from catalog.pictures.formats import EXTENSIONS, MAX_FILE_BYTES, find_format
from catalog.pictures.replacing import build_upload_name
from catalog.pictures.storage import write_once
from catalog.values import shorten

MAX_ARCHIVE_BYTES: Final = 100 * 1024 * 1024
MAX_PICTURES: Final = 2_000
#: All of them together; pictures are compressed already.
MAX_UNPACKED_BYTES: Final = 300 * 1024 * 1024
_MAX_RATIO: Final = 100
#: `zipfile` reads the whole directory at once; a picture takes some hundred bytes of it.
_MAX_DIRECTORY_BYTES: Final = 2 * 1024 * 1024
# The record at the archive's end: signature, the directory's size 12 bytes on; a comment of 64 KiB may follow.
_END: Final = b"PK\x05\x06"
_END_64: Final = b"PK\x06\x07"
_END_BYTES: Final = 22 + 65_535 + 20
# What systems put into archives by themselves.
_LEFT_BY_SYSTEMS: Final = ("__MACOSX/", ".DS_Store", "Thumbs.db", "desktop.ini")
_COMPRESSIONS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class ArchiveError(Exception):
    """The archive as a whole is not taken; the message says what was expected and received."""


@dataclass(frozen=True, slots=True)
class _Picture:
    entry: zipfile.ZipInfo
    path: str
    name: str


class PictureArchive:
    """The pictures of an archive.

    `refused` says of its other files why they are none; `used` are the names in the storage that rows got.
    """

    def __init__(self, file: IO[bytes]) -> None:
        """Look at every file of the archive. Raises `ArchiveError`."""
        self.refused: list[str] = []
        self.used: set[str] = set()
        self._archive = _open(file)
        self.pictures = list(self._list_pictures())
        self._exact = _index((picture.path, picture.name) for picture in self.pictures)
        folded = [(_fold(picture.path), picture.name) for picture in self.pictures]
        self._folded = _index((path.rpartition("/")[2], name) for path, name in folded) | _index(folded)

    def rename(self, rows: Iterable[ProductRecord | RowError]) -> Iterator[ProductRecord | RowError]:
        """Yield the rows with the names in the storage where they name pictures of the archive."""
        for row in rows:
            if isinstance(row, ProductRecord) and row.images:
                names = [self._exact.get(image) or self._folded.get(_fold(image)) for image in row.images]
                self.used.update(name for name in names if name)
                row = replace(row, images=tuple(name or url for name, url in zip(names, row.images, strict=True)))
            yield row

    def store(self) -> None:
        """Write the pictures that rows used to the media storage. Raises `StorageError`."""
        for picture in self.pictures:
            if picture.name in self.used:
                write_once(picture.name, self._read(picture.entry))

    def describe(self) -> str:
        """Return what is in the archive, as a sentence."""
        used = sum(picture.name in self.used for picture in self.pictures)
        pictures = "1 picture" if len(self.pictures) == 1 else f"{len(self.pictures):,} pictures"
        return f"The ZIP has {pictures}, of which the rows use {used:,}."

    def _list_pictures(self) -> Iterator[_Picture]:
        unpacked = 0
        for entry in self._archive.infolist():
            path = _decode_name(entry)
            if entry.is_dir() or any(part in path for part in _LEFT_BY_SYSTEMS):
                continue
            try:
                _check(entry)
                # What is refused once it is unpacked costs as much as a picture.
                unpacked += entry.file_size
                if unpacked > MAX_UNPACKED_BYTES:
                    raise ArchiveError(
                        f"expected at most {MAX_UNPACKED_BYTES // 1_048_576} MB of pictures, received more"
                    )
                data = self._read(entry)
            except _REFUSALS as error:
                self.refused.append(f"{shorten(path)}: {error}")
                continue
            format = find_format(data)
            if format is None:
                self.refused.append(f"{shorten(path)}: expected JPEG, PNG, WebP or GIF, received something else")
                continue
            yield _Picture(entry, path, build_upload_name(path, data=data, extension=EXTENSIONS[format]))

    def _read(self, entry: zipfile.ZipInfo) -> bytes:
        with self._archive.open(entry) as file:
            # No more is unpacked than the entry says; of what holds more the checksum is another.
            return file.read(entry.file_size)


_REFUSALS: Final = (ValueError, EOFError, OSError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error)


def _open(file: IO[bytes]) -> zipfile.ZipFile:
    size = file.seek(0, 2)
    file.seek(max(0, size - _END_BYTES))
    tail = file.read()
    end = tail.rfind(_END)
    if end < 0 or len(tail) < end + 22 or _END_64 in tail:
        raise ArchiveError(f"expected a ZIP of at most {MAX_ARCHIVE_BYTES // 1_048_576} MB, received something else")
    (directory_bytes,) = struct.unpack_from("<I", tail, end + 12)
    if directory_bytes > _MAX_DIRECTORY_BYTES:
        raise ArchiveError(f"expected a ZIP of at most {MAX_PICTURES:,} pictures, received more")
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise ArchiveError(f"expected a ZIP that can be read, received one that cannot: {error}") from error
    if len(archive.infolist()) > MAX_PICTURES:
        raise ArchiveError(f"expected a ZIP of at most {MAX_PICTURES:,} pictures, received {len(archive.infolist()):,}")
    return archive


def _check(entry: zipfile.ZipInfo) -> None:
    """Raise `ValueError` for what is not to be unpacked, by what the archive says of it."""
    if entry.flag_bits & 1:
        raise ValueError("expected a file without a password, received an encrypted one")
    if entry.compress_type not in _COMPRESSIONS or stat.S_ISLNK(entry.external_attr >> 16):
        raise ValueError("expected a file as ZIP programs usually pack it, received another kind")
    if entry.file_size > max(_MAX_RATIO * entry.compress_size, 65_536):
        raise ValueError(f"expected a picture, received what unpacks to more than {_MAX_RATIO} times its size")
    if entry.file_size > MAX_FILE_BYTES:
        raise ValueError(f"expected at most {MAX_FILE_BYTES // 1_048_576} MB, received more")


def _decode_name(entry: zipfile.ZipInfo) -> str:
    """Return the path in the archive; macOS writes UTF-8 and does not say so."""
    if not entry.flag_bits & 0x800:
        try:
            return entry.filename.encode("cp437").decode()
        except UnicodeError:
            pass
    return entry.filename


def _index(names: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the name in the storage by what rows may call it, where that says which."""
    found: dict[str, set[str]] = {}
    for called, name in names:
        found.setdefault(called, set()).add(name)
    return {called: next(iter(of)) for called, of in found.items() if len(of) == 1}


def _fold(name: str) -> str:
    """Return a name as two systems agree on it: case and the form of accents are nobody's intention."""
    return unicodedata.normalize("NFC", name.replace("\\", "/")).casefold().removeprefix("./")
