"""Trainings side by side: what differs is marked, and what is known of one stays when its artefact is gone."""

import dataclasses
import re

import pytest
from django.test import Client

from classifier.ml.artefacts import DEFAULT_ARTEFACT, load_manifest
from classifier.models import TrainingRun
from classifier.training.runs import describe_origin, find_code_hash
from tests.support.fakes import create_model_version
from tests.support.members import sign_in

pytestmark = pytest.mark.django_db


def create_run(**fields: object) -> TrainingRun:
    origin = describe_origin(load_manifest(DEFAULT_ARTEFACT))
    version = create_model_version(stage="candidate")
    version.metrics = {"accuracy": 0.98, "images": 10_000}
    version.save()
    history = [{"epoch": number, "loss": 1 / number, "validation_loss": 1.1 / number} for number in (1, 2)]
    values = {"recipe": "default", "seed": 1, "state": "done", "origin": origin, "progress": {"history": history}}
    return TrainingRun.objects.create(**values | {"model_version": version} | fields)


def list_marked(page: str) -> set[str]:
    return set(re.findall(r"<mark>(.*?)</mark>", page))


def test_what_differs_is_marked_and_figures_stand_beside_production(client: Client) -> None:
    sign_in(client, "view_trainingrun")
    production = create_model_version()
    first, second = create_run(), create_run(seed=7, recipe="frozen")
    page = client.get("/training-runs/compare/", {"run": [first.pk, second.pk]}).content.decode()
    assert list_marked(page) == {"1", "7", "default", "frozen"}
    assert page.count("98.00 % (97.71 to 98.26)") == 2
    assert f"In production: {production.name}" in page
    assert page.count('class="curve"') == 2
    # No file of these versions is on this machine, and everything is known.
    assert first.origin["dataset_sha256"][:12] in page
    assert find_code_hash()[:12] in page


def test_another_data_set_is_another_origin() -> None:
    manifest = load_manifest(DEFAULT_ARTEFACT)
    files = {**manifest.dataset["sha256"], next(iter(manifest.dataset["sha256"])): "0" * 64}
    other = dataclasses.replace(manifest, dataset={**manifest.dataset, "sha256": files})
    assert describe_origin(other)["dataset_sha256"] != describe_origin(manifest)["dataset_sha256"]
    assert describe_origin(other)["code_sha256"] == describe_origin(manifest)["code_sha256"]


@pytest.mark.parametrize("query, status", [("", 200), ("run=9", 200), ("run=x", 400), ("run=1%00", 400)])
def test_fewer_than_two_are_asked_for_and_what_is_no_number_is_refused(client: Client, query: str, status: int) -> None:
    sign_in(client, "view_trainingrun")
    answer = client.get(f"/training-runs/compare/?{query}")
    assert answer.status_code == status
    assert status == 400 or "Choose two to four trainings" in answer.content.decode()


def test_a_run_that_made_nothing_has_dashes(client: Client) -> None:
    sign_in(client, "view_trainingrun")
    done, failed = create_run(), create_run(model_version=None, state="failed", origin={}, progress={})
    page = client.get("/training-runs/compare/", {"run": [done.pk, failed.pk]}).content.decode()
    assert {"Failed", "-"} <= list_marked(page)
