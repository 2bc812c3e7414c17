"""What the fault tests have in common: a run, a worker that is in the middle of it, and the labels in the end."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from celery import Celery
from django.conf import settings as django_settings
from django.utils import timezone

from catalog.models import ProductLabel
from classifier.labelling.starting import start_labelling_run
from classifier.models import Classification, LabellingRun, LabelTask
from tests.faults.workers import Worker, list_held_by, wait_until
from tests.support.factories import create_products
from tests.support.fakes import create_model_version, create_painted_image
from tests.support.faulty_store import BACKEND, VARIABLE, Faults

State = LabelTask.State

# Long enough for a test to act while a batch is in hand, and well below the soft limit of 4 s.
SLOW = {"FAULT_WORK_SECONDS": "1.5"}
# For a worker that is killed or stopped anyway, so that nobody waits for longer than its work would take.
SHORT_LEASE = {"LABELLING_LEASE_SECONDS": 2}
# Limits that no slow machine meets, and a lease that none outlives.
PATIENT = {
    "LABELLING_SOFT_LIMIT_SECONDS": 100,
    "LABELLING_HARD_LIMIT_SECONDS": 110,
    "LABELLING_LEASE_SECONDS": 120,
}


def start_run(number: int) -> LabellingRun:
    """Start a run over `number` new products with a picture each."""
    create_model_version()
    create_products(["Product"] * number, images=[create_painted_image() for _ in range(number)])
    return start_labelling_run()


def wait_until_held(*workers: Worker) -> list[int]:
    """Wait until a child of one of the workers has a batch in hand; return the ids of its tasks."""

    def find_held() -> list[int]:
        children = [child for worker in workers for child in worker.children()]
        return next(filter(None, (list(list_held_by(child).values_list("pk", flat=True)) for child in children)), [])

    return wait_until(find_held, what="a batch in hand")


def wait_until_in_the_middle(run: LabellingRun) -> None:
    """Wait until some of the run's pictures are labelled and some are not sent or claimed yet."""
    wait_until(lambda: run.tasks.filter(state=State.DONE).exists(), what="the first label")
    assert run.tasks.filter(state=State.NEW).exists()


def create_faulty_store(folder: Path) -> tuple[Faults, dict[str, Any]]:
    """Return the faults of an object store that works yet, and a worker's options by which it has its pictures there.

    What waits for the store is tried again after a fifth of a second.
    """
    path = folder / "fault"
    storages = django_settings.STORAGES | {"default": {"BACKEND": BACKEND}}
    environ = {VARIABLE: str(path), "FAULT_WAIT_SECONDS": "0.2"}
    return Faults(path), {"environ": environ, "settings": {"STORAGES": storages}}


def wait_until_done(run: LabellingRun) -> None:
    """Wait until the run is done."""
    wait_until(lambda: LabellingRun.objects.get(pk=run.pk).state == LabellingRun.State.DONE, what="the run to be done")


def assert_each_labelled_once(run: LabellingRun, *, number: int) -> None:
    """Check that each of the run's pictures has one label, and its product shows it."""
    assert set(run.tasks.values_list("state", flat=True)) == {State.DONE}
    labelled = list(Classification.objects.filter(run=run).values_list("image_id", flat=True))
    assert (len(labelled), len(set(labelled))) == (number, number)
    assert ProductLabel.objects.filter(status="labelled").count() == number


def send_patient_messages(queue: Celery, run: LabellingRun, *, size: int = 32) -> None:
    """Send all tasks of the run, and let no sweep send them meanwhile; workers that take their time are `PATIENT`."""
    ids = list(run.tasks.order_by("pk").values_list("pk", flat=True))
    run.tasks.update(sent_at=timezone.now() + timedelta(hours=1))
    for start in range(0, len(ids), size):
        queue.send_task("classifier.tasks.label_batch_task", args=[ids[start : start + size]], queue="labelling")
