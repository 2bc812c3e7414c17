"""The catalogue's own pictures judge versions: those of the test part that people labelled."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.db.models.functions import Now

from catalog.models import Image, Product
from classifier.adoption import gate
from classifier.adoption.gate import examine_version
from classifier.adoption.history import describe_gate
from classifier.adoption.reviewed import list_test_pictures
from classifier.labels.texts import find_stale_texts, write_texts
from classifier.ml.artefacts import MANIFEST_FILE
from classifier.ml.labels import GARMENTS, GROUP_OF_GARMENT, GROUPS
from classifier.models import Base, ModelVersion, PictureFeatures, Review, SplitAssignment, SplitPicture
from classifier.registry.services import register_model_version
from classifier.reviews.services import record_reviews, withdraw_reviews
from tests.support.artefacts import answer_as_registered, create_artefact_twin, register_active_version
from tests.support.fakes import build_prediction
from tests.support.members import create_member
from tests.support.seen import Seen, create_all_seen

pytestmark = pytest.mark.django_db

NONE = len(GROUPS)


@pytest.fixture
def version(settings: Any, tmp_path: Path) -> ModelVersion:
    settings.ARTEFACTS_DIR = tmp_path / "artefacts"
    return register_active_version()


@pytest.fixture
def images(version: ModelVersion) -> list[Image]:
    """42 reviewed pictures, a sixth of them of none of these; the first six train."""
    reviewer: User = create_member("add_review")
    images = create_all_seen(
        version.base, [Seen(number, number % 6, "training" if number < 6 else "test") for number in range(42)]
    )
    for shows in range(6):
        label = {"verdict": "none_of_these", "group": ""} if shows == NONE else {"group": GROUPS[shows]}
        record_reviews([image.pk for image in images[shows::6]], reviewer_id=reviewer.pk, **label)
    return images


def test_what_judges_was_reviewed_is_in_test_and_was_seen_by_all(version: ModelVersion, images: list[Image]) -> None:
    pictures = list_test_pictures([version.base_id, version.base_id])
    assert len(pictures) == 36
    assert sorted({picture.shows for picture in pictures}) == list(range(6))
    assert {len(picture.features) for picture in pictures} == {2}
    blind = Base.objects.create(digest=bytes(32), name="blind")
    assert list_test_pictures([version.base_id, blind.pk]) == []
    withdraw_reviews(Review.objects.filter(image=images[-1]))
    assert len(list_test_pictures([version.base_id])) == 35


def test_of_a_family_one_picture_judges(version: ModelVersion, images: list[Image]) -> None:
    first, second = SplitPicture.objects.filter(assignment__part="test")[:2]
    SplitPicture.objects.filter(pk=second.pk).update(assignment=first.assignment_id)
    assert len(list_test_pictures([version.base_id])) == 35


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Of how many pictures the heads are asked: at first the candidate, which says that all of them are tops."""
    answer_as_registered(monkeypatch)
    calls: list[int] = []

    def say(seen: Any, *, heads: Any) -> list[Any]:
        calls.append(len(seen.features))
        shown = np.argmax(seen.features[:, :6], axis=1) * (len(calls) > 1)
        garments = [next(name for name in GARMENTS if GROUP_OF_GARMENT[name] == GROUPS[min(one, 4)]) for one in shown]
        return [build_prediction(name) for name in garments]

    monkeypatch.setattr(gate, "predict", say)
    return calls


def test_a_version_that_is_wrong_about_the_catalogue_passes_no_gate(
    version: ModelVersion, images: list[Image], tmp_path: Path, asked: list[int]
) -> None:
    candidate = register_model_version(create_artefact_twin(tmp_path / "twin"))
    assert candidate.base_id == version.base_id
    found = examine_version(candidate)
    # 30 of the 36 show a group; that of none of these both call bags.
    assert asked == [36, 36]
    assert [(one.of, one.images, one.is_worse) for one in found.catalogue] == [("all groups", 36, True)]
    assert "all groups: -66.67 points" in found.problem


def test_fewer_than_thirty_are_no_evidence(
    version: ModelVersion, images: list[Image], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_as_registered(monkeypatch)
    withdraw_reviews(Review.objects.filter(image__in=images[10:]))
    candidate = register_model_version(create_artefact_twin(tmp_path / "twin"))
    found = examine_version(candidate)
    assert (found.catalogue, found.problem) == (None, "")
    assert found.to_json()["catalogue"] is None


def test_what_titles_taught_is_held_against_titles_of_the_test_part(
    version: ModelVersion, tmp_path: Path, asked: list[int]
) -> None:
    titles = ("Blue shirt", "Long trousers", "Summer dress", "Leather boots", "Small handbag", "Leather belt")
    parts = [*["test"] * 36, *["training"] * 6]
    seen = [Seen(number, number % 6, part, titles[number % 6]) for number, part in enumerate(parts)]
    create_all_seen(version.base, [*seen, Seen(42, 0, "test", titles[0]), Seen(43, 0, "training", titles[0])])
    # One shows what says nothing of its product, another is of a family that judges already.
    common, twin = SplitPicture.objects.order_by("-pk")[:2]
    left_out = {"left_out_because": SplitAssignment.Reason.COMMON, "left_out_at": Now()}
    SplitAssignment.objects.filter(pk=common.assignment_id).update(**left_out)
    first = SplitPicture.objects.filter(assignment__part="test").order_by("pk").first()
    SplitPicture.objects.filter(pk=twin.pk).update(assignment=first.assignment_id)
    write_texts(find_stale_texts(list(Product.objects.values_list("pk", flat=True))))
    folder = create_artefact_twin(tmp_path / "twin")
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    manifest["recipe"] |= {"name": "titles", "trainable": "titles"}
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest))
    candidate = register_model_version(folder)
    found = examine_version(candidate)
    # A belt is none of the groups, and no title teaches that.
    assert asked == [30, 30]
    assert (found.catalogue, [(one.of, one.is_worse) for one in found.titled]) == (None, [("all groups", True)])
    assert "all groups: -80.00 points" in found.problem
    rows = describe_gate(found.to_json())["table"]["rows"]
    assert [row[1:3] for row in rows if row[0] == "Its photographs, by their titles"] == [["all groups", "30"]]
    PictureFeatures.objects.order_by("pk")[1].delete()
    assert examine_version(candidate).problem.startswith("Titles taught it, and fewer than 30 photographs")
