"""Reviews with what their reviewers saw: each has a result, and nothing is written over unseen."""

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from catalog.models import Image, ProductImages, ProductLabel, StoredPicture
from classifier.models import LabelChange, Review, ReviewBatch, Verdict
from classifier.reviews.recording import Outcome, Submission, submit_reviews
from classifier.reviews.services import ReviewError, check_label, record_review, withdraw_reviews
from tests.classifier.reviews.test_batches import create_unsure, expire, list_tiles, start
from tests.support.factories import create_image, create_product
from tests.support.members import create_member

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def create_shown_image() -> Image:
    return create_product(images=[create_image()]).product_images.get().image


def get_label(image: Image) -> tuple[str, str, str]:
    label = ProductLabel.objects.get(product__product_images__image=image)
    return label.status, label.group, label.source


@pytest.mark.parametrize("verdict", ["none_of_these", "unusable"])
def test_a_verdict_without_a_group_is_a_label(verdict: str) -> None:
    image, reviewer = create_shown_image(), create_member()
    (result,) = submit_reviews([Submission(image=image.pk, verdict=verdict)], reviewer=reviewer)
    assert (result.outcome, result.review.words) == ("recorded", Verdict(verdict).label)
    assert get_label(image) == (verdict, "", "person")
    assert ProductLabel.objects.get().confidence is None
    assert LabelChange.objects.latest("id").new_words == Verdict(verdict).label.lower()
    withdraw_reviews(Review.objects.all())
    assert get_label(image) == ("pending", "", "")


def test_a_withdrawn_review_leaves_its_tile_open_while_it_is_lent_and_free_afterwards() -> None:
    create_unsure(3)
    reviewer, other = create_member(), create_member()
    batch = start(reviewer)
    tiles = list_tiles(batch)
    given = submit_reviews(
        [Submission(image=tile.row.image_id, group="Bags", batch=batch.pk) for tile in tiles], reviewer=reviewer
    )
    first, second, third = (result.review for result in given)
    withdraw_reviews(Review.objects.filter(pk=first.pk))
    assert [tile.row.state for tile in list_tiles(batch)] == ["open", "reviewed", "reviewed"]
    # While something else is said of it, it stays reviewed.
    again = Submission(image=second.image_id, group="Footwear", seen_review=second.pk, batch=batch.pk)
    submit_reviews([again], reviewer=reviewer)
    withdraw_reviews(Review.objects.filter(pk=second.pk))
    assert [tile.row.state for tile in list_tiles(batch)] == ["open", "reviewed", "reviewed"]
    expire(batch)
    withdraw_reviews(Review.objects.filter(pk=third.pk))
    assert [tile.row.state for tile in list_tiles(batch)] == ["open", "reviewed", "freed"]
    assert len(list_tiles(start(other))) == 2
    assert [tile.row.state for tile in list_tiles(batch)] == ["freed", "reviewed", "freed"]


@pytest.mark.parametrize(
    "label, message",
    [
        ({"group": ""}, "Expected a group out of"),
        ({"group": "Bags", "garment": "Dress"}, r"Expected a garment of Bags \(Bag\)"),
        ({"group": "Bags", "verdict": "unusable"}, "Expected no group and no garment beside unusable"),
        ({"group": "", "garment": "Bag", "verdict": "none_of_these"}, "received 'Bag'"),
        ({"group": "", "verdict": "perhaps"}, "Expected a verdict out of"),
    ],
)
def test_a_label_that_does_not_fit_is_refused_by_rule_and_by_row(label: dict[str, str], message: str) -> None:
    with pytest.raises(ReviewError, match=message):
        check_label(**label)
    with pytest.raises(IntegrityError), transaction.atomic():
        Review.objects.create(image=create_image(), reviewer=create_member(), **label)


def test_whoever_comes_second_gets_the_label_of_the_first() -> None:
    image, first, second = create_shown_image(), create_member(), create_member()
    ours = Submission(image=image.pk, group="Bags")
    (recorded,) = submit_reviews([ours], reviewer=first)
    theirs = Submission(image=image.pk, group="Footwear")
    (refused,) = submit_reviews([theirs], reviewer=second)
    assert (refused.outcome, refused.standing, refused.review) == (Outcome.CONFLICT, recorded.review, None)
    assert refused.detail == f"{first} said Bags since this was shown; that label stands."
    assert get_label(image)[1] == "Bags"
    (agreed,) = submit_reviews([ours], reviewer=second)
    assert agreed.outcome == Outcome.RECORDED
    seen = Submission(image=image.pk, group="Footwear", seen_review=agreed.review.pk)
    (replaced,) = submit_reviews([seen], reviewer=first)
    assert replaced.outcome == Outcome.RECORDED
    assert get_label(image)[1] == "Footwear"
    assert Review.objects.count() == 3


def test_two_pages_of_one_person_do_not_write_over_each_other() -> None:
    image, reviewer = create_shown_image(), create_member()
    submit_reviews([Submission(image=image.pk, group="Bags")], reviewer=reviewer)
    (refused,) = submit_reviews([Submission(image=image.pk, verdict="unusable")], reviewer=reviewer)
    assert refused.outcome == Outcome.CONFLICT
    assert refused.detail.startswith("You said Bags since this was shown, on another page perhaps")


def test_the_same_picture_twice_in_one_call_is_recorded_once() -> None:
    image, reviewer = create_shown_image(), create_member()
    results = submit_reviews(
        [Submission(image=image.pk, group=group) for group in ("Bags", "Footwear")], reviewer=reviewer
    )
    assert [result.outcome for result in results] == ["recorded", "conflict"]
    assert results[1].standing == results[0].review == Review.objects.get()


def test_a_picture_that_changed_is_not_labelled_by_what_was_seen_before() -> None:
    (product,) = create_unsure(1)
    reviewer = create_member()
    batch = start(reviewer)
    (tile,) = list_tiles(batch)
    StoredPicture.objects.filter(image=tile.row.image).update(sha256="f" * 64)
    submission = Submission(image=tile.row.image_id, group="Bags", appearance=tile.appearance, batch=batch.pk)
    (refused,) = submit_reviews([submission], reviewer=reviewer)
    assert (refused.outcome, Review.objects.count()) == (Outcome.PICTURE_CHANGED, 0)
    StoredPicture.objects.filter(image=tile.row.image).update(sha256=tile.appearance)
    ProductImages.objects.filter(product=product).update(image=create_image())
    (refused,) = submit_reviews([submission], reviewer=reviewer)
    assert refused.outcome == Outcome.PICTURE_CHANGED
    assert refused.detail == "The product shows another picture since then; look at it again."


def test_what_is_gone_is_said_and_the_others_are_recorded() -> None:
    first, second = create_unsure(2)
    reviewer = create_member()
    batch = start(reviewer)
    images = [tile.row.image_id for tile in list_tiles(batch)]
    first.delete()
    results = submit_reviews(
        [Submission(image=image, group="Bags", batch=batch.pk) for image in [*images, 10**9]], reviewer=reviewer
    )
    assert [result.outcome for result in results] == ["gone", "recorded", "gone"]
    assert results[2].detail == f"Expected an image that exists; there is none with the id {10**9}."
    assert ProductLabel.objects.get(product=second).status == "reviewed"


def test_a_stale_lease_records_what_nobody_else_has() -> None:
    create_unsure(2)
    late, quick = create_member(), create_member()
    batch = start(late)
    first, second = list_tiles(batch)
    expire(batch)
    submissions = [Submission(image=tile.row.image_id, group="Bags", batch=batch.pk) for tile in (first, second)]
    taken = start(quick, size=1)
    results = submit_reviews(submissions, reviewer=late)
    assert [result.outcome for result in results] == ["lease_lost", "recorded"]
    assert results[0].detail == "Your page was left for too long: somebody else has this picture now."
    (result,) = submit_reviews([Submission(image=first.row.image_id, group="Bags", batch=taken.pk)], reviewer=quick)
    assert result.outcome == Outcome.RECORDED


def test_nobody_reviews_by_the_lease_of_another() -> None:
    create_unsure(1)
    batch = start(create_member())
    (tile,) = list_tiles(batch)
    submission = Submission(image=tile.row.image_id, group="Bags", batch=batch.pk)
    assert [result.outcome for result in submit_reviews([submission], reviewer=create_member())] == ["gone"]


def test_a_review_says_how_it_came_about_and_renews_the_lease() -> None:
    create_unsure(1)
    reviewer = create_member()
    batch = start(reviewer)
    (tile,) = list_tiles(batch)
    expire(batch)
    (result,) = submit_reviews([Submission(image=tile.row.image_id, group="Bags", batch=batch.pk)], reviewer=reviewer)
    review = result.review
    assert (review.queue, review.blind, review.suggestion, review.batch) == ("unsure", False, "Bags", batch)
    assert review.inclusion_probability is None
    before = batch.expires_at
    assert ReviewBatch.objects.get().expires_at >= before
    assert list_tiles(batch)[0].row.state == "reviewed"


def test_a_call_costs_the_same_number_of_queries_whatever_its_size() -> None:
    create_unsure(30)
    reviewer = create_member()
    numbers = []
    for size in (2, 20):
        batch = start(reviewer, size=size)
        submissions = [
            Submission(image=tile.row.image_id, group="Footwear", appearance=tile.appearance, batch=batch.pk)
            for tile in list_tiles(batch)
        ]
        with CaptureQueriesContext(connection) as queries:
            submit_reviews(submissions, reviewer=reviewer)
        numbers.append(len(queries))
    assert numbers[0] == numbers[1]


def test_a_review_holds_for_every_image_of_the_look() -> None:
    data = b"no picture, but bytes that are the same"
    images = []
    for number in range(2):
        name = default_storage.save(f"tests/look-{number}.png", ContentFile(data))
        images.append(create_product(images=[name]).product_images.get().image)
    StoredPicture.objects.bulk_create(
        [
            StoredPicture(
                image=image,
                url=image.url,
                sha256="a" * 64,
                storage_name=image.url,
                width=9,
                height=9,
                fetched_at="2026-01-01T00:00:00Z",
            )
            for image in images
        ]
    )
    first, second = create_member(), create_member()
    submit_reviews([Submission(image=images[0].pk, group="Bags")], reviewer=first)
    assert get_label(images[1])[1] == "Bags"
    (refused,) = submit_reviews([Submission(image=images[1].pk, group="Footwear")], reviewer=second)
    assert refused.outcome == Outcome.CONFLICT
    assert record_review(images[1], group="Footwear", reviewer=second)
