"""The error queue: over HTTP, and what retry and ignore do to the ledger."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db.models.functions import Now
from django.test import Client
from django.utils import timezone

from catalog.models import Image
from classifier.labelling import errors as error_queue
from classifier.labelling import ledger
from classifier.labelling.batches import label_batch
from classifier.labelling.ledger import Failed, claim_tasks, finish_tasks
from classifier.labelling.starting import start_labelling_run
from classifier.models import LabellingRun, LabelTask
from tests.support.factories import create_image, create_product
from tests.support.fakes import FakeClassifier, build_outcome, create_model_version, create_stored_image
from tests.support.members import sign_in

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

ERRORS = "/api/v1/errors/"
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
State = LabelTask.State


@pytest.fixture
def run() -> LabellingRun:
    return LabellingRun.objects.create(model_version=create_model_version())


def create_error(run: LabellingRun, *, minutes_ago: int = 0, **fields: object) -> LabelTask:
    """Create a task that timed out so long ago and was given up after two tries, unless `fields` say otherwise."""
    at = timezone.now() - timedelta(minutes=minutes_ago)
    values = {"state": State.FAILED, "error_code": "timeout", "attempts": 2, "first_failed_at": at}
    image = create_image()
    return LabelTask.objects.create(
        **{"image": image, "model_version": run.model_version, "run": run, "last_failed_at": at, **values, **fields}
    )


def test_the_queue_says_what_failed_why_how_often_and_what_comes_next(client: Client, run: LabellingRun) -> None:
    given_up = create_error(run, minutes_ago=5, crashes=3, error_code="worker_crash")
    next_try = timezone.now() + timedelta(minutes=2)
    waiting = create_error(run, state=State.RETRY, next_try_at=next_try)
    create_error(run, state=State.DONE)
    sign_in(client, "view_labeltask")
    body = client.get(ERRORS).json()
    assert [row["id"] for row in body["results"]] == [waiting.pk, given_up.pk]
    assert (body["next"], body["previous"]) == (None, None)
    row = body["results"][1]
    assert (row["code"], row["state"], row["attempts"], row["crashes"]) == ("worker_crash", "failed", 2, 3)
    assert (row["image"], row["image_url"]) == (given_up.image_id, given_up.image.url)
    assert (row["run"], row["model_version"], row["next_try_at"]) == (run.pk, run.model_version.name, None)
    assert row["first_failed_at"] == row["last_failed_at"] != body["results"][0]["last_failed_at"]
    assert body["results"][0]["next_try_at"] == next_try.isoformat().replace("+00:00", "Z")


def test_the_queue_is_narrowed_by_each_filter(client: Client, run: LabellingRun) -> None:
    other = LabellingRun.objects.create(model_version=create_model_version(stage="retired"))
    first, second = create_error(run, error_code="http_4xx"), create_error(other, state=State.IGNORED)
    sign_in(client, "view_labeltask")
    for query, expected in {
        "code=http_4xx": [first],
        "code=dns_error": [],
        "state=ignored": [second],
        f"run={other.pk}": [second],
        f"model_version={run.model_version_id}": [first],
        f"image={first.image_id}": [first],
        f"image={first.image_id}&state=ignored": [],
    }.items():
        rows = client.get(f"{ERRORS}?{query}").json()["results"]
        assert [row["id"] for row in rows] == [task.pk for task in expected], query


@pytest.mark.parametrize(
    "query", ["state=done", "code=%00", "run=abc", "run=0", "run=1e30", "image=" + "9" * 40, "host=a", "page_size=101"]
)
def test_a_filter_that_is_none_is_refused(client: Client, query: str) -> None:
    sign_in(client, "view_labeltask")
    response = client.get(f"{ERRORS}?{query}")
    assert (response.status_code, response.headers["Content-Type"]) == (400, "application/problem+json")


@pytest.mark.parametrize("at", [timezone.now(), Now(), NOON], ids=["Python's", "the database's", "no fraction"])
def test_every_error_is_on_one_page_whatever_the_page_size(client: Client, run: LabellingRun, at: Any) -> None:
    tasks = [create_error(run, minutes_ago=number // 2) for number in range(6)]
    LabelTask.objects.filter(pk__in=[task.pk for task in tasks[:3]]).update(last_failed_at=at)
    expected = list(LabelTask.objects.order_by("-last_failed_at", "-pk").values_list("pk", flat=True))
    sign_in(client, "view_labeltask")
    for page_size in (1, 2, 4):
        address, seen = f"{ERRORS}?page_size={page_size}", []
        while address:
            body = client.get(address).json()
            seen += [row["id"] for row in body["results"]]
            address = body["next"]
        assert seen == expected
    assert [row["id"] for row in client.get(body["previous"]).json()["results"]] == expected[:4]


def test_the_list_costs_the_same_queries_for_any_page_and_counts_nothing(
    client: Client, run: LabellingRun, django_assert_num_queries
) -> None:
    for _ in range(5):
        create_error(run)
    sign_in(client, "view_labeltask")
    for page_size in (1, 5):
        # Session, user, the user's own permissions, those of the groups, the page, suspects.
        with django_assert_num_queries(6) as captured:
            client.get(f"{ERRORS}?page_size={page_size}")
        assert not any("COUNT(" in query["sql"] for query in captured)


def test_a_retried_picture_is_tried_at_once_and_labelled(client: Client) -> None:
    create_model_version()
    image = create_stored_image(b"not a picture")
    product = create_product(images=[image])
    run = start_labelling_run()
    label_batch([LabelTask.objects.get().pk], get_classifier=lambda _: FakeClassifier())
    task = LabelTask.objects.get()
    assert (task.state, product.label.status) == (State.FAILED, "failed")
    sign_in(client, "change_labeltask")
    body = client.post(f"{ERRORS}{task.pk}/retry/").json()
    assert (body["state"], body["code"], body["attempts"]) == ("retry", "not_image", 0)
    batch = claim_tasks([task.pk])
    assert finish_tasks(batch, [build_outcome(task.image, "Bag") for task in batch.tasks]) == 1
    task.refresh_from_db()
    product.refresh_from_db()
    assert (task.state, task.error_code, task.run, product.label.group) == (State.DONE, "", run, "Bags")


def test_retrying_puts_the_picture_on_the_queue(
    run: LabellingRun, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks
) -> None:
    sent: list[list[int]] = []
    monkeypatch.setattr(
        "classifier.labelling.tasks.label_batch_task.apply_async", lambda ids, *, retry: sent.append(ids[0])
    )
    task = create_error(run)
    with django_capture_on_commit_callbacks(execute=True):
        assert error_queue.retry_errors([task.pk]) == 1
    assert sent == [[task.pk]]


def test_a_picture_that_crashed_is_retried_alone_and_given_up_at_the_next_crash(run: LabellingRun) -> None:
    suspect, other = create_error(run, crashes=3, error_code="worker_crash"), create_error(run)
    error_queue.retry_errors([suspect.pk, other.pk])
    assert [task.pk for task in claim_tasks([suspect.pk, other.pk]).tasks] == [other.pk]
    batch = claim_tasks([suspect.pk])
    finish_tasks(batch, [ledger.Suspected()])
    suspect.refresh_from_db()
    assert (suspect.state, suspect.error_code, suspect.crashes) == (State.FAILED, "worker_crash", 3)


def test_an_ignored_picture_is_tried_by_nobody_until_it_is_retried(client: Client) -> None:
    create_model_version()
    create_stored_image(b"not a picture")
    run = start_labelling_run()
    task = LabelTask.objects.get()
    finish_tasks(claim_tasks([task.pk]), [Failed("timeout", retryable=True)])
    sign_in(client, "change_labeltask")
    for _ in range(2):
        response = client.post(f"{ERRORS}{task.pk}/ignore/")
        assert (response.status_code, response.json()["state"]) == (200, "ignored")
    LabelTask.objects.update(next_try_at=timezone.now() - timedelta(hours=1))
    assert claim_tasks([task.pk]).tasks == []
    assert start_labelling_run(relabel=True).total == 0
    assert client.post(f"{ERRORS}{task.pk}/retry/").json()["state"] == "retry"
    assert [held.run for held in claim_tasks([task.pk]).tasks] == [run]


@pytest.mark.parametrize("state", [State.NEW, State.RUNNING, State.DONE, State.CANCELLED])
def test_what_is_not_in_the_queue_is_neither_retried_nor_ignored(client: Client, run: LabellingRun, state: str) -> None:
    task = create_error(run, state=state)
    before = LabelTask.objects.values().get()
    sign_in(client, "change_labeltask")
    for action in ("retry", "ignore"):
        response = client.post(f"{ERRORS}{task.pk}/{action}/")
        assert response.status_code == 409
        assert response.json()["detail"] == f"Expected a task in the error queue; it is {state}."
        assert client.post(f"{ERRORS}{task.pk + 1}/{action}/").status_code == 404
    assert LabelTask.objects.values().get() == before


def test_the_queue_and_its_actions_need_their_permissions(client: Client, run: LabellingRun) -> None:
    task = create_error(run)
    actions = [f"{ERRORS}{task.pk}/retry/", f"{ERRORS}{task.pk}/ignore/"]
    assert client.get(ERRORS).status_code == 401
    assert {client.post(address).status_code for address in actions} == {401}
    sign_in(client, "change_labeltask")
    assert client.get(ERRORS).status_code == 403
    sign_in(client, "view_labeltask", "add_labeltask")
    assert {client.post(address).status_code for address in actions} == {403}
    strict = Client(enforce_csrf_checks=True)
    sign_in(strict, "change_labeltask")
    assert {strict.post(address).status_code for address in actions} == {403}
    task.refresh_from_db()
    assert task.state == State.FAILED


def test_hostile_urls_come_back_as_text_in_json(client: Client, run: LabellingRun) -> None:
    image = Image.objects.create(url="javascript:alert('<script>')")
    create_error(run, image=image)
    sign_in(client, "view_labeltask")
    response = client.get(ERRORS)
    assert response.json()["results"][0]["image_url"] == "javascript:alert('<script>')"
    assert response.headers["Content-Type"] == "application/json"
