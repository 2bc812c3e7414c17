"""Exports of the products that a query asks for, as one stream of bytes for page, API, admin and command."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any, Final, cast

from django.db.models import QuerySet
from django.utils import timezone
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from catalog.browse.filters import COUNTRY_PATTERN, PRODUCT_ORDERINGS, ProductListQuery
from catalog.browse.listing import get_product_ordering, list_labelled_products
from catalog.interchange.columns import LABEL_NAMES
from catalog.interchange.picture_files import encode_zip
from catalog.interchange.stored import find_stored_products
from catalog.interchange.writing import (
    ExportedPicture,
    ExportedProduct,
    ExportReport,
    LabelValue,
    encode_csv,
    encode_json_lines,
    format_time,
)
from catalog.labels import LabelSummary, get_label_summary
from catalog.models import Product, ProductImages
from catalog.values import clean_country
from config.db.paging import KeysetOrdering
from config.db.statements import allow_long_statements

#: The suffix of an export's file -> its media type.
MEDIA_TYPES: Final = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson", "zip": "application/zip"}


class ProductExportQuery(ProductListQuery):
    """The filters and the order of a list of products. An export has no pages."""

    page_size = None  # type: ignore[assignment]  # takes the inherited field away
    cursor = None  # type: ignore[assignment]
    country = serializers.RegexField(
        COUNTRY_PATTERN,
        required=False,
        help_text="Only the description of this country; case does not matter. Default every country.",
    )

    def find_products(self) -> tuple[QuerySet[Product], KeysetOrdering]:
        """Return the products that a valid query asks for, and their order."""
        criteria = self.get_criteria()
        return list_labelled_products(criteria), get_product_ordering(criteria)


def describe_refusals(error: ValidationError) -> dict[str, str]:
    """Return why `check_parameters` refused a query, by the name of the parameter."""
    messages = cast(Mapping[str, list[str]], error.detail)
    return {name: " ".join(map(str, texts)) for name, texts in messages.items()}


def encode_export(query: ProductExportQuery, *, suffix: str, report: ExportReport) -> Generator[bytes]:
    """Return the parts of the file with this suffix: `csv`, `jsonl`, or the `zip` of pictures. `query` is valid."""
    products, ordering = query.find_products()
    country = query.validated_data.get("country", "")
    return encode_products(products, ordering=ordering, country=country, suffix=suffix, report=report)


def encode_products(
    products: QuerySet[Product], *, ordering: KeysetOrdering, suffix: str, report: ExportReport, country: str = ""
) -> Generator[bytes]:
    """Return the parts of a file of these products, which are read while it is sent."""
    if suffix == "zip":
        pictures = list_exported_pictures(products, ordering=ordering)
        return encode_zip(pictures, report=report, modified=timezone.now())
    encode: Any = {"csv": encode_csv, "jsonl": encode_json_lines}[suffix]
    return encode(list_exported_products(products, ordering=ordering, country=country), report=report)


#: Products in a batch; its five queries take 75 ms of a catalogue of a million, and 50 ms go into making it a file.
BATCH_SIZE: Final = 1_000


def list_exported_products(
    products: QuerySet[Product], *, ordering: KeysetOrdering = PRODUCT_ORDERINGS["id"], country: str = ""
) -> Iterator[list[ExportedProduct]]:
    """Yield the products of the queryset in batches, with every image and text, or only the text of one country.

    Five short queries for each batch and none that lasts, so a reader may take all the time it wants. What is written
    meanwhile may be in the export or not.
    """
    for ids in _list_ids(products, ordering=ordering):
        stored = find_stored_products(ids)
        labels = _find_labels(ids)
        if country:
            wanted = clean_country(country)
            for product in stored.values():
                texts = product.descriptions.items()
                product.descriptions = {code: text for code, text in texts if code == wanted}
                product.repeated = []
        # What was deleted since the ids were read is left out.
        yield [
            ExportedProduct(product=stored[product_id], label=labels[product_id])
            for product_id in ids
            if product_id in stored and product_id in labels
        ]


def list_exported_pictures(
    products: QuerySet[Product], *, ordering: KeysetOrdering = PRODUCT_ORDERINGS["id"]
) -> Iterator[list[ExportedPicture]]:
    """Yield the image with index 0 of each product of the queryset that has one, in batches, three queries for each."""
    for ids in _list_ids(products, ordering=ordering):
        places = ProductImages.objects.filter(product__in=ids, image_index=0).select_related("image__stored_picture")
        images = {place.product_id: place.image for place in places}
        labels = _find_labels(ids)
        yield [
            ExportedPicture(product_id=product_id, image=images[product_id], label=labels[product_id])
            for product_id in ids
            if product_id in images and product_id in labels
        ]


def _list_ids(products: QuerySet[Product], *, ordering: KeysetOrdering) -> Iterator[list[int]]:
    """Yield the ids of the products in the order, batch by batch, each by a query that starts behind the last one."""
    rows = products.order_by(*ordering.order_by(reverse=False)).values_list(*ordering.fields)
    beyond: Sequence[Any] | None = None
    while True:
        page = rows if beyond is None else rows.filter(ordering.beyond(list(beyond), reverse=False))
        # Filters that few products meet may read the whole table for a batch.
        with allow_long_statements():
            batch = list(page[:BATCH_SIZE])
        if batch:
            yield [row[-1] for row in batch]
        if len(batch) < BATCH_SIZE:
            return
        beyond = batch[-1]


def _find_labels(product_ids: Sequence[int]) -> dict[int, Mapping[str, LabelValue]]:
    products = Product.objects.filter(pk__in=product_ids).select_related("label__model_version")
    return {product.pk: _describe(get_label_summary(product)) for product in products}


def _describe(label: LabelSummary) -> Mapping[str, LabelValue]:
    values = {name: getattr(label, name) for name in LABEL_NAMES}
    return values | {"labelled_at": format_time(label.labelled_at)}
