"""Which bytes have the look of those before them, and the appearance that a picture keeps."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import ImageFilter

from catalog.models import Image, StoredPicture
from catalog.pictures import storage as pictures
from catalog.pictures.appearance import build_look_hash, is_same_look
from tests.support import make_images as make

SIZE = (240, 320)
WITH_BITS = 0b1010 * 0x1111_1111_1111_1111


def draw(seed: int) -> PillowImage.Image:
    """A soft picture with light and shade all over."""
    noise = np.random.default_rng(seed).integers(0, 256, (8, 6, 3), dtype=np.uint8)
    return PillowImage.fromarray(noise).resize(SIZE, PillowImage.Resampling.BICUBIC)


@pytest.mark.parametrize(
    "other, expected",
    [
        ((WITH_BITS, 0.75), True),
        ((WITH_BITS ^ 0b1111, 0.75), True),
        ((WITH_BITS ^ 0b1_1111, 0.75), False),
        ((WITH_BITS, 0.765), True),
        ((WITH_BITS, 0.766), False),
        ((WITH_BITS, 0.735), False),
    ],
)
def test_a_look_is_the_same_up_to_four_bits_and_two_per_cent(other: tuple[int, float], expected: bool) -> None:
    first = (WITH_BITS, 0.75)
    assert is_same_look(first, other) is is_same_look(other, first) is expected


@pytest.mark.parametrize("bits", [0, 11, 53, 64])
def test_a_plain_picture_is_like_no_other(bits: int) -> None:
    look = ((1 << bits) - 1, 1.0)
    assert not is_same_look(look, look)


def test_a_hash_has_its_place_in_a_signed_column() -> None:
    hashes = [build_look_hash(np.asarray(draw(seed))) for seed in range(20)]
    assert all(-(1 << 63) <= number < 1 << 63 for number in hashes)
    assert min(hashes) < 0 < max(hashes)


def store(image: Image, data: bytes) -> StoredPicture:
    """The picture's row, written as a worker writes it."""
    pictures.record_stored_pictures([pictures.build_stored_picture(image, data)])
    image.refresh_from_db()
    return image.stored_picture


@pytest.mark.django_db
def test_a_picture_made_anew_keeps_its_appearance_and_another_has_its_own() -> None:
    image = Image.objects.create(url="https://shop.example/1.jpg")
    first = store(image, make.jpeg(draw(1)))
    for again in (make.jpeg(draw(1).resize((120, 160)), quality=60), make.png(draw(1).filter(ImageFilter.BoxBlur(2)))):
        stored = store(image, again)
        assert (stored.appearance, stored.look_hash) == (first.sha256, first.look_hash)
        assert stored.sha256 != first.sha256
    other = store(image, make.jpeg(draw(2)))
    assert (other.appearance, other.former_appearance) == (other.sha256, "")
    # What came between is no way back.
    assert store(image, make.png(draw(1))).appearance not in (first.appearance, other.appearance)


@pytest.mark.django_db
def test_the_first_bytes_come_back_as_they_were() -> None:
    image = Image.objects.create(url="https://shop.example/1.jpg")
    first = store(image, make.jpeg(draw(1)))
    store(image, make.png(draw(1)))
    assert store(image, make.jpeg(draw(1))).appearance == first.sha256


@pytest.mark.django_db
def test_a_row_from_before_there_were_looks_is_looked_at_when_its_bytes_change() -> None:
    image = Image.objects.create(url="https://shop.example/1.jpg")
    first = store(image, make.jpeg(draw(1)))
    StoredPicture.objects.update(look_hash=None, look_shape=None)
    image.refresh_from_db()
    assert store(image, make.png(draw(1))).appearance == first.sha256


@pytest.mark.django_db
def test_a_file_that_was_replaced_in_its_place_is_not_taken_for_what_it_was(media_folder: Path) -> None:
    image = Image.objects.create(url="shoe.png")
    media_folder.mkdir()
    for seed in (1, 2):
        data = make.png(draw(seed))
        (media_folder / image.url).write_bytes(data)
        pictures.record_stored_pictures([pictures.build_stored_picture(image, data, storage_name=image.url)])
        StoredPicture.objects.update(look_hash=None, look_shape=None)
        image.refresh_from_db()
    assert image.stored_picture.former_appearance == ""


@pytest.mark.django_db
def test_bytes_of_another_address_have_an_appearance_of_their_own() -> None:
    image = Image.objects.create(url="https://shop.example/1.jpg")
    store(image, make.jpeg(draw(1)))
    Image.objects.update(url="https://shop.example/2.jpg")
    image.refresh_from_db()
    moved = store(image, make.png(draw(1)))
    assert (moved.appearance, moved.url) == (moved.sha256, image.url)
