"""What happens to labels when the storage of pictures is away, broken or full, or an image is deleted; real workers.

Rows K31 to K34 of docs/faults.md.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from catalog.models import Image
from classifier.labelling.reports import forget_run_report, get_run_report
from classifier.labelling.starting import start_labelling_run
from classifier.models import LabellingRun, LabelTask
from tests.faults.scenes import (
    SLOW,
    assert_each_labelled_once,
    create_faulty_store,
    start_run,
    wait_until_done,
    wait_until_held,
    wait_until_in_the_middle,
)
from tests.faults.workers import Crew, wait_until
from tests.support.factories import create_product
from tests.support.fakes import create_model_version
from tests.support.image_origin import ORIGIN_ADDRESS, ImageOrigin, response, running_origin
from tests.support.make_images import png

pytestmark = [pytest.mark.postgresql, pytest.mark.redis, pytest.mark.processes]
State = LabelTask.State


@pytest.mark.parametrize("fault", ["away", "full"])
def test_k31_k32_a_store_that_fails_for_a_while_costs_no_label_and_blames_no_picture(
    crew: Crew, tmp_path: Path, fault: str
) -> None:
    faults, options = create_faulty_store(tmp_path)
    run = start_run(24)
    options["settings"] |= {"LABELLING_BATCH_SIZE": 4}
    options["environ"] |= {"FAULT_WORK_SECONDS": "0.2"}
    workers = [crew.start(**options) for _ in range(2)]
    wait_until_in_the_middle(run)
    faults.set(fault)
    wait_until(lambda: not run.tasks.filter(state=State.NEW, waits_for="").exists(), what="the rest to wait")
    wait_until(lambda: not run.tasks.filter(state=State.RUNNING).exists(), what="nothing in hand")
    waiting = run.tasks.exclude(state=State.DONE)
    assert set(waiting.values_list("waits_for", flat=True)) == {"storage_error"}
    faults.clear()
    # One that was met just when the store came back waits for a try of its own, which keeps no run open.
    wait_until(lambda: not run.tasks.exclude(state=State.DONE).exists(), what="every label")
    wait_until_done(run)
    assert_each_labelled_once(run, number=24)
    assert set(run.tasks.values_list("crashes", flat=True)) == {0}
    assert all(worker.is_alive() for worker in workers)


@pytest.fixture
def origin() -> Iterator[ImageOrigin]:
    with running_origin() as origin:
        yield origin


def test_k33_with_a_full_disk_nothing_is_fetched_and_the_run_says_why_it_waits(
    crew: Crew, tmp_path: Path, origin: ImageOrigin
) -> None:
    small_disk = tmp_path / "small"
    small_disk.mkdir()
    fetching = {
        "FETCH_ALLOWED_NETWORKS": [f"{ORIGIN_ADDRESS}/32"],
        "FETCH_ALLOWED_PORTS": [origin.port],
        "FETCH_REQUESTS_PER_SECOND_PER_HOST": 0.0,
    }
    create_model_version()
    for number in range(5):
        create_product(images=[Image.objects.create(url=origin.serve(f"/{number}.png", response(png())))])
    run = start_labelling_run()
    full = crew.start_ready(
        settings=fetching | {"MEDIA_ROOT": str(small_disk)},
        small_disk=str(small_disk),
        environ={"FAULT_WAIT_SECONDS": "0.2"},
    )
    if os.stat(f"/proc/{full.pid}/root{small_disk}").st_dev == os.stat(small_disk).st_dev:
        pytest.skip("needs the right to mount a small disk")
    wait_until(lambda: crew.read_logs().count("the disk of the media storage is full") > 3, what="some tries")
    forget_run_report(run)
    assert [(code, number) for code, number, _ in get_run_report(run).waits] == [("storage_error", 5)]
    assert list(Path(f"/proc/{full.pid}/root{small_disk}").iterdir()) == []
    assert origin.paths() == []
    full.kill()
    crew.start(settings=fetching, environ={"FAULT_WAIT_SECONDS": "0.2"})
    wait_until_done(run)
    assert_each_labelled_once(run, number=5)
    assert sorted(origin.paths()) == [f"/{number}.png" for number in range(5)]


def test_k34_an_image_that_is_deleted_under_a_worker_is_dropped_and_its_neighbours_are_labelled(crew: Crew) -> None:
    run = start_run(6)
    worker = crew.start_ready(environ=SLOW)
    held = wait_until_held(worker)
    deleted = LabelTask.objects.select_related("image").get(pk=held[0]).image
    deleted.delete()
    wait_until_done(run)
    assert_each_labelled_once(run, number=5)
    assert set(run.tasks.values_list("attempts", "crashes")) == {(1, 0)}
    assert LabellingRun.objects.get().figures["progress"]["failed"] == 0
