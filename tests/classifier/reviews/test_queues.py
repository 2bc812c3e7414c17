"""What each queue gives out, and how many it says wait."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest
from django.contrib.auth.models import User
from django.test import Client

from catalog.models import Image, Product, ProductLabel
from classifier.audit.agreement import measure_controls, measure_reviewers
from classifier.audit.drawing import draw_round
from classifier.audit.selectors import estimate_accuracy
from classifier.models import AuditSample, ModelVersion, OutOfFoldAnswer, QueueName, Review, TextEvidence, Verdict
from classifier.reviews.batches import list_tiles, start_batch
from classifier.reviews.choices import Choice
from classifier.reviews.queues import QUEUES
from classifier.reviews.recording import Outcome, Submission, submit_reviews
from classifier.reviews.second_look import choose_controls, mix_in_controls
from classifier.reviews.services import record_review, withdraw_reviews
from tests.support.factories import create_image, create_product, create_product_image
from tests.support.fakes import create_model_version, create_painted_image
from tests.support.labels import label_everything
from tests.support.members import create_member, sign_in

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

UNSURE, SUSPICIOUS, AUDIT, SECOND_LOOK, LABEL_ERRORS = (
    QUEUES[name]
    for name in (
        *(QueueName.UNSURE, QueueName.SUSPICIOUS, QueueName.AUDIT, QueueName.SECOND_LOOK),
        QueueName.LABEL_ERRORS,
    )
)


def create_shop(*, sure: int, unsure: int) -> tuple[ModelVersion, list[Product], list[Product]]:
    """Create a shop whose pictures the fake classifier labelled, and return the sure and the unsure products."""
    version = create_model_version()
    products = [
        create_product(images=[create_painted_image("Trouser", unsure=number >= sure)])
        for number in range(sure + unsure)
    ]
    label_everything()
    return version, products[:sure], products[sure:]


def test_half_of_the_unsure_queue_is_the_audits_and_shown_blind() -> None:
    version, _, unsure = create_shop(sure=12, unsure=6)
    draw_round(version_id=version.pk, seed=1)
    choices = UNSURE.choose(create_member(), 8)
    assert len({choice.product_id for choice in choices}) == len(choices) == 8
    blind, useful = [choice for choice in choices if choice.blind], [choice for choice in choices if not choice.blind]
    assert len(blind) == len(useful) == 4
    assert {choice.product_id for choice in useful} <= {product.pk for product in unsure}
    drawn = dict(AuditSample.objects.values_list("product_id", "inclusion_probability"))
    assert [choice.inclusion_probability for choice in blind] == [drawn[choice.product_id] for choice in blind]
    # The two kinds take turns.
    assert [choice.blind for choice in choices] == [False, True] * 4
    assert UNSURE.count() == 6


def test_where_nothing_is_unsure_the_audit_does_not_fill_the_queue() -> None:
    version, _, _ = create_shop(sure=4, unsure=0)
    draw_round(version_id=version.pk, seed=1)
    assert UNSURE.choose(create_member(), 8) == []
    assert len(AUDIT.choose(create_member(), 8)) == 4


def test_unsure_products_are_given_out_before_an_audit_is_drawn_and_without_a_version() -> None:
    version, _, unsure = create_shop(sure=1, unsure=3)
    assert {choice.product_id for choice in UNSURE.choose(create_member(), 8)} == {product.pk for product in unsure}
    ModelVersion.objects.filter(pk=version.pk).update(stage=ModelVersion.Stage.RETIRED)
    assert len(UNSURE.choose(create_member(), 8)) == 3


def test_the_audit_asks_each_product_once_and_its_answers_measure() -> None:
    version, sure, _ = create_shop(sure=6, unsure=0)
    assert AUDIT.count() is None
    draw_round(version_id=version.pk, seed=1)
    assert AUDIT.count() == 6
    reviewer = create_member()
    batch = start_batch(reviewer, AUDIT, size=4)
    tiles = list_tiles(batch)
    assert all(tile.row.blind and not tile.row.suggestion for tile in tiles)
    assert len(AUDIT.choose(create_member(), 6)) == 2
    results = submit_reviews(
        [Submission(image=tile.row.image_id, group="Bags", batch=batch.pk) for tile in tiles], reviewer=reviewer
    )
    assert {result.outcome for result in results} == {Outcome.RECORDED}
    assert AUDIT.count() == 2
    estimate = estimate_accuracy()
    assert (estimate.answered, estimate.other_group) == (4, 4)
    # A product that shows another picture now is not what was drawn.
    left = next(product for product in sure if not Review.objects.filter(image__product_images__product=product))
    left.product_images.all().delete()
    create_product_image(left, image=create_image())
    assert len(AUDIT.choose(reviewer, 6)) == 1


def test_a_sure_label_is_suspicious_where_reviews_other_pictures_or_texts_contradict_it() -> None:
    _, (first, second, third, fourth), _ = create_shop(sure=4, unsure=0)
    assert SUSPICIOUS.count() is None
    assert SUSPICIOUS.choose(create_member(), 8) == []
    TextEvidence.objects.update_or_create(
        product=second,
        defaults={"verdict": "group", "group": "Bags", "score": 1.0, "sha256": bytes(32)},
    )
    assert [choice.product_id for choice in SUSPICIOUS.choose(create_member(), 8)] == [second.pk]
    create_product_image(third, image=create_painted_image("Bag"), image_index=1)
    label_everything()
    assert [choice.product_id for choice in SUSPICIOUS.choose(create_member(), 8)] == [second.pk, third.pk]
    # To the base of the fake classifier all pictures look alike.
    record_review(first.product_images.get().image, group="Footwear", reviewer=create_member())
    suspicious = SUSPICIOUS.choose(create_member(), 8)
    assert [choice.product_id for choice in suspicious] == [second.pk, third.pk, fourth.pk]
    assert not any(choice.blind for choice in suspicious)


def test_what_reviewer_and_model_dispute_goes_to_another_person_and_then_to_a_third() -> None:
    create_shop(sure=0, unsure=2)
    first, second, third, fourth = (create_member() for _ in range(4))
    batch = start_batch(first, UNSURE, size=2)
    agreed, disputed = list_tiles(batch)
    submit_reviews(
        [
            Submission(image=agreed.row.image_id, group=agreed.row.suggestion, batch=batch.pk),
            Submission(image=disputed.row.image_id, group="Bags", batch=batch.pk),
        ],
        reviewer=first,
    )
    assert SECOND_LOOK.count() == 1
    assert SECOND_LOOK.choose(first, 8) == []
    (choice,) = SECOND_LOOK.choose(second, 8)
    assert (choice.product_id, choice.blind) == (disputed.row.product_id, True)
    batch = start_batch(second, SECOND_LOOK, size=8)
    (tile,) = list_tiles(batch)
    submit_reviews(
        [Submission(image=tile.row.image_id, group="Footwear", seen_review=tile.seen_review, batch=batch.pk)],
        reviewer=second,
    )
    assert SECOND_LOOK.choose(second, 8) == []
    batch = start_batch(third, SECOND_LOOK, size=8)
    (tile,) = list_tiles(batch)
    submit_reviews(
        [Submission(image=tile.row.image_id, group="Bags", seen_review=tile.seen_review, batch=batch.pk)],
        reviewer=third,
    )
    assert SECOND_LOOK.choose(fourth, 8) == []
    assert ProductLabel.objects.get(product=disputed.row.product_id).group == "Bags"


def test_what_an_audit_found_wrong_gets_a_second_look() -> None:
    version, _, _ = create_shop(sure=3, unsure=0)
    draw_round(version_id=version.pk, seed=1)
    reviewer = create_member()
    batch = start_batch(reviewer, AUDIT, size=3)
    wrong, *right = list_tiles(batch)
    submissions = [Submission(image=wrong.row.image_id, verdict=Verdict.NONE_OF_THESE, batch=batch.pk)]
    submissions += [Submission(image=tile.row.image_id, group="Bottom part", batch=batch.pk) for tile in right]
    submit_reviews(submissions, reviewer=reviewer)
    waiting = {choice.product_id for choice in SECOND_LOOK.choose(create_member(), 8)}
    fifth = {tile.row.product_id for tile in right if tile.row.image_id % 5 == 0}
    assert waiting == {wrong.row.product_id} | fifth


def dispute(reviewers: Sequence[User], said: Sequence[str]) -> int:
    """Let reviewers say so of one unsure product, each as a queue gives it to them; return its image."""
    image_id = 0
    for number, (reviewer, group) in enumerate(zip(reviewers, said, strict=True)):
        batch = start_batch(reviewer, SECOND_LOOK if number else UNSURE, size=1)
        (tile,) = list_tiles(batch)
        image_id = tile.row.image_id
        submission = Submission(image=image_id, group=group, seen_review=tile.seen_review, batch=batch.pk)
        submit_reviews([submission], reviewer=reviewer)
    return image_id


def test_a_decided_dispute_comes_again_as_a_control_whose_answer_decides_nothing(client: Client) -> None:
    _, sure, _ = create_shop(sure=1, unsure=1)
    first, second, third = (create_member() for _ in range(3))
    fourth = sign_in(client, "view_review", "add_review")
    image_id = dispute([first, second, third], ["Bags", "Footwear", "Bags"])
    decided = Review.objects.latest("pk")
    (other,) = (product.product_images.get().image_id for product in sure)
    always = replace(
        UNSURE,
        choose=mix_in_controls(lambda reviewer, size: [Choice(sure[0].pk, other)] if size else [], share=1.0),
    )
    # Who had a part in it is not asked again.
    assert [choice.image_id for choice in always.choose(third, 8)] == [other]
    batch = start_batch(fourth, always, size=8)
    tiles = {tile.row.image_id: tile for tile in list_tiles(batch)}
    control = tiles[image_id]
    assert (len(tiles), control.row.control, control.row.blind, control.row.suggestion) == (2, decided, True, "")
    # Nothing tells that it has a label, and it need not be named, for nothing is written over.
    assert control.seen_review is None
    (result,) = submit_reviews([Submission(image=image_id, group="Footwear", batch=batch.pk)], reviewer=fourth)
    assert (result.outcome, result.review.control) == (Outcome.RECORDED, decided)
    label = ProductLabel.objects.get(image=image_id)
    assert (label.group, label.review) == ("Bags", decided)
    assert measure_reviewers(fourth.pk).overall.raw.count == 2
    assert SECOND_LOOK.count() == 0
    assert [choice.image_id for choice in always.choose(fourth, 8)] == [other]
    (own,) = measure_controls(fourth.pk)
    assert (own.agreed, own.count) == (0, 1)
    # The newest answer counts, and the reviewer sees his own.
    submit_reviews([Submission(image=image_id, group="Bags", batch=batch.pk)], reviewer=fourth)
    sentence = "You said what was decided of 1 of 1 controls."
    assert sentence in client.get("/accuracy/").content.decode()
    assert sentence in client.get("/review/").content.decode()
    rows = client.get("/api/v1/reviews/", {"control": "true"}).json()["results"]
    assert [row["control"] for row in rows] == [decided.pk] * 2
    assert len(client.get("/api/v1/reviews/", {"control": "false"}).json()["results"]) == 3


def test_what_was_decided_anew_is_no_control(client: Client) -> None:
    create_shop(sure=0, unsure=1)
    people = [create_member() for _ in range(4)]
    image_id = dispute(people[:3], ["Bags", "Footwear", "Bags"])
    reviewer = create_member()
    assert [choice.image_id for choice in choose_controls(reviewer, 8, chance=Random(1))] == [image_id]
    record_review(Image.objects.get(pk=image_id), group="One piece", reviewer=people[3])
    assert choose_controls(reviewer, 8, chance=Random(1)) == []


def test_two_who_agree_with_a_third_are_no_dispute() -> None:
    create_shop(sure=0, unsure=1)
    dispute([create_member(), create_member()], ["Footwear", "Footwear"])
    assert choose_controls(create_member(), 8, chance=Random(1)) == []


def test_reviews_that_the_newest_training_surely_contradicts_are_looked_at_again_until_somebody_does() -> None:
    version, sure, _ = create_shop(sure=4, unsure=0)
    reviewer = create_member()
    reviews = [record_review(product.product_images.get().image, group="Bags", reviewer=reviewer) for product in sure]
    older, newer = version, create_model_version(stage=ModelVersion.Stage.CANDIDATE)
    OutOfFoldAnswer.objects.create(model_version=older, review=reviews[3], group="Footwear", confidence=0.99)
    for review, group, confidence in zip(
        reviews, ("Footwear", "", "Bags", "Footwear"), (0.91, 0.95, 0.99, 0.89), strict=True
    ):
        OutOfFoldAnswer.objects.create(model_version=newer, review=review, group=group, confidence=confidence)
    choices = LABEL_ERRORS.choose(reviewer, 8)
    assert [(choice.product_id, choice.blind) for choice in choices] == [(sure[1].pk, True), (sure[0].pk, True)]
    assert LABEL_ERRORS.count() == 2
    batch = start_batch(reviewer, LABEL_ERRORS, size=1)
    (tile,) = list_tiles(batch)
    assert [choice.product_id for choice in LABEL_ERRORS.choose(reviewer, 8)] == [sure[0].pk]
    submission = Submission(image=tile.row.image_id, group="Bags", seen_review=tile.seen_review, batch=batch.pk)
    submit_reviews([submission], reviewer=reviewer)
    assert LABEL_ERRORS.count() == 1
    withdraw_reviews(Review.objects.filter(pk=reviews[0].pk))
    assert LABEL_ERRORS.choose(reviewer, 8) == []
