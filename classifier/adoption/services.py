"""The one way in which versions change their stage: asked for, decided, gone back; each in one transaction.

What comes into production starts an adoption. Whoever asks and decides is on a `StageChange`, for good.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction

from catalog.models import Product
from classifier.adoption.gate import Examination, describe_version, examine_version
from classifier.adoption.impact import find_promise
from classifier.adoption.tasks import send_adoption_runs
from classifier.labelling.runs import request_cancel
from classifier.ml.artefacts import ArtefactError
from classifier.models import (
    STAGE_TRANSITIONS,
    AdoptionRun,
    ImpactRun,
    LabellingRun,
    ModelVersion,
    StageChange,
    hash_evidence,
)
from classifier.registry.runtime import verify_version
from config.db.clock import get_database_time

Stage = ModelVersion.Stage
Decision = StageChange.Decision
Rule = StageChange.Rule
Way = StageChange.Way
#: What a decision writes.
_DECIDED = ["decision", "rule", "decided_by", "decided_at", "decision_reason", "without_catalogue", "replaced"]


class StageError(Exception):
    """A change of stage that is refused; `status` says over HTTP whose turn it is."""

    status = HTTPStatus.CONFLICT


class StageTransitionError(StageError):
    """A change of stage that `STAGE_TRANSITIONS` does not allow, or of which nothing is known to go back to."""

    def __init__(self, version: ModelVersion, *, to: str) -> None:
        allowed = ", ".join(sorted(STAGE_TRANSITIONS[version.stage])) or "nothing by itself"
        super().__init__(
            f"Model version {version.pk} is {version.stage}: expected a change to {allowed}; received {to}."
        )


class StaleActivationError(StageError):
    """Another version was activated since the caller looked, or a request is not what the caller saw."""

    status = HTTPStatus.PRECONDITION_FAILED


class GateNotMetError(StageError):
    """A version may be worse than the one in production, and nobody said why it shall be activated all the same."""


class RefusedChangeError(StageError):
    """A request, or a decision, that does not fit what is there: one is open, or it is decided."""


class OwnRequestError(StageError):
    """An approval that only another person, or a person by name, may give."""

    status = HTTPStatus.FORBIDDEN


class MissingReasonError(StageError):
    """A decision that has to say why, or that it is known to lack evidence; `field` is what is missing."""

    status = HTTPStatus.BAD_REQUEST

    def __init__(self, message: str, *, field: str = "reason") -> None:
        self.field = field
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks or decides, and by which way; nobody by name where a command does not say."""

    way: str
    user: User | None = None


def get_activation_tag() -> str:
    """Return a short text for which version is in production since when; every activation changes it."""
    return _build_activation_tag(ModelVersion.objects.filter(stage=Stage.PRODUCTION).first())


def _build_activation_tag(active: ModelVersion | None) -> str:
    return active.activation_tag if active is not None else "none"


def needs_approval() -> bool:
    """Return whether one person asks for a change and another one approves it."""
    return settings.APPROVALS == "two"


def ask_for_stage(
    version: ModelVersion,
    *,
    to: str,
    asker: Asker,
    reason: str = "",
    force: bool = False,
    expected_tags: Collection[str] | None = None,
    ask: bool = False,
) -> StageChange:
    """Do the same as `request_stage_change`, after the gate has looked at what shall come into production.

    With `ask` a version is asked the test pictures if it never was, which takes seconds and may fetch them; without,
    that it was not is a gate that is not met.
    """
    if to == Stage.PRODUCTION:
        _check_tag({row.pk: row for row in ModelVersion.objects.filter(stage=Stage.PRODUCTION)}, expected_tags)
    examination = examine_version(version, ask=ask) if to == Stage.PRODUCTION else None
    return request_stage_change(
        version,
        to=to,
        asker=asker,
        reason=reason,
        force=force,
        examination=examination,
        expected_tags=expected_tags,
    )


def request_stage_change(
    version: ModelVersion,
    *,
    to: str,
    asker: Asker,
    reason: str = "",
    force: bool = False,
    examination: Examination | None = None,
    expected_tags: Collection[str] | None = None,
) -> StageChange:
    """Ask for a change of stage; return the request, approved at once where nobody else has to.

    For production `examination` is what `gate.examine_version` found; without one it is not looked at how good the
    version is. What is not met needs `force` and a reason.

    Nothing is written where it raises: `StageTransitionError`; `RefusedChangeError` while another request for the
    version is open; `StaleActivationError` where another version came into production since the examination, or
    `expected_tags` do not have the present one; `GateNotMetError`; `MissingReasonError` for a force that does not say
    why; `OwnRequestError` where another person has to approve and nobody asks by name; `ArtefactError` if the files on
    this machine are not those that were registered, or their network labels nothing.
    """
    if force and not reason.strip():
        raise MissingReasonError("Expected a reason for what is forced.")
    if to == Stage.PRODUCTION:
        verify_version(version)
    with transaction.atomic():
        rows = _lock_versions()
        chosen, active = rows[version.pk], _find_in_production(rows)
        _check_tag(rows, expected_tags)
        _check_tag(rows, [examination.tag] if examination else None)
        if to not in STAGE_TRANSITIONS[chosen.stage]:
            raise StageTransitionError(chosen, to=to)
        _refuse_second_request(chosen, rows)
        is_met = examination is None or not examination.problem
        if examination is not None and not is_met and not force:
            raise GateNotMetError(examination.problem)
        rule = _find_rule(to, rows)
        if not rule and asker.user is None:
            raise OwnRequestError("Another person approves this: expected the name of the user who asks for it.")
        evidence = _describe_versions(chosen, active)
        if to == Stage.PRODUCTION:
            evidence["gate"] = examination.to_json() if examination else None
            evidence["impact"] = find_promise(chosen, production=active)
        change = _build_request(chosen, to=to, asker=asker, reason=reason, evidence=evidence)
        change.forced = force and not is_met
        if rule:
            _approve(change, rows, rule=rule, user=asker.user)
        else:
            change.save()
    return change


def approve_stage_change(
    change: StageChange,
    *,
    user: User,
    reason: str,
    expected_tags: Collection[str] | None = None,
    without_catalogue: bool = False,
) -> StageChange:
    """Approve an open request and do what it asks for, in one transaction; return it refreshed.

    With `expected_tags` only while `StageChange.tag` is one of them. It holds for what was seen: where another version
    came into production meanwhile, the files are other ones, or the evidence is not what its hash says, the request is
    expired from then on, and that is raised as a `StaleActivationError`. `without_catalogue` says that the approver
    knows that the catalogue's own pictures gave no evidence, where that is so.

    Raises `RefusedChangeError` for a request that is decided, `OwnRequestError` for one's own where another person has
    to approve, `MissingReasonError` without a reason, and where there is no evidence and the approver does not say to
    know; nothing is written then.
    """
    if not reason.strip():
        raise MissingReasonError("Expected a reason to approve it.")
    changed_files = _find_changed_files(change)
    with transaction.atomic():
        rows = _lock_versions()
        change = _get_open(change, expected_tags)
        if needs_approval() and change.requested_by_id in (None, user.pk):
            raise OwnRequestError("Another person than the one who asked for it has to approve this.")
        problem = changed_files or _find_staleness(change, rows)
        if problem:
            _decide(change, Decision.EXPIRED, user=None, reason=problem)
        elif lacks_catalogue(change) and not without_catalogue:
            raise MissingReasonError(
                "The catalogue's own pictures gave no evidence: expected the approver to say that this is known.",
                field="without_catalogue",
            )
        else:
            change.without_catalogue = without_catalogue and lacks_catalogue(change)
            rule = Rule.TWO if change.requested_by_id != user.pk and change.requested_by_id else Rule.ONE
            _approve(change, rows, rule=rule, user=user, reason=reason)
    if problem:
        raise StaleActivationError(f"{problem} The request is expired: ask for it anew.")
    return change


def reject_stage_change(
    change: StageChange, *, user: User, reason: str, expected_tags: Collection[str] | None = None
) -> StageChange:
    """Reject an open request; the version stays what it is. Raises as `approve_stage_change` does."""
    return _close(change, Decision.REJECTED, user=user, reason=reason, expected_tags=expected_tags)


def withdraw_stage_change(
    change: StageChange, *, user: User, reason: str = "", expected_tags: Collection[str] | None = None
) -> StageChange:
    """Take back a request of one's own. Raises as `approve_stage_change` does, `OwnRequestError` for another's."""
    if change.requested_by_id != user.pk:
        raise OwnRequestError("Only who asked for it may withdraw a request; others reject it.")
    return _close(change, Decision.WITHDRAWN, user=user, reason=reason, expected_tags=expected_tags)


def roll_back(*, reason: str, asker: Asker) -> StageChange:
    """Go back to the version that the one in production replaced: one person may, and says why; so may the watch.

    Raises `MissingReasonError` without a reason, `OwnRequestError` without a person's name where two people decide
    otherwise, `RefusedChangeError` where it is not recorded what was replaced, and `ArtefactError`.
    """
    if not reason.strip():
        raise MissingReasonError("Expected a reason to go back.")
    if needs_approval() and asker.user is None and asker.way != Way.WATCH:
        raise OwnRequestError("Expected the name of the user who goes back.")
    target = find_rollback_target()
    if target is None:
        raise RefusedChangeError("There is nothing to go back to: it is not recorded what was replaced.")
    verify_version(target)
    with transaction.atomic():
        rows = _lock_versions()
        if find_rollback_target() != target:
            raise StaleActivationError("Another version came into production meanwhile.")
        chosen, active = rows[target.pk], _find_in_production(rows)
        evidence = _describe_versions(chosen, active)
        change = _build_request(chosen, to=Stage.PRODUCTION, asker=asker, reason=reason, evidence=evidence)
        _approve(change, rows, rule=Rule.ROLLBACK, user=asker.user)
    return change


def find_rollback_target() -> ModelVersion | None:
    """Return what the version in production replaced when it last came there by a decision of its own, or None.

    After going back it is what that version itself had replaced: twice is two versions back.
    """
    came = StageChange.objects.filter(
        model_version__stage=Stage.PRODUCTION, to_stage=Stage.PRODUCTION, decision=Decision.APPROVED
    )
    last = came.exclude(rule=Rule.ROLLBACK).select_related("replaced").order_by("-decided_at", "-pk").first()
    return last.replaced if last is not None else None


def lacks_catalogue(change: StageChange) -> bool:
    """Return whether the gate was asked and too few of the catalogue's own pictures could answer."""
    gate = change.evidence.get("gate")
    return bool(gate) and gate.get("catalogue") is None


def _describe_versions(version: ModelVersion, active: ModelVersion | None) -> dict[str, Any]:
    """Return the beginning of the evidence, which `_find_staleness` holds against what is there later."""
    return {
        "version": describe_version(version),
        "in_production": describe_version(active) if active is not None else None,
    }


def _build_request(
    version: ModelVersion, *, to: str, asker: Asker, reason: str, evidence: dict[str, Any]
) -> StageChange:
    """Return the request, unsaved and open."""
    return StageChange(
        model_version=version,
        from_stage=version.stage,
        to_stage=to,
        way=asker.way,
        requested_by=asker.user,
        requested_at=get_database_time(),
        reason=reason.strip(),
        evidence=evidence,
        evidence_sha256=hash_evidence(evidence),
    )


def _lock_versions() -> dict[int, ModelVersion]:
    """Lock all versions, in one order: two changes at once wait instead of meeting in the unique index.

    Not their keys: steps that write labels look at these when they commit, and hold a run that a change will cancel.
    """
    return {row.pk: row for row in ModelVersion.objects.select_for_update(no_key=True).order_by("pk")}


def _find_in_production(rows: Mapping[int, ModelVersion]) -> ModelVersion | None:
    return next((row for row in rows.values() if row.stage == Stage.PRODUCTION), None)


def _check_tag(rows: Mapping[int, ModelVersion], expected_tags: Collection[str] | None) -> None:
    tag = _build_activation_tag(_find_in_production(rows))
    if expected_tags is not None and tag not in expected_tags:
        raise StaleActivationError(
            f"Expected {', '.join(sorted(expected_tags)) or 'nothing'} to be in production; it is {tag} by now."
        )


def _refuse_second_request(version: ModelVersion, rows: Mapping[int, ModelVersion]) -> None:
    """Refuse where a request for the version is open; one that cannot be approved any more is expired instead."""
    change = StageChange.objects.select_for_update().filter(model_version=version, decision=Decision.OPEN).first()
    if change is None:
        return
    problem = _find_staleness(change, rows)
    if not problem:
        raise RefusedChangeError(
            f"Request {change.pk} for version {version.pk} is open: expected it to be decided before another one."
        )
    _decide(change, Decision.EXPIRED, user=None, reason=problem)


def _find_rule(to: str, rows: Mapping[int, ModelVersion]) -> str:
    """Return why the change can be approved at once, or nothing where somebody else has to."""
    if to != Stage.PRODUCTION:
        return Rule.FREE
    if all(row.stage != Stage.PRODUCTION and row.first_activated_at is None for row in rows.values()):
        return Rule.FIRST
    return "" if needs_approval() else Rule.ONE


def _get_open(change: StageChange, expected_tags: Collection[str] | None) -> StageChange:
    """Lock the request and return it as it is now, if nobody decided it and it is what the caller saw."""
    found = StageChange.objects.select_for_update(of=("self",)).get(pk=change.pk)
    if not found.is_open:
        raise RefusedChangeError(f"Request {found.pk} is {found.decision} already.")
    if expected_tags is not None and found.tag not in expected_tags:
        raise StaleActivationError("The request is not the one that was seen: look again before deciding.")
    return found


def _find_changed_files(change: StageChange) -> str:
    try:
        verify_version(change.model_version)
    except ArtefactError as error:
        return f"The version's files are not what they were: {error.reason}."
    return ""


def _find_staleness(change: StageChange, rows: Mapping[int, ModelVersion]) -> str:
    """Return why the request is not about what is there now, empty where it is."""
    chosen, active = rows[change.model_version_id], _find_in_production(rows)
    if hash_evidence(change.evidence) != change.evidence_sha256:
        return "The evidence is not the one that was given."
    found = _describe_versions(chosen, active)
    if chosen.stage != change.from_stage or found["version"] != change.evidence["version"]:
        return f"Version {chosen.pk} is {chosen.stage} by now."
    if found["in_production"] != change.evidence["in_production"]:
        return "Another version came into production meanwhile."
    if change.to_stage == Stage.PRODUCTION and change.evidence.get("impact") != find_promise(chosen, production=active):
        return "What it would change was found out anew meanwhile."
    return ""


def _close(
    change: StageChange, decision: str, *, user: User, reason: str, expected_tags: Collection[str] | None
) -> StageChange:
    if decision == Decision.REJECTED and not reason.strip():
        raise MissingReasonError("Expected a reason to reject it.")
    with transaction.atomic():
        change = _get_open(change, expected_tags)
        _decide(change, decision, user=user, reason=reason)
    return change


def _approve(
    change: StageChange, rows: Mapping[int, ModelVersion], *, rule: str, user: User | None, reason: str = ""
) -> None:
    """Approve a request, saved or not, and do what it asks for; every version is locked."""
    chosen = rows[change.model_version_id]
    change.rule = rule
    if change.to_stage == Stage.PRODUCTION:
        change.replaced = _bring_into_production(
            chosen,
            rows,
            requested_by=change.requested_by,
            comparison=change.evidence.get("gate") or {},
            reason=change.reason if change.forced else "",
        )
    else:
        _save_stage(chosen, change.to_stage)
    _decide(change, Decision.APPROVED, user=user, reason=reason)
    change.model_version = chosen


def _decide(change: StageChange, decision: str, *, user: User | None, reason: str = "") -> None:
    change.decision, change.decided_by, change.decision_reason = decision, user, reason.strip()
    change.decided_at = get_database_time()
    # What was asked is not written again, which the database would refuse.
    change.save(update_fields=_DECIDED if change.pk else None)


def _bring_into_production(
    chosen: ModelVersion, rows: Mapping[int, ModelVersion], **adoption: Any
) -> ModelVersion | None:
    """Change the stages and start the adoption; return what was replaced. Every version is locked."""
    active = _find_in_production(rows)
    if Stage.PRODUCTION not in STAGE_TRANSITIONS[chosen.stage]:
        raise StageTransitionError(chosen, to=Stage.PRODUCTION)
    if active is not None:
        _save_stage(active, Stage.RETIRED)
    chosen.activated_at = get_database_time()
    if chosen.first_activated_at is None:
        chosen.first_activated_at = chosen.activated_at
    else:
        after = ModelVersion.objects.filter(first_activated_at__gt=chosen.first_activated_at, left_at__isnull=True)
        after.update(left_at=chosen.activated_at)
    chosen.left_at = None
    _save_stage(chosen, Stage.PRODUCTION)
    _start_adoption(chosen, promised=find_promise(chosen, production=active), **adoption)
    return active


def _save_stage(version: ModelVersion, stage: str) -> None:
    version.stage = stage
    version.save(update_fields=["stage", "activated_at", "first_activated_at", "left_at"])


def _start_adoption(version: ModelVersion, **fields: Any) -> AdoptionRun:
    """Save the run that brings labels to the version, and end what was about another; sent on commit.

    Shadows of other versions end as well: what they would change is another thing now. Its own goes on as any run.
    """
    AdoptionRun.objects.cancel()
    ImpactRun.objects.cancel()
    others = LabellingRun.objects.exclude(model_version=version)
    request_cancel(others.filter(shadow=True))
    LabellingRun.objects.filter(model_version=version).update(shadow=False)
    last = Product.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    run = AdoptionRun.objects.create(
        model_version=version,
        takes_until=last,
        closed_runs=request_cancel(others.filter(shadow=False)),
        watch=AdoptionRun.Watch.WATCHING if fields.get("promised") else AdoptionRun.Watch.NONE,
        **fields,
    )
    transaction.on_commit(partial(send_adoption_runs))
    return run
