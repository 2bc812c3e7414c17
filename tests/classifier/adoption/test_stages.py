"""Who asks for a stage, who approves it, and what the database keeps of that."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import Error, IntegrityError, connection, models, transaction
from django.utils import timezone

from classifier.adoption import services
from classifier.adoption.gate import Examination
from classifier.adoption.services import (
    Asker,
    GateNotMetError,
    MissingReasonError,
    OwnRequestError,
    RefusedChangeError,
    StageTransitionError,
    StaleActivationError,
    approve_stage_change,
    get_activation_tag,
    reject_stage_change,
    request_stage_change,
    roll_back,
    withdraw_stage_change,
)
from classifier.ml.artefacts import ArtefactMissingError
from classifier.models import AdoptionRun, ModelVersion, StageChange
from tests.support.artefacts import bring_into_production, vouch_for_files
from tests.support.fakes import create_model_version
from tests.support.members import create_member

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
Stage = ModelVersion.Stage


@pytest.fixture(autouse=True)
def _two_people_and_no_files(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.APPROVALS = "two"
    vouch_for_files(monkeypatch)


@pytest.fixture
def ann() -> User:
    return create_member()


@pytest.fixture
def bob() -> User:
    return create_member()


def ask(version: ModelVersion, user: User | None = None, *, to: str = "production", **options: Any) -> StageChange:
    options = {"reason": "Because", "examination": Examination(get_activation_tag(), catalogue=())} | options
    return request_stage_change(version, to=to, asker=Asker("api", user), **options)


def read_stages() -> dict[int, str]:
    return dict(ModelVersion.objects.values_list("pk", "stage"))


def test_one_asks_and_another_approves(ann: User, bob: User) -> None:
    old, new = create_model_version(), create_model_version(stage="candidate")
    change = ask(new, ann)
    assert (change.decision, read_stages()[new.pk]) == ("open", "candidate")
    with pytest.raises(OwnRequestError):
        approve_stage_change(change, user=ann, reason="I know")
    assert StageChange.objects.get().is_open
    change = approve_stage_change(change, user=bob, reason="Seen")
    assert read_stages() == {old.pk: "retired", new.pk: "production"}
    kept = StageChange.objects.get()
    assert (kept.from_stage, kept.to_stage, kept.reason, kept.decision_reason) == (
        "candidate",
        "production",
        "Because",
        "Seen",
    )
    assert (kept.requested_by, kept.decided_by, kept.rule, kept.replaced, kept.way) == (ann, bob, "two", old, "api")
    assert kept.evidence["in_production"]["manifest_sha256"] == old.manifest_sha256
    assert AdoptionRun.objects.get().requested_by == ann


def test_the_first_version_of_a_database_needs_nobody(ann: User) -> None:
    first, second = (create_model_version(stage="candidate") for _ in range(2))
    assert (ask(first).rule, ask(second, ann).is_open) == ("first", True)
    assert read_stages()[first.pk] == "production"


def test_in_single_person_mode_that_is_stored(settings: Any, ann: User) -> None:
    settings.APPROVALS = "one"
    create_model_version()
    change = ask(create_model_version(stage="candidate"), ann)
    assert (change.decision, change.rule, change.requested_by, change.decided_by) == ("approved", "one", ann, ann)


def test_what_decides_no_label_needs_nobody_else(ann: User) -> None:
    version = create_model_version(stage="candidate")
    rules = [ask(version, ann, to=to, examination=None).rule for to in ("preproduction", "rejected", "candidate")]
    assert rules == ["free"] * 3
    changes = StageChange.objects.order_by("pk").values_list("from_stage", "to_stage")
    assert list(changes) == [
        ("candidate", "preproduction"),
        ("preproduction", "rejected"),
        ("rejected", "candidate"),
    ]


@pytest.mark.parametrize(
    "start, to",
    [("candidate", "retired"), ("retired", "preproduction"), ("rejected", "production"), ("candidate", "x")],
)
def test_a_stage_that_is_not_to_be_had_is_refused(start: str, to: str, ann: User) -> None:
    create_model_version()
    version = create_model_version(stage=start)
    with pytest.raises(StageTransitionError, match=f"is {start}: expected a change to .*; received {to}"):
        ask(version, ann, to=to)
    assert not StageChange.objects.exists()


def test_a_version_has_one_open_request(ann: User, bob: User) -> None:
    create_model_version()
    version = create_model_version(stage="candidate")
    first = ask(version, ann)
    with pytest.raises(RefusedChangeError, match=f"Request {first.pk} for version {version.pk} is open"):
        ask(version, bob)
    with pytest.raises(IntegrityError), transaction.atomic():
        StageChange.objects.create(model_version=version, from_stage="candidate", to_stage="production", way="api")
    withdraw_stage_change(first, user=ann)
    assert ask(version, bob).is_open


def test_a_decision_is_made_once(ann: User, bob: User) -> None:
    create_model_version()
    change = ask(create_model_version(stage="candidate"), ann)
    with pytest.raises(OwnRequestError):
        withdraw_stage_change(change, user=bob)
    for refuse in (approve_stage_change, reject_stage_change):
        with pytest.raises(MissingReasonError):
            refuse(change, user=bob, reason=" ")
    reject_stage_change(change, user=bob, reason="No")
    decisions: list[Callable[..., Any]] = [approve_stage_change, reject_stage_change]
    for decide in decisions:
        with pytest.raises(RefusedChangeError, match="is rejected already"):
            decide(change, user=bob, reason="Again")
    assert StageChange.objects.get().decision_reason == "No"


def test_what_the_approver_did_not_see_is_not_approved(ann: User, bob: User) -> None:
    create_model_version()
    change = ask(create_model_version(stage="candidate"), ann)
    with pytest.raises(StaleActivationError):
        approve_stage_change(change, user=bob, reason="Seen", expected_tags=["1-open-0"])
    assert StageChange.objects.get().is_open
    assert approve_stage_change(change, user=bob, reason="Seen", expected_tags=[change.tag]).decision == "approved"


@pytest.mark.parametrize("what", ["another version", "other evidence", "other files"])
def test_an_approval_holds_for_what_was_seen(what: str, ann: User, bob: User, monkeypatch: pytest.MonkeyPatch) -> None:
    create_model_version()
    version = create_model_version(stage="candidate")
    change = ask(version, ann)
    if what == "another version":
        bring_into_production(create_model_version(stage="candidate"))
    elif what == "other evidence":
        monkeypatch.setattr(services, "hash_evidence", lambda _evidence: "0" * 64)
    else:

        def miss(_version: ModelVersion) -> None:
            raise ArtefactMissingError("expected a file")

        monkeypatch.setattr(services, "verify_version", miss)
    with pytest.raises(StaleActivationError, match="expired"):
        approve_stage_change(change, user=bob, reason="Seen", expected_tags=[change.tag])
    kept = StageChange.objects.get()
    assert (kept.decision, kept.decided_by, read_stages()[version.pk]) == ("expired", None, "candidate")
    with pytest.raises(RefusedChangeError, match="is expired already"):
        approve_stage_change(change, user=bob, reason="Seen")


def test_a_version_without_files_is_not_asked_for_and_not_gone_back_to(
    ann: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_model_version()
    version, other = create_model_version(stage="candidate"), create_model_version(stage="candidate")
    approve_stage_change(ask(version, ann), user=bob, reason="Seen")
    before = read_stages()

    def miss(_version: ModelVersion) -> None:
        raise ArtefactMissingError("expected a file")

    monkeypatch.setattr(services, "verify_version", miss)
    with pytest.raises(ArtefactMissingError):
        ask(other, ann, force=True)
    with pytest.raises(ArtefactMissingError):
        roll_back(reason="Wrong", asker=Asker("page", ann))
    assert read_stages() == before
    assert StageChange.objects.count() == AdoptionRun.objects.count() == 1


def test_a_request_that_nobody_can_approve_any_more_gives_way(ann: User) -> None:
    create_model_version()
    version = create_model_version(stage="candidate")
    first = ask(version, ann)
    bring_into_production(create_model_version(stage="candidate"))
    second = ask(version, ann)
    assert list(StageChange.objects.order_by("pk").values_list("pk", "decision")) == [
        (first.pk, "expired"),
        (second.pk, "open"),
    ]


def test_a_gate_that_is_not_met_takes_a_force_and_a_reason(ann: User) -> None:
    create_model_version()
    version = create_model_version(stage="candidate")
    found = Examination(get_activation_tag(), problem="It may be worse.")
    with pytest.raises(GateNotMetError, match="may be worse"):
        ask(version, ann, examination=found)
    with pytest.raises(MissingReasonError):
        ask(version, ann, examination=found, force=True, reason=" ")
    assert not StageChange.objects.exists()
    assert ask(version, ann, examination=found, force=True).forced


def test_an_approver_knows_that_the_catalogue_gave_no_evidence(ann: User, bob: User) -> None:
    create_model_version()
    change = ask(create_model_version(stage="candidate"), ann, examination=Examination(get_activation_tag()))
    with pytest.raises(MissingReasonError) as caught:
        approve_stage_change(change, user=bob, reason="Seen")
    assert caught.value.field == "without_catalogue"
    assert approve_stage_change(change, user=bob, reason="Seen", without_catalogue=True).without_catalogue


def test_nobody_by_name_asks_for_nothing_that_another_has_to_approve() -> None:
    create_model_version()
    with pytest.raises(OwnRequestError, match="expected the name of the user"):
        ask(create_model_version(stage="candidate"))


def test_one_person_goes_back_to_what_was_replaced_and_no_further_forward(ann: User, bob: User) -> None:
    first, second, third = create_model_version(), *(create_model_version(stage="candidate") for _ in range(2))
    with pytest.raises(RefusedChangeError, match="nothing to go back to"):
        roll_back(reason="Wrong", asker=Asker("page", ann))
    for version in (second, third):
        approve_stage_change(ask(version, ann), user=bob, reason="Seen")
    with pytest.raises(MissingReasonError):
        roll_back(reason=" ", asker=Asker("page", ann))
    change = roll_back(reason="Shoes went wrong", asker=Asker("page", ann))
    assert (change.model_version, change.replaced, change.rule) == (second, third, "rollback")
    assert (change.requested_by, change.decided_by) == (ann, ann)
    third.refresh_from_db()
    assert third.left_at is not None
    assert roll_back(reason="Further", asker=Asker("page", ann)).model_version == first
    with pytest.raises(RefusedChangeError):
        roll_back(reason="Further", asker=Asker("page", ann))


WRITES = {
    "decision": "UPDATE classifier_stagechange SET decision = 'rejected'",
    "reason": "UPDATE classifier_stagechange SET decision_reason = 'Another'",
    "row": "DELETE FROM classifier_stagechange",
}


@pytest.mark.parametrize("statement", WRITES.values(), ids=WRITES)
def test_the_database_keeps_what_was_decided(statement: str, ann: User, bob: User) -> None:
    create_model_version()
    approve_stage_change(ask(create_model_version(stage="candidate"), ann), user=bob, reason="Seen")
    before = StageChange.objects.values().get()
    with pytest.raises(Error, match="added and decided once"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert StageChange.objects.values().get() == before


@pytest.mark.parametrize("column", ["evidence_sha256", "reason", "to_stage"])
def test_the_database_keeps_what_was_asked(column: str, ann: User) -> None:
    create_model_version()
    ask(create_model_version(stage="candidate"), ann)
    with pytest.raises(Error, match="added and decided once"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE classifier_stagechange SET {column} = 'retired'")


@pytest.mark.skipif(connection.vendor != "sqlite", reason="SQLite's own statement")
def test_the_database_keeps_rows_from_being_replaced(ann: User, bob: User) -> None:
    create_model_version()
    approve_stage_change(ask(create_model_version(stage="candidate"), ann), user=bob, reason="Seen")
    with pytest.raises(Error, match="added and decided once"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("INSERT OR REPLACE INTO classifier_stagechange SELECT * FROM classifier_stagechange")


FORGED: dict[str, dict[str, Any]] = {
    "by its requester": {"rule": "two", "requested_by": "ann", "decided_by": "ann"},
    "of nobody": {"rule": "two", "requested_by": None, "decided_by": "ann"},
    "by nobody": {"rule": "two", "requested_by": "ann", "decided_by": None},
    "without a rule": {"rule": "", "requested_by": "ann", "decided_by": "bob"},
    "that takes none": {"rule": "free", "requested_by": "ann", "decided_by": "ann"},
    "without a time": {"rule": "two", "requested_by": "ann", "decided_by": "bob", "decided_at": None},
}


@pytest.mark.parametrize("fields", FORGED.values(), ids=FORGED)
def test_the_database_refuses_an_approval(fields: dict[str, Any], ann: User, bob: User) -> None:
    users = {"ann": ann, "bob": bob, None: None}
    row = {"decided_at": timezone.now()} | fields
    row |= {name: users[fields[name]] for name in ("requested_by", "decided_by")}
    with pytest.raises(IntegrityError), transaction.atomic():
        StageChange.objects.create(
            model_version=create_model_version(),
            from_stage="candidate",
            to_stage="production",
            way="api",
            decision="approved",
            **row,
        )


def test_who_asked_or_decided_is_not_deleted(ann: User, bob: User) -> None:
    create_model_version()
    approve_stage_change(ask(create_model_version(stage="candidate"), ann), user=bob, reason="Seen")
    for user in (ann, bob):
        with pytest.raises(models.ProtectedError):
            user.delete()
