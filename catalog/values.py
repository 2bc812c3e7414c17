"""What the catalogue's values may be: each function returns a value as it is stored, or says why it is refused.

Models (and by them forms and admin), importer, exports and the API take their rules from here, so that all refuse the
same. Nothing here knows the database.
"""

import re
import unicodedata
from typing import Any, Final
from urllib.parse import urlsplit

from iso3166 import countries

MAX_TITLE_CHARACTERS: Final = 1_000
#: The longest field that Python's csv module reads by default; JSON Lines keep to the same.
MAX_TEXT_CHARACTERS: Final = 131_072
#: PostgreSQL's unique index on a URL cannot hold more than about 2,700 bytes.
MAX_URL_BYTES: Final = 2_048
#: Of one product.
MAX_IMAGES: Final = 1_000

_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*:", re.ASCII | re.IGNORECASE)
# Credentials, a host (a name, an address or [an IPv6 address]), a port, the rest. What may be connected to is the
# fetcher's decision.
_WEB_URL: Final = re.compile(
    r"https?://(?:[^\s/?#@\\]*@)?(?:\[[0-9a-f:.]+\]|[^\s/?#@:\[\]\\]+)(?::[0-9]*)?(?:[/?#]\S*)?", re.IGNORECASE
)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# Letters by their category, and symbols, that are drawn as nothing.
_UNSEEN: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0")

# Beside ISO's own codes and names: what Europe's institutions write, and how people call countries.
_OTHER_NAMES: Final = {
    "uk": "gb",
    "el": "gr",
    "united kingdom": "gb",
    "great britain": "gb",
    "united states": "us",
    "czech republic": "cz",
    "russia": "ru",
    "south korea": "kr",
    "taiwan": "tw",
    "turkey": "tr",
    "vietnam": "vn",
}
_COUNTRIES: Final = {
    name.casefold(): country.alpha2.lower()
    for country in countries
    for name in (country.alpha2, country.alpha3, country.name)
} | _OTHER_NAMES
# A language, perhaps a script, and the country: en-US, zh_Hant_TW.
_LANGUAGE_TAG: Final = re.compile(r"[a-z]{2,3}(?:[-_][a-z]{4})?[-_]([a-z]{2})", re.ASCII)


class RecordError(ValueError):
    """A value, or the product that it is of, cannot be stored; the message says what was expected and received."""

    @property
    def sentence(self) -> str:
        """The message as pages and the API say it."""
        text = str(self)
        return f"{text[0].upper()}{text[1:]}."


def clean_title(value: Any) -> str:
    """Return the title, stripped: up to 1,000 characters of which some can be seen. Raises `RecordError`."""
    title = clean_text(value, field="title", maximum=MAX_TITLE_CHARACTERS)
    if title is None:
        received = "characters that cannot be seen" if isinstance(value, str) and value.strip() else "none"
        raise RecordError(f"expected a title, received {received}")
    return title


def clean_text(value: Any, *, field: str, maximum: int = MAX_TEXT_CHARACTERS) -> str | None:
    """Return the text without white space around it, None where nothing is left that can be seen.

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
    return text if any(map(_is_seen, text)) else None


def find_country(text: str) -> str | None:
    """Return the ISO 3166 code of two letters, in lower case, that the text means, or None.

    Taken are the codes of two and of three letters and the English names of ISO 3166, `uk` and `el`, a few names that
    people use, and tags of a language and a country such as en-US, all in any case.
    """
    name = text.strip().casefold()
    if tag := _LANGUAGE_TAG.fullmatch(name):
        name = tag[1]
    return _COUNTRIES.get(name)


def clean_country(value: Any) -> str:
    """Return the ISO 3166 code that the value means, two lower-case letters. Raises `RecordError`."""
    country = find_country(value) if isinstance(value, str) else None
    if country is None:
        raise RecordError(f"expected a country code of ISO 3166 such as 'us', received {shorten(value)}")
    return country


def clean_image_url(value: Any) -> str:
    """Return the http(s) URL or the name in the media storage, stripped. Raises `RecordError`.

    A media name is relative and stays inside the storage: no scheme, no slash in front, no `.` or `..` or empty part,
    no backslash, no control character.
    """
    if not isinstance(value, str):
        raise RecordError(f"expected an image url, received {shorten(value)}")
    url = value.strip()
    if not any(map(_is_seen, url)):
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


def is_media_name(url: str) -> bool:
    """Return whether an image's URL is a name in the media storage: no scheme, no host, no absolute path."""
    return not (url.startswith(("/", "\\")) or _SCHEME.match(url))


def find_host(url: str) -> str:
    """Return the host of an address; empty of a name in the storage, and of what no address can be."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def shorten(value: Any) -> str:
    """Return a scalar as a literal of at most 80 ASCII characters, a list or an object by its kind, for a message."""
    if isinstance(value, list | dict):
        return f"a list of {len(value):,}" if isinstance(value, list) else "an object"
    text = ascii(value[:100] if isinstance(value, str) else value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _is_seen(character: str) -> bool:
    """Return whether the character is drawn: a letter, a number, punctuation or a symbol."""
    return unicodedata.category(character)[0] in "LNPS" and character not in _UNSEEN


def _refuse_surrogates(text: str, *, field: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RecordError(f"expected UTF-8 text in {field}, received {shorten(text[error.start])}") from None
