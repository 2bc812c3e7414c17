"""What happens to trainings, artefacts and versions when a disk is full or a worker is killed; with real processes.

Rows K16 to K19, K21 and K22 of the crash matrix; docs/faults.md has the table.
"""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from django.db import connection

from catalog.models import ProductLabel
from classifier.labelling.starting import start_labelling_run
from classifier.models import AdoptionRun, Classification, LabelTask, ModelVersion, TrainingRun
from classifier.registry.cleaning import clean_artefacts
from classifier.registry.services import get_artefact_folder
from classifier.training.runs import claim_training_run
from classifier.training.starting import start_training_run
from tests.faults.scenes import PATIENT, wait_until_done, wait_until_held
from tests.faults.workers import LIMITS, Crew, wait_until
from tests.support.artefacts import bring_into_production, register_active_version, vouch_for_files
from tests.support.factories import create_product
from tests.support.fakes import create_model_version, create_painted_image

pytestmark = [pytest.mark.postgresql, pytest.mark.redis, pytest.mark.processes]
State = TrainingRun.State


def start_training() -> TrainingRun:
    """Queue a training."""
    return start_training_run(recipe="default", seed=1)


def wait_until_ended(run: TrainingRun) -> TrainingRun:
    """Wait until the training has ended; return it as it is then."""
    wait_until(lambda: TrainingRun.objects.get(pk=run.pk).finished_at is not None, what="the training to end")
    run.refresh_from_db()
    return run


def list_files(folder: Path) -> list[str]:
    """Return the names of all files below the folder."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_k16_a_full_disk_fails_the_training_and_leaves_no_part_of_an_artefact(crew: Crew, settings: Any) -> None:
    active = register_active_version()
    served = list_files(settings.ARTEFACTS_DIR)
    small_disk = crew.folder / "small-disk"
    small_disk.mkdir()
    run = start_training()
    worker = crew.start("training", small_disk=str(small_disk), settings={"ARTEFACTS_DIR": str(small_disk)})
    wait_until_ended(run)
    assert run.state == State.FAILED
    # No space left on device; or file too large, where a small disk could not be mounted.
    assert "[Errno 28]" in run.error or "[Errno 27]" in run.error
    assert list_files(Path(f"/proc/{worker.pid}/root{small_disk}")) == []
    assert ModelVersion.objects.get() == active
    assert list_files(settings.ARTEFACTS_DIR) == served
    create_product(images=[create_painted_image()])
    labelling = start_labelling_run()
    crew.start(environ={"FAULT_CLASSIFIER": "real"}, settings=PATIENT)
    wait_until_done(labelling)
    assert Classification.objects.get().model_version == active


def test_k17_a_training_is_alive_in_silence_and_abandoned_once_killed_and_the_next_one_runs(
    crew: Crew, settings: Any
) -> None:
    killed, following = start_training(), start_training()
    worker = crew.start("training", environ={"FAULT_SAVING": "hang"})
    wait_until(lambda: list_files(settings.ARTEFACTS_DIR), what="the first file of the artefact")
    killed.refresh_from_db()
    assert killed.heartbeat_at is not None
    silent_until = killed.heartbeat_at + timedelta(seconds=float(LIMITS["TRAINING_HEARTBEAT_SECONDS"]) + 1)
    # It reports nothing any more, and its worker sweeps; only the heartbeat says that it lives.
    wait_until(lambda: TrainingRun.objects.filter(pk=killed.pk, heartbeat_at__gt=silent_until), what="signs of life")
    worker.kill()
    assert TrainingRun.objects.get(pk=killed.pk).state == State.RUNNING
    crew.start("training")
    assert wait_until_ended(killed).state == State.ABANDONED
    assert "stopped answering" in killed.error
    assert wait_until_ended(following).state == State.DONE
    assert ModelVersion.objects.get() == following.model_version
    # What the dead training left is a hidden folder, and goes with the next cleaning.
    # The next one takes its own away once its result is known.
    wait_until(lambda: len(list(settings.ARTEFACTS_DIR.glob(".training-*"))) == 1, what="one folder that is left")
    leftovers = list(settings.ARTEFACTS_DIR.glob(".training-*"))
    assert set(clean_artefacts(older_than_seconds=0).removed) == {path.name for path in leftovers}
    assert [path.name for path in settings.ARTEFACTS_DIR.iterdir()] == [following.model_version.folder]


def test_k19_of_fifty_claims_at_once_one_gets_through(transactional_db: None) -> None:
    runs = [start_training_without_message() for _ in range(50)]

    def claim(run: TrainingRun) -> TrainingRun | None:
        try:
            return claim_training_run(run.pk)
        finally:
            connection.close()

    with ThreadPoolExecutor(10) as pool:
        claimed = [run for run in pool.map(claim, runs) if run is not None]
    assert len(claimed) == 1
    assert list(TrainingRun.objects.filter(state=State.RUNNING)) == claimed
    assert TrainingRun.objects.filter(state=State.QUEUED).count() == 49


def start_training_without_message() -> TrainingRun:
    """Queue a training of which no message speaks."""
    return TrainingRun.objects.create(recipe="default", seed=1)


def test_k19_two_training_workers_train_one_at_a_time(crew: Crew, queue: Celery) -> None:
    runs = [start_training() for _ in range(2)]
    for run in runs:
        queue.send_task("classifier.tasks.train_task", args=[run.pk], queue="training")
    for _ in range(2):
        crew.start("training", environ={"FAULT_STEPS": "5"})
    for run in runs:
        assert wait_until_ended(run).state == State.DONE
    times = sorted((run.started_at, run.finished_at) for run in runs)
    assert all(earlier[1] <= later[0] for earlier, later in pairwise(times))


def test_k21_a_corrupted_artefact_is_refused_by_new_workers_and_served_from_memory_by_old_ones(crew: Crew) -> None:
    version = register_active_version()
    create_product(images=[create_painted_image()])
    first = start_labelling_run()
    old = crew.start(environ={"FAULT_CLASSIFIER": "real"}, settings=PATIENT)
    wait_until_done(first)
    network = get_artefact_folder(version) / "network.tflite"
    content = bytearray(network.read_bytes())
    content[len(content) // 2] ^= 0xFF
    network.write_bytes(content)
    create_product(images=[create_painted_image()])
    wait_until_done(start_labelling_run())
    assert Classification.objects.count() == 2
    old.kill()
    create_product(images=[create_painted_image()])
    third = start_labelling_run()
    crew.start(environ={"FAULT_CLASSIFIER": "real"}, settings=PATIENT)
    wait_until(lambda: "this machine cannot label" in crew.read_logs(), what="the new worker to refuse")
    wait_until(lambda: third.tasks.filter(lease_token=None).exists(), what="the tasks to be put off")
    assert "network.tflite: expected SHA-256" in crew.read_logs()
    assert Classification.objects.count() == 2
    waiting = list(third.tasks.values_list("state", "crashes", "attempts", "waits_for"))
    assert waiting == [(LabelTask.State.NEW, 0, 0, "artefact_error")]


def test_k22_an_activation_ends_the_run_of_another_version_and_its_pictures_go_to_the_new_one(
    crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    vouch_for_files(monkeypatch)
    monkeypatch.setattr("classifier.adoption.services.send_adoption_runs", lambda: 0)
    before, after = create_model_version(), create_model_version(stage="candidate")
    for _ in range(64):
        create_product(images=[create_painted_image()])
    run = start_labelling_run()
    worker = crew.start(environ={"FAULT_WORK_SECONDS": "0.7"})
    wait_until_held(worker)
    bring_into_production(after)
    adopted = AdoptionRun.objects.filter(model_version=after, state="done")
    wait_until(adopted.exists, what="the end of the adoption")
    wait_until_done(adopted.get().labelling_run)
    run.refresh_from_db()
    assert (run.state, run.closing) == ("cancelled", False)
    # What was in hand was finished with the version that it was begun with.
    assert set(Classification.objects.filter(run=run).values_list("model_version", flat=True)) == {before.pk}
    assert Classification.objects.filter(model_version=after).count() == 64
    assert set(ProductLabel.objects.values_list("model_version", flat=True)) == {after.pk}
