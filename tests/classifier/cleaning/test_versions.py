"""What old versions said: which of them lose it, and what of theirs stays."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.db.models import F
from django.utils import timezone

from catalog.models import Image, ProductLabel, StoredPicture
from classifier.cleaning import services as cleaning_services
from classifier.cleaning import versions as cleaning_versions
from classifier.labelling.runs import request_cancel
from classifier.models import AdoptionRun, Classification, LabelChange, LabellingRun, ModelVersion, PictureFeatures
from tests.support.cleaning import clean_twice, let_pass, take_products_away
from tests.support.factories import create_image, create_product
from tests.support.fakes import create_model_version, create_painted_image
from tests.support.labels import label_everything

pytestmark = pytest.mark.django_db


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
    assert clean_twice() == {"classifications": 4, "features": 4}
    assert list_said() == [version.pk for version in versions[2:]]
    assert list(ProductLabel.objects.order_by("pk").values()) == labels
    assert LabelChange.objects.count() == changes
    assert clean_twice() == {}


def test_what_is_young_stays(versions: list[ModelVersion]) -> None:
    Classification.objects.filter(model_version=versions[0]).update(created_at=timezone.now() - timedelta(days=29))
    assert clean_twice() == {"classifications": 2, "features": 2}
    assert list_said() == [version.pk for version in versions if version is not versions[1]]


def test_after_going_back_both_sides_keep_what_they_said(versions: list[ModelVersion]) -> None:
    ModelVersion.objects.update(stage="retired")
    ModelVersion.objects.filter(pk=versions[2].pk).update(stage="production", activated_at=timezone.now())
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


def prepare(version: ModelVersion) -> None:
    ModelVersion.objects.filter(pk=version.pk).update(stage="preproduction")


@pytest.mark.parametrize("hold", [run_labelling, run_closing, run_adoption, give_label, prepare])
def test_one_that_is_needed_keeps_what_it_said(
    versions: list[ModelVersion], hold: Callable[[ModelVersion], None]
) -> None:
    hold(versions[0])
    assert clean_twice() == {"classifications": 2, "features": 2}
    assert list_said() == [version.pk for version in versions if version is not versions[1]]


def test_nothing_is_counted_twice_where_an_image_goes_as_well(versions: list[ModelVersion]) -> None:
    take_products_away(Image.objects.first())
    let_pass(1)
    figures = clean_twice(days=0)
    assert (figures["images"], figures["classifications"], figures["features"]) == (1, 5 + 2, 5 + 2)


def list_bases() -> set[int]:
    """Return the bases of which something is left."""
    return set(PictureFeatures.objects.order_by().values_list("base", flat=True))


def test_features_stay_while_a_version_of_their_base_is_needed(versions: list[ModelVersion]) -> None:
    bases = [version.base_id for version in versions]
    ModelVersion.objects.filter(pk=versions[2].pk).update(base=bases[0])
    assert clean_twice() == {"classifications": 4, "features": 4}
    assert list_bases() == {bases[0], bases[3], bases[4]}


def test_features_stay_while_something_young_was_said_from_them(versions: list[ModelVersion]) -> None:
    Classification.objects.filter(model_version=versions[0]).update(created_at=timezone.now() - timedelta(days=29))
    clean_twice()
    assert list_bases() == {version.base_id for version in versions if version is not versions[1]}


def test_features_go_with_the_last_picture_that_has_the_bytes(versions: list[ModelVersion]) -> None:
    first, second = StoredPicture.objects.order_by("pk")
    twin = StoredPicture.objects.create(
        image=create_image(), sha256=first.sha256, width=1, height=1, fetched_at=timezone.now()
    )
    StoredPicture.objects.filter(pk__in=[first.pk, second.pk]).update(sha256="0" * 64)
    assert clean_twice()["features"] == 2 * 5 - 3
    assert {bytes(row.sha256).hex() for row in PictureFeatures.objects.all()} == {twin.sha256}


def test_sessions_that_have_ended_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleaning_services, "SESSIONS", 2)
    for number, hours in enumerate((-3, -2, -1, 1)):
        Session.objects.create(session_key=f"key-{number}", expire_date=timezone.now() + timedelta(hours=hours))
    assert clean_twice() == {"sessions": 3}
    assert Session.objects.get().session_key == "key-3"
