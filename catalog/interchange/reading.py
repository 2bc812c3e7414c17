"""Catalogue files read as a stream: JSON or CSV, one record at a time, a bad row never ending the file."""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Final

from catalog.interchange import csv_reading, json_reading
from catalog.interchange.columns import SEPARATORS, read_header
from catalog.interchange.records import ProductRecord, RowError
from catalog.interchange.text_source import ENCODINGS, Lines, get_error_handler, open_lines
from catalog.values import clean_country

FORMATS: Final = ("jsonl", "csv", "shopify")
#: The country of texts in a file that names none.
USUAL_COUNTRY: Final = "us"
SHOWN_COLUMNS: Final = 20
# The first line of an object that takes several.
_BEGUN_OBJECT: Final = re.compile(r"\{[ \t]*[\r\n]")


@dataclass(frozen=True, slots=True)
class CatalogueFile:
    """A file that is being read: its products in their order, and a `RowError` in place of each that is refused.

    `words` say how it is read, as `CSV, Windows-1252, ";"`, and `notes` what a reader should know of that, a sentence
    each. `head`, `between` and `foot` stand around the rows of a file of the same form.
    """

    format: str
    words: str
    notes: tuple[str, ...]
    rows: Iterator[ProductRecord | RowError]
    encoding: str
    head: str = ""
    between: str = ""
    foot: str = ""

    def __iter__(self) -> Iterator[ProductRecord | RowError]:
        return self.rows


def read_records(
    stream: io.BufferedReader, *, name: str = "", format: str = "", encoding: str = "", country: str = USUAL_COUNTRY
) -> CatalogueFile:
    """Return how a file is read, and what is in it.

    `format` is one of `FORMATS`, `encoding` one of `ENCODINGS`; empty, they are found by the content and the suffix of
    `name`. `country` is that of texts in a file that has no column for it. Memory is constant whatever the length.
    Raises `SourceError` when the file as a whole is not readable, also later.
    """
    country = clean_country(country)
    lines = open_lines(stream, encoding=encoding)
    notes: tuple[str, ...] = (
        (f"The file does not say its encoding; does this look right: {lines.doubt}?",) if lines.doubt else ()
    )
    if not format:
        suffix = name.rpartition(".")[2].lower()
        format = "jsonl" if lines.begin.startswith(("[", "{")) or suffix in {"jsonl", "ndjson"} else ""
    written = ENCODINGS[lines.encoding].partition(" (")[0]
    if format == "jsonl":
        return _read_json(lines, written=written, notes=notes)
    header = read_header(lines, format=format)
    if header.unused:
        more = f" and {len(header.unused) - SHOWN_COLUMNS:,} others" if len(header.unused) > SHOWN_COLUMNS else ""
        notes += (f"Columns that are not used: {_show(', '.join(header.unused[:SHOWN_COLUMNS]))}{more}.",)
    if "country_code" not in header.columns and {"original_text", "translated_text"}.intersection(header.columns):
        notes += (f"Texts are taken for those of the country {country}, for the file names none.",)
    separator = SEPARATORS.get(header.separator, _show(header.separator))
    return CatalogueFile(
        format="shopify" if header.is_shopify else "csv",
        words=f"{'Shopify' if header.is_shopify else 'CSV'}, {written}, {separator}",
        notes=notes,
        rows=csv_reading.read_products(lines, header=header, country=country),
        encoding=lines.encoding,
        head=header.text,
    )


def _show(text: str) -> str:
    """Return the text with `?` for what is none, so that a page or a terminal can write it."""
    return text.encode(errors="replace").decode()


def _read_json(lines: Lines, *, written: str, notes: tuple[str, ...]) -> CatalogueFile:
    is_array = lines.begin.startswith("[")
    if is_array or _BEGUN_OBJECT.match(lines.begin):
        values = json_reading.read_values(lines, is_array=is_array)
        around = {"head": "[\n", "between": ",\n", "foot": "\n]\n"}
    else:
        values, around = json_reading.read_lines(lines), {}
    return CatalogueFile(
        format="jsonl",
        words=f"{'JSON array' if is_array else 'JSON' if around else 'JSON Lines'}, {written}",
        notes=notes,
        rows=json_reading.read_products(values),
        encoding=lines.encoding,
        **around,
    )


class RefusedRows:
    """Writes the rows that were refused into a file of the same form as the one that they came from."""

    def __init__(self, file: IO[bytes], *, source: CatalogueFile) -> None:
        self._text = io.TextIOWrapper(
            file, encoding=source.encoding, errors=get_error_handler(source.encoding), newline="", write_through=True
        )
        self._source = source
        self._written: set[int] = set()

    def add(self, error: RowError) -> None:
        """Write the rows of a refusal that are not there yet."""
        for line, text in error.source:
            if line not in self._written:
                self._text.write(self._source.between if self._written else self._source.head)
                self._text.write(text if self._source.between else re.sub(r"(?<![\r\n])\Z", "\n", text))
                self._written.add(line)

    def close(self) -> None:
        """Write what ends the file, and leave it open."""
        if self._written:
            self._text.write(self._source.foot)
        self._text.detach()
