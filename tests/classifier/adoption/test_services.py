"""Versions come into production, and are gone back to; the catalogue's labels follow."""

import pytest
from django.db import IntegrityError, transaction

from catalog.models import ProductLabel
from classifier.adoption.runs import adopt_next_step, list_version_counts
from classifier.adoption.services import Asker, StageTransitionError, request_stage_change, roll_back
from classifier.labelling.starting import start_labelling_run
from classifier.labels.walk import refresh_all_labels
from classifier.models import AdoptionRun, LabelChange, LabellingRun, ModelVersion, StageChange
from tests.support.artefacts import bring_into_production, vouch_for_files
from tests.support.factories import create_product
from tests.support.fakes import create_model_version, create_painted_image
from tests.support.labels import label_everything
from tests.support.members import create_member

pytestmark = pytest.mark.django_db
Stage = ModelVersion.Stage


@pytest.fixture(autouse=True)
def _without_files(monkeypatch: pytest.MonkeyPatch) -> None:
    vouch_for_files(monkeypatch)


def adopt() -> AdoptionRun:
    """Do every step of the newest adoption, as a worker would."""
    run = AdoptionRun.objects.latest("pk")
    while adopt_next_step(run.pk):
        pass
    run.refresh_from_db()
    return run


def test_activation_retires_the_version_before() -> None:
    old, new = create_model_version(stage="production"), create_model_version(stage="candidate")
    assert bring_into_production(new).stage == Stage.PRODUCTION
    assert dict(ModelVersion.objects.values_list("pk", "stage")) == {old.pk: "retired", new.pk: "production"}
    assert ModelVersion.objects.get(pk=new.pk).activated_at is not None
    bring_into_production(old)
    assert dict(ModelVersion.objects.values_list("pk", "stage")) == {old.pk: "production", new.pk: "retired"}


def test_what_is_in_production_does_not_come_there_again() -> None:
    version = create_model_version(stage="production")
    with pytest.raises(
        StageTransitionError, match="is production: expected a change to nothing by itself; received production"
    ):
        request_stage_change(version, to="production", asker=Asker("api"))
    assert ModelVersion.objects.get().activated_at == version.activated_at
    assert not AdoptionRun.objects.exists()
    assert not StageChange.objects.exists()


def test_going_back_leaves_what_came_after_until_it_is_activated_again() -> None:
    first, second, third = (create_model_version(stage="candidate") for _ in range(3))
    for version in (first, second, third, first):
        bring_into_production(version)
    assert [ModelVersion.objects.get(pk=version.pk).left_at is None for version in (first, second, third)] == [
        True,
        False,
        False,
    ]
    bring_into_production(third)
    assert ModelVersion.objects.get(pk=third.pk).left_at is None
    assert ModelVersion.objects.get(pk=second.pk).left_at is not None


def test_the_database_allows_one_version_in_production() -> None:
    create_model_version(stage="production")
    with pytest.raises(IntegrityError), transaction.atomic():
        create_model_version(stage="production")
    assert ModelVersion.objects.count() == 1


def test_what_somebody_rejected_by_sql_is_not_gone_back_to() -> None:
    replaced, version = create_model_version(), create_model_version(stage="candidate")
    request_stage_change(version, to="production", asker=Asker("api"))
    ModelVersion.objects.filter(pk=replaced.pk).update(stage="rejected")
    with pytest.raises(StageTransitionError, match="is rejected: expected a change to candidate; received production"):
        roll_back(reason="Wrong", asker=Asker("page"))
    assert ModelVersion.objects.get(pk=version.pk).stage == Stage.PRODUCTION
    assert StageChange.objects.count() == 1


def test_an_activation_ends_the_open_runs_of_other_versions_and_their_adoptions() -> None:
    old, new = create_model_version(), create_model_version(stage="candidate")
    create_product(images=[create_painted_image()])
    open_run = start_labelling_run()
    bring_into_production(new, user=create_member())
    first = AdoptionRun.objects.get()
    assert (first.model_version, first.closed_runs, first.state) == (new, 1, "running")
    assert LabellingRun.objects.get(pk=open_run.pk).cancel_requested
    bring_into_production(old)
    assert list(AdoptionRun.objects.order_by("pk").values_list("state", flat=True)) == ["cancelled", "running"]


def test_an_adoption_rewrites_labels_from_what_was_said_and_sends_the_rest_on_a_run() -> None:
    old, new = create_model_version(), create_model_version(stage="candidate")
    for _ in range(2):
        create_product(images=[create_painted_image("Bag")])
    label_everything()
    create_product()
    bring_into_production(new)
    create_product("New since", images=[create_painted_image("Bag")])
    run = adopt()
    assert (run.state, run.done, run.total, run.changed, run.missing) == ("done", 3, 3, 0, 2)
    # What nobody labelled before waits for a run that somebody starts.
    assert (run.labelling_run.total, run.labelling_run.model_version) == (2, new)
    assert list_version_counts() == [(old.name, 2)]
    label_everything()
    assert list_version_counts() == [(new.name, 3)]
    bring_into_production(old)
    run = adopt()
    # What came after the version that one goes back to decides no label: it is looked at again.
    assert (run.changed, run.missing, run.labelling_run.total) == (3, 1, 1)
    assert list_version_counts() == [(old.name, 2)]
    assert LabelChange.objects.filter(why="activated").count() == 3
    assert refresh_all_labels(dry_run=True) == (4, 0)
    assert sorted(ProductLabel.objects.values_list("status", flat=True)) == [
        "labelled",
        "labelled",
        "no_image",
        "pending",
    ]
