"""Images that no product shows: what goes with them, when, and what keeps one."""

import uuid
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db.models.functions import Now

from catalog.models import Image, Product, ProductLabel, StoredPicture, UnshownImage
from classifier.cleaning import images as cleaning_images
from classifier.labelling.starting import start_labelling_run
from classifier.models import Classification, LabelChange, LabelTask, Review
from classifier.reviews.services import record_review
from tests.support.cleaning import (
    clean,
    clean_twice,
    create_shown,
    let_pass,
    list_names_of,
    list_paths,
    store_picture,
    take_products_away,
)
from tests.support.factories import create_image, create_product
from tests.support.fakes import create_model_version, create_painted_image
from tests.support.labels import label_everything
from tests.support.make_images import png

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def test_an_image_goes_when_nothing_has_shown_it_for_so_long_with_all_that_hangs_on_it() -> None:
    kept, gone = create_shown(), create_shown()
    create_model_version()
    label_everything()
    pictures = StoredPicture.objects.in_bulk(field_name="image_id")
    take_products_away(gone)
    assert clean() == {"unshown": 1}
    let_pass(29.9)
    assert clean() == {"unshown": 1}
    let_pass(0.2)
    size = sum(path.stat().st_size for path in list_names_of(pictures[gone.pk]))
    changes = LabelChange.objects.count()
    assert clean_twice() == {
        "unshown": 1, "images": 1, "pictures": 1, "tasks": 1, "classifications": 1, "features": 1,
        "files": 2, "bytes": size
    }  # fmt: skip
    assert list(Image.objects.all()) == [kept]
    assert LabelTask.objects.get().image == Classification.objects.get().image == kept
    assert list_paths() == list_names_of(pictures[kept.pk])
    assert LabelChange.objects.count() == changes
    assert clean_twice() == {}


def test_the_days_begin_anew_when_a_product_shows_it_again() -> None:
    image = create_shown()
    take_products_away()
    clean()
    let_pass(20)
    product = create_product(images=[create_image(), image])
    assert clean() == {}
    product.delete()
    clean()
    let_pass(20)
    assert clean()["unshown"] == 2
    assert UnshownImage.objects.count() == Image.objects.count() == 2


def test_at_no_age_it_goes_at_once_many_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleaning_images, "STEP_SIZE", 2)
    images = [create_shown() for _ in range(7)]
    take_products_away(*images[:5])
    let_pass(1)
    figures = clean_twice(days=0)
    assert (figures["unshown"], figures["images"], figures["files"]) == (5, 5, 10)
    assert list(Image.objects.order_by("pk")) == images[5:]


@pytest.mark.parametrize("state", ["new", "running"])
def test_one_that_a_worker_has_or_will_have_in_hand_waits(state: str) -> None:
    image = create_shown()
    create_model_version()
    run = start_labelling_run()
    token = uuid.uuid4() if state == "running" else None
    run.tasks.update(state=state, lease_token=token, lease_until=Now() + timedelta(seconds=90))
    take_products_away()
    assert clean_twice(days=0) == {"unshown": 1}
    run.tasks.update(state="retry", lease_token=None)
    let_pass(1)
    assert clean_twice(days=0)["tasks"] == 1
    assert not Image.objects.filter(pk=image.pk).exists()


def test_one_that_a_label_names_waits_until_the_label_is_right() -> None:
    image = create_shown()
    create_model_version()
    label_everything()
    Product.objects.get().product_images.all().delete()  # by another program
    assert clean_twice(days=0) == {"unshown": 1}
    assert ProductLabel.objects.get().image == image


def test_what_people_said_stays_and_decides_wherever_the_picture_is_shown() -> None:
    reviewer = User.objects.create_user("reviewer")
    picture = png()
    gone, twin = create_shown(picture), create_shown(picture)
    create_model_version()
    label_everything()
    review = record_review(gone, group="Bags", reviewer=reviewer)
    take_products_away(gone)
    let_pass(1)
    figures = clean_twice(days=0)
    assert (figures["images"], figures.get("files", 0)) == (1, 0)
    label = ProductLabel.objects.get()
    assert (label.image, label.status, label.review) == (twin, "reviewed", review)
    assert Review.objects.get().image is None
    # And where it comes again.
    again = create_image()
    store_picture(again, picture)
    product = create_product(images=[again])
    assert ProductLabel.objects.get(product=product).review == review


def test_a_run_over_the_catalogue_leaves_alone_what_no_product_shows() -> None:
    shown, unshown = create_painted_image(), create_painted_image()
    create_product(images=[create_image(), shown])
    create_product(images=[unshown])
    create_model_version()
    label_everything()
    take_products_away(unshown)
    run = start_labelling_run(relabel=True)
    assert run.total == 2
    assert not run.tasks.filter(image=unshown).exists()
    chosen = start_labelling_run(images=Image.objects.filter(pk=unshown.pk), relabel=True)
    assert chosen.tasks.get().image == unshown
