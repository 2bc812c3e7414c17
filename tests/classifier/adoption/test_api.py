"""Model versions over HTTP: the list, and the guarded choice of the active one."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from classifier.adoption.services import get_activation_tag
from classifier.ml.artefacts import NETWORK_FILE
from classifier.models import ModelVersion, StageChange, TrainingRun
from classifier.registry.services import get_artefact_folder, register_model_version
from tests.support.artefacts import (
    answer_as_registered,
    bring_into_production,
    create_artefact_twin,
    register_active_version,
)
from tests.support.fakes import create_model_version
from tests.support.members import build_token_header, create_member, sign_in

pytestmark = pytest.mark.django_db

VERSIONS = "/api/v1/model-versions/"


@pytest.fixture(autouse=True)
def artefacts_folder(settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.ARTEFACTS_DIR = tmp_path / "artefacts"
    answer_as_registered(monkeypatch)


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
        (active.pk, "production", None),
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
    assert (response.status_code, response.json()["stage"]) == (200, "production")
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
    assert ModelVersion.objects.get(stage="production") == candidate
    assert activate(client, candidate, tag).status_code == 412


def test_a_tag_is_needed_and_must_be_the_present_one(
    client: Client, active: ModelVersion, candidate: ModelVersion
) -> None:
    sign_in(client, "change_modelversion")
    assert activate(client, candidate, None).status_code == 428
    present = get_activation_tag()
    for tag in ('"none"', 'W/"none"', present, "", '"'):
        assert activate(client, candidate, tag).status_code == 412, tag
    assert ModelVersion.objects.get(stage="production") == active
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
    assert ModelVersion.objects.get(stage="production") == candidate


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
    assert ModelVersion.objects.get(stage="production") == active
    assert not StageChange.objects.exists()


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
    assert ModelVersion.objects.get(stage="production") == active
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
        assert client.get(VERSIONS, {"stage": "production"}).status_code == 400


@pytest.fixture
def two(settings: Any) -> None:
    settings.APPROVALS = "two"


def create_two() -> tuple[dict[str, str], dict[str, str]]:
    """Return the headers of two people who may change stages."""
    people = [create_member("view_modelversion", "change_modelversion") for _ in range(2)]
    return build_token_header(people[0]), build_token_header(people[1])


def post(client: Client, address: str, headers: dict[str, str], *, tag: str = "", **body: Any) -> HttpResponse:
    more = {"If-Match": tag} if tag else {}
    return client.post(f"/api/v1/{address}", body, content_type="application/json", headers=headers | more)


def test_one_asks_and_another_approves_by_what_was_seen(
    client: Client, active: ModelVersion, candidate: ModelVersion, two: None
) -> None:
    ann, bob = create_two()
    address = f"model-versions/{candidate.pk}/stage-changes/"
    asked = post(client, address, ann, to="production", reason="Better on shoes")
    assert asked.status_code == 202
    change = asked.json()
    assert (change["decision"], change["way"], change["to_stage"]) == ("open", "api", "production")
    assert change["evidence"]["version"]["manifest_sha256"] == candidate.manifest_sha256
    assert [one["of"] for one in change["evidence"]["gate"]["test_pictures"]][-1] == "garments"
    seen = client.get(asked.headers["Location"], headers=bob)
    assert (seen.json(), seen.headers["ETag"]) == (change, asked.headers["ETag"])
    assert client.get("/api/v1/stage-changes/?decision=open", headers=bob).json()["results"] == [change]
    assert post(client, address, bob, to="production", reason="Again").status_code == 409
    decide = f"stage-changes/{change['id']}/"
    tag, known = seen.headers["ETag"], {"reason": "Seen", "without_catalogue": True}
    assert post(client, f"{decide}approve/", bob, **known).status_code == 428
    assert post(client, f"{decide}approve/", bob, tag='"1-open"', **known).status_code == 412
    assert post(client, f"{decide}approve/", ann, tag=tag, **known).status_code == 403
    refused = post(client, f"{decide}approve/", bob, tag=tag, reason="Seen")
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["without_catalogue"])
    assert StageChange.objects.get().is_open
    approved = post(client, f"{decide}approve/", bob, tag=tag, **known)
    assert (approved.status_code, approved.json()["rule"], approved.json()["replaced"]) == (200, "two", active.pk)
    assert approved.headers["ETag"] != tag
    assert post(client, f"{decide}reject/", bob, tag="*", reason="No").status_code == 409
    assert StageChange.objects.get().decision == "approved"
    assert ModelVersion.objects.get(stage="production") == candidate
    back = post(client, "model-versions/rollback/", ann, reason="Shoes went wrong")
    assert (back.status_code, back.json()["rule"], back.json()["model_version"]) == (201, "rollback", active.pk)


def test_an_activation_asks_where_two_decide(
    client: Client, active: ModelVersion, candidate: ModelVersion, two: None
) -> None:
    ann, bob = create_two()
    headers = ann | {"If-Match": f'"{get_activation_tag()}"'}
    response = client.post(f"{VERSIONS}{candidate.pk}/activate/", headers=headers)
    assert (response.status_code, response.json()["decision"]) == (202, "open")
    assert ModelVersion.objects.get(stage="production") == active
    address = response.headers["Location"].removeprefix("http://testserver/api/v1/")
    tag = response.headers["ETag"]
    assert post(client, f"{address}withdraw/", bob, tag=tag, reason="Not mine").status_code == 403
    withdrawn = post(client, f"{address}withdraw/", ann, tag=tag, reason="Later")
    assert (withdrawn.status_code, withdrawn.json()["decision"]) == (200, "withdrawn")


def test_a_request_for_what_is_not_there_any_more_expires(
    client: Client, active: ModelVersion, candidate: ModelVersion, two: None, tmp_path: Path
) -> None:
    ann, bob = create_two()
    asked = post(client, f"model-versions/{candidate.pk}/stage-changes/", ann, to="production", reason="Better")
    bring_into_production(register_model_version(create_artefact_twin(tmp_path / "third", version="twin-3")))
    address, tag = f"stage-changes/{asked.json()['id']}/approve/", asked.headers["ETag"]
    found = [post(client, address, bob, tag=tag, reason="Seen", without_catalogue=True).status_code for _ in range(2)]
    assert found == [412, 409]
    assert StageChange.objects.get().decision == "expired"


@pytest.mark.parametrize(
    "body", [{"to": "retired", "reason": "So"}, {"to": "active", "reason": "So"}, {"to": "production", "reason": " "}]
)
def test_a_request_for_no_stage_or_without_a_reason_is_refused(
    client: Client, candidate: ModelVersion, body: dict[str, str]
) -> None:
    ann, _ = create_two()
    assert post(client, f"model-versions/{candidate.pk}/stage-changes/", ann, **body).status_code == 400
    assert not StageChange.objects.exists()


def test_what_is_worse_is_refused_unless_it_is_forced(
    client: Client, active: ModelVersion, candidate: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_as_registered(monkeypatch, wrong={"twin-1": 50})
    ann, _ = create_two()
    address, body = f"model-versions/{candidate.pk}/stage-changes/", {"to": "production", "reason": "It knows us"}
    refused = post(client, address, ann, **body)
    assert (refused.status_code, "may be worse" in refused.json()["detail"]) == (409, True)
    assert not StageChange.objects.exists()
    forced = post(client, address, ann, force=True, **body)
    assert (forced.status_code, forced.json()["forced"], forced.json()["rule"]) == (201, True, "one")
