"""The page of a version in production: how far its adoption is, and which versions the labels are from."""

from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from classifier.adoption import runs as adoption_runs
from classifier.adoption.runs import adopt_next_step, cancel_adoption_run
from classifier.labelling.batches import label_batch
from classifier.ml.artefacts import ArtefactMissingError
from classifier.models import AdoptionRun, LabelTask, ModelVersion, StageChange
from config import cached_counts
from tests.support.artefacts import bring_into_production, vouch_for_files
from tests.support.factories import create_product
from tests.support.fakes import FakeClassifier, create_model_version, create_painted_image
from tests.support.labels import label_everything
from tests.support.members import sign_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def adoption(monkeypatch: pytest.MonkeyPatch) -> AdoptionRun:
    """The adoption of a second version, of three products that the first one labelled, one at each step."""
    vouch_for_files(monkeypatch)
    monkeypatch.setattr("classifier.adoption.services.send_adoption_runs", lambda: 0)
    monkeypatch.setattr(adoption_runs, "STEP_SIZE", 1)
    create_model_version()
    for _ in range(3):
        create_product(images=[create_painted_image("Bag")])
    label_everything()
    bring_into_production(create_model_version(stage="candidate"))
    return AdoptionRun.objects.get()


def get_page(client: Client, version: ModelVersion) -> Any:
    return client.get(f"/model-versions/{version.pk}/")


def look_anew(client: Client, adoption: AdoptionRun) -> Any:
    """Return the report on the page, counted now."""
    cache.delete(f"adoption-{adoption.pk}")
    return get_page(client, adoption.model_version).context["adoption"]


def test_the_page_follows_the_adoption_and_the_run_that_labels_the_rest(client: Client, adoption: AdoptionRun) -> None:
    sign_in(client, "view_modelversion", "view_labellingrun")
    first = ModelVersion.objects.get(stage="retired")
    report = look_anew(client, adoption)
    assert (report.run.done, report.total, report.share, report.live) == (0, 3, 0.0, True)
    assert report.versions == [(first.name, 3)]
    assert adopt_next_step(adoption.pk)
    report = look_anew(client, adoption)
    assert (report.run.done, report.total) == (1, 3)
    page = get_page(client, adoption.model_version).text
    assert "1 of 3 products looked at" in page
    assert '<div id="adoption" data-live>' in page
    while adopt_next_step(adoption.pk):
        pass
    report = look_anew(client, adoption)
    assert (report.run.done, report.total, report.share, report.live) == (3, 3, 1.0, True)
    rest = report.run.labelling_run
    assert f'<a href="/labelling-runs/{rest.pk}/">' in get_page(client, adoption.model_version).text
    label_batch(list(LabelTask.objects.due().values_list("pk", flat=True)), get_classifier=lambda _: FakeClassifier())
    report = look_anew(client, adoption)
    assert (report.live, report.versions) == (False, [(adoption.model_version.name, 3)])
    assert " data-live>" not in get_page(client, adoption.model_version).text


def test_a_version_that_was_never_adopted_says_nothing_of_it(client: Client, adoption: AdoptionRun) -> None:
    sign_in(client, "view_modelversion")
    page = get_page(client, ModelVersion.objects.get(stage="retired"))
    assert page.context["adoption"] is None
    assert "live.js" not in page.text


def test_who_watches_an_adoption_does_not_count_the_labels_more_often_than_they_are_kept(
    client: Client, adoption: AdoptionRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cached_counts, "time", lambda: 1_800_000_000.0)
    sign_in(client, "view_modelversion")
    with CaptureQueriesContext(connection) as captured:
        for _ in range(3):
            get_page(client, adoption.model_version)
    counts = [query["sql"] for query in captured if "COUNT(" in query["sql"]]
    assert len(counts) == 2


def test_an_adoption_that_is_cancelled_stops_where_it_is(client: Client, adoption: AdoptionRun) -> None:
    sign_in(client, "view_modelversion")
    adopt_next_step(adoption.pk)
    assert cancel_adoption_run(adoption)
    assert not adopt_next_step(adoption.pk)
    assert not cancel_adoption_run(adoption)
    report = look_anew(client, adoption)
    assert (report.run.state, report.run.done, report.total, report.live) == ("cancelled", 1, 3, False)


def test_an_adoption_is_cancelled_in_the_admin_by_who_may_choose_the_version(
    client: Client, adoption: AdoptionRun
) -> None:
    address = "/admin/classifier/adoptionrun/"
    chosen = {"action": "cancel_selected", "_selected_action": [adoption.pk], "confirmed": "yes"}
    sign_in(client, "view_adoptionrun", staff=True)
    client.post(address, chosen)
    adoption.refresh_from_db()
    assert adoption.state == "running"
    sign_in(client, "view_adoptionrun", "change_modelversion", staff=True)
    client.post(address, chosen)
    adoption.refresh_from_db()
    assert adoption.state == "cancelled"


def test_an_adoption_that_is_killed_at_its_end_ends_with_its_labelling_run_the_next_time(
    adoption: AdoptionRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    while adoption.taken_until < adoption.takes_until:
        adopt_next_step(adoption.pk)
        adoption.refresh_from_db()
    with monkeypatch.context() as dying:
        dying.setattr(adoption_runs, "start_labelling_run", lambda **_options: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            adopt_next_step(adoption.pk)
    adoption.refresh_from_db()
    assert (adoption.state, adoption.done) == ("running", 3)
    adopt_next_step(adoption.pk)
    adoption.refresh_from_db()
    assert (adoption.state, adoption.labelling_run.total) == ("done", 3)


@pytest.fixture
def candidate(settings: Any, monkeypatch: pytest.MonkeyPatch) -> ModelVersion:
    """A version beside the one in production, where another person has to approve."""
    vouch_for_files(monkeypatch)
    settings.APPROVALS = "two"
    create_model_version()
    return create_model_version(stage="candidate")


def test_a_request_is_decided_on_the_page_of_its_version(candidate: ModelVersion, client: Client) -> None:
    address = f"/model-versions/{candidate.pk}/"
    sign_in(client, "view_modelversion", "change_modelversion")
    page = client.get(address)
    assert "Yes, ask for it" in page.text
    client.post(f"{address}activate/", {"tag": page.context["tag"], "reason": "Better on shoes"})
    change = StageChange.objects.get()
    page = client.get(address)
    assert (page.context["request_to_decide"], page.context["may_approve"], page.context["is_own"]) == (
        change,
        False,
        True,
    )
    assert "Another person than the one who asked has to approve this." in page.text
    given = {"tag": change.tag, "reason": "Seen", "decision": "approve"}
    decide = f"/stage-changes/{change.pk}/decide/"
    assert client.post(decide, given).status_code == 403
    sign_in(client, "view_modelversion", "change_modelversion")
    assert "No evidence of this catalogue" in client.get(address).text
    assert client.post(decide, given | {"tag": "another"}).status_code == 412
    assert client.post(decide, given).status_code == 400
    assert client.post(decide, given | {"without_catalogue": "on"}).headers["Location"] == address
    page = client.get(address)
    (told,) = page.context["changes"]
    assert told.asked.endswith(f"asked on a page that {candidate.name} be in production: Better on shoes")
    assert "approved by another person, knowing that the catalogue gave no evidence: Seen. It replaced" in told.decided
    rollback = page.context["rollback"]
    response = client.post("/model-versions/rollback/", {"reason": "Shoes went wrong"})
    assert response.headers["Location"] == f"/model-versions/{rollback.pk}/"
    assert "Approved by" in client.get(address).text


def test_what_does_not_fit_is_said_on_the_page_and_writes_nothing(
    candidate: ModelVersion, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"/model-versions/{candidate.pk}/"
    sign_in(client, "view_modelversion", "change_modelversion")
    ask = {"tag": client.get(address).context["tag"], "reason": "Better on shoes"}

    def refuse(path: str, given: dict[str, str], *, status: int, words: str) -> None:
        before = list(StageChange.objects.values())
        response = client.post(path, given)
        assert (response.status_code, words in response.text) == (status, True), response.text
        assert list(StageChange.objects.values()) == before

    refuse(f"{address}stage/", {"to": "active", "reason": "So"}, status=400, words="Expected one of the stages")
    refuse(f"{address}activate/", ask | {"reason": "So\0"}, status=400, words="Null characters are not allowed")
    refuse("/model-versions/rollback/", {"reason": "So\0"}, status=400, words="Null characters are not allowed")
    with monkeypatch.context() as without_files:

        def miss(_version: ModelVersion) -> None:
            raise ArtefactMissingError("expected a file")

        without_files.setattr("classifier.adoption.services.verify_version", miss)
        refuse(f"{address}activate/", ask, status=409, words="The version was not activated")
    client.post(f"{address}activate/", ask)
    change = StageChange.objects.get()
    refuse(f"{address}activate/", ask, status=409, words=f"Request {change.pk} for version {candidate.pk} is open")
    decide, given = f"/stage-changes/{change.pk}/decide/", {"tag": change.tag, "decision": "reject", "reason": "No"}
    sign_in(client, "view_modelversion", "change_modelversion")
    refuse(decide, given | {"tag": "1-open-0"}, status=412, words="look again before deciding")
    refuse(decide, given | {"reason": "\0"}, status=400, words="Null characters are not allowed")
    refuse(decide, given | {"decision": "perhaps"}, status=400, words="approve, reject, withdraw")
    for decision in ("approve", "reject"):
        refuse(decide, given | {"decision": decision, "reason": " "}, status=400, words="Expected a reason")
    assert client.post(decide, given).status_code == 302
    refuse(decide, given | {"decision": "approve"}, status=409, words="is rejected already")


def test_another_stage_is_given_on_the_page_with_a_reason(client: Client) -> None:
    version = create_model_version(stage="candidate")
    sign_in(client, "view_modelversion", "change_modelversion")
    address = f"/model-versions/{version.pk}/stage/"
    assert client.post(address, {"to": "rejected", "reason": " "}).status_code == 400
    assert client.post(address, {"to": "rejected", "reason": "Takes belts for bags"}).status_code == 302
    version.refresh_from_db()
    assert version.stage == "rejected"
    assert client.post(address, {"to": "preproduction", "reason": "So"}).status_code == 409
