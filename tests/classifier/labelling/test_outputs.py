"""Pictures by group, kept up to date by runs: what they write, how they end, and who may ask for them."""

import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from catalog.models import ProductLabel
from catalog.pictures.storage import StorageError
from classifier.labelling import outputs
from classifier.labelling.outputs import (
    OutputError,
    OutputOpenError,
    carry_out_output_run,
    output_task,
    send_output_runs,
    start_output_run,
)
from classifier.models import OutputRun
from tests.catalog.interchange.test_picture_files import create_held_image
from tests.support.factories import create_product
from tests.support.members import create_member

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Path) -> Path:
    location = tmp_path / "outputs"
    backend = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": str(location)}}
    settings.STORAGES = {**settings.STORAGES, "outputs": backend}
    return location


def create_labelled(group: str, garment: str = "Bag") -> ProductLabel:
    product = create_product(images=[create_held_image(garment)])
    values = {"group": group, "status": "labelled", "source": "machine", "confidence": 0.9}
    ProductLabel.objects.filter(product=product).update(**values)
    return ProductLabel.objects.get(product=product)


def update() -> OutputRun:
    run = start_output_run(here=True)
    carry_out_output_run(run.pk)
    run.refresh_from_db()
    return run


def list_files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder).parent) for path in folder.rglob("*") if path.is_file())


def test_updates_add_move_and_remove(folder: Path) -> None:
    label = create_labelled("Bags")
    create_labelled("Footwear", "Sneaker")
    run = update()
    assert (run.state, run.done, run.total) == ("done", 2, 2)
    assert run.figures == {"added": 2, "moved": 0, "removed": 0, "kept": 0, "missing": 0}
    assert list_files(folder) == [".", "bags", "footwear"]

    ProductLabel.objects.filter(pk=label.pk).update(group="Footwear")
    assert update().figures["moved"] == 1
    ProductLabel.objects.filter(pk=label.pk).update(status="needs_review")
    assert update().figures["removed"] == 1
    assert list_files(folder) == [".", "footwear"]


def test_one_update_of_a_storage_runs_at_a_time_and_bad_input_is_named() -> None:
    start_output_run()
    with pytest.raises(OutputOpenError):
        start_output_run()
    with pytest.raises(OutputError, match="expected one of outputs, received default"):
        start_output_run(storage="default")
    with pytest.raises(OutputError, match="colour: Unknown parameter"):
        start_output_run(filters="colour=red")
    assert OutputRun.objects.count() == 1


def test_a_cancelled_update_leaves_the_manifest_as_it_was(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create_labelled("Bags")
    update()
    before = (folder / "manifest.jsonl").read_bytes()
    create_labelled("Footwear", "Sneaker")
    monkeypatch.setattr(outputs, "_BEAT_SECONDS", 0.0)
    run = start_output_run(here=True)
    carry_out_output_run(run.pk, watch=lambda _: OutputRun.objects.filter(pk=run.pk).cancel() and None)
    run.refresh_from_db()
    assert run.state == "cancelled"
    assert (folder / "manifest.jsonl").read_bytes() == before


def test_a_storage_that_fails_is_on_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    create_labelled("Bags")

    def fail(*_arguments: Any, **_options: Any) -> None:
        raise StorageError("the storage is full")

    monkeypatch.setattr(outputs, "update_pictures", fail)
    output_task(start_output_run(here=True).pk)
    run = OutputRun.objects.get()
    assert (run.state, run.error) == ("failed", "the storage is full")
    with pytest.raises(CommandError, match="the storage is full; the next update goes on from here"):
        call_command("update_outputs")

    # Somebody was first to end it.
    def fail_cancelled(*_arguments: Any, **_options: Any) -> None:
        OutputRun.objects.filter(state="running").cancel()
        fail()

    monkeypatch.setattr(outputs, "update_pictures", fail_cancelled)
    output_task(start_output_run(here=True).pk)
    assert OutputRun.objects.first().state == "cancelled"


@pytest.mark.parametrize("lost", [{"storage": "archive"}, {"filters": "colour=red"}])
def test_what_the_settings_no_longer_know_ends_an_update(lost: dict[str, str]) -> None:
    run = start_output_run(here=True)
    OutputRun.objects.update(**lost)
    output_task(run.pk)
    run.refresh_from_db()
    assert (run.state, bool(run.error)) == ("failed", True)


def test_what_a_process_left_that_was_killed_is_in_the_way_of_no_command() -> None:
    run = start_output_run(here=True)
    OutputRun.objects.update(heartbeat_at=timezone.now(), sent_at=timezone.now() - timedelta(hours=1))
    with pytest.raises(OutputOpenError):
        start_output_run(here=True)
    OutputRun.objects.update(heartbeat_at=timezone.now() - timedelta(hours=1))
    with pytest.raises(OutputOpenError):  # with workers it goes on
        start_output_run()
    call_command("update_outputs", "--no-progress")
    run.refresh_from_db()
    assert (run.state, OutputRun.objects.first().state) == ("cancelled", "done")


def test_what_a_process_is_at_is_left_to_it_and_what_it_left_is_taken_up(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    monkeypatch.setattr(output_task, "apply_async", lambda arguments, **_: sent.append(arguments[0]))
    run = start_output_run(here=True)
    OutputRun.objects.update(heartbeat_at=timezone.now())
    carry_out_output_run(run.pk)
    assert OutputRun.objects.get().state == "running"
    assert send_output_runs() == 0
    OutputRun.objects.update(
        heartbeat_at=timezone.now() - timedelta(hours=1), sent_at=timezone.now() - timedelta(hours=1)
    )
    assert (send_output_runs(), sent) == (1, [run.pk])
    carry_out_output_run(run.pk)
    assert OutputRun.objects.get().state == "done"


def test_workers_update_by_themselves_where_a_setting_says_how_often(settings: Any) -> None:
    send_output_runs()
    assert not OutputRun.objects.exists()
    settings.OUTPUT_EVERY_HOURS = 1.0
    # Those of another storage are somebody's own.
    OutputRun.objects.create(storage="archive", state="done")
    for _ in range(2):
        send_output_runs()
    assert OutputRun.objects.get(storage="outputs").filters == "status=labelled&status=reviewed"


def test_page_api_command_and_admin_start_follow_and_cancel_updates() -> None:
    create_labelled("Bags")
    user, client = create_member(staff=True), Client()
    user.user_permissions.set(Permission.objects.filter(content_type__model="outputrun"))
    client.force_login(user)
    assert "No pictures have been put out yet" in client.get("/output-runs/").content.decode()
    address = client.post("/output-runs/", {"filters": "", "storage": "outputs"})["Location"]
    assert client.post("/output-runs/", {"storage": "outputs"}).status_code == 409
    assert "0 products looked at" in client.get(address).content.decode()
    assert client.post(f"/api/v1{address}cancel/").json()["state"] == "cancelled"
    answer = client.post("/api/v1/output-runs/", json.dumps({"filters": "size=1"}), content_type="application/json")
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["filters"])
    client.post("/output-runs/", {"filters": "", "storage": "outputs"})
    run = OutputRun.objects.get(state="running")
    chosen = {"action": "cancel_selected", "_selected_action": [run.pk]}
    assert "Cancel these runs?" in client.post("/admin/classifier/outputrun/", chosen).content.decode()
    client.post("/admin/classifier/outputrun/", {**chosen, "confirmed": "yes"})
    run.refresh_from_db()
    assert run.state == "cancelled"

    output = io.StringIO()
    call_command("update_outputs", "--json", stdout=output)
    assert json.loads(output.getvalue())["figures"]["added"] == 1
    assert "1 added, 0 moved, 0 removed" in client.get("/output-runs/").content.decode()
    with pytest.raises(CommandError, match="--storage: expected one of") as caught:
        call_command("update_outputs", "--storage", "nowhere")
    assert caught.value.returncode == 2
