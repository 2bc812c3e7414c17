"""The header of a CSV file: which separator it has, and which column is what, by the names that shops give them."""

import csv
import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from catalog.interchange.text_source import Lines, SourceError
from catalog.values import shorten

CSV_COLUMNS: Final = ("id", "title", "image_urls", "country_code", "original_text", "translated_text")
#: What an export adds for its readers: the label of the product. An import reads past it.
LABEL_FIELD: Final = "label"
LABEL_PREFIX: Final = "label_"
LABEL_NAMES: Final = (
    "group",
    "garment",
    "garment_unsure",
    "confidence",
    "status",
    "source",
    "reason",
    "evidence",
    "model_version",
    "labelled_at",
)
LABEL_COLUMNS: Final = tuple(LABEL_PREFIX + name for name in LABEL_NAMES)
#: What an export says of values that an import would refuse, in a line or a cell of its own; read past as well.
REFUSED_FIELD: Final = "refused"
#: How separators are called.
SEPARATORS: Final = {",": '","', ";": '";"', "\t": "tab", "|": '"|"'}

# Our column -> the names for it in the languages of shops, letters and digits alone; of several in a file the first
# stands. All columns of images count, numbered ones too.
_NAMES: Final = {
    "id": ("id", "productid"),
    "title": (
        "title", "name", "producttitle", "productname",
        "titel", "produktname", "artikelname", "bezeichnung", "titre", "nom", "nomduproduit", "titulo", "título",
        "nombre", "nome", "titolo", "nomeprodotto", "naam", "nazwa",
    ),
    "image_urls": (
        "imageurls", "imageurl", "images", "image", "imagesrc", "imagelink", "additionalimagelink", "imagelinks",
        "productimageurl", "productimages", "hostedimageurls", "pictures", "picture", "pictureurl", "photos", "photo",
        "bild", "bilder", "bildurl", "bildlink", "bildurls", "foto", "fotos", "imagen", "imagenes", "imágenes",
        "urlimagen", "urlimage", "imagem", "imagens", "immagine", "immagini", "afbeelding", "afbeeldingen", "zdjęcie",
        "zdjęcia",
    ),
    "country_code": ("countrycode", "country", "market"),
    "original_text": (
        "originaltext", "description", "productdescription", "text",
        "beschreibung", "produktbeschreibung", "descripción", "descripcion", "descrição", "descricao", "descrizione",
        "beschrijving", "omschrijving", "opis",
    ),
    "translated_text": ("translatedtext", "translation", "translateddescription"),
}  # fmt: skip
_SHOPIFY_NAMES: Final = {
    "handle": ("handle", "urlhandle"),
    "title": ("title",),
    "image_urls": ("imagesrc", "productimageurl"),
    "image_position": ("imageposition",),
    "original_text": ("bodyhtml", "description"),
}
_MAX_COLUMNS: Final = 1_000
_BLANK: Final = "\ufeff \t\r\n"
_SEPARATOR_LINE: Final = re.compile(r'\ufeff?"?sep=([^\w\s"\\]|\t)"?\s*', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Header:
    """How the rows of a file are read.

    `columns` has for each column the name of ours that it is, or "" for one that is not used, or None for one without a
    name. `text` is the file up to its first row; `unused` are the names of the columns that are not used.
    """

    separator: str
    columns: tuple[str | None, ...]
    names: tuple[str, ...]
    unused: tuple[str, ...]
    is_shopify: bool
    text: str

    def repeats(self, cells: list[str]) -> bool:
        """Return whether a row is the header once more, as in files that were joined."""
        is_likely = len(cells) > 1 and cells[-1] == self.names[-1]
        return is_likely and [cell.strip(_BLANK) for cell in cells] == [name.strip(_BLANK) for name in self.names]


def read_header(lines: Lines, *, format: str) -> Header:
    """Read the first row and return what it says; `format` may be "csv", "shopify", or empty for whichever it is.

    Raises `SourceError` where no column is a title, or one name stands twice.
    """
    taken = _take_first_row(lines)
    text = "".join(taken)
    given = _SEPARATOR_LINE.fullmatch(taken[-1]) if taken else None
    if given:
        taken = _take_first_row(lines)
        text += "".join(taken)
    if not taken:
        raise SourceError(f"expected a first row with the columns {','.join(CSV_COLUMNS)}, received an empty file")
    rows = {separator: _split(taken, separator) for separator in (given[1] if given else SEPARATORS)}
    separator = max(rows, key=lambda separator: _count_known(rows[separator]))  # the first of several
    names = rows[separator]
    if len(names) > _MAX_COLUMNS:
        raise SourceError(f"expected at most {_MAX_COLUMNS:,} columns, received {len(names):,}")
    known = _name_fields(names, _SHOPIFY_NAMES)
    looks_like_shopify = {"handle", "title"} <= known and len(known) > len(_name_fields(names, _NAMES))
    is_shopify = format == "shopify" or (not format and looks_like_shopify)
    wanted = _SHOPIFY_NAMES if is_shopify else _NAMES
    columns = _choose_columns(names, wanted)
    if "title" not in columns or (is_shopify and "handle" not in columns):
        expected = "Handle,Title,Image Src" if is_shopify else f"{','.join(CSV_COLUMNS)} (title at least)"
        raise SourceError(
            f"expected a first row with the columns {expected}, separated by commas, semicolons, tabs or |, received "
            f"{', '.join(map(shorten, names[:10])) if len(names) > 1 else shorten(taken[-1].rstrip())}"
        )
    unused = tuple(name.strip() for name, column in zip(names, columns, strict=True) if column == "")
    unused = tuple(name for name in unused if name.lower() not in (*LABEL_COLUMNS, REFUSED_FIELD))
    if not is_shopify:
        _refuse_misspelt(unused, columns)
    return Header(separator, columns, tuple(names), unused, is_shopify, text)


def _take_first_row(lines: Lines) -> list[str]:
    """Return the lines of the first row that is not blank, with the blank ones before it."""
    taken: list[str] = []
    for line in lines:
        taken.append(line)
        # A name may have a line break, in quotes.
        if line.strip(_BLANK) and sum(part.count('"') for part in taken) % 2 == 0:
            return taken
        if len(taken) > 100:
            break
    return [] if not any(line.strip(_BLANK) for line in taken) else taken


def _split(lines: list[str], separator: str) -> list[str]:
    """Return the cells of the row; none where it cannot be read with this separator."""
    try:
        rows = csv.reader(lines, delimiter=separator, strict=True)
        return next((row for row in rows if any(cell.strip(_BLANK) for cell in row)), [])
    except csv.Error:
        return []


def _normalise(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())


def _name_fields(names: Iterable[str], wanted: dict[str, tuple[str, ...]]) -> set[str]:
    keys = {_normalise(name).rstrip("0123456789") for name in names}
    return {field for field, known in wanted.items() if not keys.isdisjoint(known)}


def _count_known(names: list[str]) -> int:
    return len(_name_fields(names, _NAMES) | _name_fields(names, _SHOPIFY_NAMES))


def _choose_columns(names: list[str], wanted: dict[str, tuple[str, ...]]) -> tuple[str | None, ...]:
    keys = [_normalise(name) for name in names]
    columns: list[str | None] = ["" if name.strip(_BLANK) else None for name in names]
    for field, known in wanted.items():
        if field == "image_urls":
            found = [index for index, key in enumerate(keys) if key.rstrip("0123456789") in known]
        else:
            best = next((name for name in known if name in keys), None)
            found = [index for index, key in enumerate(keys) if key == best]
        if len(found) > 1 and len({keys[index] for index in found}) < len(found):
            raise SourceError(
                f"expected a first row with every name once, received {shorten(names[found[0]].strip())} twice"
            )
        for index in found:
            columns[index] = field
    return tuple(columns)


def _refuse_misspelt(unused: tuple[str, ...], columns: tuple[str | None, ...]) -> None:
    """Raise `SourceError` if a column that is not used has nearly the name of one of ours that is not there."""
    missing = {_normalise(column): column for column in CSV_COLUMNS if column not in columns}
    for name in unused:
        if meant := difflib.get_close_matches(_normalise(name), missing, n=1, cutoff=0.85):
            raise SourceError(f"expected a first row with the column {missing[meant[0]]}, received {shorten(name)}")
