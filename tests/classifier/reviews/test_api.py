"""Reviews, queues and leases over HTTP."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from catalog.models import Image, ProductLabel
from classifier.models import AnsweredCall, Review, ReviewBatch
from classifier.reviews.idempotency import KEPT, forget_old_answers
from classifier.reviews.serializers import MAXIMUM_REVIEWS
from classifier.reviews.services import record_review
from tests.classifier.reviews.test_batches import create_unsure, expire
from tests.support.factories import create_image, create_product
from tests.support.json_calls import post
from tests.support.members import build_token_header, create_member, sign_in

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

REVIEWS, BATCHES, QUEUES = "/api/v1/reviews/", "/api/v1/review-batches/", "/api/v1/queues/"


@pytest.fixture
def reviewer(client: Client) -> User:
    return sign_in(client, "add_review", "view_review")


def create_images(number: int) -> list[Image]:
    return [create_product(images=[create_image()]).product_images.get().image for _ in range(number)]


def list_outcomes(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.json()
    return [result["outcome"] for result in answer.json()["results"]]


def test_a_page_is_lent_reviewed_and_read_back(client: Client, reviewer: User) -> None:
    create_unsure(3)
    (queue,) = [queue for queue in client.get(QUEUES).json() if queue["name"] == "unsure"]
    assert (queue["title"], queue["count"]) == ("Unsure", 3)
    answer = post(client, BATCHES, {"queue": "unsure", "size": 2})
    batch = answer.json()
    assert (answer.status_code, len(batch["tiles"])) == (201, 2)
    tile = batch["tiles"][0]
    assert (tile["suggestion"], tile["garment"], tile["state"], tile["seen_review"]) == ("Bags", "Bag", "open", None)
    assert client.get(tile["full_size_url"]).status_code == 200
    given = [
        {"image": tile["image"], "appearance": tile["appearance"], "batch": batch["id"], **label}
        for tile, label in zip(batch["tiles"], ({"group": "Bags"}, {"verdict": "none_of_these"}), strict=True)
    ]
    answer = post(client, REVIEWS, given)
    assert list_outcomes(answer) == ["recorded", "recorded"]
    review = answer.json()["results"][0]["review"]
    assert (review["queue"], review["suggestion"], review["batch"], review["reviewer"]) == (
        "unsure",
        "Bags",
        batch["id"],
        reviewer.username,
    )
    assert [tile["state"] for tile in client.get(f"{BATCHES}{batch['id']}/").json()["tiles"]] == ["reviewed"] * 2
    assert [row["verdict"] for row in client.get(f"{REVIEWS}?batch={batch['id']}").json()["results"]] == [
        "none_of_these",
        "group",
    ]
    assert {label.status for label in ProductLabel.objects.filter(source="person")} == {"reviewed", "none_of_these"}


def test_where_nothing_waits_there_is_no_batch(client: Client, reviewer: User) -> None:
    answer = post(client, BATCHES, {"queue": "unsure"})
    nothing = {"id": None, "queue": "unsure", "filter": {}, "expires_at": None, "tiles": []}
    assert (answer.status_code, answer.json()) == (200, nothing)
    assert not ReviewBatch.objects.exists()


@pytest.mark.parametrize(
    "asked, name",
    [
        ({"queue": "hats"}, "queue"),
        ({"queue": "unsure", "size": 97}, "size"),
        ({"queue": "unsure", "filter": {"group": ["Bags"]}}, "filter"),
        ({"queue": "list", "filter": {"group": ["Hats"]}}, "filter"),
        ({"queue": "list", "filter": {"grup": "Bags"}}, "filter"),
        ({"queue": "list", "filter": []}, "filter"),
    ],
)
def test_tiles_that_nobody_can_lend_are_refused(client: Client, reviewer: User, asked: dict, name: str) -> None:
    answer = post(client, BATCHES, asked)
    assert (answer.status_code, list(answer.json()["errors"])) == (400, [name])


def test_a_lease_is_renewed_by_its_reviewer_alone(client: Client, reviewer: User) -> None:
    create_unsure(1)
    batch = post(client, BATCHES, {"queue": "unsure"}).json()
    assert post(client, f"{BATCHES}{batch['id']}/renew/").json()["expires_at"] > batch["expires_at"]
    other = Client()
    sign_in(other, "add_review")
    assert post(other, f"{BATCHES}{batch['id']}/renew/").status_code == 404
    expire(ReviewBatch.objects.get())
    assert len(post(other, BATCHES, {"queue": "unsure"}).json()["tiles"]) == 1
    assert post(client, f"{BATCHES}{batch['id']}/renew/").status_code == 409


def test_a_single_review_over_anothers_label_is_a_conflict_with_that_label(client: Client, reviewer: User) -> None:
    (image,) = create_images(1)
    standing = record_review(image, group="Footwear", reviewer=create_member())
    answer = post(client, REVIEWS, {"image": image.pk, "group": "Bags"})
    problem = answer.json()
    assert (answer.status_code, answer.headers["Content-Type"]) == (409, "application/problem+json")
    assert (problem["outcome"], problem["standing"]["id"]) == ("conflict", standing.pk)
    assert problem["detail"].endswith("said Footwear since this was shown; that label stands.")
    answer = post(client, REVIEWS, {"image": image.pk, "group": "Bags", "seen_review": standing.pk})
    assert answer.status_code == 201


def test_what_is_no_review_is_said_for_each_and_the_others_are_recorded(client: Client, reviewer: User) -> None:
    first, second, third = create_images(3)
    given = [
        {"image": first.pk, "group": "Bags", "garment": "Dress"},
        {"image": second.pk, "group": "Bags"},
        "a word",
        {"image": third.pk, "verdict": "unusable", "group": "Bags"},
        {"group": "Bags"},
    ]
    answer = post(client, REVIEWS, given)
    assert list_outcomes(answer) == ["invalid", "recorded", "invalid", "invalid", "invalid"]
    errors = [list(result["errors"] or {}) for result in answer.json()["results"]]
    assert errors == [["garment"], [], ["non_field_errors"], ["group"], ["image"]]
    assert Review.objects.get().image == second


def test_too_many_reviews_are_refused_together(client: Client, reviewer: User) -> None:
    (image,) = create_images(1)
    answer = post(client, REVIEWS, [{"image": image.pk, "group": "Bags"}] * (MAXIMUM_REVIEWS + 1))
    assert (answer.status_code, Review.objects.count()) == (400, 0)
    assert answer.json()["errors"] == {"non_field_errors": ["Expected 1 to 200 reviews in one call; received 201."]}
    assert post(client, REVIEWS, [{"image": image.pk, "group": "Bags"}] * 10_000).status_code == 400


def test_a_call_that_is_sent_twice_is_recorded_once(client: Client, reviewer: User) -> None:
    first, second = create_images(2)
    given = [{"image": first.pk, "group": "Bags"}, {"image": second.pk, "group": "Footwear"}]
    answers = [post(client, REVIEWS, given, Idempotency_Key="page-1").json() for _ in range(2)]
    assert answers[0] == answers[1]
    assert Review.objects.count() == 2
    answer = post(client, REVIEWS, given[:1], Idempotency_Key="page-1")
    assert (answer.status_code, Review.objects.count()) == (422, 2)
    other = Client()
    sign_in(other, "add_review")
    assert list_outcomes(post(other, REVIEWS, given, Idempotency_Key="page-1")) == ["recorded"] * 2
    single = {"image": first.pk, "group": "Footwear"}
    assert [post(client, REVIEWS, single, Idempotency_Key="tile").status_code for _ in range(2)] == [409, 409]
    assert post(client, REVIEWS, {"image": first.pk}, Idempotency_Key="bad").status_code == 400
    assert post(client, REVIEWS, single, Idempotency_Key="é").status_code == 400


def test_old_answers_are_forgotten(client: Client, reviewer: User) -> None:
    (image,) = create_images(1)
    for key in ("old", "new"):
        post(client, REVIEWS, {"image": image.pk, "group": "Bags"}, Idempotency_Key=key)
    old = AnsweredCall.objects.get(key="old")
    AnsweredCall.objects.filter(key="old").update(created_at=old.created_at - KEPT)
    assert forget_old_answers() == 1
    assert AnsweredCall.objects.get().key == "new"


def test_reviews_are_listed_by_what_is_asked_in_a_constant_number_of_queries(client: Client, reviewer: User) -> None:
    images, other = create_images(4), create_member()
    reviews = [record_review(image, group="Bags", reviewer=reviewer) for image in images]
    reviews.append(record_review(images[0], group="Footwear", reviewer=other))
    post(client, f"{REVIEWS}{reviews[1].pk}/withdraw/")

    def list_ids(query: str) -> list[int]:
        return [row["id"] for row in client.get(f"{REVIEWS}?{query}").json()["results"]]

    assert list_ids("") == [review.pk for review in reversed(reviews)]
    assert list_ids(f"image={images[0].pk}") == [reviews[4].pk, reviews[0].pk]
    assert list_ids(f"reviewer={other.username}") == [reviews[4].pk]
    assert list_ids("withdrawn=true") == [reviews[1].pk]
    assert list_ids("withdrawn=false&page_size=2") == [reviews[4].pk, reviews[3].pk]
    assert list_ids("queue=audit") == []
    assert client.get(f"{REVIEWS}?group=Bags").status_code == 400
    assert post(client, f"{REVIEWS}?image=1", {}).status_code == 400
    numbers = []
    for size in (1, 4):
        with CaptureQueriesContext(connection) as queries:
            list_ids(f"page_size={size}")
        numbers.append(len(queries))
    assert numbers[0] == numbers[1]


def test_a_withdrawn_review_gives_the_label_back(client: Client, reviewer: User) -> None:
    create_unsure(1)
    tile = post(client, BATCHES, {"queue": "unsure"}).json()["tiles"][0]
    review = post(client, REVIEWS, {"image": tile["image"], "verdict": "unusable"}).json()
    answer = post(client, f"{REVIEWS}{review['id']}/withdraw/").json()
    assert answer["withdrawn_at"] is not None
    assert ProductLabel.objects.get().status == "needs_review"


def test_a_token_reviews_as_a_session_does(client: Client) -> None:
    (image,) = create_images(1)
    member = create_member("add_review")
    header = build_token_header(member)
    answer = Client(headers=header).post(
        REVIEWS, [{"image": image.pk, "group": "Bags"}], content_type="application/json"
    )
    assert list_outcomes(answer) == ["recorded"]
    assert Review.objects.get().reviewer == member
