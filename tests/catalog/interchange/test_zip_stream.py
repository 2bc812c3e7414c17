"""The zip archive that is written as a stream, read back by Python's own reader."""

import io
import zipfile
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from catalog.interchange.zip_stream import ZipWriter

NOON = datetime(2026, 2, 28, 12, 30, 58, tzinfo=UTC)


def read_archive(parts: Iterable[bytes]) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(b"".join(parts)))


def test_files_are_stored_with_their_names_content_and_time(tmp_path: Path) -> None:
    (tmp_path / "manifest").write_bytes(b"x" * 3_000_000)
    with ZipWriter(modified=NOON) as writer, (tmp_path / "manifest").open("rb") as manifest:
        parts = [*writer.add("bags/a.jpg", b"picture"), *writer.add("bags/empty.jpg", b"")]
        parts += [*writer.add_file("manifest.jsonl", manifest), *writer.finish()]
    with read_archive(parts) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["bags/a.jpg", "bags/empty.jpg", "manifest.jsonl"]
        assert [archive.read(name) for name in archive.namelist()] == [b"picture", b"", b"x" * 3_000_000]
        assert {entry.date_time for entry in archive.infolist()} == {(2026, 2, 28, 12, 30, 58)}
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}


def test_an_archive_without_files_is_an_archive() -> None:
    with ZipWriter(modified=NOON) as writer:
        parts = list(writer.finish())
    with read_archive(parts) as archive:
        assert archive.namelist() == []


@pytest.mark.parametrize("number", [65_534, 65_535, 65_536, 70_000])
def test_more_files_than_the_first_zip_format_knows(number: int) -> None:
    with ZipWriter(modified=NOON) as writer:
        parts = [part for index in range(number) for part in writer.add(f"{index}", b"%d" % index)]
        parts += writer.finish()
    with read_archive(parts) as archive:
        assert len(archive.namelist()) == number
        assert archive.read(str(number - 1)) == str(number - 1).encode()


def test_files_beyond_four_gibibytes_are_found(tmp_path: Path) -> None:
    zeros = bytes(300_000_000)
    with ZipWriter(modified=NOON) as writer, (tmp_path / "large.zip").open("wb") as file:
        for index in range(15):
            for part in writer.add(f"{index}", zeros):
                # Zeros are skipped, so that the file takes no room.
                file.seek(len(part), io.SEEK_CUR) if part is zeros else file.write(part)
        for part in [*writer.add("last", b"the end"), *writer.finish()]:
            file.write(part)
    with zipfile.ZipFile(tmp_path / "large.zip") as archive:
        assert archive.getinfo("last").header_offset > 4_294_967_296
        assert archive.read("last") == b"the end"
        assert archive.getinfo("14").file_size == 300_000_000
