"""Labels that two write at once: nobody's work is lost, whoever comes second."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.db import transaction

from catalog.interchange.importing import import_catalog
from catalog.interchange.records import ProductRecord
from catalog.labels import refresh_labels
from catalog.models import Image, ProductImages, ProductLabel
from classifier.labelling.ledger import claim_tasks, finish_tasks
from classifier.labelling.starting import start_labelling_run
from classifier.labels.walk import refresh_all_labels
from classifier.reviews.services import record_review
from tests.support.factories import create_image, create_product
from tests.support.fakes import build_outcome, create_model_version
from tests.support.others import Other

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]


def claim(image: Image) -> Callable[[], int]:
    """Claim the image's task; return what finishes it as a Bag."""
    run = start_labelling_run(images=Image.objects.filter(pk=image.pk))
    batch = claim_tasks(list(run.tasks.values_list("pk", flat=True)))
    return lambda: finish_tasks(batch, [build_outcome(image, "Bag")])


def build_record(product_id: int, *images: Image) -> ProductRecord:
    urls = tuple(image.url for image in images)
    return ProductRecord(line=1, id=product_id, title="Title", images=urls, descriptions={})


def get_garments() -> dict[int, str]:
    assert refresh_all_labels(dry_run=True)[1] == 0
    return dict(ProductLabel.objects.values_list("product_id", "garment"))


def test_a_picture_that_an_import_takes_away_while_it_is_labelled() -> None:
    create_model_version()
    bag, other = create_image(), create_image()
    product = create_product(images=[bag])
    machine = Other(claim(bag))
    with transaction.atomic():
        import_catalog([build_record(product.pk, other)])
        machine.start_and_wait_for_lock()
    machine.join()
    assert machine.outcome == 1
    assert get_garments() == {product.pk: ""}


def test_a_picture_that_an_import_brings_while_it_is_labelled() -> None:
    create_model_version()
    bag = create_image()
    first = create_product(images=[bag])
    finish = claim(bag)
    importer = Other(lambda: import_catalog([build_record(first.pk + 1, bag)]).created)
    with transaction.atomic():
        finish()
        importer.start_and_wait_for_lock()
    importer.join()
    assert importer.outcome == 1
    assert get_garments() == {first.pk: "Bag", first.pk + 1: "Bag"}


def test_a_review_and_an_import_of_the_same_product() -> None:
    image, other = create_image(), create_image()
    product = create_product(images=[image])
    reviewer = User.objects.create_user("reviewer")
    importer = Other(lambda: import_catalog([build_record(product.pk, other)]).changed)
    with transaction.atomic():
        record_review(image, group="Bags", garment="Bag", reviewer=reviewer)
        importer.start_and_wait_for_lock()
    importer.join()
    assert importer.outcome == 1
    assert get_garments() == {product.pk: ""}


def test_two_who_bring_the_same_labels_up_to_date() -> None:
    images = [create_image() for _ in range(4)]
    products = [create_product(images=[image]) for image in images]
    record_review(images[0], group="Bags", garment="Bag", reviewer=User.objects.create_user("reviewer"))
    for place, image in zip(ProductImages.objects.order_by("pk"), reversed(images), strict=True):
        ProductImages.objects.filter(pk=place.pk).update(image=image)
    walk = Other(refresh_all_labels)
    with transaction.atomic():
        refresh_labels([product.pk for product in reversed(products)])
        walk.start_and_wait_for_lock()
    walk.join()
    assert walk.outcome[0] == 4
    assert get_garments() == {product.pk: "Bag" if product is products[3] else "" for product in products}
