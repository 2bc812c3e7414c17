"""One product as a catalogue file gives it: validated and cleaned, not yet compared with the database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from catalog.interchange.disk_map import hash62
from catalog.values import (
    MAX_IMAGES,
    RecordError,
    clean_country,
    clean_image_url,
    clean_text,
    clean_title,
    shorten,
)

#: Half of what PostgreSQL's bigint holds, so that its sequence can always go on after an explicit id.
MAX_ID: Final = 2**62
#: In place of a digest: a row with this id was refused. Equals no digest, which are not negative.
REFUSED: Final = -1

Description = tuple[str | None, str | None]
#: Rows as they are in the file: for each the line where it starts, and its text.
SourceRows = Sequence[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class RowError:
    """A row that is not imported: the line where it starts, counted from 1, why, and the rows to read it from."""

    line: int
    message: str
    source: SourceRows = field(default=(), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ProductRecord:
    """One product of a file.

    `images` is None where the file does not speak of them, which leaves them alone, and () where there are none.
    `descriptions` gives (original text, translated text) for a lower-cased country code. `line` is where the record
    starts, counted from 1, and `source` its rows.
    """

    line: int
    id: int | None
    title: str
    images: tuple[str, ...] | None
    descriptions: Mapping[str, Description]
    source: SourceRows = field(default=(), compare=False, repr=False)


def build_record(
    *,
    line: int,
    id: int | None,
    title: Any,
    images: list[Any] | None,
    descriptions: Mapping[str, Description],
    source: SourceRows = (),
) -> ProductRecord:
    """Validate what both formats share and return the record. Raises `RecordError`."""
    clean = clean_title(title)
    if images is not None and len(images) > MAX_IMAGES:
        raise RecordError(f"expected at most {MAX_IMAGES:,} images, received {len(images):,}")
    if id is not None and not 1 <= id <= MAX_ID:
        raise RecordError(f"expected an id from 1 to {MAX_ID}, received {shorten(id)}")
    return ProductRecord(
        line=line,
        id=id,
        title=clean,
        images=None if images is None else tuple(clean_image_url(url) for url in images),
        descriptions=descriptions,
        source=source,
    )


def clean_description(original_text: Any, *, translated_text: Any) -> Description:
    """Return both texts stripped, None where there is none. Raises `RecordError`."""
    return (
        clean_text(original_text, field="original_text"),
        clean_text(translated_text, field="translated_text"),
    )


def add_description(
    descriptions: dict[str, Description], country_code: Any, original_text: Any, translated_text: Any
) -> None:
    """Add the text of a country that has none yet. Raises `RecordError`."""
    country = clean_country(country_code)
    if country in descriptions:
        raise RecordError(f"expected every country once in a product, received {country} twice")
    descriptions[country] = clean_description(original_text, translated_text=translated_text)


def content_key(title: str, *, images: tuple[str, ...], with_id: bool) -> int:
    """Return the key of a title and its images as rows with, or without, an id name them; negative, unlike an id."""
    return -1 - hash62((with_id, title, images))


def content_digest(record: ProductRecord) -> int:
    """Return a digest of what the record says of its product; images that are not spoken of differ from none."""
    images = record.images if record.id is not None else record.images or ()
    return hash62((record.title, images, frozenset(record.descriptions.items())))
