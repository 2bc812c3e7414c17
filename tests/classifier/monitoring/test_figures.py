"""Figures over time: what each day and version brought, drawn and as numbers, and what Prometheus reads."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from classifier.audit.selectors import list_accuracies
from classifier.labels.day_counts import count_changes
from classifier.models import AdoptionRun, AuditRound, AuditSample, LabelChange, ModelVersion, Review
from classifier.monitoring.figures_page import draw_steps, stack
from tests.support.drifting import create_alarm, create_drift_check
from tests.support.factories import create_image, create_product
from tests.support.fakes import create_model_version
from tests.support.labels import create_labelled_product
from tests.support.members import build_token_header, create_member

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
ADDRESS = "/api/v1/figures/"
MAY = {"from": "2026-05-01", "to": "2026-05-03"}


@pytest.fixture
def viewer(client: Client) -> Client:
    client.force_login(create_member("view_labelchange"))
    return client


@pytest.fixture
def versions() -> list[ModelVersion]:
    """Two versions with a history of three days in May."""
    first, second = (create_model_version(stage="retired") for _ in range(2))
    for day, version, status, group, reason in (
        (0, first, "labelled", "Bags", ""),
        (0, first, "labelled", "Footwear", ""),
        (0, first, "needs_review", "Bags", "unsure"),
        (0, None, "failed", "", "not_found"),
        (2, second, "none_of_these", "", ""),
        (2, second, "reviewed", "Bags", ""),
        (2, None, "", "", ""),
        (3, second, "labelled", "Bags", ""),
    ):
        LabelChange.objects.create(
            product_id=1,
            at=NOON + timedelta(days=day),
            why="classified",
            old_status="pending",
            new_status=status,
            new_group=group,
            new_reason=reason,
            new_source={"failed": "", "": "", "reviewed": "person"}.get(status, "machine"),
            new_version_id=version.pk if version else None,
        )
    AdoptionRun.objects.create(model_version=second, created_at=NOON + timedelta(days=1))
    AdoptionRun.objects.create(model_version=first, created_at=NOON - timedelta(days=1))
    return [first, second]


def get(client: Client, **parameters: Any) -> dict[str, Any]:
    response = client.get(ADDRESS, MAY | parameters)
    assert response.status_code == 200, response.content
    return response.json()


@pytest.mark.parametrize("is_counted", [False, True])
def test_each_day_has_its_numbers(viewer: Client, versions: list[ModelVersion], is_counted: bool) -> None:
    if is_counted:
        count_changes(seconds=10)
    body = get(viewer)
    groups = {"Upper part": 0, "Bottom part": 0, "One piece": 0, "Footwear": 0, "Bags": 0}
    first, second, third = body["results"]
    assert first == {
        "day": "2026-05-01",
        "version": None,
        "labels": 3,
        "unsure": 1,
        "reviewed": 0,
        "groups": groups | {"Bags": 2, "Footwear": 1},
        "failures": {"not_found": 1},
    }
    assert (second["day"], second["labels"], second["failures"]) == ("2026-05-02", 0, {})
    assert (third["labels"], third["reviewed"], third["groups"]["Bags"]) == (2, 1, 1)
    assert [event["version"] for event in body["activations"]] == [versions[1].name]


def test_confirmed_alarms_stand_in_the_plots_and_suspicions_do_not(
    viewer: Client, versions: list[ModelVersion]
) -> None:
    check = create_drift_check(versions[0])
    create_alarm(check, confirmed_at=datetime(2026, 5, 2, 12, tzinfo=UTC), segment="host shop.example")
    create_alarm(check, signal="mix", state="suspected")
    assert get(viewer)["alarms"] == [
        {"at": "2026-05-02T12:00:00Z", "signal": "What networks see in pictures", "segment": "host shop.example"}
    ]
    page = viewer.get("/figures/", MAY).text
    assert "Alarm: what networks see in pictures" in page
    assert "The mix of groups" not in page


def test_versions_are_told_apart(viewer: Client, versions: list[ModelVersion]) -> None:
    rows = get(viewer, by="version")["results"]
    assert [(row["day"], row["version"], row["labels"]) for row in rows] == [
        (None, "", 0),
        (None, versions[0].name, 3),
        (None, versions[1].name, 2),
    ]
    both = get(viewer, by=["day", "version"], to="2026-05-04")["results"]
    assert [(row["day"], row["version"]) for row in both if row["version"]] == [
        ("2026-05-01", versions[0].name),
        ("2026-05-03", versions[1].name),
        ("2026-05-04", versions[1].name),
    ]


@pytest.mark.parametrize("query", ["from=2026-05-02&to=2026-05-01", "from=2020-01-01", "by=week", "from=May"])
def test_days_that_make_no_sense_are_refused(viewer: Client, query: str) -> None:
    assert viewer.get(f"{ADDRESS}?{query}").status_code == 400
    assert viewer.get(f"/figures/?{query}").status_code == 400


def test_the_audits_accuracy_follows_its_answers_day_by_day() -> None:
    version = create_model_version()
    reviewer = User.objects.create_user("reviewer")
    audit = AuditRound.objects.create(model_version=version, sizes=[["Bags", 0, 60]])
    AuditRound.objects.filter(pk=audit.pk).update(drawn_at=NOON)
    audit.refresh_from_db()
    for number in range(50):
        image = create_image()
        product = create_product(images=[image])
        AuditSample.objects.create(
            round=audit, product=product, image=image, group="Bags", band=0, inclusion_probability=1, position=number
        )
        review = Review.objects.create(
            image=image,
            url=image.url,
            group="Bags" if number < 40 else "Footwear",
            reviewer=reviewer,
            blind=True,
            inclusion_probability=1,
        )
        Review.objects.filter(pk=review.pk).update(created_at=NOON + timedelta(days=0 if number < 20 else number // 20))

    found = list_accuracies(date(2026, 5, 1), date(2026, 5, 4))
    assert [(row.day.day, row.accuracy.count) for row in found] == [(2, 40), (3, 50), (4, 50)]
    assert [round(row.accuracy.value, 2) for row in found] == [1.0, 0.8, 0.8]
    assert all(row.accuracy.low <= row.accuracy.value <= row.accuracy.high for row in found)
    assert list_accuracies(date(2026, 4, 1), date(2026, 4, 30)) == []


def test_the_page_draws_what_the_numbers_say(viewer: Client, versions: list[ModelVersion]) -> None:
    response = viewer.get("/figures/", MAY)
    assert response.status_code == 200
    plots = {plot.name: plot for plot in response.context["plots"]}
    assert plots["labels"].rows[0] == ("1 May 2026", "3", "1", "0", "1")
    assert [(bar.day, bar.kind, bar.height) for bar in plots["labels"].bars] == [
        (0, "failed", 25.0),
        (0, "unsure", 25.0),
        (0, "sure", 50.0),
        (2, "sure", 50.0),
    ]
    assert plots["accuracy"].is_empty
    assert [(mark.place, mark.words) for mark in response.context["marks"]] == [
        (1.5, f"{versions[1].name} in production")
    ]
    assert response.context["versions"][1][:2] == (versions[0].name, "3")


def test_a_line_leaves_out_the_days_without_a_share() -> None:
    assert list(draw_steps([0.5, None, 1.0, 0.0])) == ["0,50.00 1,50.00", "2,0.00 3,0.00 3,100.00 4,100.00"]
    assert list(draw_steps([0.8], below=[0.6])) == ["0,20.00 1,20.00 1,40.00 0,40.00"]


def test_a_bar_is_as_high_as_its_parts() -> None:
    bars = list(stack(3, [("failed", 1), ("unsure", 0), ("sure", 3)], highest=8))
    assert [(bar.top, bar.height, bar.kind) for bar in bars] == [(50.0, 12.5, "failed"), (62.5, 37.5, "sure")]
    assert list(stack(0, [("sure", 0)], highest=0)) == []


def read_metrics(client: Client, **headers: str) -> dict[tuple[str, ...], float]:
    response = client.get("/metrics", headers=headers)
    assert response.status_code == 200, response.content
    assert response.headers["Content-Type"].startswith("text/plain; version=")
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(response.content.decode())
        for sample in family.samples
    }


def test_prometheus_reads_the_database_with_a_token(client: Client, versions: list[ModelVersion]) -> None:
    version = create_model_version()
    create_labelled_product()
    create_product()
    token = build_token_header(create_member("view_labelchange"))
    metrics = read_metrics(client, **token)
    assert metrics["catalogue_labels", "Bottom part", "labelled"] == 1
    assert metrics["catalogue_labels", "", "no_image"] == 1
    assert metrics["catalogue_label_changes_total", "", "machine", "labelled"] == 3
    assert ("catalogue_model_version_activated_timestamp_seconds", version.name) in metrics

    create_labelled_product()
    count_changes(seconds=10)
    again = read_metrics(client, **token)
    assert again["catalogue_labels", "Bottom part", "labelled"] == 2
    assert again["catalogue_label_changes_total", "", "machine", "labelled"] == 3


def test_metrics_are_not_for_everybody(client: Client) -> None:
    assert client.get("/metrics").status_code == 401
    client.force_login(create_member())
    assert client.get("/metrics").status_code == 403
