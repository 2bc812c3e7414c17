"""The catalogue as files that our reader reads back: JSON Lines, exactly, and CSV for spreadsheets."""

import csv
import io
import json
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from catalog.interchange.cells import defuse_cell, join_images
from catalog.interchange.columns import CSV_COLUMNS, LABEL_COLUMNS, LABEL_PREFIX
from catalog.interchange.stored import StoredProduct
from catalog.models import Image
from catalog.values import MAX_TEXT_CHARACTERS

LabelValue = str | float | None

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class ExportedProduct:
    """A product as the database holds it, and its current label by the names of the API's `label`."""

    product: StoredProduct
    label: Mapping[str, LabelValue]


@dataclass(frozen=True, slots=True)
class ExportedPicture:
    """The image with index 0 of a product, its stored picture loaded if there is one, and the product's label."""

    product_id: int
    image: Image
    label: Mapping[str, LabelValue]


@dataclass(slots=True)
class ExportReport:
    """What was exported so far.

    `images_left_out` counts the products whose images no CSV cell can hold. Of pictures, `products` counts those that
    have one, `missing` those of them whose bytes we do not hold, and `files` the different pictures that were written.
    """

    products: int = 0
    images_left_out: int = 0
    files: int = 0
    missing: int = 0


def format_time(value: datetime | None) -> str | None:
    """Return the time as the API writes it, in UTC, or None."""
    return None if value is None else value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def encode_json_lines(batches: Iterable[list[ExportedProduct]], *, report: ExportReport) -> Generator[bytes]:
    """Yield one chunk of UTF-8 lines for each batch; importing them again changes nothing."""
    for batch in batches:
        report.products += len(batch)
        yield "".join(_build_json_line(exported) for exported in batch).encode()


def _build_json_line(exported: ExportedProduct) -> str:
    product = exported.product
    document = {
        "id": product.id,
        "title": product.title,
        "images": product.images,
        "descriptions": [
            {
                "country_code": country,
                "original_text": description.original_text,
                "translated_text": description.translated_text,
            }
            for country, description in product.descriptions.items()
        ],
        "label": dict(exported.label),
    }
    return json.dumps(document, ensure_ascii=False) + "\n"


def encode_csv(batches: Iterable[list[ExportedProduct]], *, report: ExportReport) -> Generator[bytes]:
    """Yield the header, then one chunk for each batch: a row for each product and country, cells defused.

    A product without descriptions has one row. The byte-order mark tells spreadsheets that it is UTF-8.
    """
    yield _BYTE_ORDER_MARK + _write_rows([[*CSV_COLUMNS, *LABEL_COLUMNS]])
    for batch in batches:
        report.products += len(batch)
        yield _write_rows(row for exported in batch for row in _build_rows(exported, report=report))


def _build_rows(exported: ExportedProduct, *, report: ExportReport) -> Iterator[list[str]]:
    product, label = exported.product, exported.label
    images = join_images(product.images)
    if images is None or len(images) > MAX_TEXT_CHARACTERS:
        # Names that no separator parts, or more than a reader takes as one cell. Left empty, the cell says nothing of
        # the images, and an import leaves them as they are.
        report.images_left_out += 1
        images = ""
    head = [str(product.id), defuse_cell(product.title), defuse_cell(images)]
    tail = [_build_cell(label[column.removeprefix(LABEL_PREFIX)]) for column in LABEL_COLUMNS]
    if not product.descriptions:
        yield [*head, "", "", "", *tail]
    for country, description in product.descriptions.items():
        texts = (country, description.original_text, description.translated_text)
        yield [*head, *map(_build_cell, texts), *tail]


def _build_cell(value: LabelValue) -> str:
    return "" if value is None else defuse_cell(str(value))


def _write_rows(rows: Iterable[list[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
