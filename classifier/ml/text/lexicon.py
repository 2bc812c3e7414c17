"""The lexicon: what words of eight languages call a product, read once from the files beside this one.

A file has sections. Their heads are garments, groups, ``none of these``, ``ambiguous`` (a garment of no one group),
``nothing`` (words that would mislead, such as *tie waist*), ``apart`` (what follows such a word is beside the thing:
*with*, *for*) and ``and``. Entries stand between commas: words and phrases; ``shirt/s`` is *shirt* and *shirts*. Signs
before an entry: ``?`` it counts where nothing else does, ``+`` it counts beside a noun alone (*shoe box*), ``-`` it
ends compounds and is no word of its own, ``=`` it ends none.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from classifier.ml.labels import GARMENTS, GROUP_OF_GARMENT, GROUPS

NONE_OF_THESE: Final = "none of these"
AMBIGUOUS: Final = "ambiguous"
NOTHING: Final = "nothing"
APART: Final = "apart"
AND: Final = "and"
#: Of the signs between words: here a phrase ends, and what was beside the thing too.
END: Final = "end"

ENGLISH: Final = "en"
LANGUAGES: Final = (ENGLISH, "de", "nl", "es", "fr", "it", "pt", "pl")
#: A noun's head stands last in the phrase, in the others first.
HEAD_LAST: Final = frozenset({ENGLISH, "de", "nl"})
_COMPOUNDING: Final = frozenset({"de", "nl"})
#: Letters that stand before the end of a compound; shorter beginnings make other words of it (*whose*, *Uhr*).
_SHORTEST_BEGINNING: Final = 3

_FOLDER: Final = Path(__file__).with_name("lexicon")
#: Words all languages write alike, loans in all but English.
_SHARED: Final = "shared"
_SECTIONS: Final = (*GARMENTS, *GROUPS, NONE_OF_THESE, AMBIGUOUS, NOTHING, APART, AND)
#: Words and the signs between them, in a folded text; numbers are none, of which each title has its own.
TOKENS: Final = re.compile(r"[^\W\d]\w*|[,;:|<>/()\[\]!?\n&+\u2013\u2014\u00b7\u2022]|\. | - ")
_WORD: Final = re.compile(r"[^\W\d]\w*")
_JOINING: Final = "&+"
_LETTERS: Final = str.maketrans({"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d"})
_MARKS: Final = re.compile("[\u0300-\u036f\u00ad\u200b-\u200f\u2060\ufeff]+")


@dataclass(frozen=True, slots=True)
class Entry:
    """What a word or phrase says.

    ``says`` is a group, ``NONE_OF_THESE``, ``AMBIGUOUS``, ``NOTHING``, ``APART``, ``AND`` or ``END``; ``garment`` is
    empty where it names none of the ten. A weak one counts where no other does, a bound one beside a noun; a loan is a
    word that English has too.
    """

    says: str
    garment: str = ""
    weak: bool = False
    bound: bool = False
    loan: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """What begins with a word: the word's own entry, or None, and phrases by their other words, the longest first."""

    entry: Entry | None
    phrases: tuple[tuple[tuple[str, ...], Entry], ...] = ()


@dataclass(frozen=True, slots=True)
class _Words:
    """A language's entries: by first word, and by the ends of compounds."""

    beginnings: dict[str, Found]
    ends: dict[str, Entry]
    longest_end: int


def fold(text: str) -> str:
    """Return the text without case and accents, as the lexicon's words are compared."""
    text = text.replace("_", " ")
    if text.isascii():
        return text.lower()
    return _MARKS.sub("", unicodedata.normalize("NFKD", text.lower().translate(_LETTERS)))


@dataclass(frozen=True, slots=True)
class Known:
    """What begins with a word in each of ``LANGUAGES``; ``naming`` are those in which it may begin a name."""

    found: tuple[Found | None, ...]
    naming: frozenset[str]


# Titles repeat their words; what is not among the newest costs some microseconds in the languages with compounds.
@lru_cache(maxsize=1 << 15)
def look_up(word: str) -> Known | None:
    """Return what begins with this folded token, or None where no language knows it."""
    if not word[-1].isalnum():
        return _AND_SIGN if word in _JOINING else _END_SIGN
    found = tuple(_find(word, language) for language in LANGUAGES)
    if not any(found):
        return None
    naming = [language for language, of in zip(LANGUAGES, found, strict=True) if of and any(map(_names, _list(of)))]
    return Known(found=found, naming=frozenset(naming))


def _list(found: Found) -> list[Entry]:
    return [entry for entry in (found.entry, *(entry for _, entry in found.phrases)) if entry]


def _names(entry: Entry) -> bool:
    return entry.says not in (NOTHING, APART, AND)


_AND_SIGN: Final = Known(found=(Found(Entry(AND)),) * len(LANGUAGES), naming=frozenset())
_END_SIGN: Final = Known(found=(Found(Entry(END)),) * len(LANGUAGES), naming=frozenset())


def _find(word: str, language: str) -> Found | None:
    words = _LEXICON[language]
    known = words.beginnings.get(word)
    if (known is not None and known.entry is not None) or not words.ends:
        return known
    for start in range(max(_SHORTEST_BEGINNING, len(word) - words.longest_end), len(word) - 1):
        if entry := words.ends.get(word[start:]):
            return Found(entry, known.phrases if known else ())
    return known


def _read_language(language: str) -> _Words:
    singles: dict[str, Entry] = {}
    phrases: dict[str, dict[tuple[str, ...], Entry]] = {}
    ends: dict[str, Entry] = {}
    for name in (_SHARED, language):
        for signs, words, entry in _read_entries(name, loan=name == _SHARED and language != ENGLISH):
            if len(words) > 1:
                phrases.setdefault(words[0], {})[words[1:]] = entry
                continue
            if "-" not in signs:
                singles[words[0]] = entry
            # What misleads as a word misleads at the end of a compound too; short words end too many others.
            is_end = entry.says not in (APART, AND) and not entry.loan and "=" not in signs and len(words[0]) > 2
            if language in _COMPOUNDING and is_end:
                ends[words[0]] = entry
    beginnings = {
        first: Found(
            singles.get(first),
            tuple(sorted(phrases.get(first, {}).items(), key=lambda phrase: -len(phrase[0]))),
        )
        for first in singles.keys() | phrases.keys()
    }
    return _Words(beginnings=beginnings, ends=ends, longest_end=max(map(len, ends), default=0))


def _read_entries(name: str, *, loan: bool) -> Iterator[tuple[str, tuple[str, ...], Entry]]:
    """Yield the signs, the folded words, and the entry for each form in a file. Raises ``ValueError`` for a bad one."""
    section = ""
    for line in (_FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
            if section not in _SECTIONS:
                raise ValueError(f"expected a section of {', '.join(_SECTIONS)} in {name}.txt, received {section!r}")
        elif line and not line.startswith("#"):
            for text in line.split(","):
                plain = text.strip().lstrip("?+-=")
                signs = text.strip()[: -len(plain)]
                entry = Entry(
                    says=GROUP_OF_GARMENT.get(section, section),
                    garment=section if section in GARMENTS else "",
                    weak="?" in signs,
                    bound="+" in signs,
                    loan=loan,
                )
                for form in _inflect(plain):
                    yield signs, tuple(_WORD.findall(fold(form))), entry


def _inflect(text: str) -> Iterator[str]:
    """Yield the forms of an entry such as ``shirt/s``; endings follow the word before them."""
    if "/" not in text:
        yield text
        return
    stem, *endings = text.split("/")
    yield stem
    yield from (stem + ending for ending in endings)


#: Of all that the files say, so that whoever stores a reading can tell that they changed.
LEXICON_DIGEST: Final = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(_FOLDER.glob("*.txt")))).digest()

_LEXICON: Final = {language: _read_language(language) for language in LANGUAGES}
