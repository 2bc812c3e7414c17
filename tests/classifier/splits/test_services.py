"""Families fall into parts once and for ever, whatever arrives in whatever order, and nothing is on two sides."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import permutations
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from django.core.files.storage import default_storage
from django.db import connection
from PIL import Image as PillowImage

from catalog.models import Image
from catalog.pictures.storage import StorageError, thumbnail_name
from classifier.ml.data.parts import Part, draw_part
from classifier.models import SplitAssignment, SplitPicture, SplitProduct, SuspectedPicture
from classifier.reviews.services import record_review
from classifier.splits import services
from classifier.splits.selectors import MAXIMUM_PRODUCTS, find_parts
from classifier.splits.services import assign_parts, assign_waiting_parts
from classifier.worker.sweep import sweep
from tests.support.factories import create_product, create_product_image
from tests.support.faulty_store import BACKEND, VARIABLE, Faults
from tests.support.members import create_member
from tests.support.photographs import alter, draw_photograph, store

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

Reason = SplitAssignment.Reason


@pytest.fixture
def choose() -> np.random.Generator:
    return np.random.default_rng(7)


def draw_of_part(part: Part, choose: np.random.Generator) -> Image:
    """Return an image whose picture, alone, falls into this part."""
    while True:
        image = store(draw_photograph(choose))
        if draw_part(bytes.fromhex(image.stored_picture.sha256)) == part:
            return image


def test_a_picture_falls_into_a_part_once(choose: np.random.Generator) -> None:
    images = [store(draw_photograph(choose)).pk for _ in range(4)]
    assert find_parts(images) == {}
    places = assign_parts(images)
    assert set(places) == set(images)
    assert len({place.family for place in places.values()}) == 4
    assert assign_parts(images[:2]) == {image: places[image] for image in images[:2]}
    assert find_parts(images) == places


def test_what_people_labelled_falls_into_a_part_at_the_next_sweep(
    choose: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, unread, other = (store(draw_photograph(choose)) for _ in range(4))
    for image in (first, second, unread):
        create_product(images=[image])
        record_review(image, group="Bags", reviewer=create_member())
    default_storage.delete(thumbnail_name(unread.stored_picture.sha256))
    default_storage.delete(unread.stored_picture.storage_name)
    sweep()
    assert set(find_parts([first.pk, second.pk, unread.pk, other.pk])) == {first.pk, second.pk}
    # What cannot be read is tried once a day, whatever is assigned meanwhile.
    assert assign_waiting_parts(seconds=60) == 0
    record_review(other, group="Bags", reviewer=create_member())
    assert assign_waiting_parts(seconds=0) == 0
    monkeypatch.setattr(services, "assign_parts", Mock(side_effect=StorageError("gone")))
    assert assign_waiting_parts(seconds=60) == 0
    monkeypatch.undo()
    now = services.get_database_time()
    monkeypatch.setattr(services, "get_database_time", lambda: now + timedelta(hours=23))
    assert assign_waiting_parts(seconds=60) == 1
    monkeypatch.setattr(services, "get_database_time", lambda: now + timedelta(hours=25))
    assert assign_waiting_parts(seconds=60) == 1


@pytest.mark.parametrize("fault", ["eacces", "away"])
def test_one_file_that_cannot_be_read_holds_no_other_picture_up(
    choose: np.random.Generator, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    settings.STORAGES = settings.STORAGES | {"default": {"BACKEND": BACKEND}}
    monkeypatch.setenv(VARIABLE, str(tmp_path / "fault"))
    faults = Faults(tmp_path / "fault")
    images = [store(draw_photograph(choose)) for _ in range(3)]
    faults.set(fault, images[0].stored_picture.storage_name)
    default_storage.delete(thumbnail_name(images[0].stored_picture.sha256))
    assert set(assign_parts([image.pk for image in images[:2]])) == {images[1].pk}
    # Of what has a thumbnail that cannot be read the picture itself is.
    faults.set(fault, thumbnail_name(images[2].stored_picture.sha256))
    assert set(assign_parts([images[2].pk])) == {images[2].pk}
    faults.set(fault)
    with pytest.raises(StorageError):
        assign_parts([images[0].pk])


def test_altered_photographs_are_one_family_in_any_order(choose: np.random.Generator) -> None:
    photograph = draw_photograph(choose)
    images = [store(alter(photograph, choose)).pk for _ in range(3)]
    for order in permutations(images):
        SplitPicture.objects.update(first=None)
        SplitPicture.objects.all().delete()
        SplitAssignment.objects.all().delete()
        for image in order:
            assign_parts([image])
        assert len({place.family for place in find_parts(images).values()}) == 1
        assert len(find_parts(images)) == 3


def test_pictures_of_one_product_and_products_of_one_picture_are_in_one_family(choose: np.random.Generator) -> None:
    shared, *others = [store(draw_photograph(choose)) for _ in range(4)]
    create_product(images=[others[0], shared])
    create_product(images=[shared, others[1], others[2]])
    first, second, third = (assign_parts([image.pk])[image.pk] for image in others)
    assert (first.family != second.family, second.family) == (True, third.family)
    assign_parts([shared.pk])
    joined = find_parts([shared.pk, *[image.pk for image in others]])
    assert len({place.family for place in joined.values()}) == 1
    assert len(joined) == (4 if first.part == second.part else 2)


@pytest.mark.parametrize("part", [Part.TRAINING, Part.CALIBRATION, Part.VALIDATION])
def test_test_wins_where_families_meet_and_the_other_side_is_left_out_for_ever(
    choose: np.random.Generator, part: Part
) -> None:
    tested, used = draw_of_part(Part.TEST, choose), draw_of_part(part, choose)
    sibling = store(draw_photograph(choose))
    product = create_product(images=[used, sibling])
    create_product(images=[tested])
    images = [tested.pk, used.pk, sibling.pk]
    assign_parts([used.pk])
    assert {image: place.part for image, place in assign_parts(images).items()} == {
        tested.pk: Part.TEST,
        used.pk: part,
        sibling.pk: part,
    }
    create_product_image(product, image=tested, image_index=2)
    assert set(assign_parts(images)) == {tested.pk}
    left = SplitAssignment.objects.get(left_out_because=Reason.PRODUCT)
    assert (left.part, left.left_out_for.part) == (part, Part.TEST)
    assert left.left_out_at is not None
    product.delete()
    assert set(assign_parts(images)) == {tested.pk}


def test_what_joins_a_family_that_is_left_out_is_left_out(choose: np.random.Generator) -> None:
    tested, used = draw_of_part(Part.TEST, choose), draw_of_part(Part.TRAINING, choose)
    product = create_product(images=[used])
    assign_parts([tested.pk, used.pk])
    create_product_image(product, image=tested, image_index=1)
    assign_parts([tested.pk])
    other = draw_of_part(Part.TRAINING, choose)
    create_product(images=[other, used])
    assert assign_parts([other.pk]) == {}


def test_what_wins_stays_however_often_it_is_asked_for_and_is_left_out_for_test_alone(
    choose: np.random.Generator,
) -> None:
    judged, used = draw_of_part(Part.CALIBRATION, choose), draw_of_part(Part.TRAINING, choose)
    tested, other = draw_of_part(Part.TEST, choose), draw_of_part(Part.TRAINING, choose)
    images = [judged.pk, used.pk, tested.pk, other.pk]
    product = create_product(images=[used])
    assert len(assign_parts(images)) == 4
    create_product_image(product, image=judged, image_index=1)
    for _ in range(3):
        assert set(assign_parts(images)) == {judged.pk, tested.pk, other.pk}
    # What meets only the side that is left out is as near to what that met.
    create_product(images=[used, other])
    for _ in range(2):
        assert set(assign_parts(images)) == {judged.pk, tested.pk}
    create_product(images=[used, tested])
    for _ in range(2):
        assert set(assign_parts(images)) == {tested.pk}


def test_a_photograph_between_families_leaves_the_training_side_out(choose: np.random.Generator) -> None:
    tested, used = draw_of_part(Part.TEST, choose), draw_of_part(Part.TRAINING, choose)
    product = create_product(images=[used])
    assign_parts([tested.pk, used.pk])
    with default_storage.open(tested.stored_picture.storage_name) as file, PillowImage.open(file) as picture:
        copy = store(alter(picture, choose))
    create_product_image(product, image=copy, image_index=1)
    places = assign_parts([tested.pk, used.pk, copy.pk])
    assert {image: place.part for image, place in places.items()} == {tested.pk: Part.TEST, copy.pk: Part.TEST}
    assert SplitAssignment.objects.get(left_out_because=Reason.PRODUCT).part == Part.TRAINING


def test_a_chain_of_likeness_ends_where_it_is_far_from_its_first_picture(choose: np.random.Generator) -> None:
    first, last = draw_photograph(choose), draw_photograph(choose)
    chain = [store(PillowImage.blend(first, last, 0.08 * step)).pk for step in range(8)]
    places = [assign_parts([image]).get(image) for image in chain]
    end = places.index(None)
    assert end >= 2
    assert len(set(places[:end])) == 1
    left_out = SplitAssignment.objects.filter(left_out_because=Reason.BETWEEN).order_by("pk").first()
    assert left_out is not None
    assert left_out.left_out_for_id == places[0].family
    # Nothing follows from it for the next one: asked again, it stays left out alone.
    assert [assign_parts([image]).get(image) for image in chain] == places


def test_plain_pictures_are_of_one_family_only_by_their_bytes(choose: np.random.Generator) -> None:
    plain = [store(PillowImage.new("RGB", (60, 80), (250, 250, shade))) for shade in (250, 200)]
    again = store(PillowImage.new("RGB", (60, 80), (250, 250, 250)))
    places = assign_parts([image.pk for image in (*plain, again)])
    assert places[plain[0].pk].family != places[plain[1].pk].family
    assert places[plain[0].pk] == places[again.pk]
    assert set(SplitPicture.objects.values_list("band", flat=True)) == {None}


def test_a_picture_of_too_many_products_joins_none_of_them(choose: np.random.Generator) -> None:
    chart = store(draw_photograph(choose))
    for _ in range(MAXIMUM_PRODUCTS + 1):
        create_product(images=[chart])
    for _ in range(2):
        assert assign_parts([chart.pk]) == {}
    assert SplitAssignment.objects.get().left_out_because == Reason.COMMON
    assert not SplitProduct.objects.exists()


def test_placeholders_and_unreadable_pictures_wait(choose: np.random.Generator, media_folder: Path) -> None:
    placeholder, lost = store(draw_photograph(choose)), store(draw_photograph(choose))
    SuspectedPicture.objects.create(sha256=placeholder.stored_picture.sha256, products=30)
    for name in (thumbnail_name(lost.stored_picture.sha256), lost.stored_picture.storage_name):
        (media_folder / name).unlink()
    assert assign_parts([placeholder.pk, lost.pk]) == {}
    assert not SplitAssignment.objects.exists()
    SuspectedPicture.objects.update(answer=SuspectedPicture.Answer.PICTURE)
    assert set(assign_parts([placeholder.pk, lost.pk])) == {placeholder.pk}


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_copies_that_arrive_at_once_are_one_family(choose: np.random.Generator) -> None:
    photograph = draw_photograph(choose)
    images = [store(alter(photograph, choose)).pk for _ in range(4)]

    def assign(image: int) -> None:
        try:
            assign_parts([image])
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(assign, images))
    places = find_parts(images)
    assert len(places) == 4
    assert len({place.family for place in places.values()}) == 1
