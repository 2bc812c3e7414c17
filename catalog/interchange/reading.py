"""Catalogue files read as a stream: JSON Lines or CSV, one record at a time, a bad row never ending the file."""

import csv
import io
import itertools
import json
import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any, Final

from catalog.interchange.records import Description, ProductRecord, build_record, clean_description
from catalog.values import MAX_TEXT_CHARACTERS, RecordError, clean_country, shorten

FORMATS: Final = ("jsonl", "csv")
CSV_COLUMNS: Final = ("id", "title", "image_urls", "country_code", "original_text", "translated_text")
#: What an export adds for its readers: the label of the product. An import reads past it.
LABEL_FIELD: Final = "label"
LABEL_PREFIX: Final = "label_"
LABEL_COLUMNS: Final = tuple(
    LABEL_PREFIX + name
    for name in ("group", "garment", "confidence", "status", "source", "reason", "model_version", "labelled_at")
)
#: What an export says of values that an import would refuse, in a line or a cell of its own; read past as well.
REFUSED_FIELD: Final = "refused"
#: A longer line is refused without being read into memory.
MAX_LINE_CHARACTERS: Final = 1_048_576

_FOREIGN_STARTS: Final = {
    b"\x1f\x8b": "a gzip file; unpack it first",
    b"PK\x03\x04": "a zip file; unpack it first",
    b"\xff\xfe": "UTF-16 text; save it as UTF-8",
    b"\xfe\xff": "UTF-16 text; save it as UTF-8",
}
_REFUSED_LINE: Final = re.compile(r'\s*\{\s*"refused"\s*:')
_FIELDS: Final = {"id", "title", "images", "descriptions", LABEL_FIELD}
_DESCRIPTION_FIELDS: Final = {"country_code", "original_text", "translated_text"}
_CSV_ID: Final = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
# What a spreadsheet takes for the start of a formula, behind any number of apostrophes; the last four are the forms of
# double width of the first four.
_FORMULA: Final = re.compile("'*[=+\\-@\t\r\n\x00\uff1d\uff0b\uff0d\uff20]")


class SourceError(Exception):
    """The file as a whole cannot be read; the message says what was expected and what was received."""


@dataclass(frozen=True, slots=True)
class RowError:
    """A row that is not imported: the line where it starts, counted from 1, and why."""

    line: int
    message: str


def defuse_cell(text: str) -> str:
    """Return the text as a CSV cell that no spreadsheet takes for a formula: an apostrophe stands before one."""
    return f"'{text}" if _FORMULA.match(text) else text


def restore_cell(cell: str) -> str:
    """Return the text of which `defuse_cell` made the cell, exactly."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def detect_format(name: str, *, start: bytes) -> str:
    """Return "jsonl" or "csv": by the file's suffix, else by whether its first bytes open a JSON object."""
    suffix = name.rpartition(".")[2].lower()
    if suffix in {"csv", "jsonl", "ndjson"}:
        return "csv" if suffix == "csv" else "jsonl"
    return "jsonl" if start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{") else "csv"


def read_records(stream: io.BufferedReader, *, format: str) -> Iterator[ProductRecord | RowError]:
    """Yield the products of a UTF-8 stream in their order, and a `RowError` in place of each that is refused.

    Memory is constant whatever the length of the file. Raises `SourceError` when the file as a whole is not readable:
    another encoding, compressed, or CSV without its six columns.
    """
    start = stream.peek(4)
    for magic, found in _FOREIGN_STARTS.items():
        if start.startswith(magic):
            raise SourceError(f"expected UTF-8 text in the format {format}, received {found}")
    lines = _Lines(stream)
    return _read_csv(lines) if format == "csv" else _read_json_lines(lines)


class _Lines:
    """Numbered lines of a stream, of bounded length, that can be handed back.

    A line ends at CR, LF or CRLF. A byte that is not UTF-8 becomes a lone surrogate, so that only its row is refused.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
        self._handed_back: deque[str] = deque()
        self.number = 0

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        """Return the next line, its end included, or the first `MAX_LINE_CHARACTERS` of a longer one."""
        if self._handed_back:
            self.number += 1
            return self._handed_back.popleft()
        line = self._text.readline(MAX_LINE_CHARACTERS)
        if not line:
            raise StopIteration
        self.number += 1
        rest = line
        while len(rest) == MAX_LINE_CHARACTERS and rest[-1] not in "\r\n":
            rest = self._text.readline(MAX_LINE_CHARACTERS)
        return line

    def hand_back(self, lines: list[str]) -> None:
        """Put the last lines back, so that they are read again."""
        self.number -= len(lines)
        self._handed_back.extendleft(reversed(lines))


def _expect_bounded(characters: int) -> None:
    if characters >= MAX_LINE_CHARACTERS:
        raise RecordError(f"expected less than {MAX_LINE_CHARACTERS:,} characters in a row, received more")


# --- JSON Lines -----------------------------------------------------------------------------------------------------


def _read_json_lines(lines: _Lines) -> Iterator[ProductRecord | RowError]:
    for text in lines:
        if text.isspace() or _REFUSED_LINE.match(text):
            continue
        try:
            record = _parse_json_line(text, line=lines.number)
        except RecordError as error:
            yield RowError(line=lines.number, message=str(error))
        else:
            yield record


def _parse_json_line(text: str, *, line: int) -> ProductRecord:
    _expect_bounded(len(text))
    try:
        product = _decoder.decode(text)
    except RecursionError:
        raise RecordError("expected a JSON object, received one nested too deep") from None
    except RecordError:
        raise
    except ValueError as error:
        raise RecordError(f"expected a JSON object, received {shorten(text.strip())}: {error}") from None
    _expect_fields(product, names=_FIELDS)
    identity = product.get("id")
    if identity is not None and type(identity) is not int:
        raise RecordError(f"expected a whole number as id, received {shorten(identity)}")
    descriptions: dict[str, Description] = {}
    for item in _expect_list(product.get("descriptions"), field="descriptions") or []:
        _expect_fields(item, names=_DESCRIPTION_FIELDS)
        _add_description(descriptions, item.get("country_code"), item.get("original_text"), item.get("translated_text"))
    return build_record(
        line=line,
        id=identity,
        title=product.get("title"),
        images=_expect_list(product.get("images"), field="images"),
        descriptions=descriptions,
    )


def _expect_fields(value: Any, *, names: set[str]) -> None:
    if type(value) is not dict:
        raise RecordError(f"expected a JSON object, received {shorten(value)}")
    if not value.keys() <= names:
        unknown = ", ".join(shorten(name) for name in sorted(value.keys() - names)[:3])
        raise RecordError(f"expected the fields {', '.join(sorted(names))}, received {unknown}")


def _expect_list(value: Any, *, field: str) -> list[Any] | None:
    if value is not None and type(value) is not list:
        raise RecordError(f"expected a list of {field}, received {shorten(value)}")
    return value


def _refuse_constant(name: str) -> None:
    raise RecordError(f"expected a JSON object, received the constant {name}")


def _build_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise RecordError("expected every field of a JSON object once, received one twice")
    return result


_decoder: Final = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_build_object)


def _add_description(
    descriptions: dict[str, Description], country_code: Any, original_text: Any, translated_text: Any
) -> None:
    country = clean_country(country_code)
    if country in descriptions:
        raise RecordError(f"expected every country once in a product, received {country} twice")
    descriptions[country] = clean_description(original_text, translated_text=translated_text)


# --- CSV ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Row:
    """One row of a CSV file, its cells stripped, or why it cannot be read."""

    line: int
    cells: Mapping[str, str]
    error: str | None = None


def _read_csv(lines: _Lines) -> Iterator[ProductRecord | RowError]:
    # Rows of one product stand together. A row that cannot be read is a product of its own: nobody knows whose it was.
    for _, rows in itertools.groupby(_read_rows(lines), key=_ProductKey()):
        yield from _build_from_rows(rows)


class _ProductKey:
    """Numbers the products of consecutive rows: a new number where the next product starts."""

    def __init__(self) -> None:
        self._identity: object = None
        self._number = 0

    def __call__(self, row: _Row) -> int:
        content = row.cells.get("title"), row.cells.get("image_urls")
        identity = row if row.error is not None else row.cells["id"] or content
        if identity != self._identity:
            self._number += 1
            self._identity = identity
        return self._number


def _read_rows(lines: _Lines) -> Iterator[_Row]:
    columns: tuple[str, ...] = ()
    # One more than a text may have: the apostrophe of a defused one. (The limit holds for the whole process.)
    csv.field_size_limit(MAX_TEXT_CHARACTERS + 1)
    for line, cells, error in _split_cells(lines):
        if not columns:
            columns = _read_header(cells, error=error)
        elif error is not None:
            yield _Row(line=line, cells={}, error=error)
        elif len(cells) != len(columns):
            yield _Row(line=line, cells={}, error=f"expected {len(columns)} cells, received {len(cells)}")
        else:
            row = dict(zip(columns, (restore_cell(cell.strip()) for cell in cells), strict=True))
            if not any(row[column] for column in CSV_COLUMNS):
                continue
            row["image_urls"] = " ".join(row["image_urls"].split())
            yield _Row(line=line, cells=row)
    if not columns:
        raise SourceError(f"expected a first row with the columns {','.join(CSV_COLUMNS)}, received an empty file")


def _read_header(cells: list[str], *, error: str | None) -> tuple[str, ...]:
    columns = tuple(cell.strip().lower() for cell in cells)
    known = [column for column in (*LABEL_COLUMNS, REFUSED_FIELD) if column in columns]
    if error is not None or sorted(columns) != sorted([*CSV_COLUMNS, *known]):
        received = error or ", ".join(shorten(cell) for cell in cells[:10])
        raise SourceError(
            f"expected a first row with the columns {','.join(CSV_COLUMNS)} separated by commas, received {received}"
        )
    return columns


def _split_cells(lines: _Lines) -> Iterator[tuple[int, list[str], str | None]]:
    """Yield (line where the row starts, cells, error) for every row that is not blank.

    A row that cannot be read, such as one with a quote that nobody closes, costs its first line only: the lines that
    its quote had swallowed are read again.
    """
    taken: list[str] = []

    def take() -> Iterator[str]:
        characters = 0
        for line in lines:
            taken.append(line)
            characters += len(line)
            _expect_bounded(characters)
            yield line

    while True:
        taken.clear()
        start = lines.number + 1
        try:
            # A reader of its own for each row costs no more than a shared one and cannot be left half-way in a row.
            cells = next(csv.reader(take(), strict=True))
        except StopIteration:
            return
        except (csv.Error, RecordError) as error:
            lines.hand_back(taken[1:])
            yield start, [], f"expected a CSV row, received one that cannot be read: {error}"
        else:
            if any(cell.strip() for cell in cells):
                yield start, cells, None


def _build_from_rows(rows: Iterator[_Row]) -> Iterator[ProductRecord | RowError]:
    """Yield the product that its rows give together, after a `RowError` for each that is refused.

    Title and images are those of the first row that is not refused; where none is left there is no product.
    """
    record: ProductRecord | None = None
    first: Mapping[str, str] = {}
    descriptions: dict[str, Description] = {}
    for row in rows:
        try:
            if row.error is not None:
                raise RecordError(row.error)
            if first:
                _expect_same_product(row.cells, first=first)
            _add_row_description(descriptions, row.cells)
            if record is None:
                record = build_record(
                    line=row.line,
                    id=_parse_id(row.cells["id"]),
                    title=row.cells["title"],
                    images=row.cells["image_urls"].split() or None,
                    descriptions=descriptions,
                )
                first = row.cells
        except RecordError as error:
            if record is None:
                descriptions.clear()
            yield RowError(line=row.line, message=str(error))
    if record is not None:
        yield record


def _expect_same_product(cells: Mapping[str, str], *, first: Mapping[str, str]) -> None:
    for column in ("title", "image_urls"):
        if cells[column] not in {"", first[column]}:
            raise RecordError(
                f"expected the {column} {shorten(first[column])} of the product's first row, "
                f"received {shorten(cells[column])}"
            )


def _add_row_description(descriptions: dict[str, Description], cells: Mapping[str, str]) -> None:
    texts = cells["original_text"], cells["translated_text"]
    if cells["country_code"]:
        _add_description(descriptions, cells["country_code"], *texts)
    elif any(texts):
        raise RecordError("expected a country code beside a text, received none")


def _parse_id(cell: str) -> int | None:
    if not cell:
        return None
    if not _CSV_ID.fullmatch(cell):
        raise RecordError(f"expected a whole number as id, received {shorten(cell)}")
    return int(cell)
