"""The start page: how much of the catalogue is labelled, and how."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from catalog.browse.listing import ProductCriteria, list_labelled_products
from catalog.browse.summary import CatalogueSummary, get_catalogue_summary
from catalog.labels import get_label_summary
from catalog.models import ProductLabel
from classifier.registry.selectors import find_active_model_version

# The newest products whose pictures the start page shows, and among how many it looks for some that have a picture.
NEWEST_SHOWN, NEWEST_LOOKED_AT = 8, 48


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
    context = {
        "newest": [(product, get_label_summary(product)) for product in newest[:NEWEST_SHOWN]],
        "summary": summary,
        "figures": list_figures(summary) if summary else [],
        "groups": list_groups(summary) if summary else [],
        "version": find_active_model_version(),
    }
    return render(request, "catalog/start.html", context)


def list_figures(summary: CatalogueSummary) -> list[tuple[str, int, str]]:
    """Return (words, number, filters of the list behind it), for the start page."""
    statuses = summary.statuses
    status = ProductLabel.Status
    figures = [
        ("Labelled", statuses[status.LABELLED], "status=labelled"),
        ("Need review", statuses[status.NEEDS_REVIEW], "status=needs_review&ordering=confidence"),
        ("Reviewed", statuses[status.REVIEWED], "status=reviewed"),
        ("Failed", statuses[status.FAILED], "status=failed"),
        ("Not labelled yet", statuses[status.PENDING], "status=pending"),
    ]
    return figures if summary.is_estimate else [*figures, ("No image", statuses[status.NO_IMAGE], "status=no_image")]


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
