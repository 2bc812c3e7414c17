"""The start page: how much of the catalogue is labelled, and how."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.views.decorators.http import require_safe

from catalog.browse.filters import ProductCriteria
from catalog.browse.listing import list_labelled_products
from catalog.browse.summary import CatalogueSummary, get_catalogue_summary
from catalog.labels import get_label_summary
from catalog.models import ProductLabel
from classifier.audit.selectors import estimate_accuracy, list_open_segments, list_unanswered
from classifier.labels.decision import PLACEHOLDER
from classifier.models import (
    AdoptionRun,
    Alarm,
    LabellingRun,
    ModelVersion,
    QueueName,
    StageChange,
    SuspectedPicture,
)
from classifier.registry.selectors import find_active_model_version
from classifier.runs.workers import find_queue_health
from config.db.clock import get_database_time

# The newest products whose pictures the start page shows, and among how many it looks for some that have a picture.
NEWEST_SHOWN, NEWEST_LOOKED_AT = 8, 48

#: The figures of the active version, by their name in its metrics: words, and digits of the percentage.
VERSION_FIGURES = {
    "accuracy": ("Accuracy over groups", 1),
    "expected_calibration_error": ("Calibration error", 2),
    "answered": ("Kept", 1),
    "accuracy_of_answered": ("Accuracy of what is kept", 1),
}


@dataclass(frozen=True, slots=True)
class Duty:
    """What waits for a person: so many of what, what is the matter with them, and a button or a command for it."""

    number: int
    words: str
    button: str = ""
    address: str = ""
    command: str = ""


@require_safe
def start(request: HttpRequest) -> HttpResponse:
    """Answer with the catalogue at a glance: newest pictures, counts, what needs a person, the active model version.

    An address with filters is one of the list of products, from when that was the first page.
    """
    if request.GET:
        return redirect(f"{reverse('product-list')}?{request.GET.urlencode()}")
    newest = list(list_labelled_products(ProductCriteria()).order_by("-pk")[:NEWEST_LOOKED_AT])
    newest.sort(key=lambda product: product.thumbnail_sha256 is None)
    summary = get_catalogue_summary()
    may_see_errors = request.user.has_perm("classifier.view_labeltask")
    suspects = SuspectedPicture.objects.filter(answer="").count() if may_see_errors else 0
    may_see_drift = request.user.has_perm("classifier.view_driftcheck")
    alarms = Alarm.objects.filter(state=Alarm.State.ALARM).count() if may_see_drift else 0
    may_review = request.user.has_perm("classifier.add_review")
    drifted = sum(list_unanswered(audit).count() for audit in list_open_segments()) if may_review else 0
    version = find_active_model_version()
    may_see_versions = request.user.has_perm("classifier.view_modelversion")
    requests = StageChange.objects.filter(decision=StageChange.Decision.OPEN).count() if may_see_versions else 0
    may_see_runs = request.user.has_perm("classifier.view_labellingrun")
    waiting = {"suspects": suspects, "alarms": alarms, "drifted": drifted, "requests": requests}
    context = {
        "newest": [(product, get_label_summary(product)) for product in newest[:NEWEST_SHOWN]],
        "summary": summary,
        "size": describe_size(summary) if summary else "Products",
        "figures": list_figures(summary) if summary else [],
        "duties": list_duties(summary, **waiting, user=request.user) if summary else [],
        "doubts": list_doubts(version) if version and may_see_versions else [],
        "groups": list_groups(summary) if summary else [],
        "worker": find_queue_health(LabellingRun.queue) if may_see_runs else None,
        "version": version,
        "estimate": estimate_accuracy(),
        "version_figures": list_version_figures(version) if version else [],
    }
    return render(request, "classifier/start.html", context)


def describe_size(summary: CatalogueSummary) -> str:
    """Return how many products there are, in words."""
    return f"{summary.products:,} {_products(summary.products)}"


def list_duties(
    summary: CatalogueSummary,
    *,
    suspects: int = 0,
    alarms: int = 0,
    drifted: int = 0,
    requests: int = 0,
    user: User | AnonymousUser,
) -> list[Duty]:
    """Return what waits for a person, each with the page that this user may open, or else a command.

    `suspects` is how many suspected pictures this user may answer for, or look at, `alarms` how many alarms nobody
    acknowledged, `drifted` how many products wait for an answer because of one, `requests` how many requests for a
    stage nobody decided.
    """
    status, products = ProductLabel.Status, reverse("product-list")
    may_see_errors = user.has_perm("classifier.view_labeltask")
    may_see_runs = user.has_perm("classifier.view_labellingrun")
    may_review = user.has_perm("classifier.add_review")
    failed, pending = summary.statuses[status.FAILED], summary.statuses[status.PENDING]
    unsure = summary.statuses[status.NEEDS_REVIEW] - summary.placeholders
    duties = [
        Duty(
            unsure,
            f"{_products(unsure)} whose label is not sure, or whose title contradicts the picture.",
            button="Review" if may_review else "Least sure first",
            address=reverse("review-queue", args=[QueueName.UNSURE])
            if may_review
            else f"{products}?status=needs_review&ordering=confidence",
        ),
        Duty(
            suspects,
            f"suspected placeholder{'' if suspects == 1 else 's'}, to be answered once for all their products.",
            button="Answer",
            address=f"{reverse('error-list')}?code={PLACEHOLDER}",
        ),
        Duty(
            alarms,
            f"alarm{'' if alarms == 1 else 's'} of drift: the pictures of late are different.",
            button="Drift",
            address=reverse("drift"),
        ),
        Duty(
            drifted,
            f"{_products(drifted)} that an alarm of drift is about, for whose labels a training waits.",
            button="Review",
            address=reverse("review-queue", args=[QueueName.AUDIT]),
        ),
        Duty(
            requests,
            f"request{'' if requests == 1 else 's'} for the stage of a model version to be decided.",
            button="Versions",
            address=reverse("model-version-list"),
        ),
        Duty(
            failed,
            f"{_products(failed)} whose picture could not be read.",
            button="Error queue" if may_see_errors else "Failed products",
            address=reverse("error-list") if may_see_errors else f"{products}?status=failed",
        ),
        Duty(
            pending,
            f"{_products(pending)} that no model has looked at.",
            button="Labelling runs" if may_see_runs else "",
            address=reverse("labelling-run-list") if may_see_runs else "",
            command="" if may_see_runs else "python manage.py label_catalog --wait",
        ),
    ]
    return [duty for duty in duties if duty.number]


def list_doubts(version: ModelVersion) -> list[str]:
    """Return in sentences what speaks for looking at the version in production again."""
    doubts = []
    adoption = AdoptionRun.objects.filter(model_version=version).first()
    if adoption is not None and adoption.watch == AdoptionRun.Watch.DEPARTED:
        doubts.append("Its labels are not as they were promised: its page says what departs, and offers the way back.")
    if version.activated_at is not None:
        review_by = version.activated_at + timedelta(days=settings.VERSION_REVIEW_DAYS)
        if get_database_time() > review_by:
            doubts.append(f"It was to be looked at again by {date_format(localtime(review_by), 'j M Y')}.")
    return doubts


def list_version_figures(version: ModelVersion) -> list[tuple[str, str]]:
    """Return (words, percentage) for the figures that the version has."""
    return [
        (words, version.write_figure(name, digits=digits))
        for name, (words, digits) in VERSION_FIGURES.items()
        if version.has_figure(name)
    ]


def list_figures(summary: CatalogueSummary) -> list[tuple[str, int, str]]:
    """Return (words, number, filters of the list behind it), for the start page."""
    return [(words, summary.statuses[status], f"status={status}") for status, words in ProductLabel.Status.choices]


def list_groups(summary: CatalogueSummary) -> list[dict[str, Any]]:
    """Return for each group its name, number, share of all labels, and (count, share, height of its bar) by period.

    The bars of all groups have one scale: the largest share that any group has in any period is 1.
    """
    total = sum(summary.groups.values())
    highest = max((period.share(group) for period in summary.periods for group in summary.groups), default=1.0)
    return [
        {
            "name": group,
            "number": number,
            "share": number / total if total else 0.0,
            "periods": [
                (period.groups[group], period.share(group), period.share(group) / highest) for period in summary.periods
            ],
        }
        for group, number in summary.groups.items()
    ]


def _products(number: int) -> str:
    return "product" if number == 1 else "products"
