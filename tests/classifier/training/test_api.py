"""Training runs over HTTP."""

from typing import Any

import pytest
from django.test import Client

from classifier.models import TrainingRun
from classifier.training.runs import claim_training_run
from tests.support.json_calls import post, post_together
from tests.support.members import build_token_header, create_member, sign_in

pytestmark = pytest.mark.django_db

TRAINING = "/api/v1/training-runs/"


def test_a_training_is_queued_followed_and_cancelled(client: Client) -> None:
    user = sign_in(client, "add_trainingrun", "view_trainingrun", "change_trainingrun")
    response = post(client, TRAINING, {"seed": 7, "epochs": 2, "limit": 500})
    run = TrainingRun.objects.get()
    assert (response.status_code, response.headers["Location"]) == (202, f"http://testserver{TRAINING}{run.pk}/")
    assert (run.recipe, run.seed, run.epochs, run.limit, run.activate) == ("default", 7, 2, 500, False)
    assert run.requested_by == user
    claim_training_run(run.pk)
    TrainingRun.objects.update(progress={"phase": "train", "epoch": 1, "epochs": 2, "history": []})
    body = client.get(response.headers["Location"]).json()
    assert (body["state"], body["progress"]["epoch"]) == ("running", 1)
    body = post(client, f"{TRAINING}{run.pk}/cancel/").json()
    assert (body["state"], body["cancel_requested"]) == ("running", True)
    TrainingRun.objects.update(state="done")
    assert post(client, f"{TRAINING}{run.pk}/cancel/").status_code == 409


def test_a_queued_training_is_cancelled_at_once_and_twice_is_no_error(client: Client) -> None:
    sign_in(client, "add_trainingrun", "change_trainingrun")
    address = post(client, TRAINING).headers["Location"]
    for _ in range(2):
        response = post(client, f"{address}cancel/")
        body = response.json()
        assert (response.status_code, body["state"], body["cancel_requested"]) == (200, "cancelled", True)


def test_a_head_on_random_weights_is_refused_in_words(client: Client, settings: Any) -> None:
    sign_in(client, "add_trainingrun")
    response = post(client, TRAINING, {"recipe": "frozen-augmented", "backbone_weights": "none"})
    assert response.status_code == 400
    assert "trains a head alone" in response.text
    settings.BACKBONE_WEIGHTS = "none"
    assert post(client, TRAINING, {"recipe": "frozen"}).status_code == 400
    assert not TrainingRun.objects.exists()


@pytest.mark.parametrize("state", ["queued", "running"])
def test_a_second_training_is_refused_until_the_first_has_ended(client: Client, state: str) -> None:
    other = TrainingRun.objects.create(recipe="default", seed=1, state=state)
    sign_in(client, "add_trainingrun")
    response = post(client, TRAINING)
    assert response.status_code == 409
    assert response.json()["detail"] == f"Expected no open training; training run {other.pk} is {state}."
    assert TrainingRun.objects.count() == 1
    TrainingRun.objects.update(state="abandoned")
    assert post(client, TRAINING).status_code == 202


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_of_many_trainings_asked_for_at_once_one_is_queued() -> None:
    headers = build_token_header(create_member("add_trainingrun"))
    assert post_together([(TRAINING, headers)] * 10) == [202] + [409] * 9
    assert TrainingRun.objects.count() == 1


@pytest.mark.parametrize(
    "body", [{"recipe": "nothing"}, {"seed": -1}, {"epochs": 0}, {"limit": 10**12}, {"seed": None}, []]
)
def test_a_body_that_is_no_training_queues_nothing(client: Client, body: Any) -> None:
    sign_in(client, "add_trainingrun")
    assert post(client, TRAINING, body).status_code == 400
    assert not TrainingRun.objects.exists()


def test_what_a_training_request_does_not_offer_is_left_out(client: Client) -> None:
    sign_in(client, "add_trainingrun")
    forged = {"activate": True, "state": "done", "requested_by": 1, "id": 99, "model_version": 1}
    assert post(client, TRAINING, forged).status_code == 202
    run = TrainingRun.objects.get()
    assert (run.activate, run.state, run.model_version) == (False, "queued", None)
    assert run.pk != 99
