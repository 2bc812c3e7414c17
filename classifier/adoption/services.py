"""Which version is in production: activated, or gone back to, in one transaction that also starts the adoption."""

from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from catalog.models import Product
from classifier.adoption.tasks import send_adoption_runs
from classifier.labelling.runs import request_cancel
from classifier.models import STAGE_TRANSITIONS, AdoptionRun, ImpactRun, LabellingRun, ModelVersion
from classifier.registry.runtime import verify_version
from config.db.clock import get_database_time

Stage = ModelVersion.Stage


class StageTransitionError(ValueError):
    """A change of stage that `STAGE_TRANSITIONS` does not allow."""


class StaleActivationError(Exception):
    """Another version was activated since the caller looked."""


def get_activation_tag() -> str:
    """Return a short text for which version is active since when; every activation changes it."""
    return _build_activation_tag(ModelVersion.objects.filter(stage=Stage.ACTIVE).first())


def _build_activation_tag(active: ModelVersion | None) -> str:
    if active is None:
        return "none"
    return f"{active.pk}-{active.activated_at:%Y%m%dT%H%M%S.%f}" if active.activated_at else str(active.pk)


def activate_model_version(
    version: ModelVersion,
    *,
    expected_tags: Collection[str] | None = None,
    user: User | None = None,
    comparison: Mapping[str, Any] | None = None,
    reason: str = "",
) -> ModelVersion:
    """Make this version the active one and retire the one before, in one transaction; return it refreshed.

    An adoption run, started on commit, then rewrites the catalogue's labels. Open labelling runs of other versions are
    cancelled: the adoption starts one that takes their pictures. A version that was in production before is gone back
    to: those that came after it decide no labels until they are activated again. `comparison` and `reason` are kept on
    the run; whether the version is good enough is asked in `gate.py`.

    With `expected_tags` it happens only while `get_activation_tag` is one of them: raises `StaleActivationError`
    otherwise. Raises `ArtefactError` if the files on this machine are not those that were registered, or their
    network labels nothing, and `StageTransitionError` if its stage does not allow it.
    """
    verify_version(version)
    with transaction.atomic():
        # All rows in one order: two activations at once wait for each other instead of meeting in the unique index.
        rows = {row.pk: row for row in ModelVersion.objects.select_for_update().order_by("pk")}
        active = next((row for row in rows.values() if row.stage == Stage.ACTIVE), None)
        tag = _build_activation_tag(active)
        if expected_tags is not None and tag not in expected_tags:
            raise StaleActivationError(
                f"Expected {', '.join(sorted(expected_tags)) or 'nothing'} to be in production; it is {tag} by now."
            )
        chosen = rows[version.pk]
        if chosen == active:
            return chosen
        if active is not None:
            _change_stage(active, Stage.RETIRED)
        chosen.activated_at = get_database_time()
        if chosen.first_activated_at is None:
            chosen.first_activated_at = chosen.activated_at
        else:
            after = ModelVersion.objects.filter(first_activated_at__gt=chosen.first_activated_at, left_at__isnull=True)
            after.update(left_at=chosen.activated_at)
        chosen.left_at = None
        _change_stage(chosen, Stage.ACTIVE)
        _start_adoption(chosen, requested_by=user, comparison=dict(comparison or {}), reason=reason)
    return chosen


def _change_stage(version: ModelVersion, stage: Stage) -> None:
    if stage not in STAGE_TRANSITIONS[version.stage]:
        allowed = ", ".join(sorted(STAGE_TRANSITIONS[version.stage])) or "nothing"
        raise StageTransitionError(
            f"Model version {version.pk} is {version.stage}: expected a change to {allowed}; received {stage}."
        )
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
        **fields,
    )
    transaction.on_commit(partial(send_adoption_runs))
    return run
