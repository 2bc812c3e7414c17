"""Model versions over HTTP: the list, and the guarded choice of the active one."""

import shutil
from pathlib import Path

import pytest
from django.http import HttpResponse
from django.test import Client

from classifier.adoption.services import get_activation_tag
from classifier.ml.artefacts import NETWORK_FILE
from classifier.models import ModelVersion, TrainingRun
from classifier.registry.services import get_artefact_folder, register_model_version
from tests.support.artefacts import create_artefact_twin, register_active_version
from tests.support.fakes import create_model_version
from tests.support.members import build_token_header, create_member, sign_in

pytestmark = pytest.mark.django_db

VERSIONS = "/api/v1/model-versions/"


@pytest.fixture(autouse=True)
def artefacts_folder(settings, tmp_path: Path) -> None:
    settings.ARTEFACTS_DIR = tmp_path / "artefacts"


@pytest.fixture
def active() -> ModelVersion:
    return register_active_version()


@pytest.fixture
def candidate(tmp_path: Path) -> ModelVersion:
    return register_model_version(create_artefact_twin(tmp_path / "twin"))


def activate(client: Client, version: ModelVersion, tag: str | None) -> HttpResponse:
    headers = {} if tag is None else {"If-Match": tag}
    return client.post(f"{VERSIONS}{version.pk}/activate/", headers=headers)


def test_the_list_has_metrics_newest_first_in_few_queries(
    client: Client, active: ModelVersion, candidate: ModelVersion, django_assert_num_queries
) -> None:
    run = TrainingRun.objects.create(recipe="default", seed=1, model_version=candidate)
    sign_in(client, "view_modelversion")
    # Session, user, permissions twice, the active version, the page.
    with django_assert_num_queries(6):
        response = client.get(VERSIONS)
    rows = response.json()["results"]
    assert [(row["id"], row["stage"], row["training_run"]) for row in rows] == [
        (candidate.pk, "candidate", run.pk),
        (active.pk, "active", None),
    ]
    assert rows[1]["metrics"]["accuracy"] == active.metrics["accuracy"]
    assert rows[1]["manifest_sha256"] == active.manifest_sha256
    assert response.headers["ETag"] == f'"{get_activation_tag()}"'
    detail = client.get(f"{VERSIONS}{active.pk}/")
    assert (detail.json(), detail.headers["ETag"]) == (rows[1], response.headers["ETag"])


def test_a_version_is_activated_by_the_tag_of_the_list(
    client: Client, active: ModelVersion, candidate: ModelVersion
) -> None:
    sign_in(client, "view_modelversion", "change_modelversion")
    tag = client.get(VERSIONS).headers["ETag"]
    response = activate(client, candidate, tag)
    assert (response.status_code, response.json()["stage"]) == (200, "active")
    assert response.headers["ETag"] == client.get(VERSIONS).headers["ETag"] != tag
    active.refresh_from_db()
    assert active.stage == "retired"


def test_of_two_activations_by_one_tag_the_second_is_stale(
    client: Client, active: ModelVersion, candidate: ModelVersion
) -> None:
    sign_in(client, "view_modelversion", "change_modelversion")
    tag = client.get(VERSIONS).headers["ETag"]
    assert activate(client, candidate, tag).status_code == 200
    response = activate(client, active, tag)
    assert (response.status_code, response.headers["Content-Type"]) == (412, "application/problem+json")
    assert ModelVersion.objects.get(stage="active") == candidate
    assert activate(client, candidate, tag).status_code == 412


def test_a_tag_is_needed_and_must_be_the_present_one(
    client: Client, active: ModelVersion, candidate: ModelVersion
) -> None:
    sign_in(client, "change_modelversion")
    assert activate(client, candidate, None).status_code == 428
    present = get_activation_tag()
    for tag in ('"none"', 'W/"none"', present, "", '"'):
        assert activate(client, candidate, tag).status_code == 412, tag
    assert ModelVersion.objects.get(stage="active") == active
    assert activate(client, candidate, f'"old", W/"{present}"').status_code == 200


def test_without_an_active_version_the_tag_says_so(client: Client, candidate: ModelVersion) -> None:
    sign_in(client, "view_modelversion", "change_modelversion")
    assert client.get(VERSIONS).headers["ETag"] == '"none"'
    assert activate(client, candidate, '"none"').status_code == 200


def test_any_version_may_be_replaced_when_the_caller_says_so(
    client: Client, active: ModelVersion, candidate: ModelVersion
) -> None:
    sign_in(client, "change_modelversion")
    assert activate(client, candidate, "*").status_code == 200
    assert ModelVersion.objects.get(stage="active") == candidate


@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_a_version_whose_files_are_not_the_registered_ones_is_not_activated(
    client: Client, active: ModelVersion, candidate: ModelVersion, damage: str
) -> None:
    folder = get_artefact_folder(candidate)
    if damage == "missing":
        shutil.rmtree(folder)
    else:
        (folder / NETWORK_FILE).write_bytes(b"another network")
    sign_in(client, "change_modelversion")
    response = activate(client, candidate, f'"{get_activation_tag()}"')
    assert response.status_code == 409
    assert str(folder) not in response.text
    assert ModelVersion.objects.get(stage="active") == active


def test_activating_needs_a_sign_in_its_permission_and_the_csrf_token(
    active: ModelVersion, candidate: ModelVersion
) -> None:
    client = Client(enforce_csrf_checks=True)
    tag = f'"{get_activation_tag()}"'
    assert activate(client, candidate, tag).status_code == 401
    sign_in(client, "view_modelversion", "add_modelversion")
    assert activate(client, candidate, tag).status_code == 403
    sign_in(client, "change_modelversion")
    assert activate(client, candidate, tag).status_code == 403
    assert ModelVersion.objects.get(stage="active") == active
    client.logout()
    headers = build_token_header(create_member("change_modelversion")) | {"If-Match": tag}
    assert client.post(f"{VERSIONS}{candidate.pk}/activate/", headers=headers).status_code == 200
    assert client.post(f"{VERSIONS}999999/activate/", headers=headers).status_code == 404


def test_the_list_needs_a_sign_in_and_its_permission(client: Client) -> None:
    version = create_model_version()
    for address in (VERSIONS, f"{VERSIONS}{version.pk}/"):
        client.logout()
        assert client.get(address).status_code == 401
        sign_in(client, "change_modelversion")
        assert client.get(address).status_code == 403
        sign_in(client, "view_modelversion")
        assert client.get(address).status_code == 200
        assert client.get(f"{VERSIONS}999999/").status_code == 404
        assert client.get(VERSIONS, {"stage": "active"}).status_code == 400
