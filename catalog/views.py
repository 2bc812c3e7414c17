"""The catalogue's pages."""

from contextlib import suppress
from pathlib import PurePosixPath
from typing import Any

from django.core.files.storage import default_storage
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_safe
from rest_framework.exceptions import ValidationError

from catalog.api.query import ProductListQuery, check_parameters, pick_parameters
from catalog.models import Product
from catalog.paging import InvalidCursorError
from catalog.pictures import thumbnail_name
from classifier.catalogue_summary import CatalogueSummary, get_catalogue_summary
from classifier.listing import (
    UNLABELLED_STATUSES,
    ProductCriteria,
    find_product_page,
    get_label_summary,
    list_labelled_products,
)
from classifier.ml.labels import GARMENTS, GROUP_OF_GARMENT, GROUPS
from classifier.models import ProductLabel
from classifier.product_page import get_product_page
from classifier.selectors import find_active_model_version
from config.security import FILE_POLICY

# Divides by two, three, four and six columns, so that only the last page ends in a gap.
PRODUCTS_PER_PAGE = 24
# Suffix and name of what the list can be exported as.
EXPORTS = (("csv", "CSV"), ("jsonl", "JSON Lines"), ("zip", "pictures"))
# The newest products whose pictures the start page shows, and among how many it looks for some that have a picture.
NEWEST_SHOWN, NEWEST_LOOKED_AT = 8, 48
# For choices: each group with its garments.
GARMENTS_OF_GROUPS = [(group, [name for name in GARMENTS if GROUP_OF_GARMENT[name] == group]) for group in GROUPS]
CONFIDENCES = (0.5, 0.7, 0.8, 0.9, 0.95, 0.99)
ONE_YEAR_SECONDS = 31_536_000


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


@require_safe
def product_list(request: HttpRequest) -> HttpResponse:
    """Answer with a grid of products, newest first; filters and page are in the address."""
    parameters, filters = pick_parameters(ProductListQuery, request.GET)
    context: dict[str, Any] = {
        "filters": filters,
        "controls": ("search", "garment", "status", "min_confidence", "country", "ordering"),
        "groups": GROUPS,
        "garments": [row for row in GARMENTS_OF_GROUPS if parameters.get("group", row[0]) == row[0]],
        "confidences": list_confidences(parameters.get("min_confidence", "")),
        "statuses": [(value, label.capitalize()) for value, label in ProductLabel.Status.choices],
        "orderings": [
            ("id", "Oldest first"),
            ("confidence", "Least sure first"),
            ("-confidence", "Most sure first"),
        ],
    }
    context["folded"] = sum(name in filters for name in context["controls"][1:])
    try:
        query = check_parameters(ProductListQuery, parameters)
    except ValidationError as error:
        return render(request, "catalog/product_list.html", context | {"errors": error.detail}, status=400)
    criteria = query.get_criteria(ordering="-id")
    try:
        page = find_product_page(
            criteria, page_size=query.get_page_size(default=PRODUCTS_PER_PAGE), cursor=query.get_cursor()
        )
    except InvalidCursorError as error:
        raise Http404 from error
    products = [(product, get_label_summary(product)) for product in page.rows]
    context |= {
        "exports": EXPORTS,
        "export_query": urlencode(filters),
        "page": page,
        "products": products,
        "nothing_labelled": all(label.status in UNLABELLED_STATUSES for _, label in products),
    }
    return render(request, "catalog/product_list.html", context)


def list_confidences(chosen: str) -> list[tuple[str, str, bool]]:
    """Return (value, words, whether it is chosen) of the least confidences to choose from, the address's among them."""
    value = -1.0
    with suppress(ValueError):
        value = float(chosen)
    values = sorted({*CONFIDENCES, value} if 0 <= value <= 1 else CONFIDENCES)
    return [(f"{known:g}", f"{100 * known:g} % and more", known == value) for known in values]


@require_safe
def product_detail(request: HttpRequest, product_id: int) -> HttpResponse:
    """Answer with a product: every picture with its label, its reasons and its history, every description."""
    try:
        page = get_product_page(product_id)
    except Product.DoesNotExist as error:
        raise Http404 from error
    context = {"page": page, "product": page.product, "choices": GARMENTS_OF_GROUPS}
    return render(request, "catalog/product_detail.html", context)


@require_safe
def thumbnail(request: HttpRequest, sha256: str, extension: str) -> FileResponse:
    """Answer with our re-encoded copy of a picture. Its name is its content, so it may be kept for ever."""
    name = thumbnail_name(sha256)
    if PurePosixPath(name).suffix != f".{extension}":
        raise Http404
    try:
        file = default_storage.open(name)
    except FileNotFoundError as error:
        raise Http404 from error
    headers = {
        "Cache-Control": f"public, max-age={ONE_YEAR_SECONDS}, immutable",
        "Content-Security-Policy": FILE_POLICY,
        "X-Content-Type-Options": "nosniff",
    }
    return FileResponse(file, filename=f"{sha256}.{extension}", headers=headers)
