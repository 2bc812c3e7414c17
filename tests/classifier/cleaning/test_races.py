"""A cleaning beside others: nothing that they need goes, and nobody's work is refused for it."""

from datetime import timedelta
from functools import partial

import pytest
from django.db import transaction
from django.db.models import F

from catalog.interchange.importing import import_catalog
from catalog.interchange.records import ProductRecord
from catalog.models import Image, Product, ProductLabel
from classifier.cleaning.images import clean_images
from classifier.cleaning.rules import Figures, Terms
from classifier.labelling.starting import start_labelling_run
from classifier.labels.services import lock_images
from classifier.labels.walk import refresh_all_labels
from classifier.models import Classification, LabelTask, ModelVersion
from tests.support.cleaning import clean, create_shown, take_products_away
from tests.support.factories import create_product
from tests.support.fakes import create_model_version, create_painted_image
from tests.support.labels import label_everything
from tests.support.others import Other

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def unshown() -> Image:
    """An image that no product shows."""
    image = create_shown()
    take_products_away()
    return image


def show_again(image: Image) -> int:
    """Import a product with the image; return how many were created."""
    record = ProductRecord(line=1, id=7, title="Title", images=(image.url,), descriptions={})
    return import_catalog([record]).created


def test_an_import_that_brings_an_image_while_it_goes(unshown: Image) -> None:
    importer = Other(partial(show_again, unshown))
    with transaction.atomic():
        clean_images(0, Terms(timedelta()), Figures())
        importer.start_and_wait_for_lock()
    importer.join()
    assert importer.outcome == 1
    image = Image.objects.get()
    assert (image.url, image.pk != unshown.pk) == (unshown.url, True)
    assert Product.objects.get().product_images.get().image == image
    assert refresh_all_labels(dry_run=True) == (1, 0)


def test_a_cleaning_that_finds_an_image_while_an_import_brings_it(unshown: Image) -> None:
    cleaner = Other(partial(clean, days=0))
    with transaction.atomic():
        show_again(unshown)
        cleaner.start()
        cleaner.join()  # it waits for nobody
    assert (cleaner.outcome.get("images"), Image.objects.get()) == (None, unshown)
    assert clean(days=0) == {}


def test_an_image_whose_task_somebody_writes_is_left_for_later(unshown: Image) -> None:
    create_model_version()
    run = start_labelling_run(images=Image.objects.all())
    run.tasks.update(state="failed")
    cleaner = Other(partial(clean, days=0))
    with transaction.atomic():
        LabelTask.objects.select_for_update().get()
        cleaner.start()
        cleaner.join()
    assert cleaner.outcome == {"unshown": 1}
    assert clean(days=0)["tasks"] == 1


def test_a_version_that_gets_a_label_while_its_words_go_keeps_them() -> None:
    image = create_painted_image()
    create_product(images=[image])
    versions = []
    for _ in range(4):
        ModelVersion.objects.update(stage="retired")
        versions.append(create_model_version())
        label_everything()
    Classification.objects.update(created_at=F("created_at") - timedelta(days=31))
    cleaner = Other(clean)
    with transaction.atomic():
        lock_images([image.pk])
        ProductLabel.objects.update(model_version=versions[0])
        cleaner.start_and_wait_for_lock()
    cleaner.join()
    assert cleaner.outcome == {}
    assert Classification.objects.count() == 4
