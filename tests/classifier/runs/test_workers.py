"""Whether somebody works on a queue, as every page that starts or follows a run says it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from classifier.models import AdoptionRun, LabellingRun, QueueCanary, ReviewRun, Run, TrainingRun
from classifier.runs.workers import QueueHealth, find_queue_health
from tests.support.factories import create_image, create_product
from tests.support.fakes import create_model_version, create_stored_image
from tests.support.labels import label_everything

pytestmark = pytest.mark.django_db

SEEN_AT = datetime(2026, 3, 4, 18, 9, 30, tzinfo=UTC)
SENTENCE = (
    "No worker of the {} queue was seen since 4 Mar 2026, 18:09 UTC. What is asked for waits until one runs: "
    "<code>celery -A config worker -Q {}</code>"
)


def be_silent(queue: str) -> None:
    QueueCanary.objects.create(queue=queue, created_at=SEEN_AT, done_at=SEEN_AT)


def start_runs(user: User) -> dict[str, Run]:
    """Return an open run of each kind."""
    version = create_model_version()
    return {
        "labelling": LabellingRun.objects.create(model_version=version),
        "training": TrainingRun.objects.create(recipe="default", seed=1),
        "adoption": AdoptionRun.objects.create(model_version=version, requested_by=user),
        "review": ReviewRun.objects.create(group="Bags", requested_by=user, total=1),
    }


PAGES: list[tuple[str, str, Callable[[dict[str, Run]], str]]] = [
    ("labelling", "start", lambda runs: "/"),
    ("labelling", "labelling runs", lambda runs: "/labelling-runs/"),
    ("labelling", "a labelling run", lambda runs: f"/labelling-runs/{runs['labelling'].pk}/"),
    ("labelling", "errors", lambda runs: "/errors/"),
    ("labelling", "an adoption", lambda runs: f"/model-versions/{runs['labelling'].model_version_id}/"),
    ("labelling", "a candidate", lambda runs: f"/model-versions/{create_model_version(stage='candidate').pk}/"),
    ("labelling", "a review run", lambda runs: f"/admin/classifier/reviewrun/{runs['review'].pk}/change/"),
    ("labelling", "a run in the admin", lambda runs: f"/admin/classifier/labellingrun/{runs['labelling'].pk}/change/"),
    ("training", "trainings", lambda runs: "/training-runs/"),
    ("training", "a training", lambda runs: f"/training-runs/{runs['training'].pk}/"),
]


@pytest.mark.parametrize("queue, page, address", PAGES, ids=[row[1] for row in PAGES])
def test_a_page_says_since_when_no_worker_was_seen(
    admin_client: Client, admin_user: User, queue: str, page: str, address: Callable[[dict[str, Run]], str]
) -> None:
    create_product(images=[create_image()])
    runs = start_runs(admin_user)
    be_silent(queue)
    path = address(runs)
    answer = admin_client.get(path).text.replace("&quot;", '"')
    sentence = SENTENCE.format(queue, queue)
    if path.startswith("/admin/"):
        sentence = sentence.replace("<code>", "").replace("</code>", "")
    assert answer.count(sentence) == 1
    QueueCanary.objects.update(done_at=timezone.now())
    assert "No worker" not in admin_client.get(path).text


@pytest.mark.parametrize("kind", ["labelling", "training", "review"])
def test_a_run_that_has_ended_waits_for_nobody(admin_client: Client, admin_user: User, kind: str) -> None:
    run = start_runs(admin_user)[kind]
    type(run)._default_manager.update(state="done", finished_at=timezone.now())
    path = f"/admin/classifier/reviewrun/{run.pk}/change/" if kind == "review" else f"/{kind}-runs/{run.pk}/"
    assert "No worker" not in admin_client.get(path).text


def test_the_start_page_says_nothing_of_workers_to_those_who_see_no_runs(client: Client) -> None:
    create_product(images=[create_image()])
    assert "No worker" not in client.get("/").text


@pytest.mark.parametrize("kind", ["labelling", "training"])
def test_a_run_of_the_api_says_the_same(admin_client: Client, admin_user: User, kind: str) -> None:
    run = start_runs(admin_user)[kind]
    address = f"/api/v1/{kind}-runs/{run.pk}/"
    assert admin_client.get(address).json()["worker"] == {"queue": kind, "seen_at": None, "missing": True}
    be_silent(kind)
    seen = {"queue": kind, "seen_at": "2026-03-04T18:09:30Z", "missing": True}
    assert admin_client.get(address).json()["worker"] == seen
    QueueCanary.objects.update(done_at=timezone.now())
    assert admin_client.get(address).json()["worker"]["missing"] is False


def test_actions_that_start_work_warn_where_nobody_does_it(admin_client: Client) -> None:
    create_product(images=[create_stored_image(b"no picture")])
    create_model_version()
    label_everything()
    task = LabellingRun.objects.get().tasks.get()
    chosen = {"action": "retry_selected", "_selected_action": task.pk, "confirmed": "yes"}
    page = admin_client.post("/admin/classifier/labeltask/", chosen, follow=True)
    texts = [str(message) for message in page.context["messages"]]
    assert texts[-1].startswith("No worker of the labelling queue was seen yet.")
    assert texts[-1].endswith("What is asked for waits until one runs: celery -A config worker -Q labelling")


@pytest.mark.both_databases
def test_a_worker_is_missed_when_its_messages_are_late(settings) -> None:
    assert find_queue_health("labelling") == QueueHealth("labelling", None, stale=True)
    now = timezone.now()
    # One that has just been started, and whose first message is on its way.
    QueueCanary.objects.create(queue="labelling", created_at=now, sent_at=now)
    assert find_queue_health("labelling").sentence == ""
    QueueCanary.objects.update(done_at=now - timedelta(seconds=settings.CANARY_STALE_SECONDS + 1))
    assert find_queue_health("labelling").stale
    assert find_queue_health("training").sentence.startswith("No worker of the training queue was seen yet.")
