"""The stages of a version as its page tells them: what is asked for, on what evidence, and what there was before."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.contrib.auth.models import User
from django.db.models import Q

from classifier.adoption.services import find_rollback_target, lacks_catalogue, needs_approval
from classifier.ml.reports.sections import Block, build_table
from classifier.models import STAGE_TRANSITIONS, ModelVersion, StageChange

Stage = ModelVersion.Stage
#: So many of the newest are shown.
MAXIMUM_CHANGES: Final = 50


@dataclass(frozen=True, slots=True)
class ToldChange:
    """A request in sentences: what was asked for, and what became of it."""

    change: StageChange
    asked: str
    decided: str


def describe_stages(version: ModelVersion, *, reader: User) -> dict[str, Any]:
    """Return what the page of a version says of its stages, by the names that the template has."""
    involved = StageChange.objects.filter(Q(model_version=version) | Q(replaced=version))
    related = ("model_version", "requested_by", "decided_by", "replaced")
    changes = list(involved.select_related(*related)[:MAXIMUM_CHANGES])
    request = next((change for change in changes if change.is_open and change.model_version_id == version.pk), None)
    stages = STAGE_TRANSITIONS[version.stage]
    return {
        "changes": [ToldChange(change, _tell_request(change), _tell_decision(change)) for change in changes],
        "request_to_decide": request,
        "evidence": describe_gate(request.evidence.get("gate")) if request else None,
        "lacks_catalogue": request is not None and lacks_catalogue(request),
        "is_own": request is not None and request.requested_by_id == reader.pk,
        "may_approve": request is not None and not (needs_approval() and request.requested_by_id == reader.pk),
        "two_people": needs_approval(),
        "may_activate": request is None and Stage.PRODUCTION in stages,
        "other_stages": [(stage.value, stage.label) for stage in Stage if stage in stages - {Stage.PRODUCTION}],
        "rollback": find_rollback_target() if version.stage == Stage.PRODUCTION else None,
    }


def describe_gate(gate: Mapping[str, Any] | None) -> Block | None:
    """Return what the gate found as a table with sentences; None where it was not asked."""
    if gate is None:
        return None
    asked = {
        "test_pictures": "Fashion-MNIST's test pictures",
        "catalogue": "The catalogue's own pictures",
        "titled": "Its photographs, by their titles",
    }
    rows = [
        (
            title,
            found["of"],
            f"{found['images']:,}",
            *(f"{100 * found[edge]:+.2f}" for edge in ("difference", "low", "high")),
            f"{-100 * found['margin']:+.2f}",
            "worse" if found["low"] < -found["margin"] else "met",
        )
        for name, title in asked.items()
        for found in gate.get(name) or ()
    ]
    text = [gate["problem"]] if gate["problem"] else []
    if gate["test_pictures"] is None and not gate["problem"]:
        text.append("There was no version to compare it with.")
    if gate["catalogue"] is None:
        text.append(
            "No evidence of this catalogue: fewer than 30 reviewed pictures of its test part could be compared."
        )
    columns = ("Pictures", "Of", "Number", "Difference", "Low", "High", "Margin", "Gate")
    return {
        "text": text,
        "table": build_table("In points of what is right, with the 95 % interval", columns, rows, words=2),
    }


def _tell_request(change: StageChange) -> str:
    who = change.requested_by.get_username() if change.requested_by else "Somebody"
    forced = ", though the gate is not met" if change.forced else ""
    reason = f": {change.reason}" if change.reason else ""
    stage, name = change.to_stage, change.model_version.name
    to = f"in {stage}" if stage in (Stage.PRODUCTION, Stage.PREPRODUCTION) else stage
    return f"{who} asked {change.get_way_display()} that {name} be {to}{forced}{reason}"


def _tell_decision(change: StageChange) -> str:
    if change.is_open:
        return change.get_decision_display()
    by = f" by {change.decided_by.get_username()}" if change.decided_by else ""
    rule = f", {change.get_rule_display()}" if change.rule else ""
    reason = f": {change.decision_reason}" if change.decision_reason else ""
    waived = ", knowing that the catalogue gave no evidence" if change.without_catalogue else ""
    instead = f". It replaced {change.replaced.name}" if change.replaced else ""
    return f"{change.get_decision_display()}{by}{rule}{waived}{reason}{instead}"
