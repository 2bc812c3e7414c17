"""The review page as the site makes it: what is lent, what is shown of it, and what its form records."""

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from catalog.models import Product, ProductLabel
from classifier.models import QueueName, Review, ReviewBatch, ReviewTile
from classifier.reviews.services import record_review
from tests.support.factories import create_product
from tests.support.fakes import create_model_version, create_painted_image
from tests.support.labels import label_everything
from tests.support.members import create_member, sign_in

pytestmark = pytest.mark.django_db

PAGE = "/review/unsure/"


@pytest.fixture
def reviewer(client: Client) -> User:
    """Somebody who may give labels, signed in."""
    return sign_in(client, "add_review")


def create_unsure(number: int) -> list[Product]:
    """Create products whose pictures the fake classifier is not sure of."""
    create_model_version()
    titles = [f"Thing {position}" for position in range(number)]
    products = [create_product(title=title, images=[create_painted_image("Bag", unsure=True)]) for title in titles]
    label_everything()
    return products


def get_image(product: Product) -> int:
    return product.product_images.get().image_id


def read(client: Client, address: str = PAGE) -> str:
    response = client.get(address)
    assert response.status_code == 200
    return response.content.decode()


def send(client: Client, page: str, **fields: str) -> str:
    """Send the form of a page, with what it hides and these fields; return the page that it leads to."""
    (address,) = re.findall(r'<form id="review" method="post" action="([^"]+)"', page)
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page))
    response = client.post(f"{PAGE}{address}", hidden | fields, follow=True)
    return response.content.decode()


def test_a_page_is_the_same_until_it_is_done_and_the_next_one_is_fetched_once(client: Client, reviewer: User) -> None:
    products = create_unsure(30)
    page, again = (re.findall("<ol.*</ol>", read(client), re.DOTALL) for _ in range(2))
    assert page[0].count("<li data-image=") == 24
    assert "Thing 0" in page[0]
    assert again == page
    (batch,) = ReviewBatch.objects.all()
    ahead = read(client, f"{PAGE}?after={batch.pk}")
    assert ahead.count("<li data-image=") == 6
    assert "<html" not in ahead
    assert read(client, f"{PAGE}?after={batch.pk}") == ahead
    assert ReviewTile.objects.count() == len(products)
    assert "<li data-image=" not in read(client, f"{PAGE}?after={ReviewBatch.objects.latest('pk').pk}")


def test_a_tile_says_what_is_suggested_and_how_sure_it_is(client: Client, reviewer: User) -> None:
    (product,) = create_unsure(1)
    confidence = ProductLabel.objects.get(product=product).confidence or 0.0
    page = read(client)
    assert 'data-suggestion="Bags"' in page
    assert f"{100 * confidence:.0f} %" in page


def test_a_blind_tile_shows_nothing_of_any_label(client: Client, reviewer: User) -> None:
    (product,) = create_unsure(1)
    record_review(product.product_images.get().image, group="Footwear", reviewer=create_member())
    batch = ReviewBatch.objects.create(reviewer=reviewer, queue=QueueName.UNSURE, expires_at="2100-01-01T00:00Z")
    ReviewTile.objects.create(batch=batch, product=product, image_id=get_image(product), position=0, blind=True)
    (tile,) = re.findall(r"<li data-image=.*?<fieldset>", read(client), re.DOTALL)
    look = read(client, re.findall(r'data-look="([^"]+)"', tile)[0])
    for shown in (tile, look):
        assert not re.search("Bag|Footwear|said|%", re.sub(r'class="[^"]+"', "", shown))
    assert "No suggestion" in tile
    assert product.title in look


def test_another_persons_label_is_shown_beside(client: Client, reviewer: User) -> None:
    (product,) = create_unsure(1)
    other = create_member()
    record_review(product.product_images.get().image, group="Footwear", reviewer=other)
    page = read(client, "/review/list/?status=reviewed")
    assert f"{other.username} said Footwear." in page
    assert "100 %" not in page


def test_the_form_records_what_is_chosen_and_with_rest_what_is_suggested(client: Client, reviewer: User) -> None:
    products = create_unsure(4)
    images = [get_image(product) for product in products]
    chosen = {f"label-{images[0]}": "Footwear", f"label-{images[1]}": "unusable"}
    page = send(client, read(client), **chosen)
    assert list(Review.objects.order_by("image").values_list("image", "verdict", "group", "suggestion")) == [
        (images[0], "group", "Footwear", "Bags"),
        (images[1], "unusable", "", "Bags"),
    ]
    assert page.count(" checked") == 2
    send(client, page, **chosen, rest="accept")
    assert list(Review.objects.order_by("image").values_list("image", "group")) == [
        (images[0], "Footwear"),
        (images[1], ""),
        (images[2], "Bags"),
        (images[3], "Bags"),
    ]
    assert "Nothing waits here" in read(client)


def test_the_form_writes_over_nobody(client: Client, reviewer: User) -> None:
    (product,) = create_unsure(1)
    page, other = read(client), create_member()
    record_review(product.product_images.get().image, group="Footwear", reviewer=other)
    page = send(client, page, **{f"label-{get_image(product)}": "Bags"})
    assert f"{other.username} said Footwear since this was shown; that label stands." in page
    assert Review.objects.get().reviewer == other


def test_what_the_form_says_was_seen_may_be_no_number_that_there_is(client: Client, reviewer: User) -> None:
    (product,) = create_unsure(1)
    image = get_image(product)
    send(client, read(client), **{f"label-{image}": "Bags", f"seen-{image}": "9" * 5_000})
    assert Review.objects.get().group == "Bags"


def test_the_form_refuses_what_is_no_label(client: Client, reviewer: User) -> None:
    (product,) = create_unsure(1)
    page = send(client, read(client), **{f"label-{get_image(product)}": "Hats"})
    assert "Expected a verdict out of group, none_of_these, unusable; received &#x27;Hats&#x27;." in page
    assert not Review.objects.exists()


@pytest.mark.parametrize(
    "address, status",
    [("/review/nothing/", 404), ("/review/unsure/?after=x", 400), ("/review/list/?confidence_below=2", 400)],
)
def test_an_address_that_is_none_is_refused(client: Client, reviewer: User, address: str, status: int) -> None:
    assert client.get(address).status_code == status


def test_a_form_of_somebody_elses_page_is_refused(client: Client, reviewer: User) -> None:
    batch = ReviewBatch.objects.create(reviewer=create_member(), queue="unsure", expires_at="2100-01-01T00:00Z")
    for query in (f"?batch={batch.pk}", ""):
        assert client.post(f"{PAGE}{query}").status_code == 404


def test_a_page_costs_the_same_number_of_queries_however_full(
    client: Client, reviewer: User, django_assert_max_num_queries
) -> None:
    create_unsure(3)
    read(client)
    with django_assert_max_num_queries(12):
        read(client)


def test_the_menu_says_how_many_wait_to_whoever_may_give_labels(client: Client) -> None:
    create_unsure(3)
    menu = re.compile(r'href="/review/"[^>]*>Review <span class="count">3<')
    assert not menu.search(read(client, "/products/"))
    sign_in(client, "add_review")
    assert menu.search(read(client, "/products/"))
    assert menu.search(read(client, reverse("review-queue-list")))
    sign_in(client, "view_review")
    assert not menu.search(read(client, "/products/"))
