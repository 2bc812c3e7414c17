"""The table of products without a label follows whatever is written to products, places of images and labels."""

import pytest
from django.core.management import call_command
from django.db import connection, transaction

from catalog.browse.unlabelled import build_unlabelled_statuses
from catalog.models import Image, Product, ProductImages, ProductLabel, UnlabelledStatus
from tests.support.factories import create_image, create_product, create_product_image
from tests.support.labels import create_labelled_product

pytestmark = [pytest.mark.django_db, pytest.mark.postgresql]


def find_statuses() -> dict[int, str]:
    """The status of each product by its id."""
    return dict(UnlabelledStatus.objects.values_list("product_id", "status"))


def test_a_product_without_an_image_has_none_until_one_comes_and_again_when_it_goes() -> None:
    product = create_product()
    assert find_statuses() == {product.pk: "no_image"}
    place = create_product_image(product, image_index=1)
    assert find_statuses() == {product.pk: "no_image"}
    ProductImages.objects.filter(pk=place.pk).update(image_index=0)
    assert find_statuses() == {product.pk: "pending"}
    other = create_product()
    ProductImages.objects.filter(pk=place.pk).update(product=other)
    assert find_statuses() == {product.pk: "no_image", other.pk: "pending"}
    ProductImages.objects.filter(pk=place.pk).delete()
    assert find_statuses() == {product.pk: "no_image", other.pk: "no_image"}


def test_a_label_empties_the_status_and_its_end_brings_it_back() -> None:
    product = create_labelled_product()
    assert find_statuses() == {product.pk: ""}
    ProductLabel.objects.filter(pk=product.pk).update(status="reviewed")
    assert find_statuses() == {product.pk: ""}
    other = create_product()
    ProductLabel.objects.filter(pk=product.pk).update(product=other)
    assert find_statuses() == {product.pk: "pending", other.pk: ""}
    ProductLabel.objects.all().delete()
    assert find_statuses() == {product.pk: "pending", other.pk: "no_image"}


def test_a_deleted_product_leaves_nothing() -> None:
    product, kept = create_labelled_product(), create_product()
    product.delete()
    assert find_statuses() == {kept.pk: "no_image"}


def test_statements_of_others_are_followed_in_any_order() -> None:
    image = create_image()
    with transaction.atomic(), connection.cursor() as cursor:
        # The constraint is checked at the end of the transaction: places may come before their products.
        cursor.execute("INSERT INTO productimages (productid, imageid, imageindex) VALUES (8, %s, 0)", [image.pk])
        cursor.execute("INSERT INTO product (id, title) VALUES (7, 'Old boot'), (8, 'Old coat')")
    assert find_statuses() == {7: "no_image", 8: "pending"}
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM productimages WHERE productid = 8")
        cursor.execute("INSERT INTO product (id, title) VALUES (7, 'New') ON CONFLICT (id) DO UPDATE SET title = 'New'")
    assert find_statuses() == {7: "no_image", 8: "no_image"}


@pytest.mark.django_db(transaction=True)
def test_emptied_tables_are_followed() -> None:
    product = create_labelled_product()
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE classifier_productlabel")
        assert find_statuses() == {product.pk: "pending"}
        cursor.execute("TRUNCATE productimages")
        assert find_statuses() == {product.pk: "no_image"}
        cursor.execute("TRUNCATE product CASCADE")
    assert (find_statuses(), Product.objects.count(), Image.objects.count()) == ({}, 0, 1)


@pytest.mark.django_db(transaction=True)
def test_the_command_rebuilds_what_was_written_past_the_triggers(capsys: pytest.CaptureFixture[str]) -> None:
    labelled, pending = create_labelled_product(), create_product(images=["https://shop.example/1.jpg"])
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM classifier_unlabelledstatus WHERE product_id = %s", [labelled.pk])
        cursor.execute("UPDATE classifier_unlabelledstatus SET status = 'no_image'")
        cursor.execute("INSERT INTO classifier_unlabelledstatus VALUES (%s, 'pending')", [pending.pk + 1])
        cursor.execute("DROP INDEX classifier_unlabelledstatus_status")
    call_command("rebuild_search", "--json")
    assert find_statuses() == {labelled.pk: "", pending.pk: "pending"}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT indisvalid FROM pg_index WHERE indexrelid = 'classifier_unlabelledstatus_status'::regclass"
        )
        assert cursor.fetchone() == (True,)
    assert build_unlabelled_statuses(connection) == 2


@pytest.mark.django_db(transaction=True)
def test_an_index_that_was_left_unfinished_is_created_again() -> None:
    is_valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'classifier_unlabelledstatus_status'::regclass"
    with connection.cursor() as cursor:
        # As an interrupted migration leaves it.
        cursor.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'classifier_unlabelledstatus_status'::regclass"
        )
        cursor.execute(is_valid)
        assert cursor.fetchone() == (False,)
        build_unlabelled_statuses(connection)
        cursor.execute(is_valid)
        assert cursor.fetchone() == (True,)
