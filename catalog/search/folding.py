"""What text search compares: one form for the many ways in which people and programs write the same word.

Of descriptions, which may be HTML, it is what a person reads (`config.web.texts.extract_text`). PostgreSQL's triggers
compute both by the functions `catalog_text` and `catalog_fold`, SQLite calls those of Python. Whoever changes one
changes the other, and has every product's words written anew, in a migration.
"""

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Final

from config.web.texts import extract_text

#: Accents and points of Latin, Greek, Cyrillic, Hebrew and Arabic, and what nobody sees: soft hyphens, joiners,
#: selectors, marks of direction. The marks of kana, Thai and the scripts of India are letters to their readers.
_IGNORED: Final = re.compile(
    "[\u00ad\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u061c"
    "\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u180b-\u180f\u1ab0-\u1aff\u1dc0-\u1dff"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u20d0-\u20ff\ufe00-\ufe0f\ufe20-\ufe2f\ufeff\U000e0000-\U000e0fff]+"
)
_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]+")
#: Signs whose decomposition would be a space with an accent, or two signs.
_SIGNS: Final = str.maketrans("´″‶", '\'""')  # noqa: RUF001
#: Signs that no keyboard has, and letters that no accent is taken from.
_LETTERS: Final = str.maketrans(
    "‘’‚‛‹›′‵ʹʻʼʽ“”„‟«»〝〞‐‑‒–—―−øđðłħıŧς",  # noqa: RUF001
    "''''''''''''\"\"\"\"\"\"\"\"-------oddlhitσ",  # noqa: RUF001
) | {ord(letter): letters for letter, letters in (("ß", "ss"), ("æ", "ae"), ("œ", "oe"), ("þ", "th"))}


def fold(text: str) -> str:
    """Return the text without case, accents, ligatures, widths and typography; folding it again changes nothing."""
    if not text.isascii():
        text = _NOT_ASCII.sub(lambda found: _fold_letters(found[0]), text)
    return text.lower()


# In most languages these are a few letters again and again; nothing that is left of them joins the ASCII beside them.
@lru_cache(maxsize=4096)
def _fold_letters(letters: str) -> str:
    plain = _IGNORED.sub("", unicodedata.normalize("NFKD", letters.translate(_SIGNS)))
    return unicodedata.normalize("NFC", plain.lower().translate(_LETTERS))


def add_to_sqlite(*, connection: Any, **_: Any) -> None:
    """Let the statements of a new connection call `catalog_fold` and `catalog_text`, as on PostgreSQL."""
    if connection.vendor == "sqlite":
        for name, function in (("catalog_fold", fold), ("catalog_text", extract_text)):
            connection.connection.create_function(name, 1, partial(_keep_null, function), deterministic=True)


def _keep_null(function: Callable[[str], str], text: str | None) -> str | None:
    return None if text is None else function(text)
