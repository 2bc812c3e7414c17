"""Exports of the products that a query asks for, as one stream of bytes for page, API, admin and command."""

from collections.abc import Generator, Mapping
from typing import Any, Final, cast

from django.db.models import QuerySet
from django.utils import timezone
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from catalog.browse.listing import get_product_ordering, list_labelled_products
from catalog.browse.query import COUNTRY_PATTERN, ProductListQuery
from catalog.interchange.batches import list_exported_pictures, list_exported_products
from catalog.interchange.picture_files import encode_zip
from catalog.interchange.writing import ExportReport, encode_csv, encode_json_lines
from catalog.models import Product
from config.db.paging import KeysetOrdering

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

    def get_country(self) -> str:
        """Return the one country whose texts are asked for, or an empty string."""
        country: str = self.validated_data.get("country", "")
        return country


def describe_refusals(error: ValidationError) -> dict[str, str]:
    """Return why `check_parameters` refused a query, by the name of the parameter."""
    messages = cast(Mapping[str, list[str]], error.detail)
    return {name: " ".join(map(str, texts)) for name, texts in messages.items()}


def encode_export(query: ProductExportQuery, *, suffix: str, report: ExportReport) -> Generator[bytes]:
    """Return the parts of the file with this suffix: `csv`, `jsonl`, or the `zip` of pictures. `query` is valid."""
    products, ordering = query.find_products()
    return encode_products(products, ordering=ordering, country=query.get_country(), suffix=suffix, report=report)


def encode_products(
    products: QuerySet[Product], *, ordering: KeysetOrdering, suffix: str, report: ExportReport, country: str = ""
) -> Generator[bytes]:
    """Return the parts of a file of these products, which are read while it is sent."""
    if suffix == "zip":
        pictures = list_exported_pictures(products, ordering=ordering)
        return encode_zip(pictures, report=report, modified=timezone.now())
    encode: Any = {"csv": encode_csv, "jsonl": encode_json_lines}[suffix]
    parts: Generator[bytes] = encode(
        list_exported_products(products, ordering=ordering, country=country), report=report
    )
    return parts
