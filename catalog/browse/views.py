"""The catalogue's pages."""

from collections.abc import Callable
from functools import partial
from io import BytesIO
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.decorators import login_required
from django.core.cache import cache
from django.core.exceptions import PermissionDenied
from django.db.models import F
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_POST, require_safe
from rest_framework.exceptions import ValidationError

from catalog.browse.actions import group_by_part, list_actions
from catalog.browse.controls import PAGE_SIZES, build_chips, build_choices, build_order, build_selects
from catalog.browse.counts import ListCounts, count_list
from catalog.browse.filters import ProductListQuery, add_place, keep_list_query
from catalog.browse.listing import find_product_page, get_place, get_product_ordering
from catalog.browse.summary import CACHE_KEY
from catalog.labels import Status, get_label_summary
from catalog.models import Product, StoredPicture
from catalog.pictures.decoding import PictureError
from catalog.pictures.storage import StorageError, build_full_size, read_thumbnail
from config.db.paging import InvalidCursorError
from config.db.replica import find_reading_database
from config.web.problems import answer_problem, find_refusal
from config.web.queries import check_parameters, parse_id, pick_parameters
from config.web.security import FILE_POLICY, PICTURE_POLICY

# Suffix and name of what the list can be exported as.
EXPORTS = (("csv", "CSV"), ("jsonl", "JSON Lines"), ("zip", "pictures"))

# What one action takes at most: more than a page shows.
MAXIMUM_CHOSEN = 100
# Of the session: what takes back the last action, until the list is shown.
UNDO = "list-undo"

ONE_YEAR_SECONDS = 31_536_000
# Of pictures, whose names are their content.
PICTURE_HEADERS = {
    "Cache-Control": f"public, max-age={ONE_YEAR_SECONDS}, immutable",
    "X-Content-Type-Options": "nosniff",
}


@require_safe
def product_list(request: HttpRequest) -> HttpResponse:
    """Answer with a grid of products, newest first; filters and page are in the address."""
    parameters, filters = pick_parameters(ProductListQuery, request.GET)
    context: dict[str, Any] = {
        "filters": filters,
        "choices": build_choices(filters),
        "country": filters.get("country", ""),
        "order": build_order(parameters),
        "selects": build_selects(parameters),
        "folded": len(filters.keys() - {"group", "status", "search", "ordering"}),
    }
    try:
        query = check_parameters(ProductListQuery, parameters)
    except ValidationError as error:
        context |= {"chips": build_chips(filters, ListCounts()), "errors": error.detail}
        return render(request, "catalog/product_list.html", context, status=400)
    criteria = query.get_criteria(ordering="-id")
    page_size = query.get_page_size(default=PAGE_SIZES[0])
    try:
        page = find_product_page(
            criteria, page_size=page_size, cursor=query.get_cursor(), database=find_reading_database(request)
        )
    except InvalidCursorError as error:
        raise Http404 from error
    # In an order of the reader's own the products beside are neither newer nor older.
    previous_name, next_name = ("Previous", "Next") if filters.get("ordering") else ("Newer", "Older")
    ordering, list_query = get_product_ordering(criteria), keep_list_query(parameters)
    products = [
        (product, get_label_summary(product), add_place(list_query, get_place(ordering, product)))
        for product in page.rows
    ]
    counts = count_list(criteria)
    actions = list_actions(request) if products else []
    context |= {
        "actions": group_by_part(actions),
        "chips": build_chips(filters, counts),
        "counts": counts,
        "exports": EXPORTS,
        "export_query": urlencode(filters, doseq=True),
        "page": page,
        "page_size": page_size,
        "page_sizes": PAGE_SIZES,
        "previous_name": previous_name,
        "next_name": next_name,
        "products": products,
        "nothing_labelled": all(label.status in (Status.PENDING, Status.NO_IMAGE) for _, label, _ in products),
        "query": parameters.urlencode(),
        "undo": request.session.pop(UNDO, None) if request.user.is_authenticated else None,
    }
    return render(request, "catalog/product_list.html", context)


@require_POST
@login_required
def product_action(request: HttpRequest) -> HttpResponseBase:
    """Do an action with the chosen products; answer with its file, or with the page that they were chosen on."""
    action = next((known for known in list_actions(request) if known.name == request.POST.get("action")), None)
    if action is None:
        raise PermissionDenied
    chosen = request.POST.getlist("product")[:MAXIMUM_CHOSEN]
    ids = [pk for pk in map(parse_id, chosen) if pk is not None]
    if ids:
        product_admin = admin.site.get_model_admin(Product)
        products = product_admin.get_queryset(request).filter(pk__in=ids)
        answer: HttpResponseBase | None = action.run(product_admin, request, products)
        if answer is not None:
            return answer
        cache.delete(CACHE_KEY)
        if action.button.undo:
            request.session[UNDO] = {"action": action.button.undo, "products": ids}
    else:
        messages.error(request, "No product is chosen: mark some by the box in the corner of each picture.")
    return redirect(f"{reverse('product-list')}{keep_list_query(QueryDict(request.POST.get('query', '')))}")


@require_safe
def thumbnail(request: HttpRequest, sha256: str) -> HttpResponse | FileResponse:
    """Answer with our re-encoded copy of a picture. Its name is its content, so it may be kept for ever."""
    return _answer_picture(request, sha256, read=partial(read_thumbnail, sha256))


@require_safe
def full_size(request: HttpRequest, sha256: str) -> HttpResponse | FileResponse:
    """Answer with a copy of a picture in full size, made now; its name is its content, as the thumbnail's.

    Whoever asks for many is told to wait.
    """
    held = StoredPicture.objects.filter(sha256=sha256, url=F("image__url")).select_related("image").first()
    if held is None:
        raise Http404
    if refusal := find_refusal(request, scope="pictures"):
        return refusal
    return _answer_picture(request, sha256, read=partial(build_full_size, held.image), policy=PICTURE_POLICY)


def _answer_picture(
    request: HttpRequest, sha256: str, *, read: Callable[[], bytes], policy: str = FILE_POLICY
) -> HttpResponse | FileResponse:
    """Answer with the JPEG that `read` gives, which may be kept for ever, or say why there is none."""
    try:
        content = read()
    except PictureError as error:
        raise Http404 from error
    except StorageError:
        return answer_problem(request, 503, "The storage of pictures does not answer at the moment.", retry_after=30)
    headers = PICTURE_HEADERS | {"Content-Security-Policy": policy}
    return FileResponse(BytesIO(content), filename=f"{sha256}.jpg", headers=headers)
