"""Writes of features: once for a picture and base, completed where an older release left them without logits."""

from dataclasses import replace

import pytest

from classifier.features.selectors import find_features
from classifier.features.services import record_features
from classifier.models import PictureFeatures
from tests.support.fakes import build_prediction, create_model_version

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

FIRST, SECOND = "ab" * 32, "cd" * 32


def test_features_stand_once_for_a_picture_and_base_and_stay_as_they_were() -> None:
    base, other = create_model_version().base_id, create_model_version(stage="retired").base_id
    features = build_prediction("Dress").features
    later = replace(features, blank=True)
    record_features([(base, SECOND, features, None), (base, FIRST, features, b"six"), (base, FIRST, features, b"six")])
    record_features([(base, FIRST, later, None), (other, FIRST, later, None)])
    assert PictureFeatures.objects.count() == 3
    assert find_features(base, [FIRST, SECOND, "00" * 32]) == {FIRST: features, SECOND: features}
    assert find_features(other, [FIRST]) == {FIRST: later}
    record_features([])


def test_features_of_an_older_release_are_completed_once() -> None:
    base = create_model_version().base_id
    unknown = {"blank": False, "canonical": False, "views": 0}
    PictureFeatures.objects.create(base_id=base, sha256=bytes.fromhex(FIRST), features=b"\0" * 128, **unknown)
    assert find_features(base, [FIRST]) == {}
    features = build_prediction("Dress").features
    record_features([(base, FIRST, features, None)])
    record_features([(base, FIRST, replace(features, blank=True), None)])
    assert find_features(base, [FIRST]) == {FIRST: features}
