"""System checks of the settings."""

from typing import Any

from django.conf import settings
from django.core.checks import Error, register


@register()
def check_time_limits(**_kwargs: Any) -> list[Error]:
    """Check that a labelling task is ended before its lease can expire, and the lease before redelivery.

    Otherwise two workers would hold the same picture as a matter of course; the ledger would still let one finish.
    """
    limits = {
        "LABELLING_SOFT_LIMIT_SECONDS": settings.LABELLING_SOFT_LIMIT_SECONDS,
        "LABELLING_HARD_LIMIT_SECONDS": settings.LABELLING_HARD_LIMIT_SECONDS,
        "LABELLING_LEASE_SECONDS": settings.LABELLING_LEASE_SECONDS,
    }
    visibility_timeout = settings.CELERY_BROKER_TRANSPORT_OPTIONS.get("visibility_timeout")
    if visibility_timeout is not None:
        limits["visibility_timeout"] = visibility_timeout
    seconds = list(limits.values())
    if seconds == sorted(set(seconds)):
        return []
    found = ", ".join(f"{name}={value}" for name, value in limits.items())
    return [Error(f"Expected each of these to be shorter than the next; found {found}.", id="classifier.E001")]


@register()
def check_approvals(**_kwargs: Any) -> list[Error]:
    """Check that the number of people who bring a version into production is one that is known."""
    if settings.APPROVALS in ("one", "two"):
        return []
    return [Error(f"Expected APPROVALS to be one or two; received {settings.APPROVALS!r}.", id="classifier.E002")]
