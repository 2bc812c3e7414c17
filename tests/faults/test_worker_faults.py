"""What happens to labels when workers die, stop or meet a picture that kills them; with real processes.

Rows K01 to K04 and K10 to K15 of the crash matrix; docs/faults.md has the table.
"""

import os
import re
import signal
from collections import Counter
from io import BytesIO

import pytest
from celery import Celery
from PIL import Image as PillowImage

from catalog.models import Image, ProductLabel
from classifier.labelling import ledger
from classifier.labelling.starting import start_labelling_run
from classifier.models import Classification, LabelTask
from tests.faults.harm import HANG, HUNGRY, KILLED, SEGFAULT, STUBBORN
from tests.faults.scenes import (
    PATIENT,
    SHORT_LEASE,
    SLOW,
    assert_each_labelled_once,
    send_patient_messages,
    start_run,
    wait_until_done,
    wait_until_held,
)
from tests.faults.workers import Crew, list_held_by, wait_until
from tests.support.factories import create_product
from tests.support.fakes import create_model_version, create_painted_image, create_stored_image

pytestmark = [pytest.mark.postgresql, pytest.mark.redis, pytest.mark.processes]
State = LabelTask.State


def test_k01_a_killed_childs_batch_is_done_again_at_once(crew: Crew, queue: Celery) -> None:
    run = start_run(2)
    # Neither a time limit nor the end of the lease can give back what the child held.
    send_patient_messages(queue, run)
    worker = crew.start_ready(environ=SLOW, settings=PATIENT)
    held = wait_until_held(worker)
    child = worker.kill_child()
    wait_until(lambda: not list_held_by(child).exists(), what="the dead child's tasks to go back")
    assert set(LabelTask.objects.filter(pk__in=held).values_list("crashes", flat=True)) == {1}
    wait_until_done(run)
    assert_each_labelled_once(run, number=2)
    assert set(run.tasks.values_list("attempts", "crashes")) == {(2, 1)}
    assert worker.is_alive()
    assert "a child was lost; gave 2 of its 2 tasks back" in crew.read_logs()


def test_k02_a_killed_workers_batch_is_done_by_another(crew: Crew) -> None:
    run = start_run(5)
    first = crew.start_ready(environ=SLOW, settings=SHORT_LEASE)
    held = wait_until_held(first)
    (child,) = first.kill()
    assert list_held_by(child).count() == len(held) == 5
    crew.start()
    wait_until_done(run)
    assert_each_labelled_once(run, number=5)
    assert set(run.tasks.values_list("attempts", "crashes")) == {(2, 1)}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT], ids=["sigterm", "sigquit"])
def test_k03_a_stop_finishes_the_batch_in_hand_and_waits_for_nothing_else(crew: Crew, number: int) -> None:
    run = start_run(40)
    # Longer than this test may take: who waits for all of it, with a batch in hand or without, fails the test.
    patient = {"WORKER_SOFT_SHUTDOWN_SECONDS": 600}
    idle = crew.start_ready("training", settings=patient)
    worker = crew.start_ready(environ=SLOW, settings=patient)
    held = wait_until_held(worker)
    for stopped in (worker, idle):
        stopped.signal(number)
    wait_until(lambda: not (worker.is_alive() or idle.is_alive()), what="the workers to end")
    assert set(LabelTask.objects.filter(pk__in=held).values_list("state", flat=True)) == {State.DONE}
    assert not run.tasks.filter(state=State.RUNNING).exists()
    assert not run.tasks.filter(crashes__gt=0).exists()
    crew.start()
    wait_until_done(run)
    assert_each_labelled_once(run, number=40)


def test_k03_a_soft_stop_gives_back_what_it_cannot_finish(crew: Crew, queue: Celery) -> None:
    run = start_run(3)
    send_patient_messages(queue, run)
    # The soft stop waits for 2 s, the work takes longer.
    worker = crew.start_ready(environ={"FAULT_WORK_SECONDS": "60"}, settings=PATIENT)
    wait_until_held(worker)
    worker.signal(signal.SIGQUIT)
    wait_until(lambda: not worker.is_alive(), what="the worker to end")
    assert set(run.tasks.values_list("state", "attempts", "crashes", "lease_token")) == {(State.NEW, 0, 0, None)}
    crew.start()
    wait_until_done(run)
    assert_each_labelled_once(run, number=3)


def test_k04_a_worker_stopped_past_its_lease_is_fenced_off(crew: Crew) -> None:
    run = start_run(3)
    zombie = crew.start_ready(environ=SLOW, settings=SHORT_LEASE)
    # Not merely while it holds them: stopped within the claim it would find nothing left to refuse.
    wait_until(lambda: "at work on 3 pictures" in zombie.read_log(), what="the zombie to be at work")
    (child,) = zombie.children()
    zombie.signal_all(signal.SIGSTOP)
    crew.start()
    wait_until_done(run)
    labels = set(Classification.objects.values_list("pk", "image_id"))
    assert_each_labelled_once(run, number=3)
    # The child first, so that the main process does not end it for the time it was away.
    os.kill(child, signal.SIGCONT)
    wait_until(lambda: "wrote 0 of 3 outcomes" in zombie.read_log(), what="the zombie to be refused")
    zombie.signal(signal.SIGCONT)
    assert set(Classification.objects.values_list("pk", "image_id")) == labels
    assert set(run.tasks.values_list("state", "attempts", "crashes")) == {(State.DONE, 2, 1)}


def test_k10_a_run_whose_messages_never_left_is_done(crew: Crew) -> None:
    run = start_run(40)
    # The first batch was marked as sent just before a crash, and of the second no message speaks.
    (marked,) = ledger.take_batches_to_send(maximum=1, lost_after_seconds=30)
    assert run.tasks.filter(sent_at__isnull=True).count() == 40 - len(marked) == 8
    crew.start()
    wait_until_done(run)
    assert_each_labelled_once(run, number=40)
    assert set(run.tasks.values_list("attempts", flat=True)) == {1}


def test_k11_a_message_that_comes_a_hundred_times_labels_once(crew: Crew, queue: Celery) -> None:
    run = start_run(8)
    ids = list(run.tasks.values_list("pk", flat=True))
    for _ in range(100):
        queue.send_task("classifier.tasks.label_batch_task", args=[ids], queue="labelling")
    for _ in range(2):
        crew.start(environ={"FAULT_WORK_SECONDS": "0.2"})
    wait_until_done(run)
    wait_until(lambda: count_deliveries(crew).total() >= 100, what="every message to be taken up")
    assert_each_labelled_once(run, number=8)
    assert set(run.tasks.values_list("attempts", "crashes")) == {(1, 0)}


def test_k12_redelivery_during_the_work_writes_once(crew: Crew, queue: Celery) -> None:
    run = start_run(3)
    send_patient_messages(queue, run)
    hasty = {"visibility_timeout": 1, "unacked_restore_interval": 0.2}
    for _ in range(2):
        crew.start(environ={"FAULT_WORK_SECONDS": "5"}, broker_options=hasty, settings=PATIENT)
    wait_until(lambda: max(count_deliveries(crew).values(), default=0) > 1, what="a second delivery")
    assert LabelTask.objects.filter(state=State.RUNNING).count() == 3
    wait_until_done(run)
    assert_each_labelled_once(run, number=3)
    assert set(run.tasks.values_list("attempts", "crashes")) == {(1, 0)}


def count_deliveries(crew: Crew) -> Counter[str]:
    """Return how often each message was taken up, by its id."""
    return Counter(re.findall(r"label_batch_task\[([0-9a-f-]+)\] received", crew.read_logs()))


def test_k13_k14_k15_only_the_harmful_pictures_are_given_up(crew: Crew) -> None:
    create_model_version()
    harmless = [create_painted_image() for _ in range(6)]
    # Crashes the process; hangs until the soft limit; hangs and ignores that, until the hard one.
    harmful = [create_harmful_image(harm) for harm in (SEGFAULT, HANG, STUBBORN)]
    # Asks for more memory than there is.
    hungry = create_harmful_image(HUNGRY)
    for image in (*harmless[:3], *harmful, hungry, *harmless[3:]):
        create_product(images=[image])
    run = start_labelling_run()
    workers = [crew.start() for _ in range(3)]
    wait_until_done(run)
    given_up = run.tasks.filter(image__in=harmful)
    assert set(given_up.values_list("state", "error_code", "crashes", "attempts")) == {
        (State.FAILED, "worker_crash", 3, 3)
    }
    waiting = run.tasks.get(image=hungry)
    assert (waiting.state, waiting.error_code) == (State.RETRY, "worker_error")
    assert set(run.tasks.filter(image__in=harmless).values_list("state", flat=True)) == {State.DONE}
    assert set(Classification.objects.values_list("image_id", flat=True)) == {image.pk for image in harmless}
    failed = ProductLabel.objects.filter(status="failed").values_list("image_id", flat=True)
    assert set(failed) == {image.pk for image in (*harmful, hungry)}
    assert all(worker.is_alive() for worker in workers)


def test_k15_a_picture_whose_workers_are_killed_each_time_is_given_up_late_and_a_harmless_one_is_not(
    crew: Crew, queue: Celery
) -> None:
    create_model_version()
    greedy, harmless = create_harmful_image(KILLED), create_painted_image()
    for image in (greedy, harmless):
        create_product(images=[image])
    run = start_labelling_run()
    # As if it had been in hand, alone, whenever somebody killed workers.
    run.tasks.filter(image=harmless).update(crashes=ledger.MAXIMUM_LOSSES - 1)
    crew.start(environ={"FAULT_WAIT_SECONDS": "0.1"})
    wait_until_done(run)
    rows = run.tasks.values_list("state", "error_code", "crashes")
    assert rows.get(image=greedy) == (State.FAILED, "worker_crash", ledger.MAXIMUM_LOSSES)
    assert rows.get(image=harmless)[0] == State.DONE


def create_harmful_image(harm: bytes) -> Image:
    """Create an image whose picture is fine until a worker decodes it."""
    buffer = BytesIO()
    PillowImage.new("RGB", (32, 32)).save(buffer, "PNG")
    return create_stored_image(buffer.getvalue() + harm)
