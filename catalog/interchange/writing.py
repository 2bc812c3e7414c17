"""The catalogue as files that our reader reads back: JSON Lines, exactly, and CSV for spreadsheets."""

import csv
import io
import json
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from catalog.interchange.cells import defuse_cell, join_images
from catalog.interchange.columns import CSV_COLUMNS, LABEL_COLUMNS, LABEL_FIELD, LABEL_PREFIX, REFUSED_FIELD
from catalog.interchange.legacy import describe_record, refuse_longest, split_product
from catalog.interchange.stored import StoredProduct
from catalog.interchange.text_source import MAX_LINE_CHARACTERS
from catalog.models import Image
from catalog.values import MAX_TEXT_CHARACTERS

LabelValue = str | float | None

#: Products of which an export says what was left out; all are counted.
KEPT_REASONS: Final = 20
#: Of one product.
SHOWN_REASONS: Final = 5
TOO_LONG: Final = f"expected less than {MAX_LINE_CHARACTERS:,} characters in a row, received more"
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

    `refused` counts the products of which an import would refuse something, `reasons` says of the first of them what,
    and `images_left_out` counts those whose images no CSV cell can hold. Of pictures, `products` counts those that
    have one, `missing` those of them whose bytes we do not hold, and `files` the different pictures that were written.
    """

    products: int = 0
    refused: int = 0
    reasons: list[str] = field(default_factory=list)
    images_left_out: int = 0
    files: int = 0
    missing: int = 0

    def refuse(self, product_id: int, reasons: Sequence[str]) -> None:
        """Count a product of which something is left out."""
        self.refused += 1
        if self.refused <= KEPT_REASONS:
            self.reasons.append(_summarise(product_id, reasons))


def format_time(value: datetime | None) -> str | None:
    """Return the time as the API writes it, in UTC, or None."""
    return None if value is None else value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _summarise(product_id: int, reasons: Sequence[str]) -> str:
    more = f"; and {len(reasons) - SHOWN_REASONS:,} more" if len(reasons) > SHOWN_REASONS else ""
    return f"product {product_id}: {'; '.join(reasons[:SHOWN_REASONS])}{more}"


def encode_json_lines(batches: Iterable[list[ExportedProduct]], *, report: ExportReport) -> Generator[bytes]:
    """Yield one chunk of UTF-8 lines for each batch; importing them again changes nothing.

    What an import would refuse of a product stands in a line of its own behind it, with the reasons.
    """
    for batch in batches:
        report.products += len(batch)
        yield "".join(line for exported in batch for line in _build_json_lines(exported, report=report)).encode()


def _build_json_lines(exported: ExportedProduct, *, report: ExportReport) -> Iterator[str]:
    """Yield the product's line; parts are refused, the longest first, until a reader takes it."""
    parts = split_product(exported.product)
    while record := parts.record:
        line = json.dumps(describe_record(record) | {LABEL_FIELD: dict(exported.label)}, ensure_ascii=False) + "\n"
        if len(line) < MAX_LINE_CHARACTERS:
            yield line
            break
        parts = refuse_longest(parts, record, reason=TOO_LONG)
    if parts.reasons:
        report.refuse(exported.product.id, parts.reasons)
        yield json.dumps({REFUSED_FIELD: parts.refused, "reasons": parts.reasons}, ensure_ascii=False) + "\n"


def encode_csv(batches: Iterable[list[ExportedProduct]], *, report: ExportReport) -> Generator[bytes]:
    """Yield the header, then one chunk for each batch: a row for each product and country, cells defused.

    A product without descriptions has one row. The byte-order mark tells spreadsheets that it is UTF-8. The last column
    says what of the product is left out because an import would refuse it; JSON Lines have that as well.
    """
    yield _BYTE_ORDER_MARK + _write_rows([[*CSV_COLUMNS, *LABEL_COLUMNS, REFUSED_FIELD]])
    for batch in batches:
        report.products += len(batch)
        yield _write_rows(row for exported in batch for row in _build_rows(exported, report=report))


def _build_rows(exported: ExportedProduct, *, report: ExportReport) -> Iterator[list[str]]:
    product, label = exported.product, exported.label
    parts = split_product(product)
    reasons, record = list(parts.reasons), parts.record
    images = join_images(record.images or ()) if record else ""
    if images is None or len(images) > MAX_TEXT_CHARACTERS:
        # Left empty, the cell says nothing of the images, and an import leaves them as they are.
        report.images_left_out += 1
        reasons.append("images: expected names that can be told apart in a cell, and so many that it holds them")
        images = ""
    if parts.reasons:
        report.refuse(product.id, parts.reasons)
    tail = [_build_cell(label[column.removeprefix(LABEL_PREFIX)]) for column in LABEL_COLUMNS]
    tail.append(_summarise(product.id, reasons) if reasons else "")
    head = [str(record.id), defuse_cell(record.title), defuse_cell(images)] if record else ["", "", ""]
    if not record or not record.descriptions:
        yield [*head, "", "", "", *tail]
        return
    for country, texts in record.descriptions.items():
        yield [*head, country, *map(_build_cell, texts), *tail]


def _build_cell(value: LabelValue) -> str:
    return "" if value is None else defuse_cell(str(value))


def _write_rows(rows: Iterable[list[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
