"""Labels that are right at once, without a run, whatever changes: by import, in the admin, by a review over HTTP."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.test import Client

from catalog.models import Image, Product, ProductImages, ProductLabel
from catalog.pictures.replacing import replace_image
from classifier.labelling.batches import label_batch
from classifier.labelling.starting import start_labelling_run
from classifier.labels.walk import refresh_all_labels
from classifier.models import Classification, LabelChange, LabelTask, Review
from classifier.reviews.services import record_review, withdraw_reviews
from tests.support.factories import create_product
from tests.support.fakes import FakeClassifier, create_model_version, create_painted_image
from tests.support.labels import label_everything
from tests.support.members import create_member, sign_in

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def reviewer() -> User:
    return User.objects.create_user("reviewer")


@pytest.fixture(autouse=True)
def _nothing_is_left_behind() -> Any:
    """After each case a walk through all products finds nothing to mend."""
    yield
    assert refresh_all_labels(dry_run=True) == (Product.objects.count(), 0)


def get_label(product: Product) -> tuple[str, str]:
    label = ProductLabel.objects.get(product=product)
    return label.garment, label.status


def import_product(tmp_path: Path, product: Product, images: list[Image], **fields: Any) -> None:
    record = {"id": product.pk, "title": product.title, "images": [image.url for image in images], **fields}
    path = tmp_path / "catalogue.jsonl"
    path.write_text(json.dumps(record) + "\n", encoding="utf-8")
    call_command("import_catalog", str(path), verbosity=0)


def save_in_admin(client: Client, product: Product, images: list[Image], *, title: str = "Title") -> None:
    """Save the product's form with these images: what is there is changed or deleted, what is missing added."""
    places = list(ProductImages.objects.filter(product=product).order_by("image_index"))
    data: dict[str, Any] = {"title": title, "descriptions-TOTAL_FORMS": 0, "descriptions-INITIAL_FORMS": 0}
    prefix = "product_images"
    data |= {f"{prefix}-TOTAL_FORMS": max(len(places), len(images)), f"{prefix}-INITIAL_FORMS": len(places)}
    for number in range(max(len(places), len(images))):
        form = f"{prefix}-{number}"
        if number < len(places):
            data[f"{form}-id"] = places[number].pk
        data[f"{form}-product"] = product.pk
        if number < len(images):
            data |= {f"{form}-image": images[number].pk, f"{form}-image_index": number}
        else:
            data |= {f"{form}-image": places[number].image_id, f"{form}-image_index": number}
            data[f"{form}-DELETE"] = "on"
    response = client.post(f"/admin/catalog/product/{product.pk}/change/", data)
    assert response.status_code == 302, response.context["errors"]


@pytest.fixture(params=["import", "admin"])
def show(
    request: pytest.FixtureRequest, admin_client: Client, tmp_path: Path
) -> Callable[[Product, list[Image]], None]:
    """Let a product show these images in this order, by an import or in the admin."""
    if request.param == "import":
        return lambda product, images: import_product(tmp_path, product, images)
    return lambda product, images: save_in_admin(admin_client, product, images)


def test_another_first_picture(show: Callable[..., None]) -> None:
    create_model_version()
    bag, dress, unseen = create_painted_image("Bag"), create_painted_image("Dress"), "https://shop.example/new.jpg"
    product, other = create_product(images=[bag]), create_product(images=[dress])
    label_everything()
    show(product, [dress])
    assert get_label(product) == ("Dress", "labelled")
    new = Image.objects.create(url=unseen)
    show(product, [new])
    assert get_label(product) == ("", "pending")
    show(product, [bag])
    assert get_label(product) == ("Bag", "labelled")
    assert get_label(other) == ("Dress", "labelled")


def test_the_first_picture_removed(show: Callable[..., None]) -> None:
    create_model_version()
    bag, dress = create_painted_image("Bag"), create_painted_image("Dress")
    product = create_product(images=[bag, dress])
    label_everything()
    show(product, [dress])
    assert get_label(product) == ("Dress", "labelled")
    show(product, [])
    assert get_label(product) == ("", "no_image")


def test_two_pictures_exchanged(show: Callable[..., None]) -> None:
    create_model_version()
    bag, dress = create_painted_image("Bag"), create_painted_image("Dress")
    product = create_product(images=[bag, dress])
    label_everything()
    show(product, [dress, bag])
    assert get_label(product) == ("Dress", "labelled")


def test_an_address_replaced_in_the_admin(admin_client: Client, reviewer: User) -> None:
    create_model_version()
    bag, dress = create_painted_image("Bag"), create_painted_image("Dress")
    products = [create_product(images=[bag]), create_product(images=[dress, bag])]
    label_everything()
    record_review(bag, group="Footwear", reviewer=reviewer)
    address = f"/admin/catalog/image/{bag.pk}/replace-address/"
    assert "Products that show this image: 2." in admin_client.get(address).text
    assert admin_client.post(address, {"url": "javascript:alert(1)"}).status_code == 400
    response = admin_client.post(address, {"url": "https://new.example/1.jpg"})
    new = Image.objects.get(url="https://new.example/1.jpg")
    assert response.headers["Location"] == f"/admin/catalog/image/{new.pk}/change/"
    assert [get_label(product) for product in products] == [("", "pending"), ("Dress", "labelled")]
    assert list(ProductImages.objects.filter(image=new).order_by("product").values_list("image_index", flat=True)) == [
        0,
        1,
    ]
    assert Review.objects.get().image == bag
    # To an address whose picture is known.
    assert replace_image(new, url=dress.url) == (dress, 2)
    assert get_label(products[0]) == ("Dress", "labelled")


def test_the_address_of_an_image_is_read_only_in_the_admin(admin_client: Client) -> None:
    image = create_painted_image("Bag")
    admin_client.post(f"/admin/catalog/image/{image.pk}/change/", {"url": "https://other.example/1.jpg"})
    assert Image.objects.get().url == image.url


def test_an_image_shared_by_two_products_has_one_label(reviewer: User) -> None:
    create_model_version()
    bag = create_painted_image("Bag")
    products = [create_product(images=[bag]), create_product(images=[bag])]
    label_everything()
    assert {get_label(product) for product in products} == {("Bag", "labelled")}
    record_review(bag, group="One piece", garment="Dress", reviewer=reviewer)
    assert {get_label(product) for product in products} == {("Dress", "reviewed")}


def test_a_product_deleted_by_a_superuser_goes_with_its_label(admin_client: Client, reviewer: User) -> None:
    create_model_version()
    bag = create_painted_image("Bag")
    gone, chosen, left = (create_product(images=[bag]) for _ in range(3))
    label_everything()
    record_review(bag, group="Footwear", reviewer=reviewer)
    assert admin_client.post(f"/admin/catalog/product/{gone.pk}/delete/", {"post": "yes"}).status_code == 302
    data = {"action": "delete_selected", "_selected_action": [chosen.pk], "post": "yes"}
    admin_client.post("/admin/catalog/product/", data)
    assert list(ProductLabel.objects.values_list("product_id", "group")) == [(left.pk, "Footwear")]
    last = LabelChange.objects.filter(product_id=gone.pk).first()
    assert last is not None
    assert (last.old_group, last.new_status, last.why) == ("Footwear", "", "deleted")
    assert Review.objects.get().image == bag


def test_an_image_deleted_by_a_superuser_takes_what_was_said_of_it(admin_client: Client, reviewer: User) -> None:
    create_model_version()
    bag = create_painted_image("Bag")
    data = default_storage.open(bag.url).read()
    # The same picture at another address, which other products show.
    twin = Image.objects.create(url=default_storage.save("twin.png", ContentFile(data)))
    first, second = create_product(images=[bag]), create_product(images=[twin])
    label_everything()
    record_review(bag, group="Footwear", reviewer=reviewer)
    assert get_label(second) == ("", "reviewed")
    assert admin_client.post(f"/admin/catalog/image/{bag.pk}/delete/", {"post": "yes"}).status_code == 302
    assert get_label(first) == ("", "no_image")
    assert get_label(second) == ("", "reviewed")
    assert Review.objects.get().image is None
    assert not Classification.objects.filter(image_id=bag.pk).exists()


def relabel_with(image: Image, data: bytes) -> None:
    """Put other bytes under the image's name, and label it again."""
    default_storage.delete(image.url)
    assert default_storage.save(image.url, ContentFile(data)) == image.url
    start_labelling_run(relabel=True)
    due = list(LabelTask.objects.due().values_list("pk", flat=True))
    label_batch(due, get_classifier=lambda _: FakeClassifier())


def test_other_bytes_at_the_same_address_after_a_relabelling(reviewer: User) -> None:
    create_model_version()
    bag = create_painted_image("Bag")
    product = create_product(images=[bag])
    label_everything()
    record_review(bag, group="Footwear", reviewer=reviewer)
    assert get_label(product) == ("", "reviewed")
    dress = create_painted_image("Dress")
    relabel_with(bag, default_storage.open(dress.url).read())
    # The person spoke of another picture.
    assert get_label(product) == ("Dress", "labelled")


def test_a_text_changed(tmp_path: Path, admin_client: Client) -> None:
    create_model_version()
    bag = create_painted_image("Bag")
    product = create_product(images=[bag])
    label_everything()
    texts = [{"country_code": "us", "original_text": "Sandal", "translated_text": None}]
    import_product(tmp_path, product, [bag], descriptions=texts)
    save_in_admin(admin_client, product, [bag], title="Another title")
    assert get_label(product) == ("Bag", "labelled")


def test_a_review_given_and_withdrawn(reviewer: User) -> None:
    create_model_version()
    bag = create_painted_image("Bag")
    product = create_product(images=[bag])
    label_everything()
    first = record_review(bag, group="Footwear", reviewer=reviewer)
    second = record_review(bag, group="One piece", garment="Dress", reviewer=reviewer)
    assert get_label(product) == ("Dress", "reviewed")
    assert withdraw_reviews(Review.objects.filter(pk=second.pk)) == 1
    assert (get_label(product), product.label.group) == (("", "reviewed"), "Footwear")
    assert withdraw_reviews(Review.objects.filter(pk=first.pk)) == 1
    assert withdraw_reviews(Review.objects.all()) == 0
    assert get_label(product) == ("Bag", "labelled")
    changes = LabelChange.objects.filter(product_id=product.pk).order_by("pk").values_list("why", flat=True)
    assert list(changes) == ["classified", "reviewed", "reviewed", "withdrawn", "withdrawn"]


def test_a_review_given_and_withdrawn_over_http(client: Client) -> None:
    create_model_version()
    bag = create_painted_image("Bag")
    product = create_product(images=[bag])
    label_everything()
    sign_in(client, "add_review")
    answer = client.post("/api/v1/reviews/", {"image": bag.pk, "group": "Footwear"}, content_type="application/json")
    assert get_label(product) == ("", "reviewed")
    address = f"/api/v1/reviews/{answer.json()['id']}/withdraw/"
    response = client.post(address)
    assert (response.status_code, response.json()["withdrawn_at"] is None) == (200, False)
    assert get_label(product) == ("Bag", "labelled")
    assert client.post(address).status_code == 200
    client.force_login(create_member("add_review"))
    assert client.post(address).status_code == 403


def test_a_review_given_before_the_picture_binds_to_the_first_bytes(reviewer: User) -> None:
    create_model_version()
    bag = create_painted_image("Bag")
    product = create_product(images=[bag])
    review = record_review(bag, group="Footwear", reviewer=reviewer)
    assert (review.appearance, get_label(product)) == ("", ("", "reviewed"))
    label_everything()
    review.refresh_from_db()
    assert review.appearance == Image.objects.get(pk=bag.pk).stored_picture.sha256
    assert get_label(product) == ("", "reviewed")
    relabel_with(bag, default_storage.open(create_painted_image("Dress").url).read())
    assert get_label(product) == ("Dress", "labelled")
