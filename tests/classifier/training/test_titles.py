"""Words teach pictures: titles that name one group make a candidate that differs in its head alone."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.test import Client
from django.utils import timezone

from catalog.models import Image, Product
from classifier.labels.texts import find_stale_texts, write_texts
from classifier.ml.data.parts import Part, draw_part
from classifier.ml.labels import GROUPS
from classifier.models import (
    ModelVersion,
    PictureFeatures,
    SplitAssignment,
    SplitPicture,
    SplitProduct,
    TrainingRun,
)
from classifier.registry.services import find_heads, find_manifest
from classifier.reviews.services import record_review
from classifier.training import titles
from classifier.training.runs import carry_out_training
from classifier.training.starting import start_training_run
from classifier.training.titles import TooFewTitlesError, has_enough_titles, list_titled_pictures
from tests.support.artefacts import register_active_version
from tests.support.collecting import cancel_at_the_third_report
from tests.support.members import create_member, sign_in
from tests.support.seen import Seen, create_all_seen, create_seen

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

TITLES = ("Blue shirt", "Long trousers", "Summer dress", "Leather boots", "Small handbag")


@pytest.fixture
def version(settings: Any, tmp_path: Path) -> ModelVersion:
    settings.ARTEFACTS_DIR = tmp_path / "artefacts"
    return register_active_version()


@pytest.fixture
def shop(version: ModelVersion, monkeypatch: pytest.MonkeyPatch) -> ModelVersion:
    """Sixty products whose titles name a group, one that names none, and one of another picture's bytes."""
    monkeypatch.setattr(titles, "MINIMUM_TITLES", 60)
    monkeypatch.setattr(titles, "MINIMUM_OF_GROUP", 12)
    named = [Seen(number, number % 5, "training", TITLES[number % 5]) for number in range(60)]
    create_all_seen(version.base, [*named, Seen(60, 0, title="Nice thing")])
    read_titles()
    return version


def read_titles() -> None:
    """Store what titles say, as the catalogue's own writes do."""
    write_texts(find_stale_texts(list(Product.objects.values_list("pk", flat=True))))


def teach(**asked: Any) -> TrainingRun:
    run = start_training_run(here=True, recipe="titles", seed=1, **asked)
    carry_out_training(run)
    run.refresh_from_db()
    return run


def test_pictures_are_those_whose_title_names_one_group(shop: ModelVersion) -> None:
    PictureFeatures.objects.filter(sha256=hashlib.sha256(b"0").digest()).delete()
    PictureFeatures.objects.filter(sha256=hashlib.sha256(b"1").digest()).update(canonical=True)
    PictureFeatures.objects.filter(sha256=hashlib.sha256(b"2").digest()).update(test_form=True)
    found = list(list_titled_pictures(shop))
    assert [picture.group for picture in found] == [number % 5 for number in range(3, 60)]
    assert not has_enough_titles()


def test_a_catalogue_that_came_by_groups_teaches_all_of_them(
    version: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(titles, "MAXIMUM_TITLES", 15)
    monkeypatch.setattr(titles, "MAXIMUM_OF_GROUP", 3)
    monkeypatch.setattr(titles, "CHUNK_SIZE", 4)
    monkeypatch.setattr(titles, "MINIMUM_TITLES", 15)
    monkeypatch.setattr(titles, "MINIMUM_OF_GROUP", 3)
    groups = [number // 12 for number in range(60)]
    create_all_seen(
        version.base, [Seen(number, shows, "training", TITLES[shows]) for number, shows in enumerate(groups)]
    )
    read_titles()
    assert [picture.group for picture in list_titled_pictures(version)] == [group for group in range(5) for _ in "123"]
    assert teach().state == "done"


def test_of_each_group_one_is_held_out_whatever_the_hashes(shop: ModelVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(titles, "HELD_OUT", 0)
    run = teach()
    assert find_manifest(run.model_version).training["parts"]["held_out"]["pictures"] == len(GROUPS)


def test_pictures_in_test_teach_nothing(shop: ModelVersion) -> None:
    """Whether a picture is there itself, or a product that shows it; and none that left test's way for ever."""
    taught = {picture.sha256 for picture in list_titled_pictures(shop)}
    of_picture, of_product, of_left_out = (hashlib.sha256(str(number).encode()) for number in (7, 8, 9))
    test = SplitAssignment.objects.create(part="test")
    SplitPicture.objects.filter(sha256=of_picture.digest()).update(assignment=test)
    product = Product.objects.get(product_images__image__stored_picture__sha256=of_product.hexdigest())
    SplitProduct.objects.create(product_id=product.pk, assignment=test)
    SplitAssignment.objects.filter(pictures__sha256=of_left_out.digest()).update(
        left_out_because="photograph", left_out_for=test, left_out_at=timezone.now()
    )
    left = taught - {picture.sha256 for picture in list_titled_pictures(shop)}
    assert left == {of.hexdigest() for of in (of_picture, of_product, of_left_out)}


def test_pictures_that_would_fall_into_test_teach_nothing(version: ModelVersion) -> None:
    digests = [hashlib.sha256(str(number).encode()).digest() for number in range(60)]
    create_all_seen(version.base, [Seen(number, 0, title=TITLES[0]) for number in range(60)])
    read_titles()
    expected = {digest.hex() for digest in digests if draw_part(digest) != Part.TEST}
    assert {picture.sha256 for picture in list_titled_pictures(version)} == expected
    assert 30 < len(expected) < 60


def test_reviews_judge_by_pictures_that_taught_nothing(shop: ModelVersion) -> None:
    reviewer = create_member("add_review")
    record_review(Image.objects.order_by("pk")[1], group="Bags", reviewer=reviewer)
    record_review(create_seen(shop.base, 70, title="", shows=2, part="test"), group=GROUPS[2], reviewer=reviewer)
    parts = find_manifest(teach().model_version).training["parts"]
    assert parts["reviewed"] == {"pictures": 1, "accuracy": 1.0}


def test_titles_make_a_candidate_on_the_base_in_production(shop: ModelVersion) -> None:
    run = teach()
    assert (run.state, run.model_version.stage, run.model_version.recipe) == ("done", "candidate", "titles")
    assert (run.model_version.base, run.model_version.metrics) == (shop.base, shop.metrics)
    heads, manifest = find_heads(run.model_version), find_manifest(run.model_version)
    said = heads.photographs.probabilities(np.eye(64)[:5])
    assert said.argmax(axis=1).tolist() == list(range(len(GROUPS)))
    assert manifest.base == shop.manifest_sha256
    parts = manifest.training["parts"]
    assert (parts["titles"], parts["reviewed"]) == ({"pictures": 60}, {"pictures": 0})
    assert 0 < parts["held_out"]["pictures"] < 60
    assert parts["held_out"]["balanced_accuracy"] > 0.9


def test_too_few_titles_are_refused_in_words(shop: ModelVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(titles, "MINIMUM_TITLES", 61)
    with pytest.raises(TooFewTitlesError, match=r"Expected 61 pictures.*there are 12 of Upper part"):
        teach()
    run = TrainingRun.objects.get()
    assert (run.state, ModelVersion.objects.count()) == ("failed", 1)
    assert "Expected 61" in run.error


@pytest.mark.parametrize("needed", [60, 61])
def test_the_page_offers_it_where_titles_are_enough(
    shop: ModelVersion, client: Client, monkeypatch: pytest.MonkeyPatch, needed: int
) -> None:
    """Of the first titles that name a group, wherever they stand, as many as may teach."""
    monkeypatch.setattr(titles, "CHUNK_SIZE", 61)
    Product.objects.filter(pk=Product.objects.order_by("pk")[0].pk).update(title="Nice thing")
    create_seen(shop.base, 61, title="Shirt", shows=0, part="training")
    create_seen(shop.base, 62, title="Shirt", shows=0, part="test")
    read_titles()
    monkeypatch.setattr(titles, "MINIMUM_TITLES", needed)
    sign_in(client, "view_trainingrun", "add_trainingrun")
    response = client.get("/training-runs/")
    assert ("titles" in [recipe.name for recipe in response.context["recipes"]]) == (needed == 60)


def test_a_training_can_be_cancelled_while_it_collects(shop: ModelVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(titles, "CHUNK_SIZE", 20)
    assert cancel_at_the_third_report("titles", monkeypatch) == ("cancelled", ["load"] * 3)
