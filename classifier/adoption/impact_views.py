"""The page of what a version would change, and the pictures of one of its numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.decorators import login_required, permission_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_safe

from catalog.browse.filters import ProductCriteria
from catalog.browse.listing import list_labelled_products
from catalog.labels import Status, get_label_summary
from classifier.adoption.impact import OUTCOMES, Impact, find_impact
from classifier.adoption.services import get_activation_tag
from classifier.adoption.views import describe_choice
from classifier.ml.judging.shares import Share
from classifier.ml.labels import GROUPS
from classifier.ml.words import percent, write_share
from classifier.models import ImpactRun, LabellingRun, ModelVersion
from classifier.registry.selectors import find_active_model_version
from classifier.runs.pages import describe_run
from config.web.model_views import find_page

#: Countries and hosts shown, those with the most products.
SHOWN_NAMES = 12
#: What a shadow run of the page's form asks about, unless somebody types another number.
SAMPLE = 2000


@dataclass(frozen=True, slots=True)
class Cell:
    """How many products have one label and would have another; `address` opens them, empty where nothing changes."""

    number: int
    address: str
    is_same: bool


@require_safe
@login_required
@permission_required("classifier.view_modelversion", raise_exception=True)
def model_version_impact(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer with what the version would change, or with how far its shadow run is."""
    tag = get_activation_tag()
    version = get_object_or_404(ModelVersion, pk=pk)
    impact = find_impact(version)
    shadow = LabellingRun.objects.filter(model_version=version, shadow=True).order_by("-pk").first()
    is_ahead = shadow is not None and (impact is None or impact.run.shadow_id != shadow.pk)
    context: dict[str, Any] = {
        **describe_choice(request, version, tag=tag),
        "production": find_active_model_version(),
        "shadow": shadow if is_ahead and shadow is not None and (shadow.is_open or shadow.state == "done") else None,
        "sample": SAMPLE,
        "impact": impact,
    }
    if impact is not None:
        outcomes = [each for each in OUTCOMES if any(each in row[:2] for row in impact.run.cells)]
        context |= {
            **describe_run(request, impact.run),
            "live": impact.run.is_open,
            "sentence": describe_impact(impact),
            "figures": [
                ("Another label", _write(impact, impact.changed)),
                ("Newly sure: a group where there was none", _write(impact, impact.newly_sure)),
                ("Newly without a group", _write(impact, impact.newly_unsure)),
            ],
            "columns": [name_label(each) for each in outcomes],
            "matrix": build_matrix(impact.run, outcomes),
            "countries": list_changes(impact, impact.countries),
            "hosts": list_changes(impact, impact.hosts),
        }
    return render(request, "classifier/impact.html", context)


@require_safe
@login_required
@permission_required("classifier.view_modelversion", raise_exception=True)
def impact_products(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer with the products of one cell: `was` and `becomes` are outcomes."""
    run = get_object_or_404(ImpactRun.objects.select_related("model_version"), pk=pk)
    was, becomes = request.GET.get("was", ""), request.GET.get("becomes", "")
    if was not in OUTCOMES or becomes not in OUTCOMES:
        raise Http404("expected a label of the table")
    page = find_page(request, run.products.filter(was=was, becomes=becomes))
    products = list_labelled_products(ProductCriteria()).in_bulk([row.product_id for row in page.rows])
    context = {
        "run": run,
        "version": run.model_version,
        "title": f"{name_label(was)} to {name_label(becomes)}",
        "products": [(product, get_label_summary(product)) for product in products.values()],
        "gone": len(page.rows) - len(products),
        "page": page,
    }
    return render(request, "classifier/impact_products.html", context)


def name_label(outcome: str) -> str:
    """Return an outcome in words."""
    return outcome if outcome in GROUPS else str(Status(outcome).label)


def describe_impact(impact: Impact) -> str:
    """Return in a sentence how many products were looked at, and what that says of the others."""
    number = f"{impact.run.done:,} products"
    which = f"{number} drawn at random, with 95 % intervals" if impact.is_sampled else f"{number}, all there are"
    missing = f" {impact.run.missing:,} of them keep their label, since the version has not seen their picture."
    return f"Of {which}.{missing if impact.run.missing else ''}"


def build_matrix(run: ImpactRun, outcomes: Sequence[str]) -> list[tuple[str, list[Cell]]]:
    """Return for each label that products have its name, and its cells by the label that they would have."""
    numbers = {(was, becomes): number for was, becomes, number in run.cells}
    address = reverse("impact-products", args=[run.pk])
    return [
        (
            name_label(was),
            [
                Cell(
                    number=numbers.get((was, becomes), 0),
                    address=f"{address}?{urlencode({'was': was, 'becomes': becomes})}" if was != becomes else "",
                    is_same=was == becomes,
                )
                for becomes in outcomes
            ],
        )
        for was in outcomes
        if any(row[0] == was for row in run.cells)
    ]


def list_changes(impact: Impact, shares: Sequence[tuple[str, Share]]) -> list[tuple[str, str, int]]:
    """Return (name, share that would change in words, products) of those with the most products."""
    return [(name, _write(impact, share), share.count) for name, share in shares[:SHOWN_NAMES]]


def _write(impact: Impact, share: Share) -> str:
    return write_share(share.to_json()) if impact.is_sampled else percent(share.value)
