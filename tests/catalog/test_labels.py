"""Labels follow every write of the catalogue inside its transaction, and foreign writes a little later."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client

from catalog.labels import Status, get_label_summary
from catalog.models import Image, Product, ProductImages, ProductLabel
from classifier.labels.walk import refresh_all_labels, walk_labels
from classifier.models import LabelWalk
from tests.support.factories import create_product
from tests.support.fakes import create_model_version, create_painted_image
from tests.support.labels import label_everything

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

PRODUCTS, IMAGES = "/admin/catalog/product/", "/admin/catalog/image/"
PREFIX = "product_images"


@dataclass
class Catalogue:
    """A product that shows a bag and then a coat, another that shows the bag alone, and who writes."""

    client: Client
    folder: Path
    first: Product
    second: Product
    bag: Image
    coat: Image

    def import_file(self, *records: dict[str, Any]) -> None:
        """Import the records by the command."""
        path = self.folder / "catalogue.jsonl"
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        call_command("import_catalog", str(path), verbosity=0)

    def import_images(self, *urls: str) -> None:
        """Import the first product with these images."""
        self.import_file({"id": self.first.pk, "title": "First", "images": list(urls)})

    def post(self, address: str, **data: Any) -> None:
        """Post a form of the admin that is well filled in."""
        response = self.client.post(address, data)
        assert response.status_code == 302, response.context["errors"]

    def save_form(self, **fields: Any) -> None:
        """Save the first product's form, some of its fields changed."""
        places = ProductImages.objects.filter(product=self.first).order_by("image_index")
        data = {"title": "First", **count_forms(places.count())}
        for number, place in enumerate(places):
            data |= {f"{PREFIX}-{number}-id": place.pk, f"{PREFIX}-{number}-product": self.first.pk}
            data |= {f"{PREFIX}-{number}-image": place.image_id, f"{PREFIX}-{number}-image_index": number}
        self.post(f"{PRODUCTS}{self.first.pk}/change/", **data | fields)

    def delete_selected(self, address: str, pk: int) -> None:
        """Delete one row of a list by its action."""
        self.post(address, action="delete_selected", _selected_action=pk, post="yes")


def count_forms(images: int) -> dict[str, int]:
    """What the admin's form of a product says of its inline forms: so many images, no text."""
    return {
        f"{PREFIX}-TOTAL_FORMS": images,
        f"{PREFIX}-INITIAL_FORMS": images,
        "descriptions-TOTAL_FORMS": 0,
        "descriptions-INITIAL_FORMS": 0,
    }


#: What is written, how, and what the products' labels are then: a garment, or the status where there is none.
WRITES: dict[str, tuple[Callable[[Catalogue], None], dict[str, str]]] = {
    "import of a new product": (
        lambda at: at.import_file({"title": "New", "images": ["new.png"]}),
        {"First": "Bag", "Second": "Bag", "New": "pending"},
    ),
    "import of a new product with a known image": (
        lambda at: at.import_file({"title": "New", "images": [at.coat.url]}),
        {"First": "Bag", "Second": "Bag", "New": "Coat"},
    ),
    "import of changed images": (
        lambda at: at.import_images(at.coat.url, at.bag.url),
        {"First": "Coat", "Second": "Bag"},
    ),
    "import of removed images": (lambda at: at.import_images(), {"First": "no_image", "Second": "Bag"}),
    "admin, a new product": (
        lambda at: at.post(f"{PRODUCTS}add/", title="New", **count_forms(0)),
        {"First": "Bag", "Second": "Bag", "New": "no_image"},
    ),
    "admin, a product's title": (lambda at: at.save_form(title="Renamed"), {"Renamed": "Bag", "Second": "Bag"}),
    "admin, another image in its place": (
        lambda at: at.save_form(**{f"{PREFIX}-0-image": at.coat.pk}),
        {"First": "Coat", "Second": "Bag"},
    ),
    "admin, the first image moved": (
        lambda at: at.save_form(**{f"{PREFIX}-0-image_index": 2}),
        {"First": "Coat", "Second": "Bag"},
    ),
    "admin, the first image taken away": (
        lambda at: at.save_form(**{f"{PREFIX}-0-DELETE": "on"}),
        {"First": "Coat", "Second": "Bag"},
    ),
    "admin, a product deleted": (
        lambda at: at.post(f"{PRODUCTS}{at.first.pk}/delete/", post="yes"),
        {"Second": "Bag"},
    ),
    "admin, selected products deleted": (lambda at: at.delete_selected(PRODUCTS, at.first.pk), {"Second": "Bag"}),
    "admin, an image deleted": (
        lambda at: at.post(f"{IMAGES}{at.bag.pk}/delete/", post="yes"),
        {"First": "no_image", "Second": "no_image"},
    ),
    "admin, selected images deleted": (
        lambda at: at.delete_selected(IMAGES, at.bag.pk),
        {"First": "no_image", "Second": "no_image"},
    ),
    "admin, an address replaced": (
        lambda at: at.post(f"{IMAGES}{at.bag.pk}/replace-address/", url="https://shop.example/new.png"),
        {"First": "pending", "Second": "pending"},
    ),
    "admin, an address replaced by a known one": (
        lambda at: at.post(f"{IMAGES}{at.bag.pk}/replace-address/", url=at.coat.url),
        {"First": "Coat", "Second": "Coat"},
    ),
}


@pytest.fixture
def catalogue(admin_client: Client, tmp_path: Path) -> Catalogue:
    """Two products that nobody has looked at."""
    bag, coat = create_painted_image("Bag"), create_painted_image("Coat")
    first, second = create_product("First", images=[bag, coat]), create_product("Second", images=[bag])
    return Catalogue(admin_client, tmp_path, first, second, bag, coat)


@pytest.fixture
def labelled(catalogue: Catalogue) -> Catalogue:
    """The same two products with their labels."""
    create_model_version()
    label_everything()
    return catalogue


def read_labels() -> dict[str, str]:
    """The garment of each product, or its label's status, by its title."""
    rows = ProductLabel.objects.values_list("product__title", "garment", "status")
    return {title: garment or status for title, garment, status in rows}


@pytest.mark.parametrize("name", WRITES)
def test_a_label_is_right_when_the_write_is_done(labelled: Catalogue, name: str) -> None:
    write, expected = WRITES[name]
    write(labelled)
    assert read_labels() == expected
    assert refresh_all_labels(dry_run=True) == (len(expected), 0)


def execute(sql: str, *parameters: object) -> None:
    """Write into the catalogue as another program does."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)


def go_round() -> int:
    """Do the walk's steps once round, without its rests; return how many labels changed."""
    walk, _ = LabelWalk.objects.update_or_create(pk=1, defaults={"after": 0})
    changed = 0
    while LabelWalk.objects.get().rounds == walk.rounds:
        LabelWalk.objects.update(next_step_at="2000-01-01T00:00:00Z")
        changed += walk_labels()
    return changed


def test_products_that_another_program_adds_are_found_at_once(labelled: Catalogue) -> None:
    walk_labels()
    bare, known = labelled.second.pk + 1, labelled.second.pk + 2
    for id, title in ((bare, "Bare"), (known, "Known")):
        execute("INSERT INTO product (id, title) VALUES (%s, %s)", id, title)
    execute("INSERT INTO productimages (productid, imageid, imageindex) VALUES (%s, %s, 0)", known, labelled.coat.pk)
    # Until then they read as pending.
    assert get_label_summary(Product.objects.get(pk=known)).status == Status.PENDING
    # The walk itself rests after its first step.
    walk_labels()
    assert read_labels() == {"First": "Bag", "Second": "Bag", "Bare": "no_image", "Known": "Coat"}


@pytest.mark.parametrize(
    "sql, expected",
    [
        ("UPDATE productimages SET imageindex = 7 WHERE imageindex = 0", "no_image"),
        ("UPDATE productimages SET imageid = (SELECT MAX(id) FROM image) WHERE imageindex = 0", "Coat"),
        ("DELETE FROM productimages WHERE imageindex = 0", "no_image"),
        ("UPDATE image SET url = url || '?v=2'", "pending"),
    ],
)
def test_what_another_program_changes_is_found_by_the_walk(labelled: Catalogue, sql: str, expected: str) -> None:
    execute(sql)
    assert go_round() == 2
    assert read_labels() == {"First": expected, "Second": expected}
    assert go_round() == 0
    assert refresh_all_labels(dry_run=True) == (2, 0)


def test_a_label_that_another_program_removes_is_written_again(labelled: Catalogue) -> None:
    execute("DELETE FROM classifier_productlabel WHERE product_id = %s", labelled.first.pk)
    go_round()
    assert read_labels() == {"First": "Bag", "Second": "Bag"}


def test_a_product_that_another_program_deletes_leaves_nothing_to_mend(labelled: Catalogue) -> None:
    for table, column in (("classifier_productlabel", "product_id"), ("productimages", "productid"), ("product", "id")):
        execute(f"DELETE FROM {table} WHERE {column} = %s", labelled.first.pk)
    assert go_round() == 0
    assert read_labels() == {"Second": "Bag"}
