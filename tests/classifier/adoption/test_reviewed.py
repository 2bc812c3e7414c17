"""The catalogue's own pictures judge versions: those of the test part that people labelled."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User

from catalog.models import Image
from classifier.adoption import gate
from classifier.adoption.gate import examine_version
from classifier.adoption.reviewed import list_test_pictures
from classifier.ml.labels import GARMENTS, GROUP_OF_GARMENT, GROUPS
from classifier.models import Base, ModelVersion, Review, SplitPicture
from classifier.registry.services import register_model_version
from classifier.reviews.services import record_reviews, withdraw_reviews
from tests.support.artefacts import answer_as_registered, create_artefact_twin, register_active_version
from tests.support.fakes import build_prediction
from tests.support.members import create_member
from tests.support.seen import create_seen

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
    images = []
    for number in range(42):
        shows = number % 6
        images.append(create_seen(version.base, number, shows=shows, part="training" if number < 6 else "test"))
        label = {"verdict": "none_of_these", "group": ""} if shows == NONE else {"group": GROUPS[shows]}
        record_reviews([images[-1].pk], reviewer_id=reviewer.pk, **label)
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


def test_a_version_that_is_wrong_about_the_catalogue_passes_no_gate(
    version: ModelVersion, images: list[Image], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_as_registered(monkeypatch)
    candidate = register_model_version(create_artefact_twin(tmp_path / "twin"))
    assert candidate.base_id == version.base_id
    calls = []

    def say(seen: Any, *, heads: Any) -> list[Any]:
        """Say what is there of each picture; at first, which is the candidate, that all of them are tops."""
        calls.append(len(seen.features))
        shown = np.argmax(seen.features[:, :6], axis=1) * (len(calls) > 1)
        garments = [next(name for name in GARMENTS if GROUP_OF_GARMENT[name] == GROUPS[min(one, 4)]) for one in shown]
        return [build_prediction(name) for name in garments]

    monkeypatch.setattr(gate, "predict", say)
    found = examine_version(candidate)
    # 30 of the 36 show a group; that of none of these both call bags.
    assert calls == [36, 36]
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
