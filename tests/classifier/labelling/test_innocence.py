"""Who is to blame: pictures for their own bytes, decoding and inference, and for nothing else that goes wrong."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.core.files.storage import default_storage
from django.db import OperationalError
from django.db.models.functions import Now
from django.test import Client
from django.utils import timezone
from PIL import Image as PillowImage

from catalog.models import Image, ProductLabel, StoredPicture
from catalog.pictures.storage import StorageError, StorageTimeoutError
from classifier.labelling import batches, ledger
from classifier.labelling.batches import label_batch
from classifier.labelling.ledger import Failed, PutOff, claim_tasks, finish_tasks
from classifier.labelling.reports import forget_run_report, get_run_report
from classifier.labelling.starting import start_labelling_run
from classifier.ml.artefacts import ArtefactMissingError
from classifier.ml.types import Picture, Prediction
from classifier.models import Classification, LabellingRun, LabelTask
from tests.support.factories import create_product
from tests.support.fakes import (
    FakeClassifier,
    create_model_version,
    create_painted_image,
    create_stored_image,
)
from tests.support.faulty_store import BACKEND, FAULTS, VARIABLE, Faults
from tests.support.image_origin import ORIGIN_ADDRESS, ImageOrigin, response, running_origin
from tests.support.make_images import png
from tests.support.members import sign_in

pytestmark = pytest.mark.django_db
State = LabelTask.State
INNOCENT = (State.NEW, 0, 0, None, "")


@pytest.fixture
def store(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Faults:
    """Return the faults of the object store in which this test's pictures lie."""
    settings.MEDIA_ROOT = tmp_path / "media"
    monkeypatch.setenv(VARIABLE, str(tmp_path / "fault"))
    settings.STORAGES = settings.STORAGES | {"default": {"BACKEND": BACKEND}}
    return Faults(tmp_path / "fault")


@pytest.fixture
def origin(settings: Any) -> Iterator[ImageOrigin]:
    with running_origin() as origin:
        settings.FETCH_ALLOWED_NETWORKS = [f"{ORIGIN_ADDRESS}/32"]
        settings.FETCH_ALLOWED_PORTS = [origin.port]
        settings.FETCH_REQUESTS_PER_SECOND_PER_HOST = 0.0
        yield origin


def start_run(number: int = 3) -> LabellingRun:
    """Start a run over `number` new products of one picture each."""
    for _ in range(number):
        create_product(images=[create_painted_image()])
    return start_run_over_all()


def start_run_over_all() -> LabellingRun:
    create_model_version()
    return start_labelling_run()


def work(classifier: Any = None) -> int:
    """Label every due task in one batch, as a worker would."""
    due = list(LabelTask.objects.due().order_by("pk").values_list("pk", flat=True))
    return label_batch(due, get_classifier=lambda _: classifier or FakeClassifier())


def wait_for_the_next_try() -> None:
    LabelTask.objects.filter(state__in=[State.NEW, State.RETRY]).update(next_try_at=Now())


def list_states() -> list[tuple[Any, ...]]:
    """Return what each task is, in order: state, crashes, attempts, lease, code of its own failure."""
    return list(
        LabelTask.objects.order_by("pk").values_list("state", "crashes", "attempts", "lease_token", "error_code")
    )


def assert_all_wait_for(code: str, run: LabellingRun) -> None:
    """Check that nobody is blamed, no product's label knows of it, and the run says what its pictures wait for."""
    assert set(list_states()) == {INNOCENT}
    assert set(ProductLabel.objects.values_list("status", "reason")) <= {("pending", "")}
    forget_run_report(run)
    run.refresh_from_db()
    assert run.state == LabellingRun.State.RUNNING
    ((found, number, since),) = get_run_report(run).waits
    assert (found, number) == (code, run.tasks.count())
    assert timezone.now() - since < timedelta(minutes=1)
    assert all(task.next_try_at > timezone.now() + timedelta(seconds=20) for task in run.tasks.all())


@pytest.mark.parametrize("fault", list(FAULTS))
def test_a_store_that_fails_makes_pictures_wait_and_they_come_back(store: Faults, fault: str) -> None:
    run = start_run(3)
    store.set(fault)
    assert work() == 0
    assert_all_wait_for("storage_error", run)
    store.clear()
    wait_for_the_next_try()
    assert work() == 3
    assert set(list_states()) == {(State.DONE, 0, 1, None, "")}
    forget_run_report(run)
    assert get_run_report(run).waits == []
    run.refresh_from_db()
    assert run.state == LabellingRun.State.DONE


@pytest.mark.skipif("CASES_DIR" not in os.environ, reason="needs the folder of cases that CASES_DIR names")
@pytest.mark.parametrize("mode", ["boto", "eio", "eacces"])
def test_the_store_of_the_cases_makes_pictures_wait(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    settings.MEDIA_ROOT = tmp_path / "media"
    monkeypatch.syspath_prepend(os.path.join(os.environ["CASES_DIR"], "pictures"))
    monkeypatch.setenv("FAKESTORE_MODE", str(tmp_path / "mode"))
    settings.STORAGES = settings.STORAGES | {"default": {"BACKEND": "fakestore.Bucket"}}
    run = start_run(3)
    (tmp_path / "mode").write_text(mode)
    assert work() == 0
    assert_all_wait_for("storage_error", run)
    (tmp_path / "mode").write_text("")
    wait_for_the_next_try()
    assert work() == 3


def test_a_file_that_alone_cannot_be_read_holds_up_neither_its_neighbours_nor_the_run(store: Faults) -> None:
    run = start_run(3)
    unreadable = run.tasks.order_by("pk")[1]
    store.set("eacces", unreadable.image.url)
    LabelTask.objects.filter(pk=unreadable.pk).update(attempts=50)
    assert work() == 3
    states = list_states()
    assert [row[0] for row in states] == [State.DONE, State.RETRY, State.DONE]
    assert states[1][1:] == (0, 51, None, "storage_error")
    run.refresh_from_db()
    assert run.state == LabellingRun.State.DONE
    store.clear()
    wait_for_the_next_try()
    assert work() == 1
    assert Classification.objects.count() == 3


@pytest.mark.parametrize("name", ["tests/nothing-here.png", "tests/" + "n" * 300 + ".png"])
@pytest.mark.parametrize("kind", ["object store", "file system"])
def test_only_the_storages_own_answer_says_that_there_is_no_file(request: Any, name: str, kind: str) -> None:
    if kind == "object store":
        request.getfixturevalue("store")
    Image.objects.create(url=name)
    start_run_over_all()
    work()
    assert [row[0::4] for row in list_states()] == [(State.FAILED, "not_found")]


@pytest.mark.parametrize("fault", list(FAULTS))
def test_nothing_is_fetched_that_could_not_be_kept(store: Faults, origin: ImageOrigin, fault: str) -> None:
    for number in range(3):
        Image.objects.create(url=origin.serve(f"/{number}.png", response(png())))
    run = start_run_over_all()
    store.set(fault)
    for _ in range(3):
        wait_for_the_next_try()
        assert work() == 0
    assert origin.paths() == []
    assert_all_wait_for("storage_error", run)
    store.clear()
    wait_for_the_next_try()
    assert work() == 3
    assert sorted(origin.paths()) == ["/0.png", "/1.png", "/2.png"]


def test_a_disk_with_no_room_for_a_batch_counts_as_full(
    origin: ImageOrigin, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.MEDIA_ROOT = tmp_path
    monkeypatch.setattr("catalog.pictures.storage.FREE_BYTES", 2**62)
    Image.objects.create(url=origin.serve("/1.png", response(png())))
    run = start_run_over_all()
    assert work() == 0
    assert origin.paths() == []
    assert list(tmp_path.iterdir()) == []
    assert_all_wait_for("storage_error", run)


def test_a_picture_held_that_cannot_be_read_now_is_not_fetched_again(store: Faults, origin: ImageOrigin) -> None:
    image = Image.objects.create(url=origin.serve("/1.png", response(png())))
    start_run_over_all()
    assert work() == 1
    run = start_labelling_run(relabel=True)
    LabellingRun.objects.update(relabel=False)
    store.set("eio", StoredPicture.objects.get(image=image).storage_name)
    assert work() == 1
    assert origin.paths() == ["/1.png"]
    assert (run.tasks.get().state, run.tasks.get().error_code) == (State.RETRY, "storage_error")


@pytest.mark.parametrize("error", [StorageError("full"), StorageTimeoutError("hangs")])
def test_what_was_stored_before_the_storage_went_away_is_labelled(
    monkeypatch: pytest.MonkeyPatch, error: StorageError
) -> None:
    run = start_run(3)
    last = run.tasks.order_by("pk").last()
    build = batches.build_stored_picture

    def refuse(*_: Any) -> None:
        raise error

    def build_or_refuse(image: Image, *arguments: Any, **options: Any) -> StoredPicture:
        return refuse() if image.pk == last.image_id else build(image, *arguments, **options)

    monkeypatch.setattr(batches, "build_stored_picture", build_or_refuse)
    monkeypatch.setattr("catalog.pictures.storage.check_storage", refuse)
    assert work() == 2
    assert list_states() == [(State.DONE, 0, 1, None, "")] * 2 + [INNOCENT]
    last.refresh_from_db()
    assert last.waits_for == "storage_error"


@pytest.mark.parametrize("waited,seconds", [(0, 30), (20, 30), (100, 100), (3600, 300)])
def test_what_waits_is_tried_after_as_long_again_within_bounds(waited: int, seconds: int) -> None:
    start_run(1)
    since = timezone.now() - timedelta(seconds=waited)
    LabelTask.objects.update(waits_for="storage_error", waits_since=since)
    batch = claim_tasks(list(LabelTask.objects.values_list("pk", flat=True)))
    assert finish_tasks(batch, [PutOff("storage_error")]) == 0
    task = LabelTask.objects.get()
    assert task.waits_since == since
    assert abs((task.next_try_at - timezone.now()).total_seconds() - seconds) < 5


def test_a_picture_that_failed_before_it_waits_keeps_no_run_open_and_its_place_in_the_error_queue() -> None:
    run = start_run(1)
    ids = list(run.tasks.values_list("pk", flat=True))
    finish_tasks(claim_tasks(ids), [Failed("timeout", retryable=True)])
    wait_for_the_next_try()
    finish_tasks(claim_tasks(ids), [PutOff("storage_error")])
    assert LabelTask.objects.errors().get().error_code == "timeout"
    run.refresh_from_db()
    assert run.state == LabellingRun.State.DONE


class Poisoned(FakeClassifier):
    """Raises an error for any call with one of these pictures, given by their blue; for every picture without."""

    def __init__(self, *blues: int, error: Callable[[], BaseException] = lambda: ValueError("a shape")) -> None:
        super().__init__()
        self.blues, self.error = blues, error

    def classify(self, pictures: Sequence[Picture]) -> list[Prediction]:
        if not self.blues or any(int(picture[0, 0, 2]) in self.blues for picture in pictures):
            raise self.error()
        return super().classify(pictures)


def create_blue_image(blue: int) -> Image:
    """Create a product with a picture of this blue."""
    image = create_stored_image(png(PillowImage.new("RGB", (32, 32), (30, 0, blue))))
    create_product(images=[image])
    return image


def test_a_picture_that_no_network_can_take_is_the_only_suspect() -> None:
    images = [create_blue_image(blue) for blue in (1, 2, 3)]
    start_run_over_all()
    assert work(Poisoned(2)) == 3
    assert list_states() == [(State.DONE, 0, 1, None, ""), (State.NEW, 1, 1, None, ""), (State.DONE, 0, 1, None, "")]
    for _ in range(2):
        assert work(Poisoned(2)) == 1
    assert list_states()[1] == (State.FAILED, 3, 3, None, "worker_crash")
    assert set(Classification.objects.values_list("image_id", flat=True)) == {images[0].pk, images[2].pk}


@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize("error", [lambda: ValueError("a shape"), lambda: OperationalError("gone"), MemoryError])
def test_a_classifier_that_works_for_no_picture_blames_none(number: int, error: Callable[[], BaseException]) -> None:
    run = start_run(number)
    assert work(Poisoned(error=error)) == 0
    assert_all_wait_for("worker_error", run)


def test_a_machine_without_the_artefact_blames_no_picture() -> None:
    run = start_run(2)

    def refuse(_version: object) -> FakeClassifier:
        raise ArtefactMissingError("expected a plain file at manifest.json")

    assert label_batch(list(run.tasks.values_list("pk", flat=True)), get_classifier=refuse) == 0
    assert_all_wait_for("artefact_error", run)
    assert ledger.take_batches_to_send(maximum=10, lost_after_seconds=30) == []


def fail_to_decode(
    monkeypatch: pytest.MonkeyPatch, images: Sequence[Image], error: BaseException | type[BaseException]
) -> None:
    """Let decoding raise the error for the pictures of these images."""
    decode = batches.decode_picture
    contents = [Path(default_storage.path(image.url)).read_bytes() for image in images]

    def decode_or_fail(data: bytes, **options: Any) -> Any:
        if data in contents:
            raise error
        return decode(data, **options)

    monkeypatch.setattr(batches, "decode_picture", decode_or_fail)


@pytest.mark.parametrize("where", ["decoding", "inference"])
def test_a_picture_for_which_alone_there_is_no_memory_waits_for_its_next_try(
    monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    images = [create_blue_image(blue) for blue in (1, 2, 3)]
    run = start_run_over_all()
    LabelTask.objects.update(attempts=50)
    classifier = FakeClassifier()
    if where == "decoding":
        fail_to_decode(monkeypatch, images[1:2], MemoryError)
    else:
        classifier = Poisoned(2, error=MemoryError)
    assert work(classifier) == 3
    done = (State.DONE, 0, 51, None, "")
    assert list_states() == [done, (State.RETRY, 0, 51, None, "worker_error"), done]
    run.refresh_from_db()
    assert run.state == LabellingRun.State.DONE
    wait_for_the_next_try()
    assert work(classifier) == 1, "nor when there is no other to compare it with"
    assert list_states() == [done, (State.RETRY, 0, 52, None, "worker_error"), done]


def test_a_machine_without_memory_to_decode_blames_no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    run = start_run(3)
    fail_to_decode(monkeypatch, [task.image for task in run.tasks.all()], MemoryError)
    assert work() == 0
    assert_all_wait_for("worker_error", run)


def test_a_picture_whose_decoding_fails_as_none_should_is_the_only_suspect(monkeypatch: pytest.MonkeyPatch) -> None:
    run = start_run(3)
    fail_to_decode(monkeypatch, [run.tasks.order_by("pk")[1].image], KeyError("chunk"))
    assert work() == 3
    assert list_states() == [(State.DONE, 0, 1, None, ""), (State.NEW, 1, 1, None, ""), (State.DONE, 0, 1, None, "")]


def test_a_picture_that_is_decoded_for_ever_is_the_only_suspect_and_the_rest_goes_back_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = start_run(3)
    fail_to_decode(monkeypatch, [run.tasks.order_by("pk")[1].image], SoftTimeLimitExceeded)
    assert work() == 2
    assert list_states() == [(State.DONE, 0, 1, None, ""), (State.NEW, 1, 1, None, ""), INNOCENT]
    assert LabelTask.objects.due().count() == 2
    forget_run_report(run)
    assert get_run_report(run).waits == []


def test_a_time_limit_while_pictures_are_classified_makes_suspects_of_them() -> None:
    start_run(2)
    assert work(Poisoned(error=SoftTimeLimitExceeded)) == 2
    assert set(list_states()) == {(State.NEW, 1, 1, None, "")}


@pytest.mark.parametrize("error", [SoftTimeLimitExceeded, ValueError("REDIS_URL names no scheme")])
def test_what_fails_while_pictures_are_read_blames_none(
    monkeypatch: pytest.MonkeyPatch, error: BaseException | type[BaseException]
) -> None:
    run = start_run(2)

    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(batches, "read_pictures", fail)
    assert work() == 0
    assert_all_wait_for("worker_error", run)


def test_a_picture_that_alone_cannot_be_read_waits_for_its_next_try(monkeypatch: pytest.MonkeyPatch) -> None:
    run = start_run(3)
    odd = run.tasks.order_by("pk")[1]
    read = batches.read_pictures

    def read_or_fail(images: Sequence[Image], **options: Any) -> list[Any]:
        if any(image.pk == odd.image_id for image in images):
            raise ValueError("an address that nobody expected")
        return read(images, **options)

    monkeypatch.setattr(batches, "read_pictures", read_or_fail)
    LabelTask.objects.filter(pk=odd.pk).update(attempts=50)
    work()
    assert list_states()[1] == (State.RETRY, 0, 51, None, "worker_error")
    assert [row[0] for row in list_states()] == [State.DONE, State.RETRY, State.DONE]


class Wordless(FakeClassifier):
    """Gives the picture of this blue a prediction that the database refuses."""

    def classify(self, pictures: Sequence[Picture]) -> list[Prediction]:
        said = super().classify(pictures)
        return [
            replace(prediction, confidence=None) if int(picture[0, 0, 2]) == 2 else prediction  # type: ignore[arg-type]
            for picture, prediction in zip(pictures, said, strict=True)
        ]


def test_a_row_that_the_database_refuses_takes_no_other_down(transactional_db: None) -> None:
    images = [create_blue_image(blue) for blue in (1, 2, 3)]
    run = start_run_over_all()
    assert work(Wordless()) == 3
    assert [row[0:2] + row[4:] for row in list_states()] == [
        (State.DONE, 0, ""),
        (State.RETRY, 0, "worker_error"),
        (State.DONE, 0, ""),
    ]
    assert set(Classification.objects.values_list("image_id", flat=True)) == {images[0].pk, images[2].pk}
    run.refresh_from_db()
    assert run.state == LabellingRun.State.DONE
    # Alone nobody can tell whether it is the row or the database.
    wait_for_the_next_try()
    assert work(Wordless()) == 0
    assert list_states()[1][0] == State.RETRY
    wait_for_the_next_try()
    assert work() == 1


@pytest.mark.parametrize("gone", [[1], [0, 1, 2]])
def test_an_image_that_is_deleted_in_a_workers_hand_is_dropped(gone: list[int]) -> None:
    run = start_run(3)
    images = [task.image for task in run.tasks.select_related("image").order_by("pk")]

    class Deleting(FakeClassifier):
        def classify(self, pictures: Sequence[Picture]) -> list[Prediction]:
            for number in gone:
                Image.objects.get(pk=images[number].pk).delete()
            return super().classify(pictures)

    assert work(Deleting()) == 3 - len(gone)
    assert set(list_states()) <= {(State.DONE, 0, 1, None, "")}
    assert Classification.objects.count() == StoredPicture.objects.count() == 3 - len(gone)
    run.refresh_from_db()
    assert run.state == LabellingRun.State.DONE


@pytest.mark.parametrize("characters", [255, 256, 2048])
def test_a_long_name_in_media_storage_is_a_name_like_another(characters: int, settings: Any, tmp_path: Path) -> None:
    # Only the file system's own limit of 4,096 bytes for a path is nearer to a test's folder than to a product's.
    settings.MEDIA_ROOT = tmp_path
    folders = "/".join(["f" * 200] * (characters // 201))
    name = f"{folders}/{'n' * (characters - len(folders) - 5)}.png"
    assert len(name) == characters
    create_product(images=[create_stored_image(png(), url=name), create_painted_image()])
    start_run_over_all()
    assert work() == 2
    assert StoredPicture.objects.get(image__url=name).storage_name == name


def test_the_page_and_the_call_say_why_and_since_when_a_run_waits(client: Client, store: Faults) -> None:
    run = start_run(2)
    store.set("away")
    work()
    since = timezone.now() - timedelta(hours=2)
    LabelTask.objects.update(waits_since=since)
    forget_run_report(run)
    sign_in(client, "view_labellingrun")
    page = client.get(f"/labelling-runs/{run.pk}/").text
    assert (
        f"2 pictures have waited since {since:%-d %b %Y, %H:%M} UTC: Our storage cannot be read, or takes no more. "
        "What waits is tried again by itself. <code>storage_error</code>"
    ) in page
    assert "Waits for a worker" not in page
    (wait,) = client.get(f"/api/v1/labelling-runs/{run.pk}/").json()["waits"]
    assert (wait["code"], wait["pictures"]) == ("storage_error", 2)
    assert wait["since"].startswith(f"{since:%Y-%m-%dT%H:%M}")
