"""What people do in the admin: choose the active version, end a training, decide about failed pictures."""

import re
from pathlib import Path

import pytest
from django.contrib.admin.models import LogEntry
from django.http import HttpResponse
from django.test import Client

from classifier.adoption.services import get_activation_tag
from classifier.ml.artefacts import NETWORK_FILE
from classifier.models import LabellingRun, LabelTask, ModelVersion, QueueCanary, TrainingRun
from classifier.registry.services import get_artefact_folder, register_model_version
from classifier.training.runs import claim_training_run
from tests.support.artefacts import answer_as_registered, create_artefact_twin, register_active_version
from tests.support.factories import create_image, create_product
from tests.support.fakes import create_model_version, create_stored_image
from tests.support.labels import label_everything
from tests.support.members import sign_in

pytestmark = pytest.mark.django_db

VERSIONS = "/admin/classifier/modelversion/"
TRAININGS = "/admin/classifier/trainingrun/"
TASKS = "/admin/classifier/labeltask/"


@pytest.fixture(autouse=True)
def artefacts_folder(settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.ARTEFACTS_DIR = tmp_path / "artefacts"
    answer_as_registered(monkeypatch)


@pytest.fixture
def versions(tmp_path: Path) -> tuple[ModelVersion, ModelVersion]:
    """The active version and a candidate."""
    active = register_active_version()
    return active, register_model_version(create_artefact_twin(tmp_path / "twin"))


def act(client: Client, address: str, action: str, *rows: object, **fields: str) -> HttpResponse:
    """Choose an action for these rows of a list, and go where it leads."""
    chosen = {"action": action, "_selected_action": [row.pk for row in rows], **fields}
    return client.post(address, chosen, follow=True)


def list_messages(response: HttpResponse) -> list[str]:
    return [str(message) for message in response.context["messages"]]


def test_a_version_is_activated_after_a_confirmation(
    client: Client, versions: tuple[ModelVersion, ModelVersion]
) -> None:
    active, candidate = versions
    QueueCanary.objects.create(queue="labelling")
    user = sign_in(client, "view_modelversion", "change_modelversion", staff=True)
    page = act(client, VERSIONS, "activate_selected", candidate)
    assert f"instead of {active.name}" in page.text
    assert ModelVersion.objects.get(stage="production") == active
    tag = page.context["tag"]
    page = act(client, VERSIONS, "activate_selected", candidate, confirmed="yes", tag=tag)
    assert list_messages(page) == ["twin-1 is in production. New runs use it, and labels follow."]
    assert ModelVersion.objects.get(stage="production") == candidate
    assert (LogEntry.objects.get().user, LogEntry.objects.get().object_id) == (user, str(candidate.pk))
    page = act(client, VERSIONS, "activate_selected", active, confirmed="yes", tag=tag)
    assert list_messages(page)[0].startswith(f"{active.name} was not activated. Expected {tag} to be in production")
    assert ModelVersion.objects.get(stage="production") == candidate


def test_a_version_is_not_activated_without_permission_for_two_or_damaged(
    client: Client, versions: tuple[ModelVersion, ModelVersion]
) -> None:
    active, candidate = versions
    confirmed = {"confirmed": "yes", "tag": get_activation_tag()}
    sign_in(client, "view_modelversion", staff=True)
    act(client, VERSIONS, "activate_selected", candidate, **confirmed)
    sign_in(client, "view_modelversion", "change_modelversion", staff=True)
    page = act(client, VERSIONS, "activate_selected", active, candidate, **confirmed)
    assert list_messages(page) == ["Expected one version to activate; more were selected."]
    (get_artefact_folder(candidate) / NETWORK_FILE).write_bytes(b"damaged")
    page = act(client, VERSIONS, "activate_selected", candidate, **confirmed)
    assert "expected SHA-256" in list_messages(page)[0]
    assert ModelVersion.objects.get(stage="production") == active
    assert not LogEntry.objects.exists()


def test_a_training_is_cancelled_by_who_may(client: Client) -> None:
    ended = TrainingRun.objects.create(recipe="default", seed=1, state="done")
    running = TrainingRun.objects.create(recipe="default", seed=2)
    claim_training_run(running.pk)
    sign_in(client, "view_trainingrun", staff=True)
    act(client, TRAININGS, "cancel_selected", running, confirmed="yes")
    running.refresh_from_db()
    assert not running.cancel_requested
    sign_in(client, "view_trainingrun", "change_trainingrun", staff=True)
    question = act(client, TRAININGS, "cancel_selected", running, ended).context["question"]
    assert question.counts == [("Runs that have not ended", "1")]
    page = act(client, TRAININGS, "cancel_selected", running, ended, confirmed="yes")
    assert list_messages(page) == ["1 runs are cancelled."]
    running.refresh_from_db()
    ended.refresh_from_db()
    assert (running.state, running.cancel_requested, ended.state) == ("running", True, "done")


def create_error(run: LabellingRun, **fields: object) -> LabelTask:
    values = {"state": "failed", "error_code": "timeout", "attempts": 2} | fields
    return LabelTask.objects.create(image=create_image(), model_version=run.model_version, run=run, **values)


def test_failed_pictures_are_tried_again_or_ignored_by_who_may(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("classifier.labelling.errors.MAXIMUM_ERRORS", 2)
    QueueCanary.objects.create(queue="labelling")
    run = LabellingRun.objects.create(model_version=create_model_version())
    tasks = [create_error(run) for _ in range(3)]
    done = create_error(run, state="done")
    sign_in(client, "view_labeltask", staff=True)
    for action in ("retry_selected", "ignore_selected"):
        assert f'value="{action}"' not in client.get(TASKS).text
        act(client, TASKS, action, *tasks, confirmed="yes")
    assert set(LabelTask.objects.exclude(pk=done.pk).values_list("state", "attempts")) == {("failed", 2)}
    user = sign_in(client, "view_labeltask", "change_labeltask", staff=True)
    question = act(client, f"{TASKS}?tasks=all", "ignore_selected", *tasks, done).context["question"]
    assert question.counts == [("timeout", "3")]
    assert not LabelTask.objects.filter(state="ignored").exists()
    page = act(client, f"{TASKS}?tasks=all", "ignore_selected", *tasks, done, confirmed="yes")
    assert list_messages(page) == ["3 pictures are ignored."]
    assert set(LabelTask.objects.values_list("state", flat=True)) == {"ignored", "done"}
    assert LogEntry.objects.filter(user=user).count() == 4
    page = act(client, TASKS, "retry_selected", *tasks[:2], confirmed="yes")
    assert list_messages(page) == ["2 pictures are tried again."]
    states = dict(LabelTask.objects.values_list("pk", "state"))
    assert [states[task.pk] for task in [*tasks, done]] == ["retry", "retry", "ignored", "done"]


def test_one_comes_from_a_run_to_its_errors_and_from_an_error_to_its_picture(admin_client: Client) -> None:
    create_model_version()
    product = create_product(images=[create_stored_image(b"not a picture")])
    label_everything()
    run, task = LabellingRun.objects.get(), LabelTask.objects.get()
    create_error(LabellingRun.objects.create(model_version=run.model_version, state="done"))
    errors = f"{TASKS}?run__id__exact={run.pk}"
    for address in ("/admin/classifier/labellingrun/", f"/admin/classifier/labellingrun/{run.pk}/change/"):
        assert f'<a href="{errors}">1</a>' in admin_client.get(address).text
    page = admin_client.get(errors)
    assert list(page.context["cl"].result_list) == [task]
    assert f'<a href="/products/{product.pk}/">Product {product.pk}</a>' in page.text
    image = admin_client.get(f"/admin/catalog/image/{task.image_id}/change/").text
    assert f'<a href="/products/{product.pk}/">Product {product.pk}</a>' in image


def test_the_queue_shows_the_next_try_of_what_waits_only(admin_client: Client) -> None:
    run = LabellingRun.objects.create(model_version=create_model_version())
    create_error(run, state="retry")
    create_error(run, state="failed")
    page = admin_client.get(TASKS).text
    cells = re.findall(r'<td class="field-next_try[^"]*">([^<]*)</td>', page)
    assert len(cells) == 2
    assert cells.count("-") == 1
