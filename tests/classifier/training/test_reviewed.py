"""Reviews make heads: what trains and what only judges, what the candidate says of itself, and the button."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from catalog.models import Image
from classifier.ml.heads import SeenPictures, predict
from classifier.ml.labels import GROUPS
from classifier.models import (
    ModelVersion,
    OutOfFoldAnswer,
    PictureFeatures,
    Review,
    SplitAssignment,
    SplitPicture,
    TrainingRun,
)
from classifier.registry.services import find_heads, find_manifest
from classifier.reviews.services import record_reviews
from classifier.training import reviewed
from classifier.training.reviewed import count_new_reviews, list_reviewed_pictures
from classifier.training.runs import carry_out_training
from classifier.training.starting import start_training_run
from tests.support.artefacts import register_active_version
from tests.support.collecting import cancel_at_the_third_report
from tests.support.members import create_member, sign_in
from tests.support.seen import Seen, create_all_seen, create_seen

pytestmark = pytest.mark.django_db

NONE = len(GROUPS)
TITLES = ("Acme alpha", "Acme beta", "Acme gamma", "Acme delta", "Acme epsilon", "Acme omega")


@pytest.fixture
def version(settings: Any, tmp_path: Path) -> ModelVersion:
    settings.ARTEFACTS_DIR = tmp_path / "artefacts"
    return register_active_version()


@pytest.fixture
def reviewer() -> User:
    return create_member("add_review")


@pytest.fixture
def shop(version: ModelVersion, reviewer: User) -> list[Image]:
    """180 reviewed pictures, a sixth of them of none of these; the last 36 fell into the test part."""
    numbers = [(number, number % 6) for number in range(180)]
    images = create_all_seen(
        version.base,
        [Seen(number, shows, "training" if number < 144 else "test", TITLES[shows]) for number, shows in numbers],
    )
    for shows in range(6):
        label = {"verdict": "none_of_these", "group": ""} if shows == NONE else {"group": GROUPS[shows]}
        record_reviews([image.pk for image in images[shows::6]], reviewer_id=reviewer.pk, **label)
    return images


def train(**asked: Any) -> TrainingRun:
    run = start_training_run(here=True, recipe="reviewed", seed=1, **asked)
    carry_out_training(run)
    run.refresh_from_db()
    return run


def test_what_trains_is_what_people_said_last_of_pictures_with_a_part(
    shop: list[Image], version: ModelVersion, reviewer: User
) -> None:
    record_reviews([shop[0].pk], group="Bags", reviewer_id=reviewer.pk)
    record_reviews([shop[1].pk], group="", verdict="unusable", reviewer_id=reviewer.pk)
    PictureFeatures.objects.filter(sha256=hashlib.sha256(b"2").digest()).update(canonical=True)
    PictureFeatures.objects.filter(sha256=hashlib.sha256(b"4").digest()).update(test_form=True)
    SplitAssignment.objects.filter(pictures__sha256=hashlib.sha256(b"3").digest()).update(
        left_out_because="between", left_out_at=timezone.now()
    )
    found = {picture.review_id: picture for picture in list_reviewed_pictures(version)}
    assert len(found) == 180 - 4
    newest = Review.objects.get(image=shop[0], group="Bags")
    assert (found[newest.pk].shows, found[newest.pk].title) == (GROUPS.index("Bags"), "Acme alpha")
    assert {picture.shows for picture in found.values()} == set(range(6))


def test_reviews_make_a_candidate_that_says_what_it_is_worth_and_the_button_counts_those_since(
    shop: list[Image], version: ModelVersion, reviewer: User, client: Client
) -> None:
    sign_in(client, "view_trainingrun", "add_trainingrun")
    # One into a folder registers nothing.
    TrainingRun.objects.create(recipe="reviewed", seed=1, state="done", started_at=timezone.now(), output="/srv/heads")
    assert "180 reviews since the last training: train with them" in client.get("/training-runs/").content.decode()
    run = train()
    made = run.model_version
    assert (run.error, run.state, made.stage, made.recipe) == ("", "done", "candidate", "reviewed")
    assert (made.base, made.metrics) == (version.base, version.metrics)
    found = find_manifest(made).training["catalogue"]
    assert sum(found["reviews"].values()) == 144
    assert found["test"]["this"]["products"] == found["test"]["in_production"]["products"] == 36
    assert found["test"]["this"]["accuracy"]["value"] == 1.0
    assert found["test"]["this"]["recall"]["Bags"]["value"] is None
    assert found["out_of_fold"]["garments"] == 120
    assert found["out_of_fold"]["none"] == 24
    assert OutOfFoldAnswer.objects.filter(model_version=made).count() == 144
    assert count_new_reviews() == 0
    assert client.get("/training-runs/").context["retraining"] == ""
    record_reviews([shop[0].pk], group="Bags", reviewer_id=reviewer.pk)
    assert client.get("/training-runs/").context["retraining"] == "1 review since the last training: train with them"
    response = client.post("/training-runs/", {"recipe": "reviewed"})
    assert (response.status_code, TrainingRun.objects.latest("pk").recipe) == (302, "reviewed")


def test_heads_know_what_is_none_of_the_groups_and_a_review_that_the_others_contradict_is_listed(
    shop: list[Image], version: ModelVersion, reviewer: User, client: Client
) -> None:
    more = create_all_seen(version.base, [Seen(number, NONE, "training") for number in range(180, 192)])
    record_reviews([image.pk for image in more], group="", verdict="none_of_these", reviewer_id=reviewer.pk)
    record_reviews([shop[0].pk], group="Bags", reviewer_id=reviewer.pk)
    made = train().model_version
    heads = find_heads(made)
    vectors = np.eye(64)[:6].astype(np.float16)
    nothing = np.zeros(6, bool)
    seen = SeenPictures(vectors, np.zeros((6, 10), np.float16), nothing, nothing, np.ones(6, np.uint8), nothing)
    said = predict(seen, heads=heads)
    assert [one.group for one in said[:5]] == list(GROUPS)
    assert said[NONE].none_probability > max(one.none_probability for one in said[:5])
    sign_in(client, "view_modelversion")
    response = client.get(f"/model-versions/{made.pk}/")
    assert [row.title for row in response.context["contradictions"]] == ["Acme alpha"]
    assert response.context["contradictions"][0].sentence.startswith("Reviewed as Bags; the others say Upper part, ")
    assert response.context["catalogue"]["table"]["columns"][-1] == "This version, out of fold"


def test_the_test_figures_count_none_of_these_as_the_gate_does(
    shop: list[Image], version: ModelVersion, reviewer: User
) -> None:
    # 36 marks teach that something is none of the groups, and the version before knew nothing of that.
    more = create_all_seen(version.base, [Seen(number, NONE, "training") for number in range(180, 192)])
    record_reviews([image.pk for image in more], group="", verdict="none_of_these", reviewer_id=reviewer.pk)
    first = SplitAssignment.objects.filter(part="test").earliest("pk")
    # Two pictures of one family judge once.
    of_one_group = [hashlib.sha256(str(number).encode()).digest() for number in (144, 150)]
    SplitPicture.objects.filter(sha256__in=of_one_group).update(assignment=first)
    found = find_manifest(train().model_version).training["catalogue"]["test"]
    assert (found["this"]["products"], found["difference"]["images"]) == (35, 35)
    # All six that are none of these are told, ...
    assert found["this"]["confusion"]["counts"][NONE] == [0, 0, 0, 0, 0, 6, 0]
    # ... and count: the version before, which has no head, takes all pictures for one group, of which there are six.
    assert found["difference"]["difference"] == pytest.approx(29 / 35, abs=1e-5)


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_reviews_are_refused_in_words(version: ModelVersion, reviewer: User, count: int) -> None:
    for number in range(count):
        image = create_seen(version.base, number, shows=0, part="training")
        record_reviews([image.pk], group=GROUPS[0], reviewer_id=reviewer.pk)
    with pytest.raises(ValueError, match="expected 30 reviewed pictures of garments"):
        train()
    run = TrainingRun.objects.get()
    assert (run.state, ModelVersion.objects.count()) == ("failed", 1)
    assert f"received {count} of {count}" in run.error


def test_a_training_can_be_cancelled_while_it_collects(shop: list[Image], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reviewed, "_CHUNK_SIZE", 20)
    assert cancel_at_the_third_report("reviewed", monkeypatch) == ("cancelled", ["load"] * 3)
