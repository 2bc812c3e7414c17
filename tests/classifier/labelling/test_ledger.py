"""The ledger: who may claim, who may finish, and what a crash, a time limit or a lost message does."""

import uuid
from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from catalog.models import ProductLabel
from classifier.labelling import batches as labelling
from classifier.labelling import ledger
from classifier.labelling.batches import label_batch
from classifier.labelling.ledger import ClaimedBatch, Failed, Labelled, claim_tasks, finish_tasks
from classifier.labelling.runs import cancel_labelling_run
from classifier.labelling.selectors import list_waits
from classifier.labelling.starting import start_labelling_run
from classifier.models import Classification, LabellingRun, LabelTask, ModelVersion
from config.db.clock import get_database_time
from tests.support.factories import create_product
from tests.support.fakes import (
    FakeClassifier,
    build_outcome,
    create_model_version,
    create_painted_image,
    create_stored_image,
)

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
State = LabelTask.State


@pytest.fixture
def version() -> ModelVersion:
    return create_model_version()


def start_run(number: int = 3, *, garment: str = "Trouser", **options: object) -> tuple[LabellingRun, list[int]]:
    """Start a run over `number` new products of one picture each; return it with the ids of its tasks."""
    for _ in range(number):
        create_product(images=[create_painted_image(garment)])
    run = start_labelling_run(**options)
    return run, list(run.tasks.order_by("pk").values_list("pk", flat=True))


def expire_leases() -> None:
    LabelTask.objects.filter(state=State.RUNNING).update(lease_until=timezone.now() - timedelta(seconds=1))


def labelled(batch: ClaimedBatch, garment: str = "Trouser") -> list[Labelled]:
    return [build_outcome(task.image, garment) for task in batch.tasks]


def test_a_claim_is_a_lease_with_one_token_and_counts_the_attempt(version: ModelVersion) -> None:
    _, ids = start_run(3)
    batch = claim_tasks(ids)
    assert [task.pk for task in batch.tasks] == ids
    for task in batch.tasks:
        assert (task.state, task.lease_token, task.attempts) == (State.RUNNING, batch.token, 1)
        assert timedelta(seconds=85) < task.lease_until - timezone.now() < timedelta(seconds=95)


def test_tasks_that_somebody_holds_cannot_be_claimed_again(version: ModelVersion) -> None:
    _, ids = start_run(3)
    claim_tasks(ids[:2])
    assert [task.pk for task in claim_tasks(ids).tasks] == ids[2:]


def test_the_same_message_twice_labels_each_picture_once(version: ModelVersion) -> None:
    run, ids = start_run(3)
    classifier = FakeClassifier()
    assert label_batch(ids, get_classifier=lambda _: classifier) == 3
    assert label_batch(ids, get_classifier=lambda _: classifier) == 0
    assert Classification.objects.count() == 3
    assert classifier.calls == [3]
    run.refresh_from_db()
    assert run.state == LabellingRun.State.DONE


def test_who_lost_the_lease_cannot_finish(version: ModelVersion) -> None:
    _, ids = start_run(1)
    zombie = claim_tasks(ids)
    expire_leases()
    assert ledger.sweep_expired_leases() == 1
    successor = claim_tasks(ids)
    assert finish_tasks(successor, labelled(successor, "Trouser")) == 1
    assert finish_tasks(zombie, labelled(zombie, "Bag")) == 0
    assert list(Classification.objects.values_list("garment", flat=True)) == ["Trouser"]


def test_finish_refuses_a_number_of_outcomes_that_is_not_that_of_the_tasks(version: ModelVersion) -> None:
    _, ids = start_run(2)
    batch = claim_tasks(ids)
    with pytest.raises(ValueError, match="zip"):
        finish_tasks(batch, labelled(batch)[:1])
    assert not Classification.objects.exists()
    assert set(LabelTask.objects.values_list("state", flat=True)) == {State.RUNNING}


def test_a_crashed_batch_comes_back_one_by_one_and_only_the_guilty_is_given_up(version: ModelVersion) -> None:
    run, ids = start_run(3)
    guilty = ids[1]
    claim_tasks(ids)
    assert ledger.give_back_lost_tasks(ids, by_own_fault=True) == 3
    for _ in range(ledger.MAXIMUM_CRASHES - 1):
        for batch in ledger.take_batches_to_send(maximum=10, lost_after_seconds=30):
            assert len(batch) == 1
            claimed = claim_tasks(batch)
            if batch == [guilty]:
                ledger.give_back_lost_tasks(batch, by_own_fault=True)
            else:
                finish_tasks(claimed, labelled(claimed))
    task = LabelTask.objects.get(pk=guilty)
    assert (task.state, task.error_code, task.crashes) == (State.FAILED, "worker_crash", 3)
    assert LabelTask.objects.filter(state=State.DONE).count() == 2
    run.refresh_from_db()
    assert run.state == LabellingRun.State.DONE
    assert ProductLabel.objects.get(status="failed").image_id == task.image_id


@pytest.mark.parametrize("loss", ["its child was killed", "its worker is gone"])
def test_a_picture_whose_worker_is_lost_waits_longer_each_time_and_is_blamed_late(
    version: ModelVersion, loss: str
) -> None:
    run, (pk,) = start_run(1)
    delays = []
    for _ in range(ledger.MAXIMUM_LOSSES):
        LabelTask.objects.update(next_try_at=Now())
        assert claim_tasks([pk]).tasks
        if loss == "its worker is gone":
            expire_leases()
            assert ledger.sweep_expired_leases() == 1
        else:
            assert ledger.give_back_lost_tasks([pk], by_own_fault=False) == 1
        task = LabelTask.objects.get()
        delays.append(round((task.next_try_at - get_database_time()).total_seconds(), -1))
        if task.crashes == ledger.MAXIMUM_CRASHES:
            assert (task.state, task.error_code) == (State.NEW, "")
            ((code, number, _since),) = list_waits(run)
            assert (code, number) == ("worker_error", 1)
    assert delays[:-1] == [0, 30, 120, 300, 300]
    assert (task.state, task.error_code, task.waits_for) == (State.FAILED, "worker_crash", "")


def test_a_suspect_is_not_claimed_in_company(version: ModelVersion) -> None:
    _, ids = start_run(2)
    LabelTask.objects.filter(pk=ids[0]).update(crashes=1)
    assert [task.pk for task in claim_tasks(ids).tasks] == ids[1:]
    assert [task.pk for task in claim_tasks(ids[:1]).tasks] == ids[:1]


def test_a_graceful_stop_gives_the_tasks_back_without_counting_the_try(version: ModelVersion) -> None:
    _, ids = start_run(2)

    class StoppedClassifier(FakeClassifier):
        def classify(self, pictures: object) -> list:
            raise SystemExit

    with pytest.raises(SystemExit):
        label_batch(ids, get_classifier=lambda _: StoppedClassifier())
    rows = LabelTask.objects.values_list("state", "crashes", "attempts", "lease_token")
    assert set(rows) == {(State.NEW, 0, 0, None)}
    assert label_batch(ids, get_classifier=lambda _: FakeClassifier()) == 2


def test_a_stop_between_claim_and_work_gives_the_tasks_back(
    version: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, ids = start_run(2)

    def claim_and_stop(*arguments: object, **options: object) -> None:
        claim_tasks(*arguments, **options)
        raise SystemExit

    monkeypatch.setattr(labelling, "claim_tasks", claim_and_stop)
    with pytest.raises(SystemExit):
        label_batch(ids, get_classifier=lambda _: FakeClassifier())
    rows = LabelTask.objects.values_list("state", "crashes", "attempts", "lease_token")
    assert set(rows) == {(State.NEW, 0, 0, None)}


def test_one_bad_picture_is_a_code_and_the_others_keep_their_labels(version: ModelVersion) -> None:
    good = [create_painted_image(garment) for garment in ("Trouser", "Bag", "Dress")]
    bad = create_stored_image(b"this is a text file, not a picture")
    gone = create_painted_image("Sneaker")
    gone.__class__.objects.filter(pk=gone.pk).update(url="tests/nothing-here.png")
    for image in (good[0], bad, good[1], gone, good[2]):
        create_product(images=[image])
    start_labelling_run()
    label_batch(list(LabelTask.objects.values_list("pk", flat=True)), get_classifier=lambda _: FakeClassifier())
    labels = dict(Classification.objects.values_list("image_id", "garment"))
    assert labels == {good[0].pk: "Trouser", good[1].pk: "Bag", good[2].pk: "Dress"}
    errors = dict(LabelTask.objects.errors().values_list("image_id", "error_code"))
    assert errors == {bad.pk: "not_image", gone.pk: "not_found"}
    assert dict(ProductLabel.objects.values_list("image_id", "status")) == {
        good[0].pk: "labelled",
        bad.pk: "failed",
        good[1].pk: "labelled",
        gone.pk: "failed",
        good[2].pk: "labelled",
    }


def test_a_failure_that_may_pass_waits_for_its_next_try_and_ends_the_run(version: ModelVersion) -> None:
    run, ids = start_run(1)
    finish_tasks(claim_tasks(ids), [Failed("timeout", retryable=True)])
    task = LabelTask.objects.get()
    assert (task.state, task.error_code, task.lease_token) == (State.RETRY, "timeout", None)
    assert timedelta(seconds=20) < task.next_try_at - timezone.now() < timedelta(seconds=40)
    assert task.first_failed_at == task.last_failed_at
    assert ledger.take_batches_to_send(maximum=10, lost_after_seconds=30) == []
    assert claim_tasks(ids).tasks == []
    run.refresh_from_db()
    assert run.state == LabellingRun.State.DONE


@pytest.mark.parametrize("attempt,hours", [(5, 1), (6, 24), (50, 24)])
def test_what_may_pass_is_never_given_up_and_in_the_end_tried_once_a_day(
    version: ModelVersion, attempt: int, hours: int
) -> None:
    _, ids = start_run(1)
    LabelTask.objects.update(attempts=attempt - 1)
    finish_tasks(claim_tasks(ids), [Failed("timeout", retryable=True)])
    task = LabelTask.objects.get()
    assert task.state == State.RETRY
    assert 0.79 * hours < (task.next_try_at - timezone.now()) / timedelta(hours=1) < 1.21 * hours


def test_a_host_that_asks_for_patience_is_given_it(version: ModelVersion) -> None:
    _, ids = start_run(1)
    finish_tasks(claim_tasks(ids), [Failed("rate_limited", retryable=True, retry_after_seconds=600.0)])
    assert LabelTask.objects.get().next_try_at - timezone.now() > timedelta(seconds=590)


def test_sent_tasks_are_not_sent_again_until_the_message_counts_as_lost(version: ModelVersion, settings) -> None:
    settings.LABELLING_BATCH_SIZE = 2
    _, ids = start_run(5)
    LabelTask.objects.update(sent_at=None)
    assert ledger.take_batches_to_send(maximum=2, lost_after_seconds=30) == [ids[:2], ids[2:4]]
    assert ledger.take_batches_to_send(maximum=2, lost_after_seconds=30) == [ids[4:]]
    assert ledger.take_batches_to_send(maximum=2, lost_after_seconds=30) == []
    LabelTask.objects.update(sent_at=timezone.now() - timedelta(seconds=31))
    assert ledger.take_batches_to_send(maximum=5, lost_after_seconds=30) == [ids[:2], ids[2:4], ids[4:]]
    for first, batches in ((1, [ids[:1], ids[1:3], ids[3:]]), (4, [ids[:2], ids[2:4], ids[4:]])):
        LabelTask.objects.update(sent_at=None)
        assert ledger.take_batches_to_send(maximum=5, lost_after_seconds=30, first_batch_size=first) == batches


def test_suspects_travel_alone_and_count_as_one_message_each(version: ModelVersion) -> None:
    _, ids = start_run(4)
    LabelTask.objects.filter(pk__in=ids[:2]).update(crashes=1)
    assert ledger.take_batches_to_send(maximum=2, lost_after_seconds=30) == [[ids[0]], [ids[1]]]
    assert set(LabelTask.objects.filter(sent_at__isnull=True).values_list("pk", flat=True)) == set(ids[2:])
    assert ledger.take_batches_to_send(maximum=0, lost_after_seconds=30) == []
    assert ledger.take_batches_to_send(maximum=1, lost_after_seconds=30) == [ids[2:]]


def test_a_claim_whose_answer_was_lost_is_repeated_with_its_token(version: ModelVersion) -> None:
    _, ids = start_run(2)
    token = uuid.uuid4()
    claim_tasks(ids, token=token)
    again = claim_tasks(ids, token=token)
    assert [(task.pk, task.attempts) for task in again.tasks] == [(pk, 1) for pk in ids]
    assert claim_tasks(ids).tasks == []


def test_a_finish_whose_answer_was_lost_is_repeated_without_effect(version: ModelVersion) -> None:
    _, ids = start_run(2)
    batch = claim_tasks(ids)
    assert finish_tasks(batch, labelled(batch)) == 2
    assert finish_tasks(batch, labelled(batch)) == 0
    assert Classification.objects.count() == 2


def test_a_lost_childs_tasks_go_back_at_once_and_the_zombie_is_fenced_off(version: ModelVersion) -> None:
    _, ids = start_run(3)
    batch = claim_tasks(ids[:1])
    finish_tasks(batch, labelled(batch))
    held = claim_tasks(ids[1:2])
    assert ledger.give_back_lost_tasks(ids, by_own_fault=False) == 1
    assert list(LabelTask.objects.order_by("pk").values_list("state", "crashes")) == [
        (State.DONE, 0),
        (State.NEW, 1),
        (State.NEW, 0),
    ]
    assert finish_tasks(held, labelled(held)) == 0


def test_cancelling_keeps_what_is_done_and_drops_what_is_not(version: ModelVersion) -> None:
    run, ids = start_run(3)
    label_batch(ids[:1], get_classifier=lambda _: FakeClassifier())
    held = claim_tasks(ids[1:2])
    assert cancel_labelling_run(run)
    assert not cancel_labelling_run(run)
    assert finish_tasks(held, labelled(held)) == 1
    states = list(LabelTask.objects.order_by("pk").values_list("state", flat=True))
    assert states == [State.DONE, State.DONE, State.CANCELLED]
    run.refresh_from_db()
    assert run.state == LabellingRun.State.CANCELLED


def test_a_cancelled_run_does_not_come_back_by_a_retry_or_a_dead_worker(version: ModelVersion) -> None:
    run, ids = start_run(2)
    finish_tasks(claim_tasks(ids[:1]), [Failed("timeout", retryable=True)])
    claim_tasks(ids[1:])
    cancel_labelling_run(run)
    expire_leases()
    ledger.sweep_expired_leases()
    assert set(LabelTask.objects.values_list("state", flat=True)) == {State.CANCELLED}


def test_a_token_that_was_never_given_finishes_nothing(version: ModelVersion) -> None:
    _, ids = start_run(1)
    batch = claim_tasks(ids)
    forged = ledger.ClaimedBatch(token=uuid.uuid4(), tasks=batch.tasks)
    assert finish_tasks(forged, labelled(forged)) == 0
    assert not Classification.objects.exists()
