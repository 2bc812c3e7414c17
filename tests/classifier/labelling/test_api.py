"""Labelling runs over HTTP, and what the calls of labelling and training runs need."""

from typing import Any

import pytest
from django.test import Client

from classifier.models import LabellingRun, LabelTask, TrainingRun
from tests.support.fakes import create_model_version, create_painted_image, create_stored_image
from tests.support.json_calls import post, post_together
from tests.support.labels import label_everything
from tests.support.members import build_token_header, create_member, sign_in

pytestmark = pytest.mark.django_db

LABELLING = "/api/v1/labelling-runs/"
TRAINING = "/api/v1/training-runs/"


def test_a_labelling_run_is_started_and_followed_to_its_end(client: Client) -> None:
    version = create_model_version()
    create_painted_image("Bag")
    create_stored_image(b"not a picture")
    user = sign_in(client, "add_labellingrun", "view_labellingrun")
    response = post(client, LABELLING, {"limit": 5})
    run = LabellingRun.objects.get()
    assert (response.status_code, response.headers["Location"]) == (202, f"http://testserver{LABELLING}{run.pk}/")
    assert (run.requested_by, run.limit, run.relabel, run.total) == (user, 5, False, 2)
    counts = {"total": 2, "new": 2, "running": 0, "done": 0, "waiting": 0, "failed": 0, "cancelled": 0}
    assert response.json()["progress"] == counts
    label_everything()
    body = client.get(response.headers["Location"]).json()
    assert body["progress"] == counts | {"new": 0, "done": 1, "failed": 1}
    assert (body["state"], body["model_version"], body["error_codes"]) == ("done", version.name, {"not_image": 1})


def test_the_same_key_and_body_start_one_run(client: Client) -> None:
    create_model_version()
    sign_in(client, "add_labellingrun")
    first = post(client, LABELLING, {"relabel": True}, Idempotency_Key="abc")
    second = post(client, LABELLING, {"relabel": True}, Idempotency_Key="abc")
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json()["id"] == second.json()["id"]
    assert first.headers["Location"] == second.headers["Location"]
    assert LabellingRun.objects.count() == 1


def test_a_key_with_another_body_or_of_another_user_is_refused(client: Client) -> None:
    create_model_version()
    sign_in(client, "add_labellingrun")
    post(client, LABELLING, {"limit": 1}, Idempotency_Key="abc")
    assert post(client, LABELLING, {"limit": 2}, Idempotency_Key="abc").status_code == 422
    assert post(client, LABELLING, {"limit": 1, "relabel": True}, Idempotency_Key="abc").status_code == 422
    sign_in(client, "add_labellingrun")
    response = post(client, LABELLING, {"limit": 1}, Idempotency_Key="abc")
    assert (response.status_code, response.headers["Content-Type"]) == (422, "application/problem+json")
    assert LabellingRun.objects.count() == 1


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_the_same_request_many_times_at_once_starts_one_run() -> None:
    create_model_version()
    headers = build_token_header(create_member("add_labellingrun")) | {"Idempotency-Key": "abc"}
    answers = post_together([(LABELLING, headers)] * 8)
    assert answers == [202] * 8
    assert LabellingRun.objects.count() == 1


@pytest.mark.parametrize(
    "body",
    [
        {"limit": 0},
        {"limit": -1},
        {"limit": 10**30},
        {"limit": "many"},
        {"relabel": "maybe"},
        [],
        "text",
        7,
        "[" * 100_000,
        '{"limit": NaN}',
        '{"limit": ' + "9" * 5000 + "}",
        b'{"limit": "\xff"}',
        "{",
    ],
    ids=lambda body: str(body)[:20],
)
def test_a_body_that_is_no_request_starts_nothing(client: Client, body: Any) -> None:
    create_model_version()
    sign_in(client, "add_labellingrun")
    response = post(client, LABELLING, body)
    assert (response.status_code, response.headers["Content-Type"]) == (400, "application/problem+json")
    assert not LabellingRun.objects.exists()


@pytest.mark.parametrize("key", ["", "x" * 256, "é", "a\tb"])
def test_a_key_that_is_none_starts_nothing(client: Client, key: str) -> None:
    create_model_version()
    sign_in(client, "add_labellingrun")
    assert post(client, LABELLING, Idempotency_Key=key).status_code == 400
    assert not LabellingRun.objects.exists()


def test_without_an_active_version_nothing_is_started(client: Client) -> None:
    sign_in(client, "add_labellingrun")
    response = post(client, LABELLING)
    assert response.status_code == 409
    assert "register_model_version" in response.json()["detail"]
    assert not LabellingRun.objects.exists()


def test_a_labelling_run_is_cancelled_once_and_for_good(client: Client) -> None:
    create_model_version()
    create_painted_image()
    sign_in(client, "add_labellingrun", "change_labellingrun")
    address = post(client, LABELLING).headers["Location"]
    for _ in range(2):
        response = post(client, f"{address}cancel/")
        assert (response.status_code, response.json()["state"]) == (200, "cancelled")
    assert response.json()["progress"]["cancelled"] == 1
    done = LabellingRun.objects.create(model_version=create_model_version(stage="retired"), state="done")
    assert post(client, f"{LABELLING}{done.pk}/cancel/").status_code == 409
    done.refresh_from_db()
    assert done.state == "done"


@pytest.mark.parametrize("address", [LABELLING, TRAINING])
def test_starting_needs_a_sign_in_its_permission_and_the_csrf_token(address: str) -> None:
    create_model_version()
    client = Client(enforce_csrf_checks=True)
    assert post(client, address).status_code == 401
    sign_in(client, "view_labellingrun", "view_trainingrun", "change_labellingrun", "change_trainingrun")
    assert post(client, address).status_code == 403
    user = sign_in(client, "add_labellingrun", "add_trainingrun")
    response = post(client, address)
    assert (response.status_code, "CSRF" in response.json()["detail"]) == (403, True)
    assert not LabellingRun.objects.exists()
    assert not TrainingRun.objects.exists()
    client.logout()
    assert post(client, address, **build_token_header(user)).status_code == 202


@pytest.mark.parametrize("address", [LABELLING, TRAINING])
def test_following_and_cancelling_need_their_permissions(client: Client, address: str) -> None:
    run = LabellingRun.objects.create(model_version=create_model_version())
    LabelTask.objects.create(image=create_painted_image(), model_version=run.model_version, run=run)
    training = TrainingRun.objects.create(recipe="default", seed=1)
    own = f"{address}{run.pk if address == LABELLING else training.pk}/"
    sign_in(client, "add_labellingrun", "add_trainingrun")
    assert client.get(own).status_code == 403
    assert post(client, f"{own}cancel/").status_code == 403
    assert LabelTask.objects.get().state == "new"
    training.refresh_from_db()
    assert training.state == "queued"
    assert client.get(f"{address}999999/").status_code == 403
    sign_in(client, "view_labellingrun", "view_trainingrun")
    assert client.get(f"{address}999999/").status_code == 404
    assert client.get(own).status_code == 200


def test_more_calls_than_the_rate_allows_are_put_off(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("config.web.permissions.WriteThrottle.THROTTLE_RATES", {"runs": "2/min"})
    create_model_version()
    sign_in(client, "add_labellingrun", "view_labellingrun")
    assert [post(client, LABELLING, {"limit": 0}).status_code for _ in range(3)] == [400, 400, 429]
    response = post(client, LABELLING)
    assert int(response.headers["Retry-After"]) > 0
    assert not LabellingRun.objects.exists()
    run = LabellingRun.objects.create(model_version=create_model_version(stage="retired"))
    assert {client.get(f"{LABELLING}{run.pk}/").status_code for _ in range(4)} == {200}
