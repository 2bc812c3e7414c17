"""The page of drift and its API: what stands there, and what a person does with an alarm."""

import json

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from classifier.models import Alarm, Classification, DriftCheck
from tests.support.drifting import create_alarm, create_classified, create_drift_check
from tests.support.factories import create_product
from tests.support.fakes import create_model_version
from tests.support.members import create_member

pytestmark = pytest.mark.django_db


@pytest.fixture
def member_client() -> Client:
    """Somebody who may do everything with checks and alarms."""
    user = create_member()
    user.user_permissions.set(
        Permission.objects.filter(content_type__app_label="classifier", content_type__model__in=["driftcheck", "alarm"])
    )
    client = Client()
    client.force_login(user)
    return client


def test_the_page_checks_and_shows_what_differs(member_client: Client) -> None:
    version = create_model_version()
    assert "Nothing has been checked yet" in member_client.get("/drift/").content.decode()
    refused = member_client.post("/drift/")
    assert refused.status_code == 409
    assert "Nothing was checked: expected pictures" in refused.content.decode()

    create_classified(version, number=1_000, seed=1)
    create_classified(version, number=60, seed=2)
    run = create_classified(version, number=60, seed=3, moved=1.0, host="new.example")
    for image in [said.image for said in Classification.objects.filter(run=run)[:60]]:
        create_product(f"New {image.pk}", images=[image])
    assert member_client.post("/drift/").status_code == 302

    response = member_client.get("/drift/")
    page = response.content.decode()
    assert "Suspected: one check says so, in host new.example." in page
    assert "Different, which is not worse: other pictures" in page
    assert [row.alarm.signal for row in response.context["alarms"]] == ["features"]
    assert response.context["alarms"][0].pictures
    assert "acknowledge/" not in page


def test_the_api_says_what_cannot_be_compared_and_writes_nothing(member_client: Client) -> None:
    def refuse(words: str, **body: object) -> None:
        answer = member_client.post("/api/v1/drift-checks/", json.dumps(body), content_type="application/json")
        assert (answer.status_code, words in answer.json()["detail"]) == (409, True), answer.content

    refuse("model version")
    version = create_model_version()
    refuse("found none")
    create_classified(version, number=1_000, seed=1)
    refuse("after its reference, found none")
    refuse("expected a time that has come", since="2999-01-01T00:00:00Z")
    run = create_classified(version, number=150, seed=2)
    Classification.objects.filter(run=run).update(created_at="2999-01-01T00:00:00Z")
    refuse("clocks disagree")
    assert not DriftCheck.objects.exists()
    assert not Alarm.objects.exists()


def test_an_alarm_is_acknowledged_and_closed_on_the_page(member_client: Client) -> None:
    alarm = create_alarm(create_drift_check(create_model_version(), is_different=True))
    assert f"/drift/alarms/{alarm.pk}/acknowledge/" in member_client.get("/drift/").content.decode()

    member_client.post(f"/drift/alarms/{alarm.pk}/acknowledge/")
    assert Alarm.objects.get().state == "acknowledged"
    member_client.post(f"/drift/alarms/{alarm.pk}/close/")
    assert Alarm.objects.get().state == "closed"
    again = member_client.post(f"/drift/alarms/{alarm.pk}/acknowledge/", follow=True)
    assert "is closed" in again.content.decode()


def test_the_start_page_says_what_nobody_acknowledged(member_client: Client) -> None:
    create_product("Bag")
    check = create_drift_check(create_model_version())
    create_alarm(check)
    create_alarm(check, signal="mix", state="suspected")

    duties = {duty.address: duty for duty in member_client.get("/").context["duties"]}
    assert duties["/drift/"].number == 1
    assert "/drift/" not in {duty.address for duty in Client().get("/").context["duties"]}


def test_the_api_checks_lists_and_follows_alarms(member_client: Client) -> None:
    version = create_model_version()
    create_classified(version, number=1_000, seed=1)
    create_classified(version, number=150, seed=2, moved=0.6)

    answer = member_client.post("/api/v1/drift-checks/", json.dumps({"window": 150}), content_type="application/json")
    assert (answer.status_code, answer.json()["is_different"]) == (201, True)
    assert DriftCheck.objects.get().requested_by is not None
    assert [check["id"] for check in member_client.get("/api/v1/drift-checks/").json()["results"]] == [
        answer.json()["id"]
    ]
    alarm = member_client.get("/api/v1/alarms/").json()["results"][0]
    assert (alarm["signal"], alarm["state"]) == ("features", "suspected")

    address = f"/api/v1/alarms/{alarm['id']}"
    assert member_client.post(f"{address}/acknowledge/").status_code == 409
    assert member_client.post(f"{address}/close/").json()["state"] == "closed"
    for window in (5, "many"):
        body = json.dumps({"window": window})
        assert member_client.post("/api/v1/drift-checks/", body, content_type="application/json").status_code == 400
