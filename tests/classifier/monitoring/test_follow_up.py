"""What an alarm of drift leads to: an audit of the segment, and a training that waits for its answers."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from catalog.models import Image, Product, ProductImages, ProductLabel
from classifier.audit.drawing import draw_round
from classifier.audit.selectors import estimate_accuracy, find_current_round, list_unanswered
from classifier.models import Alarm, AuditRound, AuditSample, Classification, ModelVersion, Review, TrainingRun
from classifier.monitoring.follow_up import AlarmStateError, follow_up_alarm, follow_up_due_alarms
from classifier.monitoring.segments import estimate_window, list_segment_images
from classifier.monitoring.services import check_drift, close_alarm
from classifier.reviews.choosing import choose_audit
from classifier.reviews.services import record_review
from classifier.training.waiting import release_trainings
from tests.support.drifting import create_alarm, create_classified, create_drift_check
from tests.support.fakes import create_model_version
from tests.support.members import create_member

pytestmark = pytest.mark.django_db
HOST = "new.example"


@pytest.fixture
def version() -> ModelVersion:
    return create_model_version()


def create_window(version: ModelVersion, **alarm: Any) -> Alarm:
    """Create an alarm about a host that half of a check's 160 pictures are of; a product shows each of those."""
    create_classified(version, number=80, seed=1)
    create_classified(version, number=80, seed=2, moved=1.0, host=HOST)
    show_pictures()
    said = list(Classification.objects.order_by("-pk").values_list("pk", flat=True)[:160])
    check = create_drift_check(version, window_from=said[-1], window_until=said[0])
    return create_alarm(check, **{"segment": f"host {HOST}"} | alarm)


def show_pictures() -> None:
    """Create a product for each picture of the host, with the label that the version gave it."""
    said = list(Classification.objects.filter(image__product_images=None, image__url__contains=HOST))
    products = Product.objects.bulk_create(Product(title=f"New {one.image_id}") for one in said)
    pairs = list(zip(products, said, strict=True))
    ProductImages.objects.bulk_create(
        ProductImages(product=product, image_id=one.image_id, image_index=0) for product, one in pairs
    )
    labels = [
        ProductLabel(
            product=product, status="labelled", source="machine", group=one.group, garment=one.garment,
            confidence=one.confidence, image_id=one.image_id,
        )
        for product, one in pairs
    ]  # fmt: skip
    ProductLabel.objects.bulk_create(labels)


def answer(audit: AuditRound, number: int, *, reviewer: User, wrong: int = 0) -> None:
    """Answer for so many of what an audit drew, of which the first ones are said to be of another group."""
    for place, sample in enumerate(list_unanswered(audit).order_by("position")[:number]):
        group = sample.group if place >= wrong else ("Bags" if sample.group != "Bags" else "Footwear")
        review = record_review(sample.image, group=group, reviewer=reviewer)
        Review.objects.filter(pk=review.pk).update(blind=True, inclusion_probability=sample.inclusion_probability)


def test_a_second_check_asks_about_the_segment_and_a_training_waits(version: ModelVersion) -> None:
    create_classified(version, number=1_000, seed=9)
    for seed in (3, 5):
        create_classified(version, number=60, seed=seed)
        create_classified(version, number=60, seed=seed + 1, moved=1.0, host=HOST)
        show_pictures()
        check_drift(pictures=120)
    alarm = Alarm.objects.get(signal="features")

    assert (alarm.state, alarm.segment) == ("alarm", f"host {HOST}")
    assert alarm.audit is not None
    drawn = Image.objects.filter(pk__in=alarm.audit.samples.values("image"))
    assert len(drawn) == 60
    assert all(HOST in image.url for image in drawn)
    run = TrainingRun.objects.get()
    assert run == alarm.training_run
    assert (run.state, run.recipe, run.waits_for_answers, run.activate) == ("waiting", "reviewed", 60, False)
    # It says nothing of the whole catalogue, and is what reviewers are asked about next.
    assert find_current_round() is None
    assert {choice.image_id for choice in choose_audit(create_member(), 10)} <= {image.pk for image in drawn}


def test_the_training_is_queued_once_its_answers_are_there_and_nothing_is_promoted(version: ModelVersion) -> None:
    alarm, reviewer = follow_up_alarm(create_window(version).pk), create_member()
    assert alarm.audit is not None
    answer(alarm.audit, 79, reviewer=reviewer)
    assert release_trainings() == 0
    assert TrainingRun.objects.get().state == "waiting"
    answer(alarm.audit, 1, reviewer=reviewer)
    assert release_trainings() == 1
    assert TrainingRun.objects.get().state == "queued"
    assert release_trainings() == 0
    assert list(ModelVersion.objects.values_list("stage", flat=True)) == ["production"]


def test_the_training_waits_for_no_answer_that_nobody_can_give(version: ModelVersion) -> None:
    alarm, reviewer = follow_up_alarm(create_window(version).pk), create_member()
    assert alarm.audit is not None
    answer(alarm.audit, 70, reviewer=reviewer)
    assert release_trainings() == 0
    left = list(list_unanswered(alarm.audit).values_list("product", flat=True))
    assert len(left) == 10
    Product.objects.filter(pk__in=left[1:]).delete()
    assert release_trainings() == 0
    ProductLabel.objects.filter(product=left[0]).update(image=None)
    assert release_trainings() == 1


def test_another_alarm_opens_nothing_while_it_is_cooling_down_unless_somebody_asks(version: ModelVersion) -> None:
    first = create_window(version)
    follow_up_due_alarms(Alarm.objects.all())
    close_alarm(first.pk, user=create_member())
    second = create_window(version)
    follow_up_due_alarms(Alarm.objects.all())

    second.refresh_from_db()
    assert second.audit is None
    assert TrainingRun.objects.count() == 1
    assert follow_up_alarm(second.pk).audit is not None
    assert follow_up_alarm(second.pk).audit == Alarm.objects.get(pk=second.pk).audit
    assert AuditRound.objects.count() == TrainingRun.objects.count() == 2


def test_an_alarm_opens_its_own_with_the_first_check_after_the_cool_down(version: ModelVersion) -> None:
    close_alarm(follow_up_alarm(create_window(version).pk).pk, user=create_member())
    alarm = create_window(version, state="acknowledged")
    AuditRound.objects.update(drawn_at=timezone.now() - timedelta(days=7, minutes=1))
    follow_up_due_alarms(Alarm.objects.all())

    alarm.refresh_from_db()
    assert alarm.audit is not None


def test_closing_an_alarm_ends_its_questions_and_cancels_what_waits(version: ModelVersion) -> None:
    alarm = follow_up_alarm(create_window(version).pk)
    close_alarm(alarm.pk, user=create_member())

    assert AuditRound.objects.get().closed_at is not None
    assert choose_audit(create_member(), 10) == []
    assert TrainingRun.objects.get().state == "cancelled"


def test_a_training_that_has_begun_outlives_its_alarm(version: ModelVersion) -> None:
    alarm = follow_up_alarm(create_window(version).pk)
    TrainingRun.objects.update(state="running")
    close_alarm(alarm.pk, user=create_member())

    assert TrainingRun.objects.get().state == "running"


def test_what_cannot_be_asked_about_is_an_error_and_writes_nothing(version: ModelVersion) -> None:
    check = create_drift_check(version)
    suspected = create_alarm(check, state="suspected")
    failures = create_alarm(check, signal="failures")
    nothing = create_alarm(check, signal="mix", segment="group Bags")
    for alarm, match in ((suspected, "is suspected"), (failures, "found none"), (nothing, "found none")):
        with pytest.raises(AlarmStateError, match=match):
            follow_up_alarm(alarm.pk)
    assert not AuditRound.objects.exists()
    assert not TrainingRun.objects.exists()


def test_what_the_catalogues_audit_asks_about_is_left_to_it(version: ModelVersion) -> None:
    create_classified(version, number=40, seed=3, host=HOST)
    show_pictures()
    everything = draw_round(version_id=version.pk, size=10)
    said = Classification.objects.order_by("pk")
    check = create_drift_check(version, window_from=said[0].pk, window_until=said[39].pk)
    assert len(list_segment_images(check, f"host {HOST}")) == 40
    alarm = follow_up_alarm(create_alarm(check, segment=f"host {HOST}").pk)

    assert everything is not None
    assert alarm.audit is not None
    drawn = [set(audit.samples.values_list("image", flat=True)) for audit in (everything, alarm.audit)]
    assert drawn[0] & drawn[1] == set()
    assert len(drawn[0] | drawn[1]) == 40
    assert find_current_round() == everything
    assert estimate_accuracy().audit == everything  # type: ignore[union-attr]


def test_the_accuracy_beside_an_alarm_is_that_of_its_window(version: ModelVersion) -> None:
    alarm, reviewer = follow_up_alarm(create_window(version).pk), create_member()
    assert alarm.audit is not None
    answer(alarm.audit, 29, reviewer=reviewer)
    assert estimate_window(alarm.last_check, asked=alarm.audit).value is None
    answer(alarm.audit, 31, reviewer=reviewer, wrong=15)
    share = estimate_window(alarm.last_check, asked=alarm.audit)
    assert share.count == 60
    assert share.low is not None
    assert share.high is not None
    # 15 of the 60 that were asked about are wrong, of 80.
    assert share.low < 1 - 15 / 60 < share.high
    # Of the window as a whole they say nothing: they were not drawn at random from it.
    assert estimate_window(alarm.last_check).count == 0


def test_the_page_tells_what_an_alarm_led_to_and_its_buttons_train_anyway(version: ModelVersion) -> None:
    user, client = create_member(), Client()
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="classifier"))
    client.force_login(user)
    alarm = follow_up_alarm(create_window(version).pk)
    page = client.get("/drift/").content.decode()
    assert f"People are asked about 80 products of host {HOST}, and answered for 0." in page
    assert "No evidence yet of how many are right: people answered for 0 of these pictures" in page
    assert f"of host {HOST}, and it takes 30." in page
    duties: dict[str, Any] = {duty.address: duty for duty in client.get("/").context["duties"]}
    assert duties["/review/audit/"].number == AuditSample.objects.count() == 80

    address = f"/training-runs/{alarm.training_run_id}/"
    assert "Waits for 80 answers" in client.get(address).content.decode()
    assert client.post(f"{address}train/").status_code == 302
    assert TrainingRun.objects.get().state == "queued"
    again = client.post(f"/api/v1{address}train/")
    assert (again.status_code, again.json()["state"]) == (200, "queued")
    client.post(f"/api/v1{address}cancel/")
    assert client.post(f"/api/v1{address}train/").status_code == 409


def test_a_follow_up_is_asked_for_on_the_page_and_by_the_api(version: ModelVersion) -> None:
    user, client = create_member(), Client()
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="classifier"))
    client.force_login(user)
    close_alarm(follow_up_alarm(create_window(version).pk).pk, user=user)
    alarm = create_window(version)
    assert "Another alarm opened an audit and a training of late" in client.get("/drift/").content.decode()
    assert client.post(f"/drift/alarms/{alarm.pk}/follow-up/").status_code == 302
    answer = client.post(f"/api/v1/alarms/{alarm.pk}/follow-up/").json()
    assert answer["audit"] == AuditRound.objects.latest("pk").pk
    assert answer["training_run"] == TrainingRun.objects.latest("pk").pk
