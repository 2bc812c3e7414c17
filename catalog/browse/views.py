"""The catalogue's pages."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from io import BytesIO
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from django.db.models import F
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.utils.http import urlencode
from django.views.decorators.http import require_safe
from rest_framework.exceptions import ValidationError

from catalog.browse.filters import ProductListQuery, keep_list_query
from catalog.browse.listing import find_product_page, list_labelling_versions
from catalog.labels import Status, get_label_summary
from catalog.models import ProductLabel, StoredPicture
from catalog.pictures.decoding import PictureError
from catalog.pictures.storage import StorageError, build_full_size, read_thumbnail, thumbnail_name
from classifier.ml.labels import GARMENTS_OF_GROUPS, GROUPS
from config.db.paging import InvalidCursorError
from config.web.problems import answer_problem, find_refusal
from config.web.queries import check_parameters, pick_parameters
from config.web.security import FILE_POLICY, PICTURE_POLICY

# Divides by two, three, four and six columns, so that only the last page ends in a gap.
PRODUCTS_PER_PAGE = 24
# Suffix and name of what the list can be exported as.
EXPORTS = (("csv", "CSV"), ("jsonl", "JSON Lines"), ("zip", "pictures"))

CONFIDENCES = (0.5, 0.7, 0.8, 0.9, 0.95, 0.99)
ONE_YEAR_SECONDS = 31_536_000
# Of pictures, whose names are their content.
PICTURE_HEADERS = {
    "Cache-Control": f"public, max-age={ONE_YEAR_SECONDS}, immutable",
    "X-Content-Type-Options": "nosniff",
}


class Control(NamedTuple):
    """A filter of the form; its `options` are (value, words, whether it is chosen), `nothing` the words of none."""

    title: str
    name: str
    options: list[tuple[str, str, bool]]
    nothing: str = "Any"

    @property
    def chosen(self) -> str:
        """The chosen options in words."""
        return ", ".join(words for _, words, is_chosen in self.options if is_chosen) or self.nothing


@require_safe
def product_list(request: HttpRequest) -> HttpResponse:
    """Answer with a grid of products, newest first; filters and page are in the address."""
    parameters, filters = pick_parameters(ProductListQuery, request.GET)
    context: dict[str, Any] = {
        "filters": filters,
        "groups": GROUPS,
        "choices": build_choices(filters),
        "selects": build_selects(parameters),
        "folded": len(filters.keys() - {"group", "search"}),
    }
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
    # In an order of the reader's own the products beside are neither newer nor older.
    previous_name, next_name = ("Previous", "Next") if filters.get("ordering") else ("Newer", "Older")
    products = [(product, get_label_summary(product)) for product in page.rows]
    context |= {
        "exports": EXPORTS,
        "export_query": urlencode(filters, doseq=True),
        "page": page,
        "back": keep_list_query(parameters),
        "previous_name": previous_name,
        "next_name": next_name,
        "products": products,
        "nothing_labelled": all(label.status in (Status.PENDING, Status.NO_IMAGE) for _, label in products),
    }
    return render(request, "catalog/product_list.html", context)


def build_choices(filters: Mapping[str, Any]) -> list[Control]:
    """Return the filters of which several values may be chosen: garments, of the chosen groups if there are some."""
    names = [name for group, names in GARMENTS_OF_GROUPS if group in filters.get("group", GROUPS) for name in names]
    garments = list(dict.fromkeys([*names, *filters.get("garment", ())]))
    return [
        Control("Garment", "garment", [(name, name, name in filters.get("garment", ())) for name in garments]),
        Control(
            "Status", "status", [(value, words, value in filters.get("status", ())) for value, words in Status.choices]
        ),
    ]


def build_selects(parameters: QueryDict) -> list[Control]:
    """Return the filters of which one value may be chosen, and the order."""
    version = parameters.get("model_version", "")
    versions = dict.fromkeys([*list_labelling_versions(), *filter(None, [version])])
    orders = (("id", "Oldest first"), ("confidence", "Least sure first"), ("-confidence", "Most sure first"))
    source, ordering = parameters.get("source"), parameters.get("ordering")
    return [
        Control("Confidence", "min_confidence", list_confidences(parameters, "min_confidence", words="{} and more")),
        Control(
            "Confidence below", "confidence_below", list_confidences(parameters, "confidence_below", words="Below {}")
        ),
        Control("Garment is", "garment_unsure", [("true", "Not sure", parameters.get("garment_unsure") == "true")]),
        Control(
            "Label from", "source", [(value, f"A {value}", value == source) for value in ProductLabel.Source.values]
        ),
        Control("Model version", "model_version", [(name, name, name == version) for name in versions]),
        Control("Order", "ordering", [(value, words, value == ordering) for value, words in orders], "Newest first"),
    ]


def list_confidences(parameters: QueryDict, name: str, *, words: str) -> list[tuple[str, str, bool]]:
    """Return the confidences to choose from, the address's among them; `words` say what is kept."""
    value = -1.0
    with suppress(ValueError):
        value = float(parameters.get(name, ""))
    values = sorted({*CONFIDENCES, value} if 0 <= value <= 1 else CONFIDENCES)
    return [(f"{known:g}", words.format(f"{100 * known:g} %"), known == value) for known in values]


@require_safe
def thumbnail(request: HttpRequest, sha256: str, extension: str) -> HttpResponse | FileResponse:
    """Answer with our re-encoded copy of a picture. Its name is its content, so it may be kept for ever."""
    if PurePosixPath(thumbnail_name(sha256)).suffix != f".{extension}":
        raise Http404
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
