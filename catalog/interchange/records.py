"""One product as a catalogue file gives it: validated and cleaned, not yet compared with the database."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from catalog.interchange.disk_map import hash62

#: Half of what PostgreSQL's bigint holds, so that its sequence can always go on after an explicit id.
MAX_ID: Final = 2**62
MAX_TITLE_CHARACTERS: Final = 1_000
#: The longest field that Python's csv module reads by default; JSON Lines keep to the same.
MAX_TEXT_CHARACTERS: Final = 131_072
#: PostgreSQL's unique index on a URL cannot hold more than about 2,700 bytes.
MAX_URL_BYTES: Final = 2_048
MAX_IMAGES: Final = 1_000
#: In place of a digest: a row with this id was refused. Equals no digest, which are not negative.
REFUSED: Final = -1

_COUNTRY: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,15}", re.ASCII)
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*:", re.ASCII | re.IGNORECASE)
# Credentials, a host (a name, an address or [an IPv6 address]), a port, the rest. What may be connected to is the
# fetcher's decision.
_WEB_URL: Final = re.compile(
    r"https?://(?:[^\s/?#@\\]*@)?(?:\[[0-9a-f:.]+\]|[^\s/?#@:\[\]\\]+)(?::[0-9]*)?(?:[/?#]\S*)?", re.IGNORECASE
)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

Description = tuple[str | None, str | None]


class RecordError(ValueError):
    """A product cannot be imported; the message says what was expected and what was received."""


@dataclass(frozen=True, slots=True)
class ProductRecord:
    """One product of a file.

    `images` is None where the file does not speak of them, which leaves them alone, and () where there are none.
    `descriptions` gives (original text, translated text) for a lower-cased country code. `line` is where the record
    starts, counted from 1.
    """

    line: int
    id: int | None
    title: str
    images: tuple[str, ...] | None
    descriptions: Mapping[str, Description]


def build_record(
    *, line: int, id: int | None, title: Any, images: list[Any] | None, descriptions: Mapping[str, Description]
) -> ProductRecord:
    """Validate what both formats share and return the record. Raises `RecordError`."""
    clean_title = clean_text(title, field="title", maximum=MAX_TITLE_CHARACTERS)
    if clean_title is None:
        raise RecordError("expected a title, received none")
    if images is not None and len(images) > MAX_IMAGES:
        raise RecordError(f"expected at most {MAX_IMAGES:,} images, received {len(images):,}")
    if id is not None and not 1 <= id <= MAX_ID:
        raise RecordError(f"expected an id from 1 to {MAX_ID}, received {shorten(id)}")
    return ProductRecord(
        line=line,
        id=id,
        title=clean_title,
        images=None if images is None else tuple(clean_image_url(url) for url in images),
        descriptions=descriptions,
    )


def clean_text(value: Any, *, field: str, maximum: int = MAX_TEXT_CHARACTERS) -> str | None:
    """Return the text without white space around it, None where nothing is left.

    Raises `RecordError` for another type, a longer text, and for what a database cannot store: NUL, and characters that
    are no text (what an undecodable byte or half a surrogate pair becomes).
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise RecordError(f"expected text in {field}, received {shorten(value)}")
    text = value.strip()
    if len(text) > maximum:
        raise RecordError(f"expected at most {maximum:,} characters in {field}, received {len(text):,}")
    if "\x00" in text:
        raise RecordError(f"expected text in {field}, received a NUL character")
    if not text.isascii():
        _refuse_surrogates(text, field=field)
    return text or None


def clean_country(value: Any) -> str:
    """Return the country code in lower case, 1 to 16 ASCII letters, digits, `-` or `_`. Raises `RecordError`."""
    country = value.strip().lower() if isinstance(value, str) else ""
    if not _COUNTRY.fullmatch(country):
        raise RecordError(f"expected a country code such as 'us', received {shorten(value)}")
    return country


def clean_description(original_text: Any, *, translated_text: Any) -> Description:
    """Return both texts stripped, None where there is none. Raises `RecordError`."""
    return (
        clean_text(original_text, field="original_text"),
        clean_text(translated_text, field="translated_text"),
    )


def clean_image_url(value: Any) -> str:
    """Return the http(s) URL or the name in the media storage, stripped. Raises `RecordError`.

    A media name is relative and stays inside the storage: no scheme, no slash in front, no `.` or `..` or empty part,
    no backslash, no control character.
    """
    if not isinstance(value, str):
        raise RecordError(f"expected an image url, received {shorten(value)}")
    url = value.strip()
    if not url:
        raise RecordError("expected an image url, received an empty one")
    if not url.isascii():
        _refuse_surrogates(url, field="an image url")
    if len(url.encode()) > MAX_URL_BYTES:
        raise RecordError(f"expected an image url of at most {MAX_URL_BYTES:,} bytes, received {len(url.encode()):,}")
    if _CONTROL.search(url):
        raise RecordError(f"expected an image url without control characters, received {shorten(url)}")
    if _SCHEME.match(url):
        if not _WEB_URL.fullmatch(url):
            raise RecordError(f"expected an http(s) url with a host and without white space, received {shorten(url)}")
    elif "\\" in url or any(part in {"", ".", ".."} for part in url.split("/")):
        raise RecordError(f"expected a relative name inside the media storage, received {shorten(url)}")
    return url


def shorten(value: Any) -> str:
    """Return a scalar as a literal of at most 80 ASCII characters, a list or an object by its kind, for a message."""
    if isinstance(value, list | dict):
        return f"a list of {len(value):,}" if isinstance(value, list) else "an object"
    text = ascii(value[:100] if isinstance(value, str) else value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _refuse_surrogates(text: str, *, field: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RecordError(f"expected UTF-8 text in {field}, received {shorten(text[error.start])}") from None


def content_key(title: str, *, images: tuple[str, ...], with_id: bool) -> int:
    """Return the key of a title and its images as rows with, or without, an id name them; negative, unlike an id."""
    return -1 - hash62((with_id, title, images))


def content_digest(record: ProductRecord) -> int:
    """Return a digest of what the record says of its product; images that are not spoken of differ from none."""
    images = record.images if record.id is not None else record.images or ()
    return hash62((record.title, images, frozenset(record.descriptions.items())))
