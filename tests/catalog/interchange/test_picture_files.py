"""Archives of pictures that are made while they are sent."""

import io
import json
import zipfile
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.files.storage import default_storage

from catalog.interchange.exporting import list_exported_pictures
from catalog.interchange.picture_files import encode_zip
from catalog.interchange.writing import ExportReport
from catalog.models import Image, Product
from catalog.pictures.storage import StorageError, build_stored_picture, read_media_picture, record_stored_pictures
from tests.support.factories import create_product
from tests.support.fakes import create_painted_image, create_stored_image

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 2, 28, 12, 30, 58, tzinfo=UTC)


def create_held_image(garment: str = "Sandal") -> Image:
    """An image whose picture we hold."""
    image = create_painted_image(garment)
    record_stored_pictures([build_stored_picture(image, read_media_picture(image.url))])
    return image


def encode() -> Any:
    return encode_zip(list_exported_pictures(Product.objects.all()), report=ExportReport(), modified=NOON)


def test_an_archive_has_each_picture_as_it_is_stored_and_the_manifest_last() -> None:
    images = [create_held_image("Sandal"), create_held_image("Bag")]
    for image in (*images, images[0]):
        create_product(images=[image])
    with zipfile.ZipFile(io.BytesIO(b"".join(encode()))) as archive:
        assert archive.testzip() is None
        *pictures, manifest = archive.infolist()
        assert len(pictures) == len({entry.filename for entry in pictures}) == 2
        lines = [json.loads(line) for line in archive.read(manifest).splitlines()]
    assert [line["path"] for line in lines] == [pictures[0].filename, pictures[1].filename, pictures[0].filename]
    for entry in (*pictures, manifest):
        assert (entry.date_time, entry.compress_type) == ((2026, 2, 28, 12, 30, 58), zipfile.ZIP_STORED)
        assert entry.external_attr >> 16 == 0o100644


def test_an_archive_of_nothing_has_an_empty_manifest() -> None:
    with zipfile.ZipFile(io.BytesIO(b"".join(encode()))) as archive:
        assert [(entry.filename, entry.file_size) for entry in archive.infolist()] == [("manifest.jsonl", 0)]


def test_a_picture_is_sent_when_it_is_read_and_a_reader_may_leave() -> None:
    for garment in ("Sandal", "Bag"):
        create_product(images=[create_held_image(garment)])
    parts = encode()
    first = next(parts)
    parts.close()
    assert first.startswith(b"PK\x03\x04")
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(first))


def test_a_file_that_the_storage_cannot_read_now_is_missing_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    create_product(images=[create_held_image()])

    def refuse(_image: Image) -> bytes:
        raise StorageError("could not connect")

    monkeypatch.setattr("catalog.interchange.picture_files.find_picture_bytes", refuse)
    report = ExportReport()
    b"".join(encode_zip(list_exported_pictures(Product.objects.all()), report=report, modified=NOON))
    assert (report.products, report.files, report.missing) == (1, 0, 1)


def test_a_row_whose_file_is_gone_hides_the_same_picture_of_no_other() -> None:
    gone = create_painted_image("Bag")
    data = read_media_picture(gone.url)
    held = create_stored_image(data)
    record_stored_pictures([build_stored_picture(image, data, storage_name=image.url) for image in (gone, held)])
    for image in (gone, held, gone):
        create_product(images=[image])
    default_storage.delete(gone.url)
    report = ExportReport()
    batches = list_exported_pictures(Product.objects.all())
    with zipfile.ZipFile(io.BytesIO(b"".join(encode_zip(batches, report=report, modified=NOON)))) as archive:
        lines = [json.loads(line) for line in archive.read("manifest.jsonl").splitlines()]
        assert [line["path"] for line in lines] == [None, *archive.namelist()[:1] * 2]
    assert (report.products, report.files, report.missing) == (3, 1, 1)


def test_a_picture_of_another_address_is_not_named() -> None:
    image = create_held_image()
    create_product(images=[image])
    Image.objects.filter(pk=image.pk).update(url="https://shop.example/other.jpg")
    with zipfile.ZipFile(io.BytesIO(b"".join(encode()))) as archive:
        (line,) = (json.loads(line) for line in archive.read("manifest.jsonl").splitlines())
    assert (line["path"], line["missing"], line["sha256"]) == (None, True, None)


def test_an_archive_that_fails_half_way_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    create_product(images=[create_held_image()])

    def fail(*_arguments: object, **_options: object) -> bytes:
        raise OSError("the disk is gone")

    monkeypatch.setattr("catalog.interchange.picture_files.build_line", fail)
    sent: list[bytes] = []
    with pytest.raises(OSError, match="the disk is gone"):
        sent.extend(encode())
    assert len(sent) == 1
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(b"".join(sent)))
