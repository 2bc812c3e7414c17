"""The label as it was at any time, what it was made of, and the feed of changes."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from catalog.models import Product
from classifier.models import Classification, LabelChange, Review, TextPrecision
from classifier.reviews.services import record_review, withdraw_reviews
from tests.support.factories import create_product
from tests.support.fakes import create_model_version, create_painted_image
from tests.support.labels import label_everything
from tests.support.members import create_member

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

CHANGES = "/api/v1/labels/changes/"


@pytest.fixture
def reviewer() -> User:
    return User.objects.create_user("reviewer")


def get_product(client: Client, product: Product, at: datetime | None = None) -> dict[str, Any]:
    response = client.get(f"/api/v1/products/{product.pk}/", {"as_of": at.isoformat()} if at else {})
    assert response.status_code == 200, response.content
    return response.json()


def list_labels(client: Client, at: datetime | None = None) -> list[dict[str, Any]]:
    response = client.get("/api/v1/products/", {"as_of": at.isoformat()} if at else {})
    assert response.status_code == 200, response.content
    return [product["label"] for product in response.json()["results"]]


def test_a_label_at_each_time_is_what_the_api_said_then(client: Client, reviewer: User) -> None:
    create_model_version()
    image = create_painted_image("Bag")
    product = create_product(images=[image])
    said = [(get_product(client, product)["label"], timezone.now())]
    steps = (
        label_everything,
        lambda: record_review(image, group="Footwear", garment="Sandal", reviewer=reviewer),
        lambda: withdraw_reviews(Review.objects.all()),
        lambda: label_everything(),
    )
    for step in steps:
        step()
        said.append((get_product(client, product)["label"], timezone.now()))

    assert [label["garment"] for label, _ in said] == [None, "Bag", "Sandal", "Bag", "Bag"]
    for label, at in said:
        assert get_product(client, product, at)["label"] == label
        assert list_labels(client, at) == [label]
    assert get_product(client, product, timezone.now() - timedelta(days=900))["label"]["status"] == "pending"


def test_the_same_label_given_again_leaves_the_past_alone(client: Client) -> None:
    create_model_version()
    create_product(images=[create_painted_image("Bag")])
    label_everything()
    before, at = list_labels(client), timezone.now()
    label_everything(relabel=True)

    assert list_labels(client) != before
    assert list_labels(client, at) == before


def test_a_product_that_comes_with_a_known_picture_has_a_first_change(client: Client) -> None:
    create_model_version()
    image = create_painted_image("Bag")
    create_product(images=[image])
    label_everything()
    before = timezone.now()
    late = create_product(images=[image])

    (change,) = LabelChange.objects.filter(product_id=late.pk)
    assert (change.old_status, change.new_status, change.new_garment) == ("pending", "labelled", "Bag")
    assert get_product(client, late, before)["label"]["status"] == "pending"
    assert get_product(client, late, timezone.now())["label"]["garment"] == "Bag"


def test_a_label_older_than_its_history_is_pending_before_it_was_given(client: Client) -> None:
    create_model_version()
    product = create_product(images=[create_painted_image("Bag")])
    label_everything()
    LabelChange.objects.all().delete()
    given_at = product.label.labelled_at

    assert get_product(client, product, given_at - timedelta(seconds=1))["label"]["status"] == "pending"
    assert get_product(client, product, given_at)["label"]["garment"] == "Bag"


@pytest.mark.parametrize(
    "query,names",
    [
        ("as_of=2026-01-01T00:00:00Z&group=Bags", {"group"}),
        ("as_of=2026-01-01T00:00:00Z&ordering=-confidence&status=failed", {"ordering", "status"}),
        ("as_of=2026-01-01T00:00:00Z&search=shirt", {"search"}),
        ("as_of=2999-01-01T00:00:00Z", {"as_of"}),
        ("as_of=yesterday", {"as_of"}),
    ],
)
def test_a_time_goes_with_no_filter(client: Client, query: str, names: set[str]) -> None:
    response = client.get(f"/api/v1/products/?{query}")
    assert response.status_code == 400
    assert set(response.json()["errors"]) == names


def test_a_time_goes_with_country_order_and_pages(client: Client) -> None:
    for number in range(3):
        create_product(images=[f"https://shop.example/{number}.jpg"], descriptions={"de": ("Hemd", "Shirt")})
    address = "/api/v1/products/?as_of=2026-01-01T00:00:00Z&country=de&ordering=-id&page_size=2&group="
    first = client.get(address).json()
    second = client.get(first["next"]).json()
    found = first["results"] + second["results"]
    assert [product["id"] for product in found] == sorted((product["id"] for product in found), reverse=True)
    assert [(product["description"], product["label"]["status"]) for product in found] == [("Shirt", "pending")] * 3
    assert second["next"] is None


def test_a_list_of_the_past_costs_as_many_queries_whatever_its_size(
    client: Client, django_assert_max_num_queries
) -> None:
    create_model_version()
    for _ in range(12):
        create_product(images=[create_painted_image("Bag")])
    label_everything()
    at = timezone.now().isoformat()
    for size in (1, 12):
        with django_assert_max_num_queries(4):
            assert len(client.get("/api/v1/products/", {"as_of": at, "page_size": size}).json()["results"]) == size


def test_provenance_then_and_now(client: Client, reviewer: User) -> None:
    former = create_model_version()
    TextPrecision.objects.create(country="us", precision=1.0, has_vote=True)
    image = create_painted_image("Bag")
    product = create_product("Leather belt", images=[image], descriptions={"us": ("soft", None)})
    label_everything()
    sha256 = image.stored_picture.sha256
    run = Classification.objects.get().run_id
    now = get_product(client, product)
    at = timezone.now()
    review = record_review(image, group="Bags", garment="Bag", reviewer=reviewer)
    Product.objects.filter(pk=product.pk).update(title="Something else")

    provenance = get_product(client, product, at)["provenance"]
    assert provenance == now["provenance"]
    assert (provenance["sha256"], provenance["run"], provenance["review"]) == (sha256, run, None)
    assert (provenance["model_version"], provenance["evidence"], provenance["why"]) == (
        former.name,
        "text",
        "classified",
    )
    assert provenance["thresholds"]["Bags"] == 0.9
    assert [(word["word"], word["says"]) for word in provenance["texts"]["words"]] == [("belt", "none_of_these")]
    after = get_product(client, product)["provenance"]
    assert (after["review"], after["why"], after["texts"], after["thresholds"]) == (review.pk, "reviewed", None, None)


def test_the_feed_tells_every_change_with_its_place(client: Client, reviewer: User) -> None:
    version = create_model_version()
    image = create_painted_image("Bag")
    product = create_product(images=[image])
    other = create_product(images=[create_painted_image("Dress")])
    label_everything()
    review = record_review(image, group="Footwear", reviewer=reviewer)
    Product.objects.get(pk=other.pk)
    client.force_login(create_member("view_labelchange"))

    body = client.get(CHANGES, {"page_size": 2}).json()
    rest = client.get(body["next"]).json()
    (last,) = rest["results"]
    assert (rest["next"], rest["after"]) == (None, last["id"])
    assert [change["product"] for change in body["results"]] == [product.pk, other.pk]
    assert (last["product"], last["why"], last["review"], last["version"]) == (
        product.pk,
        "reviewed",
        review.pk,
        version.name,
    )
    assert (last["from"]["garment"], last["from"]["model_version"]) == ("Bag", version.name)
    assert (last["to"]["group"], last["to"]["garment"], last["to"]["status"]) == ("Footwear", None, "reviewed")
    assert last["sha256"] == image.stored_picture.sha256
    assert client.get(CHANGES, {"after": last["id"]}).json() == {"next": None, "after": last["id"], "results": []}
    of_product = client.get(CHANGES, {"product": product.pk}).json()["results"]
    assert [change["why"] for change in of_product] == ["classified", "reviewed"]


def test_the_feed_says_that_a_product_is_gone(client: Client, admin_client: Client) -> None:
    product = create_product(images=[create_painted_image("Bag")])
    admin_client.post(f"/admin/catalog/product/{product.pk}/delete/", {"post": "yes"})
    (change,) = admin_client.get(CHANGES).json()["results"]
    assert (change["product"], change["why"], change["to"]) == (product.pk, "deleted", None)


@pytest.mark.parametrize("query", ["after=-1", "page_size=1001", "cursor=x", "product=0"])
def test_the_feed_refuses_what_it_does_not_know(client: Client, query: str) -> None:
    client.force_login(create_member("view_labelchange"))
    assert client.get(f"{CHANGES}?{query}").status_code == 400
