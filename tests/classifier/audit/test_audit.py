"""The audit: which products it draws, and what people's blind answers tell of the catalogue."""

import re
from collections import Counter
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache

from catalog.models import Product, ProductLabel
from classifier.audit.drawing import COUNT_KEY, draw_round, refresh_audit
from classifier.audit.selectors import estimate_accuracy, find_current_round, list_unanswered
from classifier.models import AdoptionRun, AuditRound, AuditSample, LabellingRun, Review, Verdict
from classifier.reviews.services import record_review, withdraw_reviews
from classifier.worker.sweep import sweep
from tests.support.factories import create_product
from tests.support.fakes import create_model_version, create_painted_image
from tests.support.labels import create_labelled_product, label_everything
from tests.support.members import create_member

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def create_labels(number: int, **label: Any) -> list[Product]:
    return [create_labelled_product(**label) for _ in range(number)]


def answer(sample: AuditSample, group: str = "", *, reviewer: User, verdict: str = Verdict.GROUP) -> Review:
    review = record_review(sample.image, group=group, verdict=verdict, reviewer=reviewer)
    Review.objects.filter(pk=review.pk).update(blind=True, inclusion_probability=sample.inclusion_probability)
    return review


def test_each_stratum_is_drawn_at_random_with_its_inclusion_probability() -> None:
    version = create_model_version()
    create_labels(30, group="Bags", confidence=0.95)
    create_labels(10, group="Bags", confidence=0.5, status="needs_review")
    create_labels(4, group="Footwear", confidence=0.7)
    create_labels(2, group="", garment="", confidence=None, status="none_of_these")
    create_labels(3, group="Bags", source="person", status="reviewed")
    create_product()
    audit = draw_round(version_id=version.pk, size=20, seed=1)
    assert audit is not None
    assert audit.sizes == [["", 0, 2], ["Bags", 0, 10], ["Bags", 2, 30], ["Footwear", 1, 4]]
    samples = list(AuditSample.objects.filter(round=audit))
    drawn = Counter((sample.group, sample.band) for sample in samples)
    assert drawn[("", 0)] == 2
    assert 2 <= drawn["Bags", 0] < 10
    for group, band, size in audit.sizes:
        within = [sample for sample in samples if (sample.group, sample.band) == (group, band)]
        assert {sample.inclusion_probability for sample in within} == {len(within) / size}
    assert {label.source for label in ProductLabel.objects.filter(product__in=[s.product_id for s in samples])} == {
        "machine"
    }
    other = draw_round(version_id=version.pk, size=20, seed=2)
    assert set(other.samples.values_list("product")) != set(audit.samples.values_list("product"))


def test_each_beginning_of_a_round_has_its_share_of_every_stratum() -> None:
    version = create_model_version()
    create_labels(20, group="Bags", confidence=0.95)
    create_labels(20, group="Footwear", confidence=0.95)
    audit = draw_round(version_id=version.pk, size=40, seed=1)
    first = Counter(list_unanswered(audit).order_by("position").values_list("group", flat=True)[:10])
    assert set(first) == {"Bags", "Footwear"}
    assert max(first.values()) <= 6


def test_a_round_is_drawn_for_each_version_and_not_while_labels_are_to_come() -> None:
    assert refresh_audit() is None
    version = create_model_version()
    assert refresh_audit() is None
    create_labels(3)
    run = LabellingRun.objects.create(model_version=version, state="running")
    assert refresh_audit() is None
    LabellingRun.objects.filter(pk=run.pk).update(state="done")
    first = refresh_audit()
    assert first is not None
    assert find_current_round() == first
    assert (first.products, first.samples.count()) == (3, 3)
    assert refresh_audit() is None
    create_labels(1)
    assert refresh_audit() is None  # it was counted a moment ago
    cache.delete(COUNT_KEY)
    second = refresh_audit()
    assert second is not None
    assert second.products == 4
    cache.delete(COUNT_KEY)
    assert refresh_audit() is None  # it is the same size
    type(version).objects.filter(pk=version.pk).update(stage="retired")
    create_model_version()
    assert find_current_round() is None
    assert refresh_audit() is not None


def test_nothing_is_drawn_while_an_adoption_brings_labels_to_the_version() -> None:
    create_labels(3)
    run = AdoptionRun.objects.create(model_version=create_model_version())
    assert (run.state, refresh_audit()) == ("running", None)
    AdoptionRun.objects.update(state="done")
    assert refresh_audit() is not None


def test_a_count_from_before_a_draw_calls_for_no_other_one() -> None:
    version = create_model_version()
    create_labels(8)
    refresh_audit()
    assert refresh_audit() is None  # it has counted eight
    create_labels(8)
    type(version).objects.filter(pk=version.pk).update(stage="retired")
    create_model_version()
    second = refresh_audit()
    assert second is not None
    assert second.products == 16
    assert refresh_audit() is None


def test_what_another_worker_draws_just_now_is_not_drawn_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    version = create_model_version()
    create_labels(3)
    answers = iter([True, False])
    monkeypatch.setattr("classifier.audit.drawing._is_due", lambda _version: next(answers))
    assert refresh_audit() is None
    assert not AuditRound.objects.filter(model_version=version).exists()


def test_what_shows_another_picture_by_now_is_not_asked_about() -> None:
    version = create_model_version()
    products = create_labels(3)
    audit = draw_round(version_id=version.pk, size=3, seed=1)
    ProductLabel.objects.filter(product=products[0]).update(image=ProductLabel.objects.get(product=products[1]).image)
    assert set(list_unanswered(audit).values_list("product", flat=True)) == {products[1].pk, products[2].pk}


def test_a_workers_sweep_draws_what_it_labelled() -> None:
    create_model_version()
    create_product(images=[create_painted_image("Bag")])
    label_everything()
    sweep()
    assert find_current_round().products == 1


def test_the_estimate_weighs_strata_and_says_what_was_wrong() -> None:
    version, reviewer = create_model_version(), create_member()
    create_labels(40, group="Bags", confidence=0.95)
    create_labels(20, group="Footwear", confidence=0.5)
    audit = draw_round(version_id=version.pk, size=60, seed=1)
    estimate = estimate_accuracy()
    assert estimate is not None
    assert (estimate.accuracy.value, estimate.accuracy.count) == (None, 0)
    assert estimate.sentence.endswith("it has 0.")
    bags = list(audit.samples.filter(group="Bags").order_by("position"))
    footwear = list(audit.samples.filter(group="Footwear").order_by("position"))
    assert len(bags) >= 20
    assert len(footwear) == 20
    for sample in bags[:20]:
        answer(sample, "Bags", reviewer=reviewer)
    for sample in footwear[:10]:
        answer(sample, "Footwear", reviewer=reviewer)
    for sample in footwear[10:18]:
        answer(sample, "Upper part", reviewer=reviewer)
    answer(footwear[18], verdict=Verdict.NONE_OF_THESE, reviewer=reviewer)
    withdrawn = answer(footwear[19], "Footwear", reviewer=reviewer)
    withdraw_reviews(Review.objects.filter(pk=withdrawn.pk))
    answer(footwear[19], verdict=Verdict.UNUSABLE, reviewer=reviewer)
    estimate = estimate_accuracy()
    # 40 bags, all right; of 19 that show something 10 are right.
    assert estimate.accuracy.value == pytest.approx((40 * 1.0 + 20 * 10 / 20) / (40 + 20 * 19 / 20))
    assert (estimate.answered, estimate.other_group, estimate.none_of_these, estimate.unusable) == (40, 8, 1, 1)
    assert estimate.accuracy.low < estimate.accuracy.value < estimate.accuracy.high
    assert estimate.groups["Bags"].value is None  # of fewer than 30 nothing is told
    # What would tell more is more than there is.
    assert re.fullmatch(
        r"84\.7 % \(.* to .*\) of this catalogue's labels are right, by 39 answers\.", estimate.sentence
    )
    AuditRound.objects.update(sizes=[[group, band, 100 * size] for group, band, size in audit.sizes])
    assert re.search(r"39 answers: ±\d+ points; \d+ more answers for ±\d+\.$", estimate_accuracy().sentence)
    assert list_unanswered(audit).count() == len(bags) - 20


def test_the_models_confidence_is_told_as_it_is_and_as_answers_correct_it() -> None:
    version, reviewer = create_model_version(), create_member()
    create_labels(60, group="Bags", confidence=0.95)
    create_labels(30, group="Footwear", confidence=0.65)
    audit = draw_round(version_id=version.pk, size=90, seed=1)
    estimate = estimate_accuracy()
    assert (estimate.corrected.value, estimate.corrected_sentence) == (None, "")
    for place, sample in enumerate(audit.samples.order_by("group", "pk")[:40]):
        answer(sample, "Upper part" if place % 5 == 0 else sample.group, reviewer=reviewer)
    estimate = estimate_accuracy()
    # Two thirds are 95 % sure, one third 65 %; of each ten answers eight are right.
    assert estimate.confidence == pytest.approx((60 * 0.95 + 30 * 0.65) / 90)
    assert estimate.corrected.value == pytest.approx(0.8, abs=0.06)
    assert estimate.corrected.low < estimate.corrected.value < estimate.corrected.high
    assert "by 40 answers and the model's confidence" in estimate.corrected_sentence


def test_labels_that_were_seen_and_answers_of_other_queues_measure_nothing() -> None:
    version, reviewer = create_model_version(), create_member()
    create_labels(3)
    audit = draw_round(version_id=version.pk, size=3, seed=1)
    sample = audit.samples.first()
    record_review(sample.image, group="Bags", reviewer=reviewer)
    review = record_review(sample.image, group="Bags", reviewer=reviewer)
    Review.objects.filter(pk=review.pk).update(blind=True)
    assert estimate_accuracy().answered == 0
    assert list_unanswered(audit).count() == 3
