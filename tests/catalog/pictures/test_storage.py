"""Pictures kept by content hash: written once, thumbnails from pixels, names that cannot leave the storage."""

import hashlib
import io
import resource
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import InMemoryStorage, default_storage
from PIL import Image as PillowImage

from catalog.models import Image, StoredPicture
from catalog.pictures import storage as pictures
from catalog.pictures.decoding import DecodedPicture, PictureError
from catalog.pictures.formats import MAX_FILE_BYTES
from catalog.pictures.replacing import store_upload
from catalog.values import clean_image_url, is_media_name
from tests.support import make_images as make
from tests.support.colour_profiles import PROPHOTO, build_rgb_profile


@pytest.fixture(autouse=True)
def media_root(tmp_path, settings):
    settings.MEDIA_ROOT = tmp_path
    return tmp_path


def list_files(folder: Path) -> list[str]:
    """The names of all files below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def create_image(url: str = "https://shop.example/1.jpg") -> Image:
    """An image row."""
    return Image.objects.create(url=url)


def store(image: Image, data: bytes, **options: str) -> StoredPicture:
    """The picture's row, written as a worker writes it."""
    pictures.record_stored_pictures([pictures.build_stored_picture(image, data, **options)])
    image.refresh_from_db()
    return image.stored_picture


@pytest.mark.django_db
def test_picture_is_stored_under_its_hash_with_a_thumbnail(media_root):
    image = create_image()
    data = make.jpeg()
    sha256 = hashlib.sha256(data).hexdigest()

    stored = store(image, data, etag='"1"', last_modified="Mon, 02 Nov 2026 10:00:00 GMT")

    name = f"pictures/{sha256[:2]}/{sha256[2:4]}/{sha256}.jpg"
    assert list_files(media_root) == [name, f"thumbnails/{sha256[:2]}/{sha256[2:4]}/{sha256}.jpg"]
    assert (media_root / name).read_bytes() == data
    assert (stored.url, stored.sha256, stored.appearance) == (image.url, sha256, sha256)
    assert (stored.storage_name, stored.width, stored.height) == (name, 48, 32)
    assert (stored.etag, stored.last_modified) == ('"1"', "Mon, 02 Nov 2026 10:00:00 GMT")
    assert pictures.find_picture_bytes(image) == data
    assert default_storage.exists(pictures.thumbnail_name(sha256))


@pytest.mark.django_db
def test_storing_again_replaces_the_row_and_keeps_one_row_per_image(media_root):
    image = create_image()
    first = store(image, make.jpeg(), etag='"1"')

    second = store(image, make.png(), etag='"2"')

    row = StoredPicture.objects.get()
    assert row.sha256 == second.sha256 != first.sha256
    assert (row.etag, row.storage_name.endswith(".png")) == ('"2"', True)
    assert len(list_files(media_root)) == 4


@pytest.mark.django_db
def test_a_thousand_urls_with_the_same_bytes_share_one_file(media_root):
    data = make.jpeg()
    rows = [pictures.build_stored_picture(create_image(f"https://shop.example/{n}.jpg"), data) for n in range(20)]

    pictures.record_stored_pictures(rows)

    assert StoredPicture.objects.count() == 20
    assert StoredPicture.objects.values("storage_name").distinct().count() == 1
    assert len(list_files(media_root)) == 2


@pytest.mark.django_db
def test_the_last_of_two_rows_of_an_image_wins():
    image = create_image()
    rows = [pictures.build_stored_picture(image, data) for data in (make.jpeg(), make.png())]

    pictures.record_stored_pictures(rows)

    assert StoredPicture.objects.get().sha256 == hashlib.sha256(make.png()).hexdigest()


@pytest.mark.django_db
@pytest.mark.parametrize("data,code", [(make.jpeg()[:-2], "truncated"), (b"<html>", "not_image")])
def test_bad_picture_leaves_no_file_and_no_row(media_root, data, code):
    image = create_image()

    with pytest.raises(PictureError) as raised:
        store(image, data)

    assert raised.value.code == code
    assert list_files(media_root) == []
    assert not StoredPicture.objects.exists()


@pytest.mark.django_db
def test_picture_of_the_media_storage_is_not_copied(media_root):
    image = create_image("demo/1.png")
    default_storage.save("demo/1.png", ContentFile(make.png()))

    stored = store(image, pictures.read_media_picture(image.url), storage_name=image.url)

    assert stored.storage_name == "demo/1.png"
    assert list_files(media_root) == ["demo/1.png", pictures.thumbnail_name(stored.sha256)]
    assert pictures.find_picture_bytes(image) == make.png()


@pytest.mark.parametrize("writers", [8])
def test_writers_at_once_leave_one_whole_file(media_root, writers):
    data = make.jpeg(PillowImage.effect_noise((400, 400), 90).convert("RGB"))
    images = [Image(url=f"https://shop.example/{number}") for number in range(40)]

    with ThreadPoolExecutor(writers) as pool:
        rows = list(pool.map(lambda image: pictures.build_stored_picture(image, data), images))

    files = list_files(media_root)
    assert {row.storage_name for row in rows} == {files[0]}
    assert len(files) == 2
    assert (media_root / files[0]).read_bytes() == data


def test_file_left_half_by_a_crash_is_written_again(media_root):
    row = pictures.build_stored_picture(Image(), make.jpeg())
    (media_root / row.storage_name).write_bytes(make.jpeg()[:100])

    pictures.build_stored_picture(Image(), make.jpeg())

    assert (media_root / row.storage_name).read_bytes() == make.jpeg()


@pytest.mark.django_db
@pytest.mark.parametrize("is_bucket", [False, True])
def test_damaged_file_of_the_same_size_is_written_again(media_root, monkeypatch, is_bucket):
    storage = InMemoryStorage() if is_bucket else default_storage
    monkeypatch.setattr(pictures, "default_storage", storage)
    image = create_image()
    name = store(image, make.jpeg()).storage_name
    storage.delete(name)
    storage.save(name, ContentFile(bytes(len(make.jpeg()))))
    assert pictures.find_picture_bytes(image) is None

    store(image, make.jpeg())

    assert pictures.find_picture_bytes(image) == make.jpeg()


def test_full_disk_leaves_no_part_of_a_file(media_root):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            pictures.build_stored_picture(Image(), make.jpeg())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert list_files(media_root) == []


@pytest.mark.parametrize("letter", ["a", "ß", "服", "𠮷"])
def test_an_upload_with_a_long_name_in_any_script_is_written(media_root, letter):
    name = store_upload(f"{letter * 200}.png", make.png())

    assert list_files(media_root) == [name]
    assert name.rpartition("/")[2].strip(letter) == ".png"


def test_object_storage_gets_the_same_names(monkeypatch):
    storage = InMemoryStorage()
    monkeypatch.setattr(pictures, "default_storage", storage)

    rows = [pictures.build_stored_picture(Image(), make.jpeg()) for _ in range(2)]

    folders, files = storage.listdir(rows[0].storage_name.rpartition("/")[0])
    assert (folders, len(files)) == ([], 1)
    assert storage.open(rows[1].storage_name).read() == make.jpeg()


@pytest.mark.django_db
def test_changed_file_counts_as_missing(media_root):
    image = create_image()
    stored = store(image, make.jpeg())
    (media_root / stored.storage_name).write_bytes(make.png())

    assert pictures.find_picture_bytes(image) is None


@pytest.mark.django_db
def test_image_without_a_stored_picture_has_no_bytes():
    assert pictures.find_picture_bytes(create_image()) is None


@pytest.mark.django_db
def test_bytes_of_another_address_are_not_held():
    image = create_image()
    store(image, make.jpeg())

    Image.objects.filter(pk=image.pk).update(url="https://shop.example/2.jpg")

    image.refresh_from_db()
    assert image.picture is None
    assert pictures.find_picture_bytes(image) is None


def test_thumbnail_is_small_and_holds_pixels_only(media_root):
    large = make.scene().resize((1_200, 800))
    exif = PillowImage.Exif()
    exif[0x010F] = "SecretCamera"
    data = make.with_segment(make.jpeg(large, exif=exif.tobytes()), 0xFE, b"<script>") + b"PK\x03\x04 payload"

    row = pictures.build_stored_picture(Image(), data)

    encoded = (media_root / pictures.thumbnail_name(row.sha256)).read_bytes()
    with PillowImage.open(io.BytesIO(encoded)) as thumbnail:
        assert (thumbnail.format, thumbnail.size) == ("JPEG", (320, 213))
        assert not thumbnail.getexif()
        assert np.abs(np.asarray(thumbnail.resize((48, 32))).astype(int) - make.scene_pixels()).mean() < 4
    assert not any(text in encoded for text in (b"SecretCamera", b"<script>", b"payload"))


@pytest.mark.parametrize(
    "colour,ground",
    [((255, 255, 255), 128), ((250, 250, 248), 128), ((228, 235, 255), 128), ((210, 210, 210), 255),
     ((30, 60, 140), 255), ((0, 0, 0), 255)],
)  # fmt: skip
@pytest.mark.parametrize("picture_format", ["PNG", "WEBP", "GIF"])
def test_cut_out_garment_is_seen_on_its_thumbnail(media_root, colour, ground, picture_format):
    row = pictures.build_stored_picture(Image(), make.encode(make.cut_out_shirt(colour), picture_format))

    with PillowImage.open(media_root / pictures.thumbnail_name(row.sha256)) as thumbnail:
        shown = np.asarray(thumbnail).astype(int)
    assert np.abs(shown[10, 10] - ground).max() <= 3
    assert np.abs(shown[shown.shape[0] // 2, shown.shape[1] // 2] - colour).max() <= 6


def test_white_garment_with_a_large_print_is_seen_whole(media_root):
    shirt = make.cut_out_shirt((255, 255, 255))
    shirt.paste((20, 20, 90, 255), (110, 150, 190, 280))
    row = pictures.build_stored_picture(Image(), make.png(shirt))

    with PillowImage.open(media_root / pictures.thumbnail_name(row.sha256)) as thumbnail:
        assert np.abs(np.asarray(thumbnail)[5, 5].astype(int) - 128).max() <= 3


def test_thumbnail_has_the_colours_that_browsers_show(media_root):
    picture = PillowImage.new("RGB", (400, 300), (70, 140, 90))
    row = pictures.build_stored_picture(Image(), make.jpeg(picture, icc_profile=build_rgb_profile(PROPHOTO)))

    with PillowImage.open(media_root / pictures.thumbnail_name(row.sha256)) as thumbnail:
        assert "icc_profile" not in thumbnail.info
        assert np.abs(np.asarray(thumbnail).astype(int) - (0, 169, 99)).max() <= 3


def test_thumbnail_is_made_from_pixels_given(media_root):
    white = np.full((30, 40, 3), 255, dtype=np.uint8)

    decoded = DecodedPicture(pixels=white, picture_format="JPEG", width=48, height=32)
    row = pictures.build_stored_picture(Image(), make.jpeg(), decoded=decoded)

    with PillowImage.open(media_root / pictures.thumbnail_name(row.sha256)) as thumbnail:
        assert np.array_equal(np.asarray(thumbnail), white)
    assert (row.width, row.height) == (48, 32)


@pytest.mark.parametrize(
    "name",
    ["../secret.png", "a/../../secret.png", "/etc/passwd", "a//b.png", "./a.png", "a\\b.png", "a\0.png", "c:/a.png", "",
     "..", "file:///etc/passwd", "demo/", "a\n.png"],
)  # fmt: skip
def test_unsafe_name_is_refused(media_root, name):
    (media_root.parent / "secret.png").write_bytes(make.png())

    with pytest.raises(PictureError) as raised:
        pictures.read_media_picture(name)

    assert raised.value.code == "url_invalid"


@pytest.mark.parametrize(
    "name",
    ["a/1.png", "Screenshot 3.04.05\u202fPM.png", "no\u00a0break.png", "soft\u00adhyphen.png", "2024-01-01 12:30.jpg",
     "a/b:c.png"],
)  # fmt: skip
def test_whatever_an_import_takes_for_a_name_is_read(media_root, name):
    (media_root / name).parent.mkdir(exist_ok=True)
    (media_root / name).write_bytes(make.png())

    assert is_media_name(name)
    assert clean_image_url(name) == name
    assert pictures.is_stored(name)
    assert pictures.read_media_picture(name) == make.png()


@pytest.mark.parametrize("name", ["missing.png", "folder", "n" * 300 + ".png"])
def test_missing_picture_is_not_found(media_root, name):
    (media_root / "folder").mkdir()

    with pytest.raises(PictureError) as raised:
        pictures.read_media_picture(name)

    assert raised.value.code == "not_found"


def test_large_file_is_refused_before_it_is_read(media_root):
    with open(media_root / "large.png", "wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)

    with pytest.raises(PictureError) as raised:
        pictures.read_media_picture("large.png")

    assert raised.value.code == "too_large"
