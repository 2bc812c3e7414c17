"""The catalogue's pages."""

from pathlib import PurePosixPath

from django.core.files.storage import default_storage
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.utils.http import urlencode
from django.views.decorators.http import require_safe
from rest_framework.exceptions import ValidationError

from catalog.api.query import ProductListQuery, check_parameters
from catalog.models import Product
from catalog.paging import InvalidCursorError, get_page
from catalog.pictures import thumbnail_name
from classifier.listing import PRODUCT_ORDERINGS, get_label_summary, get_product_detail, list_labelled_products
from classifier.ml.labels import GROUPS
from classifier.models import ProductLabel
from config.security import FILE_POLICY

# Divides by two, three, four and six columns, so that only the last page ends in a gap.
PRODUCTS_PER_PAGE = 24
# Suffix and name of what the list can be exported as.
EXPORTS = (("csv", "CSV"), ("jsonl", "JSON Lines"), ("zip", "pictures"))
UNSEEN_STATUSES = (ProductLabel.Status.PENDING, ProductLabel.Status.NO_IMAGE)
ONE_YEAR_SECONDS = 31_536_000


@require_safe
def product_list(request: HttpRequest) -> HttpResponse:
    """Answer with a grid of products, newest first; filters and page are in the address."""
    # A page is reached by links that others made; what they added to the address is no reason to refuse it.
    parameters = QueryDict(mutable=True)
    parameters.update({name: request.GET[name] for name in request.GET if name in ProductListQuery().fields})
    filters = {name: str(value) for name, value in parameters.items() if value and name not in ("cursor", "page_size")}
    context = {
        "parameters": parameters,
        "filters": filters,
        "controls": ("search", "status", "ordering"),
        "groups": GROUPS,
        "statuses": [(value, label.capitalize()) for value, label in ProductLabel.Status.choices],
        "orderings": [
            ("id", "Oldest first"),
            ("confidence", "Least sure first"),
            ("-confidence", "Most sure first"),
        ],
    }
    try:
        query = check_parameters(ProductListQuery, parameters)
    except ValidationError as error:
        return render(request, "catalog/product_list.html", context | {"errors": error.detail}, status=400)
    criteria = query.get_criteria(ordering="-id")
    try:
        page = get_page(
            list_labelled_products(criteria),
            ordering=PRODUCT_ORDERINGS[criteria.ordering],
            page_size=query.get_page_size(default=PRODUCTS_PER_PAGE),
            cursor=query.get_cursor(),
        )
    except InvalidCursorError as error:
        raise Http404 from error
    products = [(product, get_label_summary(product)) for product in page.rows]
    context |= {
        "exports": EXPORTS,
        "export_query": urlencode(filters),
        "page": page,
        "products": products,
        "nothing_labelled": all(label.status in UNSEEN_STATUSES for _, label in products),
    }
    return render(request, "catalog/product_list.html", context)


@require_safe
def product_detail(request: HttpRequest, product_id: int) -> HttpResponse:
    """Answer with a product: every picture with its label and probabilities, every description."""
    try:
        detail = get_product_detail(product_id)
    except Product.DoesNotExist as error:
        raise Http404 from error
    return render(request, "catalog/product_detail.html", {"detail": detail, "product": detail.product})


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
