"""One label for many pictures: recorded step by step, whatever happens in between, and never over a later decision."""

import pytest
import redis
from django.conf import settings as django_settings
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from django.test import Client

from catalog.models import Image, ProductLabel
from classifier.labelling.batches import label_batch
from classifier.labelling.starting import start_labelling_run
from classifier.models import ImageToReview, LabelTask, Review, ReviewRun
from classifier.reviews import runs as review_runs
from classifier.reviews.runs import cancel_review_run, record_next_step
from classifier.reviews.services import ReviewError, record_review, withdraw_reviews
from classifier.reviews.starting import start_review_run, withdraw_review_run
from classifier.reviews.tasks import record_reviews_task, send_review_runs
from classifier.worker.sweep import sweep
from tests.support.factories import create_image, create_product
from tests.support.fakes import (
    FakeClassifier,
    Outbox,
    create_model_version,
    create_painted_image,
    create_stored_image,
)
from tests.support.labels import label_everything
from tests.support.members import create_member, sign_in

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
LIST = "/admin/classifier/reviewrun/"


@pytest.fixture
def outbox(monkeypatch: pytest.MonkeyPatch) -> Outbox:
    outbox = Outbox()
    monkeypatch.setattr(record_reviews_task, "apply_async", outbox.apply_async)
    return outbox


@pytest.fixture(autouse=True)
def steps_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(review_runs, "STEP_SIZE", 2)


def start(*images: Image, group: str = "Bags", reviewer: User | None = None) -> ReviewRun:
    """Start a run over these images."""
    chosen = Image.objects.filter(pk__in=[image.pk for image in images])
    return start_review_run(chosen, group=group, reviewer=reviewer or create_member("add_review"), note="In a list.")


def create_images(number: int) -> list[Image]:
    """Create images, each the first of a product of its own."""
    return [create_product(images=[create_image()]).product_images.get().image for _ in range(number)]


def list_reviewed() -> list[int]:
    """The images that have a review, in the order in which they got it."""
    return list(Review.objects.order_by("pk").values_list("image_id", flat=True))


def do_steps(run_id: int) -> None:
    while record_next_step(run_id):
        pass


def get_facts(run: ReviewRun) -> tuple[str, int, int, int]:
    """How the run stands: its state, total, done and skipped."""
    run.refresh_from_db()
    return run.state, run.total, run.done, run.skipped


def test_a_run_is_sent_when_it_is_committed_and_records_nothing_before(
    outbox: Outbox, django_capture_on_commit_callbacks
) -> None:
    images = create_images(5)
    with django_capture_on_commit_callbacks(execute=True):
        run = start(*images)
        assert outbox == []
    assert outbox == [run.pk]
    assert get_facts(run) == ("running", 5, 0, 0)
    selected = ImageToReview.objects.filter(run=run).order_by("image_id").values_list("image_id", flat=True)
    assert list(selected) == [image.pk for image in images]
    assert not Review.objects.exists()


def test_a_task_records_every_step(outbox: Outbox) -> None:
    reviewer = create_member("add_review")
    images = create_images(5)
    run = start(*images, reviewer=reviewer)
    record_reviews_task(run.pk)
    assert get_facts(run) == ("done", 5, 5, 0)
    assert run.finished_at is not None
    assert list_reviewed() == [image.pk for image in images]
    assert set(Review.objects.values_list("group", "garment", "reviewer", "note")) == {
        ("Bags", "", reviewer.pk, "In a list.")
    }
    assert list(ProductLabel.objects.values_list("group", "status", "source").distinct()) == [
        ("Bags", "reviewed", "person")
    ]
    assert not ImageToReview.objects.exists()
    assert outbox == []


def test_a_task_whose_time_is_over_sends_the_rest(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("classifier.runs.sending.AT_ONCE_SECONDS", 0)
    run = start(*create_images(5))
    for done, sent in ((2, 1), (4, 2), (5, 2)):
        record_reviews_task(run.pk)
        assert (get_facts(run)[2], len(outbox)) == (done, sent)
    assert set(outbox) == {run.pk}
    assert run.state == "done"


def test_what_ends_a_step_in_the_middle_loses_nothing_and_doubles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    images = create_images(4)
    run = start(*images)
    assert record_next_step(run.pk) is True
    with monkeypatch.context() as patch:
        patch.setattr(review_runs, "record_reviews", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            do_steps(run.pk)
    assert get_facts(run) == ("running", 4, 2, 0)
    assert list_reviewed() == [image.pk for image in images[:2]]
    do_steps(run.pk)
    assert get_facts(run) == ("done", 4, 4, 0)
    assert list_reviewed() == [image.pk for image in images]


def test_a_message_that_comes_again_finds_nothing_to_do() -> None:
    run = start(*create_images(2))
    for _ in range(2):
        record_reviews_task(run.pk)
    assert get_facts(run) == ("done", 2, 2, 0)
    assert Review.objects.count() == 2


def test_the_sweep_sends_runs_whose_message_is_lost(outbox: Outbox, settings) -> None:
    first, second = start(*create_images(1)), start(*create_images(1))
    sweep()
    assert outbox == [first.pk, second.pk]
    sweep()
    assert len(outbox) == 2
    settings.LABELLING_RESEND_SECONDS = 0
    cancel_review_run(first)
    sweep()
    assert outbox[2:] == [second.pk]


def test_a_later_decision_of_a_person_stays_and_an_earlier_one_gives_way() -> None:
    before, after, other = create_images(3)
    reviewer = create_member("add_review")
    record_review(before, group="Footwear", reviewer=reviewer)
    run = start(before, after, other)
    record_review(after, group="Footwear", reviewer=reviewer)
    do_steps(run.pk)
    assert get_facts(run) == ("done", 3, 2, 1)
    groups = ProductLabel.objects.order_by("image_id").values_list("image_id", "group")
    assert list(groups) == [(before.pk, "Bags"), (after.pk, "Footwear"), (other.pk, "Bags")]


@pytest.mark.parametrize(
    "withdrawn, group, facts", [(False, "Footwear", ("done", 1, 0, 1)), (True, "Bags", ("done", 1, 1, 0))]
)
def test_a_later_decision_about_the_same_picture_of_another_image_stays_while_it_stands(
    withdrawn: bool, group: str, facts: tuple[str, int, int, int]
) -> None:
    create_model_version()
    chosen = create_painted_image("Sandal")
    other = create_stored_image(default_storage.open(chosen.url).read())
    for image in (chosen, other):
        create_product(images=[image])
    label_everything()
    run = start(chosen)
    review = record_review(other, group="Footwear", reviewer=create_member("add_review"))
    if withdrawn:
        withdraw_reviews(Review.objects.filter(pk=review.pk))
    do_steps(run.pk)
    assert get_facts(run) == facts
    assert list(ProductLabel.objects.values_list("group", "source")) == [(group, "person")] * 2


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_two_runs_the_one_asked_for_last_wins_whichever_is_done_first(order: tuple[int, int]) -> None:
    (image,) = create_images(1)
    runs = [start(image, group="Bags"), start(image, group="Footwear")]
    for place in order:
        do_steps(runs[place].pk)
    assert ProductLabel.objects.get().group == "Footwear"


def test_a_machine_does_not_take_the_label_back() -> None:
    create_model_version()
    image = create_painted_image("Sandal")
    create_product(images=[image])
    label_everything()
    do_steps(start(image).pk)
    start_labelling_run(relabel=True)
    due = list(LabelTask.objects.due().values_list("pk", flat=True))
    assert len(due) == 1
    label_batch(due, get_classifier=lambda _: FakeClassifier())
    assert ProductLabel.objects.values_list("group", "source").get() == ("Bags", "person")


def test_images_that_are_gone_are_skipped() -> None:
    gone, kept = create_image(), create_image()
    run = start(gone, kept)
    Image.objects.filter(pk=gone.pk).delete()
    do_steps(run.pk)
    assert get_facts(run) == ("done", 2, 1, 1)
    assert list_reviewed() == [kept.pk]


def test_a_cancelled_run_leaves_what_it_has_not_done() -> None:
    images = create_images(3)
    run = start(*images)
    record_next_step(run.pk)
    assert cancel_review_run(run) is True
    do_steps(run.pk)
    assert get_facts(run) == ("cancelled", 3, 2, 0)
    assert list_reviewed() == [image.pk for image in images[:2]]
    assert not ImageToReview.objects.exists()
    assert cancel_review_run(run) is False


def test_a_run_that_is_withdrawn_goes_on_no_more_and_workers_withdraw_what_is_left(outbox: Outbox) -> None:
    run = start(*create_images(7))
    record_next_step(run.pk)
    record_next_step(run.pk)
    assert withdraw_review_run(run) == 4
    assert get_facts(run) == ("cancelled", 7, 4, 0)
    assert not ImageToReview.objects.exists()
    assert (run.is_withdrawing, Review.objects.filter(withdrawn_at=None).count()) == (True, 2)
    # The message was lost: the sweep sends another.
    ReviewRun.objects.update(sent_at=None)
    sweep()
    record_reviews_task(run.pk)
    run.refresh_from_db()
    assert (run.is_withdrawing, Review.objects.filter(withdrawn_at=None).count()) == (False, 0)
    assert set(ProductLabel.objects.values_list("status", flat=True)) == {"pending"}
    assert outbox.count(run.pk) >= 2
    before = run.withdrawn_at
    assert withdraw_review_run(run) == 0
    assert (run.withdrawn_at, send_review_runs()) == (before, 0)


def test_whoever_started_a_run_withdraws_it_on_its_page_and_over_http(client: Client) -> None:
    user = sign_in(client, "add_review")
    own, others = start(*create_images(1), reviewer=user), start(*create_images(1))
    for run in (own, others):
        do_steps(run.pk)
    assert f'<a href="/review-runs/{own.pk}/">Bags, 1 picture</a>' in client.get("/review/").content.decode()
    assert client.get(f"/review-runs/{own.pk}/").context["withdrawal"] == "Withdraw all its labels"
    assert not client.get(f"/review-runs/{others.pk}/").context["withdrawal"]
    for prefix in ("", "/api/v1"):
        assert client.post(f"{prefix}/review-runs/{others.pk}/withdraw/").status_code == 403
    answer = client.get(f"/api/v1/review-runs/{own.pk}/").json()
    assert (answer["group"], answer["done"], answer["withdrawn_at"]) == ("Bags", 1, None)
    assert client.post(f"/review-runs/{own.pk}/withdraw/").url == f"/review-runs/{own.pk}/"
    assert "Withdrawn" in client.get(f"/review-runs/{own.pk}/").content.decode()
    assert Review.objects.standing().get().run == others
    client.force_login(create_member("add_review", "change_review"))
    answer = client.post(f"/api/v1/review-runs/{others.pk}/withdraw/").json()
    assert (answer["withdrawal_requested"], answer["withdrawn_at"] is None) == (True, False)
    assert not Review.objects.standing().exists()


def test_whoever_started_a_run_cancels_it_on_its_page_and_over_http(client: Client) -> None:
    user = sign_in(client, "add_review")
    first, second = (start(*create_images(3), reviewer=user) for _ in range(2))
    others = start(*create_images(1))
    record_next_step(first.pk)
    shown = client.get(f"/review-runs/{first.pk}/").context
    assert shown["cancel_address"] == f"/review-runs/{first.pk}/cancel/"
    assert shown["withdrawal"] == "Cancel the run and withdraw its labels"
    assert not client.get(f"/review-runs/{others.pk}/").context["cancel_address"]
    for prefix in ("", "/api/v1"):
        assert client.post(f"{prefix}/review-runs/{others.pk}/cancel/").status_code == 403
    assert client.post(f"/review-runs/{first.pk}/cancel/").url == f"/review-runs/{first.pk}/"
    assert (get_facts(first), Review.objects.standing().count()) == (("cancelled", 3, 2, 0), 2)
    for _ in range(2):
        assert client.post(f"/api/v1/review-runs/{second.pk}/cancel/").json()["state"] == "cancelled"
    assert get_facts(others)[0] == "running"
    do_steps(others.pk)
    client.force_login(create_member("add_review", "change_review"))
    assert client.post(f"/api/v1/review-runs/{others.pk}/cancel/").status_code == 409


def test_a_run_over_nothing_is_done_and_one_of_an_unknown_group_is_none(outbox: Outbox) -> None:
    assert get_facts(start()) == ("done", 0, 0, 0)
    with pytest.raises(ReviewError, match="received 'Hats'"):
        start(*create_images(1), group="Hats")
    assert ReviewRun.objects.count() == 1
    assert not ImageToReview.objects.exists()


@pytest.mark.redis
@pytest.mark.django_db(transaction=True)
def test_a_run_waits_for_the_sweep_while_the_broker_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise redis.exceptions.ConnectionError

    assert django_settings.REDIS_URL
    monkeypatch.setattr(record_reviews_task, "apply_async", refuse)
    run = start(*create_images(1))
    assert get_facts(run) == ("running", 1, 0, 0)


def test_whoever_gives_labels_sees_how_far_a_run_is_and_cancels_it(client: Client) -> None:
    user = sign_in(client, "add_review", staff=True)
    run = start(*create_images(3))
    record_next_step(run.pk)
    response = client.get(f"{LIST}{run.pk}/change/")
    assert "2 of 3 labelled, 67% looked at" in response.text
    assert response.headers["Refresh"] == "3"
    chosen = {"action": "cancel_selected", "_selected_action": [run.pk]}
    page = client.post(LIST, chosen)
    assert page.context["question"].counts == [("Runs that have not ended", "1"), ("Pictures that are left", "1")]
    assert get_facts(run)[0] == "running"
    client.post(LIST, {**chosen, "confirmed": "yes"})
    assert get_facts(run)[0] == "cancelled"
    assert LogEntry.objects.values_list("user", "object_id", "change_message").get() == (
        user.pk,
        str(run.pk),
        "Cancelled.",
    )
    assert "Refresh" not in client.get(f"{LIST}{run.pk}/change/").headers


def test_a_run_is_shown_to_nobody_else(client: Client) -> None:
    run = start(*create_images(1))
    user = sign_in(client, "view_review", staff=True)
    assert client.get(LIST).status_code == 403
    assert client.get(f"{LIST}{run.pk}/change/").status_code == 403
    client.force_login(create_member("view_reviewrun", staff=True))
    assert client.get(LIST).status_code == 200
    client.post(LIST, {"action": "cancel_selected", "_selected_action": [run.pk], "confirmed": "yes"})
    assert get_facts(run)[0] == "running"
    assert not LogEntry.objects.filter(user=user).exists()
