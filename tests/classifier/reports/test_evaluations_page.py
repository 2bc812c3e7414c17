"""The page Evaluations: stored evaluations of catalogues, newest first."""

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from classifier.ml.judging.catalogues import NONE, Answer, judge_answers
from classifier.ml.labels import BAGS, ONE_PIECE
from classifier.ml.reports.documents import save_document
from classifier.reports.evaluations import save_evaluation
from tests.support.members import create_member

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.EVALUATIONS_DIR = tmp_path / "evaluations"
    return tmp_path / "evaluations"


@pytest.fixture
def reader(client: Client) -> Client:
    user = create_member()
    user.user_permissions.add(Permission.objects.get(codename="view_modelversion"))
    client.force_login(user)
    return client


def build_document(catalogue: str, *, day: int) -> dict[str, Any]:
    answers = [Answer(BAGS, is_sure=True, confidence=0.9, evidence="picture")] * 60
    truth = [BAGS] * 36 + [ONE_PIECE] * 4 + [NONE] * 20
    return {
        "model_version": "default-1",
        "catalogue": catalogue,
        "split": "validation",
        "created_at": f"2026-11-{day:02}T12:00:00+00:00",
        "unreadable": 2,
        "seconds": 1.0,
        "ways": {"pictures": judge_answers(answers, truth=truth)},
    }


def test_without_an_evaluation_the_page_names_the_command(reader: Client) -> None:
    response = reader.get("/evaluations/")
    assert "evaluate_classifier --catalogue DIR" in response.text
    assert "<table" not in response.text


def test_evaluations_are_shown_newest_first_with_intervals_and_dashes(reader: Client, folder: Path) -> None:
    for catalogue, day in (("first", 1), ("second", 3), ("<b>", 2)):
        save_evaluation(build_document(catalogue, day=day), folder=Path(catalogue))
    save_document(folder / "0123456789abcdef.json", document={"catalogue": "damaged"}, files={"a.png": b"x"})
    (folder / "a.png").write_bytes(b"y")
    response = reader.get("/evaluations/")
    sections = response.context["sections"]
    titles = [section["title"] for section in sections]
    assert titles == [f"{name}, split validation" for name in ("second", "<b>", "first")]
    assert "&lt;b&gt;, split" in response.text
    assert "40 garments and 20 things" in sections[0]["text"][0]
    assert sections[0]["text"][0].endswith("2 pictures could not be read and are left out.")
    rows = dict(sections[0]["blocks"][0]["table"]["rows"])
    assert rows["Accuracy over groups"] == "90.0 % (76.9 to 96.0)"
    # Of four garments, and of twenty things, nothing is told.
    assert rows["One piece: recall"] == rows["None of these, answered"] == "\N{EN DASH}"
    confusion = sections[0]["blocks"][1]["table"]["rows"]
    assert confusion[-1] == ["none", "0", "0", "0", "0", "20", "0", "0"]
    evidence = sections[0]["blocks"][2]["table"]["rows"]
    assert evidence == [["picture", "40", "100.0 % (91.2 to 100.0)", "90.0 % (76.9 to 96.0)", "\N{EN DASH}"]]
