"""After an activation labels are held against what the impact promised; a departure is said, and nothing goes back."""

from typing import Any

import pytest
from django.db import OperationalError

from classifier.adoption.impact import find_promise
from classifier.adoption.runs import adopt_next_step
from classifier.adoption.services import (
    Asker,
    RefusedChangeError,
    StaleActivationError,
    approve_stage_change,
    request_stage_change,
    roll_back,
)
from classifier.adoption.watch import watch_adoptions
from classifier.labelling.ledger import Failed, claim_tasks, close_finished_runs, finish_tasks
from classifier.models import AdoptionRun, LabelTask, ModelVersion, StageChange
from tests.classifier.adoption.test_adoption import activate, label_with
from tests.classifier.adoption.test_impact import create_products, find_run, run_shadow
from tests.support.fakes import build_outcome, create_model_version
from tests.support.members import create_member

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let versions without files be activated; leave the steps to the tests."""
    monkeypatch.setattr("classifier.adoption.services.verify_version", lambda _version: None)
    monkeypatch.setattr("classifier.adoption.services.send_adoption_runs", lambda: 0)


def promise(garments: list[str], *, sample: int | None = None) -> tuple[ModelVersion, ModelVersion]:
    """Return a version in production, which says Bag of everything, and one whose shadow says these garments."""
    first, second = create_model_version(), create_model_version(stage="candidate")
    products = create_products(len(garments))
    label_with(first, dict.fromkeys(products, "Bag"))
    run_shadow(second, dict(zip(products, garments, strict=True)), sample=sample)
    find_run()
    return first, second


def label_the_rest(run: AdoptionRun, garment: str | None) -> None:
    """Let the version say this of everything that it had not seen; None fails it."""
    assert run.labelling_run is not None
    batch = claim_tasks(list(run.labelling_run.tasks.values_list("pk", flat=True)))
    products = {task.pk: task.image.product_images.get().product_id for task in batch.tasks}
    outcomes = [
        build_outcome(task.image, garment, sha256=f"{products[task.pk]:064x}") if garment else Failed("timeout")
        for task in batch.tasks
    ]
    finish_tasks(batch, outcomes)
    close_finished_runs()


def test_labels_as_promised_are_kept_and_counted_beside_the_promise() -> None:
    _, second = promise(["Dress"] * 10 + ["Bag"] * 30)
    run = activate(second)
    assert (run.watch, run.promised["changed"]["value"], run.moved) == ("watching", 0.25, 10)
    assert run.promised["mix"] == {"One piece": 10, "Bags": 30}
    assert watch_adoptions() == 1
    run.refresh_from_db()
    assert (run.watch, run.watched["mix"], run.watched["departures"]) == ("kept", run.promised["mix"], [])
    assert watch_adoptions() == 0


def test_what_comes_after_a_sample_is_waited_for_and_a_departure_is_said() -> None:
    first, second = promise(["Bag"] * 90, sample=30)
    run = activate(second)
    assert watch_adoptions() == 0
    label_the_rest(run, "Dress")
    assert watch_adoptions() == 1
    run.refresh_from_db()
    assert run.watch == "departed"
    assert run.watched["departures"] == [
        "66.7 % are One piece, promised were 0.0 %.",
        "33.3 % are Bags, promised were 100.0 %.",
    ]
    # Nothing went back by itself.
    second.refresh_from_db()
    first.refresh_from_db()
    assert (second.stage, first.stage) == ("production", "retired")


def depart() -> tuple[ModelVersion, AdoptionRun]:
    """Return a version, and the adoption by request of what replaced it, of which labels are not as promised."""
    first, second = promise(["Bag"] * 90, sample=30)
    asker, approver = create_member("change_modelversion"), create_member("change_modelversion")
    change = request_stage_change(second, to="production", asker=Asker("page", asker))
    approve_stage_change(change, user=approver, reason="Seen")
    run = AdoptionRun.objects.get(model_version=second)
    while adopt_next_step(run.pk):
        pass
    run.refresh_from_db()
    label_the_rest(run, "Dress")
    return first, run


def test_it_goes_back_by_itself_only_where_a_setting_says_so(settings: Any) -> None:
    settings.WATCH_ROLLS_BACK, settings.APPROVALS = True, "two"
    first, _ = depart()
    assert watch_adoptions() == 1
    first.refresh_from_db()
    assert first.stage == "production"
    back = StageChange.objects.first()
    assert back is not None
    assert (back.way, back.rule, back.requested_by, back.reason.split(".")[0]) == (
        "watch",
        "rollback",
        None,
        "Its labels are not as they were promised",
    )


def test_what_ends_it_before_it_went_back_leaves_it_to_the_next_sweep(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.WATCH_ROLLS_BACK, settings.APPROVALS = True, "two"
    first, run = depart()

    def fail(**_given: Any) -> None:
        raise OperationalError("deadlock detected")

    with monkeypatch.context() as patch:
        patch.setattr("classifier.adoption.watch.roll_back", fail)
        with pytest.raises(OperationalError):
            watch_adoptions()
    run.refresh_from_db()
    assert run.watch == "watching"
    assert watch_adoptions() == 1
    run.refresh_from_db()
    first.refresh_from_db()
    assert (run.watch, first.stage) == ("departed", "production")


def test_failures_are_said_before_everything_is_labelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("classifier.adoption.watch.FAILURES_OF", 50)
    _, second = promise(["Bag"] * 100, sample=40)
    run = activate(second)
    assert run.labelling_run is not None
    LabelTask.objects.filter(pk__in=run.labelling_run.tasks.values("pk")[:30]).update(state="failed")
    LabelTask.objects.filter(pk__in=run.labelling_run.tasks.filter(state="new").values("pk")[:20]).update(state="done")
    assert watch_adoptions() == 1
    run.refresh_from_db()
    assert (run.watch, run.watched["departures"]) == ("departed", ["30 of 50 pictures failed."])


def test_nothing_is_watched_where_nothing_was_promised_or_the_version_is_gone() -> None:
    first, second = promise(["Bag"] * 40)
    other = create_model_version(stage="candidate")
    assert activate(other).watch == ""
    # Its impact was about another version in production.
    assert find_promise(second, production=other) == {}
    run = activate(second)
    assert (run.watch, run.promised) == ("", {})
    AdoptionRun.objects.filter(pk=run.pk).update(watch="watching", promised={"mix": {}})
    activate(first)
    assert watch_adoptions() == 1
    run.refresh_from_db()
    assert (run.watch, run.watched) == ("", {})


def test_an_approval_holds_for_the_impact_that_was_seen(settings: Any) -> None:
    settings.APPROVALS = "two"
    _, second = promise(["Dress"] * 10 + ["Bag"] * 30)
    change = request_stage_change(second, to="production", asker=Asker("page", create_member("change_modelversion")))
    assert change.evidence["impact"]["changed"]["value"] == 0.25
    run_shadow(second, {})
    find_run()
    with pytest.raises(StaleActivationError, match="What it would change was found out anew meanwhile"):
        approve_stage_change(change, user=create_member("change_modelversion"), reason="Seen")
    assert StageChange.objects.get(pk=change.pk).decision == "expired"
    with pytest.raises(RefusedChangeError):
        approve_stage_change(change, user=create_member("change_modelversion"), reason="Seen")
    second.refresh_from_db()
    assert second.stage == "candidate"


def test_going_back_ends_the_watch() -> None:
    first, second = promise(["Dress"] * 40)
    request_stage_change(second, to="production", asker=Asker("page", create_member("change_modelversion")))
    run = AdoptionRun.objects.get(model_version=second)
    assert run.watch == "watching"
    roll_back(reason="Dresses everywhere", asker=Asker("page", create_member("change_modelversion")))
    assert watch_adoptions() == 1
    run.refresh_from_db()
    first.refresh_from_db()
    assert (run.watch, first.stage) == ("", "production")
