"""Two clocks: what is written down or compared between machines is told by the database's, never by a machine's own."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, tzinfo

import pytest
from django.apps import apps
from django.db.models import DateTimeField, Max, Model
from django.utils import timezone

from catalog.models import Image, ProductLabel
from classifier.adoption.runs import adopt_next_step
from classifier.features.memory import LoadedFeatures
from classifier.models import AdoptionRun, ReviewRun
from classifier.reviews.runs import record_next_step
from classifier.reviews.services import record_review
from classifier.reviews.starting import start_review_run
from classifier.training.starting import start_training_run
from classifier.worker.canaries import take_canaries_to_send
from tests.support.artefacts import bring_into_production, vouch_for_files
from tests.support.factories import create_product
from tests.support.fakes import create_model_version, create_painted_image
from tests.support.labels import label_everything
from tests.support.members import create_member

pytestmark = pytest.mark.django_db

AHEAD = timedelta(hours=10)
MODELS = [*apps.get_app_config("catalog").get_models(), *apps.get_app_config("classifier").get_models()]


class FastClock(datetime):
    """The time of a machine that is ten hours ahead."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return datetime.now(tz) + AHEAD


@contextmanager
def on_a_fast_machine() -> Iterator[None]:
    """Let this process be on a machine that is ten hours ahead."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timezone, "datetime", FastClock)
        assert timezone.now() > datetime.now(tz=timezone.get_default_timezone()) + AHEAD / 2
        yield


def list_times(model: type[Model]) -> list[DateTimeField]:
    return [field for field in model._meta.concrete_fields if isinstance(field, DateTimeField)]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_no_time_is_by_default_that_of_the_process(model: type[Model]) -> None:
    assert [
        field.name for field in list_times(model) if field.has_default() or field.auto_now or field.auto_now_add
    ] == []


@pytest.mark.postgresql
def test_what_a_fast_machine_writes_bears_the_databases_time(monkeypatch: pytest.MonkeyPatch) -> None:
    vouch_for_files(monkeypatch)
    reviewer = create_member("add_review")
    products = [create_product(images=[create_painted_image()]) for _ in range(2)]
    image = products[0].product_images.get().image
    with on_a_fast_machine():
        for version in (create_model_version(stage="candidate"), create_model_version(stage="candidate")):
            bring_into_production(version)
            while adopt_next_step(AdoptionRun.objects.latest("pk").pk):
                pass
            label_everything()
        record_review(image, group="Bags", reviewer=reviewer)
        for images in (Image.objects.all(), Image.objects.none()):
            run = start_review_run(images, group="Footwear", reviewer=reviewer)
            while record_next_step(run.pk):
                pass
        start_training_run(here=True, recipe="default", seed=1)
        take_canaries_to_send(["labelling"])
    latest = {
        f"{model.__name__}.{field.name}": model._default_manager.aggregate(latest=Max(field.name))["latest"]
        for model in MODELS
        for field in list_times(model)
    }
    written = {name for name, at in latest.items() if at is not None}
    assert {"Review.created_at", "ModelVersion.activated_at", "StoredPicture.fetched_at"} < written
    assert {"Classification.created_at", "AdoptionRun.finished_at", "LabelTask.next_try_at"} < written
    assert {name for name in written if latest[name] > timezone.now() + AHEAD / 2} == set()


@pytest.mark.postgresql
def test_who_decides_after_a_run_of_a_fast_machine_was_asked_for_has_the_last_word() -> None:
    create_model_version()
    product = create_product(images=[create_painted_image()])
    reviewer = create_member("add_review")
    with on_a_fast_machine():
        run = start_review_run(Image.objects.all(), group="Footwear", reviewer=reviewer)
    record_review(product.product_images.get().image, group="Bags", reviewer=reviewer)
    record_next_step(run.pk)
    assert (ProductLabel.objects.get(product=product).group, ReviewRun.objects.get().skipped) == ("Bags", 1)


@pytest.mark.postgresql
def test_features_that_may_not_be_settled_are_so_for_a_fast_machine_too(django_assert_num_queries) -> None:
    version = create_model_version()
    create_product(images=[create_painted_image()])
    label_everything()
    loaded = LoadedFeatures(version.base_id, size=64)
    with on_a_fast_machine():
        loaded.read_on()
        # The fourth one looks for what may have come before.
        with django_assert_num_queries(4):
            loaded.read_on()
