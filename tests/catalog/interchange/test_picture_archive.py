"""A ZIP of pictures beside a catalogue: hostile ones cost themselves, and nothing is written by their names."""

import io
import stat
import unicodedata
import zipfile
from typing import Any

import pytest
from PIL import Image as PillowImage

from catalog.interchange import picture_archive
from catalog.interchange.picture_archive import ArchiveError, PictureArchive
from catalog.interchange.records import ProductRecord


def draw(colour: str = "red", *, format: str = "PNG") -> bytes:
    content = io.BytesIO()
    PillowImage.new("RGB", (32, 32), colour).save(content, format)
    return content.getvalue()


def pack(files: dict[Any, bytes], **options: Any) -> io.BytesIO:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", **options) as file:
        for name, content in files.items():
            file.writestr(name, content)
    archive.seek(0)
    return archive


def rename(archive: PictureArchive, *images: str) -> list[str]:
    """Return the names that a product with these images gets, without the hash that they lie under."""
    (record,) = archive.rename([ProductRecord(1, None, "T", images, {})])
    assert isinstance(record, ProductRecord)
    return [image.rpartition("/")[2] if image.startswith("uploads/") else image for image in record.images or ()]


def test_rows_find_pictures_by_path_or_by_a_name_that_is_there_once() -> None:
    files = {
        "a/front.png": draw("red"),
        "b/front.png": draw("blue"),
        "b/Back.PNG": draw("green"),
        "Größe.jpg": draw(format="JPEG"),
    }
    archive = PictureArchive(pack(files))
    assert rename(archive, "A/front.png", "./b/back.png", "back.png", "b\\front.png") == [
        "front.png", "Back.png", "Back.png", "front.png"
    ]  # fmt: skip
    assert rename(archive, unicodedata.normalize("NFD", "größe.jpg")) == ["Größe.jpg"]
    # Two pictures have that name, and the web's are the web's.
    assert rename(archive, "front.png", "https://a.example/back.png") == ["front.png", "https://a.example/back.png"]
    assert archive.describe() == "The ZIP has 4 pictures, of which the rows use 4."


def test_names_that_differ_in_case_alone_stand_each_for_its_own_picture() -> None:
    archive = PictureArchive(pack({"a/IMG.png": draw("red"), "a/img.png": draw("blue"), "IMG.png": draw("green")}))
    assert rename(archive, "a/IMG.png", "a/img.png", "img.PNG") == ["IMG.png", "img.png", "IMG.png"]
    assert archive.used == {picture.name for picture in archive.pictures}
    # Two pictures have that name.
    assert rename(archive, "A/Img.png") == ["A/Img.png"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_two_pictures_have_stands_for_none() -> None:
    content = pack({"a.png": draw("red")})
    with zipfile.ZipFile(content, "a") as file:
        file.writestr("a.png", draw("blue"))
    archive = PictureArchive(content)
    assert (len(archive.pictures), rename(archive, "a.png"), archive.used) == (2, ["a.png"], set())


def test_a_name_without_the_flag_of_utf_8_is_utf_8_all_the_same() -> None:
    assert picture_archive._decode_name(zipfile.ZipInfo("Größe.png".encode().decode("cp437"))) == "Größe.png"


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd.png",
        "/etc/cron.png",
        "C:\\evil.png",
        "a\x00b.png",
        "..png",
        "x" * 5_000 + ".png",
        "\u202egnp.png",
    ],
)
def test_no_name_leads_out_of_its_folder(name: str) -> None:
    archive = PictureArchive(pack({name: draw()}))
    (picture,) = archive.pictures
    folder, digest, last = picture.name.split("/")
    assert (folder, len(digest)) == ("uploads", 16)
    assert last.endswith(".png")
    assert len(last) <= 104
    assert last not in {".png", "..png"}


def build_link() -> zipfile.ZipInfo:
    link = zipfile.ZipInfo("link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    return link


@pytest.mark.parametrize(
    "name, content, reason",
    [
        ("a.png", b"GIF is no longer", "expected JPEG, PNG, WebP or GIF, received something else"),
        ("a.svg", b"<svg onload='alert(1)'/>", "expected JPEG, PNG, WebP or GIF"),
        ("a.zip", pack({"b.png": draw()}).getvalue(), "expected JPEG, PNG, WebP or GIF"),
        ("big.png", draw() + bytes(3_000_000), "received what unpacks to more than 100 times its size"),
        (build_link(), b"/etc/passwd", "as ZIP programs usually pack it"),
    ],
)
def test_what_is_no_picture_costs_itself(name: Any, content: bytes, reason: str) -> None:
    archive = PictureArchive(pack({name: content, "good.png": draw()}, compression=zipfile.ZIP_DEFLATED))
    assert [picture.path for picture in archive.pictures] == ["good.png"]
    (refusal,) = archive.refused
    assert reason in refusal


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packings_that_may_take_any_memory_are_not_unpacked(method: int) -> None:
    archive = PictureArchive(pack({"a.png": draw()}, compression=method))
    assert (archive.pictures, len(archive.refused)) == ([], 1)


def test_a_size_that_lies_is_not_believed() -> None:
    content = draw() + bytes(range(256)) * 45_000
    raw = pack({"a.png": content}).getvalue()
    archive = PictureArchive(io.BytesIO(raw))
    assert "expected at most 10 MB, received more" in archive.refused[0]
    damaged = bytearray(pack({"a.png": draw()}).getvalue())
    damaged[60] ^= 1
    assert "Bad CRC" in PictureArchive(io.BytesIO(bytes(damaged))).refused[0]


def test_what_is_refused_counts_towards_what_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    damaged = bytearray(pack({"a.png": b"x" * 400, "b.png": draw()}).getvalue())
    damaged[60] ^= 1
    monkeypatch.setattr(picture_archive, "MAX_UNPACKED_BYTES", 400)
    with pytest.raises(ArchiveError, match="expected at most 0 MB of pictures"):
        PictureArchive(io.BytesIO(bytes(damaged)))


def test_what_says_that_it_is_too_large_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    content = pack({"large.png": draw() + bytes(1_000), "good.png": draw()})
    monkeypatch.setattr(picture_archive, "MAX_FILE_BYTES", 1_000)
    monkeypatch.setattr(picture_archive, "MAX_UNPACKED_BYTES", 1_000)
    opened: list[str] = []
    unpack = zipfile.ZipFile.open

    def watch(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Any:
        opened.append(entry.filename)
        return unpack(archive, entry)

    monkeypatch.setattr(zipfile.ZipFile, "open", watch)
    assert [picture.path for picture in PictureArchive(content).pictures] == opened == ["good.png"]


def test_what_systems_leave_in_archives_is_passed_over() -> None:
    files = {"__MACOSX/._a.png": b"x", "a/.DS_Store": b"x", "Thumbs.db": b"x", "folder/": b"", "a/a.png": draw()}
    archive = PictureArchive(pack(files))
    assert (len(archive.pictures), archive.refused) == (1, [])


def test_an_archive_that_is_too_much_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    content = pack({f"{number}.png": draw() for number in range(5)})
    for name, value in (("MAX_PICTURES", 4), ("_MAX_DIRECTORY_BYTES", 200), ("MAX_UNPACKED_BYTES", 300)):
        with monkeypatch.context() as patch:
            patch.setattr(picture_archive, name, value)
            with pytest.raises(ArchiveError, match="received"):
                PictureArchive(content)
    assert len(PictureArchive(content).pictures) == 5


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"PK\x05\x06", bytes(1_000)])
def test_what_is_no_archive_is_not_taken(content: bytes) -> None:
    with pytest.raises(ArchiveError, match="expected a ZIP"):
        PictureArchive(io.BytesIO(content))


def test_an_archive_in_the_form_for_gigabytes_is_not_taken() -> None:
    raw = pack({"a.png": draw()}).getvalue()
    with pytest.raises(ArchiveError, match="expected a ZIP"):
        PictureArchive(io.BytesIO(raw[:-22] + b"PK\x06\x07" + bytes(16) + raw[-22:]))
