"""Products of a CSV file: our own form, spreadsheets' variants of it, and Shopify's."""

import csv
import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from catalog.interchange.cells import restore_cell, split_images
from catalog.interchange.columns import CSV_COLUMNS, Header
from catalog.interchange.records import (
    Description,
    ProductRecord,
    RowError,
    add_description,
    build_record,
)
from catalog.interchange.text_source import Lines, SourceError, expect_bounded
from catalog.values import MAX_IMAGES, MAX_TEXT_CHARACTERS, RecordError, clean_image_url, shorten
from config.web.texts import extract_text

# How far the end of a quotation is looked for that makes a row unreadable.
_MAX_QUOTED_CHARACTERS: Final = 4_194_304
# So many rows in a row, from the first one on, whose ids are none: the column is of something else.
_ROWS_WITHOUT_ID: Final = 20
_CSV_ID: Final = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
# Shopify's product may have 2,048 variants, each with a row.
_MAX_SHOPIFY_ROWS: Final = 10_000


@dataclass(frozen=True, slots=True)
class _Row:
    """One row, the cells of our columns stripped, or why it cannot be read; `text` is the row as it is in the file."""

    line: int
    text: str
    cells: Mapping[str, str]
    error: str = ""

    @property
    def source(self) -> tuple[int, str]:
        return self.line, self.text


def read_products(lines: Lines, *, header: Header, country: str) -> Iterator[ProductRecord | RowError]:
    """Yield the products; `country` is that of texts in a file that names none."""
    rows = _read_rows(lines, header=header)
    # Rows of one product stand together.
    if header.is_shopify:
        for _, group in itertools.groupby(rows, key=_HandleKey()):
            yield _build_from_shopify(group, country=country)
        return
    usual = "" if "country_code" in header.columns else country
    for _, group in itertools.groupby(rows, key=_ProductKey()):
        yield from _build_from_rows(group, country=usual)


# --- rows -----------------------------------------------------------------------------------------------------------


def _read_rows(lines: Lines, *, header: Header) -> Iterator[_Row]:
    names = (*CSV_COLUMNS, *filter(None, header.columns))
    # One more than a text may have: the apostrophe of a defused one. (The limit holds for the whole process.)
    csv.field_size_limit(MAX_TEXT_CHARACTERS + 1)
    rows_without_id: int | None = 0
    for line, text, values, error in _split_rows(lines, header=header):
        if header.repeats(values):
            continue
        if error:
            yield _Row(line, text, {}, error)
            continue
        cells = dict.fromkeys(names, "")
        for column, value in zip(header.columns, values, strict=True):
            cell = value.strip()
            if column == "image_urls" and cells[column]:
                cells[column] += f" | {restore_cell(cell)}"
            elif column:
                cells[column] = restore_cell(cell)
            elif column is None and cell:
                error = f"expected nothing in a column without a name, received {shorten(cell)}"
        try:
            # As it is compared with that of another row, and split.
            cells["image_urls"] = " | ".join(split_images(cells["image_urls"]))
        except RecordError as refusal:
            error = str(refusal)
        if rows_without_id is not None:
            rows_without_id = rows_without_id + 1 if cells["id"] and not _CSV_ID.fullmatch(cells["id"]) else None
            if rows_without_id == _ROWS_WITHOUT_ID:
                raise SourceError(
                    f"expected whole numbers as id, received {shorten(cells['id'])} and others; give that column "
                    "another name, such as sku, and products are known by their title and images"
                )
        # An export of what an import would refuse has rows with nothing for us.
        if error or any(cells.values()):
            yield _Row(line, text, cells, error)


def _split_rows(lines: Lines, *, header: Header) -> Iterator[tuple[int, str, list[str], str]]:
    """Yield (line, text, cells, why it cannot be read) of every row that is not blank.

    No line within quotes is a row: a row that cannot be read ends where its quotes do. One whose quotes never end costs
    its first line only.
    """
    width = len(header.columns)
    while True:
        start = lines.number + 1
        taken, cells, error = _take_row(lines, header.separator)
        if not taken:
            return
        text = taken[0] if len(taken) == 1 else "".join(taken)
        if '\\"' in text and (longer := _take_escaped(lines, taken, header=header, is_broken=bool(error))):
            taken, error = longer, "expected a quote within quotes to be doubled, received one behind a backslash"
        elif error:
            taken = _find_end(lines, taken, start=start)
        while len(cells) > width and not cells[-1].strip():
            cells.pop()
        is_blank = not error and not any(map(str.strip, cells))
        if not is_blank and not error and len(cells) != width:
            error = f"expected {width} cells, received {len(cells)}"
        if len(taken) > 1 and error:
            error += f"; the row ends in line {start + len(taken) - 1}"
        if not is_blank:
            yield start, "".join(taken) if error else text, cells, error


def _take_row(lines: Lines, separator: str, *, escape: str | None = None) -> tuple[list[str], list[str], str]:
    """Return the lines that were taken, the cells that they give, and why they give none."""
    taken: list[str] = []

    def take() -> Iterator[str]:
        characters = 0
        for line in lines:
            taken.append(line)
            characters += len(line)
            expect_bounded(characters)
            yield line

    try:
        # A reader of its own for each row costs no more than a shared one and cannot be left half-way in a row.
        return taken, next(csv.reader(take(), delimiter=separator, escapechar=escape, strict=True)), ""
    except StopIteration:
        return taken, [], ""
    except (csv.Error, RecordError) as error:
        return taken, [], f"expected a CSV row, received one that cannot be read: {error}"


def _take_escaped(lines: Lines, taken: list[str], *, header: Header, is_broken: bool) -> list[str] | None:
    """Return the lines of the row as PHP means it, which puts a backslash before a quote; None if it means no other."""
    lines.hand_back(taken)
    longer, cells, error = _take_row(lines, header.separator, escape="\\")
    if not error and len(cells) == len(header.columns) and (is_broken or len(longer) > len(taken)):
        return longer
    lines.hand_back(longer)
    for _ in taken:
        next(lines)
    return None


def _find_end(lines: Lines, taken: list[str], *, start: int) -> list[str]:
    """Return the lines of a row that cannot be read, up to where its quotes are closed, and hand the others back."""
    is_open, characters = False, 0
    for index in itertools.count():
        if index == len(taken):
            if (line := next(lines, None)) is None:
                lines.hand_back(taken[1:])
                return taken[:1]
            taken.append(line)
        characters += len(taken[index])
        is_open ^= (taken[index].count('"') - taken[index].count('\\"')) % 2 == 1
        if not is_open:
            break
        if characters > _MAX_QUOTED_CHARACTERS:
            raise SourceError(
                f"expected the quotes in line {start} to be closed within {_MAX_QUOTED_CHARACTERS:,} characters, "
                "received none that are"
            )
    lines.hand_back(taken[index + 1 :])
    return taken[: index + 1]


# --- products -------------------------------------------------------------------------------------------------------


class _ProductKey:
    """Numbers the products of consecutive rows: a new number where the next product starts.

    A row that cannot be read is a product of its own: nobody knows whose it was.
    """

    def __init__(self) -> None:
        self._identity: object = None
        self._number = 0

    def __call__(self, row: _Row) -> int:
        content = row.cells.get("title"), row.cells.get("image_urls")
        identity = row.cells["id"] or content if row.cells else row
        if identity != self._identity:
            self._number += 1
            self._identity = identity
        return self._number


class _HandleKey:
    """The handle of a row; one that cannot be read may be of the product before it, which must not lose its images."""

    def __init__(self) -> None:
        self._handle = ""

    def __call__(self, row: _Row) -> str:
        if row.cells:
            self._handle = row.cells["handle"]
        return self._handle


def _build_from_rows(rows: Iterator[_Row], *, country: str) -> Iterator[ProductRecord | RowError]:
    """Yield the product that its rows give together, after a `RowError` for each that is refused.

    Title and images are those of the first row that is not refused; where none is left there is no product.
    """
    record: ProductRecord | None = None
    first: _Row | None = None
    descriptions: dict[str, Description] = {}
    source: list[tuple[int, str]] = []
    for row in rows:
        try:
            if row.error:
                raise RecordError(row.error)
            if first:
                _expect_same_product(row.cells, first=first.cells)
            _add_row_description(descriptions, row.cells, country=country)
            if record is None:
                record = build_record(
                    line=row.line,
                    id=_parse_id(row.cells["id"]),
                    title=row.cells["title"],
                    images=_list_images(row.cells) or None,
                    descriptions=descriptions,
                    source=source,
                )
                first = row
            source.append(row.source)
        except RecordError as error:
            if record is None:
                descriptions.clear()
            # Alone, a row may not say whose it is.
            yield RowError(row.line, str(error), source=[*([first.source] if first else []), row.source])
    if record is not None:
        yield record


def _build_from_shopify(rows: Iterator[_Row], *, country: str) -> ProductRecord | RowError:
    """Return the product of one handle: title and text of its first row, and the images of all by their position."""
    taken = list(itertools.islice(rows, _MAX_SHOPIFY_ROWS))
    source = [row.source for row in taken]
    line = taken[0].line
    try:
        placed: list[tuple[int, str]] = []
        for row in taken:
            line = row.line
            if row.error:
                raise RecordError(row.error)
            position = row.cells.get("image_position", "")
            place = int(position) if position.isdecimal() and len(position) < 6 else MAX_IMAGES
            # Judged here, so that the line is that of the row.
            placed += [(place, clean_image_url(url)) for url in _list_images(row.cells)]
        first = taken[0].cells
        line = taken[0].line
        if not first["handle"]:
            raise RecordError("expected a handle, received none")
        descriptions: dict[str, Description] = {}
        if text := extract_text(first["original_text"]):
            add_description(descriptions, country, text, None)
        images = list(dict.fromkeys(url for _, url in sorted(placed, key=lambda pair: pair[0])))
        return build_record(
            line=line,
            id=None,
            title=first["title"],
            images=images or None,
            descriptions=descriptions,
            source=source,
        )
    except RecordError as error:
        return RowError(line, str(error), source=source)


def _list_images(cells: Mapping[str, str]) -> list[str]:
    return cells["image_urls"].split(" | ") if cells["image_urls"] else []


def _expect_same_product(cells: Mapping[str, str], *, first: Mapping[str, str]) -> None:
    for column in ("title", "image_urls"):
        if cells[column] not in {"", first[column]}:
            raise RecordError(
                f"expected the {column} {shorten(first[column])} of the product's first row, "
                f"received {shorten(cells[column])}"
            )


def _add_row_description(descriptions: dict[str, Description], cells: Mapping[str, str], *, country: str) -> None:
    texts = cells["original_text"], cells["translated_text"]
    if cells["country_code"] or (country and any(texts)):
        add_description(descriptions, cells["country_code"] or country, *texts)
    elif any(texts):
        raise RecordError("expected a country code beside a text, received none")


def _parse_id(cell: str) -> int | None:
    if not cell:
        return None
    if not _CSV_ID.fullmatch(cell):
        raise RecordError(f"expected a whole number as id, received {shorten(cell)}")
    return int(cell)
