"""What old versions said: which of them lose it, and what of theirs stays."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.db.models import F
from django.utils import timezone

from catalog.models import Image, ProductLabel
from classifier.cleaning import services as cleaning_services
from classifier.cleaning import versions as cleaning_versions
from classifier.features.files import get_path, read_embeddings
from classifier.features.neighbours import find_similar_products
from classifier.labelling.runs import request_cancel
from classifier.models import AdoptionRun, Classification, LabelChange, LabellingRun, ModelVersion
from tests.support.cleaning import clean_twice, let_pass, take_products_away
from tests.support.factories import create_product
from tests.support.fakes import create_model_version, create_painted_image
from tests.support.labels import label_everything

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture(autouse=True)
def _embeddings(settings: Any, tmp_path: Path) -> None:
    settings.EMBEDDINGS_DIR = tmp_path / "embeddings"
    settings.SIMILAR_REFRESH_SECONDS = 0.0


@pytest.fixture
def versions() -> list[ModelVersion]:
    """Five versions, one after the other in production, each of which labelled two pictures more than a month ago."""
    for _ in range(2):
        create_product(images=[create_painted_image("Bag")])
    versions = []
    for _ in range(5):
        ModelVersion.objects.update(stage="retired")
        versions.append(create_model_version())
        label_everything()
    Classification.objects.update(created_at=F("created_at") - timedelta(days=31))
    return versions


def list_said() -> list[int]:
    """Return the ids of the versions of which something is left."""
    return sorted(Classification.objects.order_by().values_list("model_version", flat=True).distinct())


def test_the_version_in_production_and_the_two_before_it_keep_what_they_said(
    versions: list[ModelVersion], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleaning_versions, "STEP_SIZE", 1)
    labels, changes = list(ProductLabel.objects.order_by("pk").values()), LabelChange.objects.count()
    assert clean_twice() == {"classifications": 4}
    assert list_said() == [version.pk for version in versions[2:]]
    assert list(ProductLabel.objects.order_by("pk").values()) == labels
    assert LabelChange.objects.count() == changes
    assert clean_twice() == {}


def test_what_is_young_stays(versions: list[ModelVersion]) -> None:
    Classification.objects.filter(model_version=versions[0]).update(created_at=timezone.now() - timedelta(days=29))
    assert clean_twice() == {"classifications": 2}
    assert list_said() == [version.pk for version in versions if version is not versions[1]]


def test_after_going_back_both_sides_keep_what_they_said(versions: list[ModelVersion]) -> None:
    ModelVersion.objects.update(stage="retired")
    ModelVersion.objects.filter(pk=versions[2].pk).update(stage="active", activated_at=timezone.now())
    assert clean_twice() == {}


def test_without_a_version_in_production_all_stays(versions: list[ModelVersion]) -> None:
    ModelVersion.objects.update(stage="retired")
    assert clean_twice() == {}


def run_labelling(version: ModelVersion) -> None:
    LabellingRun.objects.create(model_version=version)


def run_closing(version: ModelVersion) -> None:
    run = LabellingRun.objects.create(model_version=version)
    assert request_cancel(LabellingRun.objects.filter(pk=run.pk)) == 1


def run_adoption(version: ModelVersion) -> None:
    AdoptionRun.objects.create(model_version=version)


def give_label(version: ModelVersion) -> None:
    ProductLabel.objects.filter(product=ProductLabel.objects.first().product).update(model_version=version)


@pytest.mark.parametrize("hold", [run_labelling, run_closing, run_adoption, give_label])
def test_one_that_is_needed_keeps_what_it_said(
    versions: list[ModelVersion], hold: Callable[[ModelVersion], None]
) -> None:
    hold(versions[0])
    assert clean_twice() == {"classifications": 2}
    assert list_said() == [version.pk for version in versions if version is not versions[1]]


def test_nothing_is_counted_twice_where_an_image_goes_as_well(versions: list[ModelVersion]) -> None:
    take_products_away(Image.objects.first())
    let_pass(1)
    figures = clean_twice(days=0)
    assert (figures["images"], figures["classifications"]) == (1, 5 + 2)


def test_files_of_embeddings_go_with_what_their_version_said(versions: list[ModelVersion]) -> None:
    for version in versions:
        read_embeddings(version)
    clean_twice()
    assert [get_path(version).exists() for version in versions] == [False, False, True, True, True]


def test_a_machine_removes_old_files_when_it_begins_a_new_one(versions: list[ModelVersion]) -> None:
    for version in versions[:4]:
        read_embeddings(version)
    Classification.objects.filter(model_version=versions[0]).delete()  # by a cleaning on another machine
    read_embeddings(versions[4])
    assert [get_path(version).exists() for version in versions] == [False, True, True, True, True]


def test_similar_pictures_are_found_when_most_of_the_nearest_are_gone() -> None:
    version = create_model_version()
    products = [create_product(images=[create_painted_image("Bag")]) for _ in range(9)]
    label_everything()
    Classification.objects.update(created_at=timezone.now() - timedelta(minutes=10))
    read_embeddings(version)
    take_products_away(*Image.objects.order_by("pk")[1:7])
    let_pass(1)
    assert clean_twice(days=0)["images"] == 6
    assert get_path(version).stat().st_size == 9 * 264
    left = [products[7].pk, products[8].pk]
    assert [found.product.pk for found in find_similar_products(products[0].pk, limit=2)] == left
    assert [found.product.pk for found in find_similar_products(products[0].pk, limit=2)] == left
    assert get_path(version).stat().st_size == 3 * 264


def test_sessions_that_have_ended_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleaning_services, "SESSIONS", 2)
    for number, hours in enumerate((-3, -2, -1, 1)):
        Session.objects.create(session_key=f"key-{number}", expire_date=timezone.now() + timedelta(hours=hours))
    assert clean_twice() == {"sessions": 3}
    assert Session.objects.get().session_key == "key-3"
