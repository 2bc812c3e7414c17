"""What texts call a product: the heads of their phrases, in each language, and what follows from all of them.

The title decides where it says something, descriptions only where it is silent. In a phrase the head decides: the last
noun in English, German and Dutch (*shirt dress*, *Schuhtasche*), the first in the others (*bolso de mano*). What
stands behind *with*, *for* and their like is beside the thing. Where languages or phrases differ, it is ambiguous.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Final, NamedTuple

from classifier.ml.text.countries import LANGUAGES_OF_COUNTRY
from classifier.ml.text.lexicon import (
    AMBIGUOUS,
    AND,
    APART,
    END,
    ENGLISH,
    HEAD_LAST,
    LANGUAGES,
    NONE_OF_THESE,
    NOTHING,
    TOKENS,
    Entry,
    Found,
    Known,
    fold,
    look_up,
)

TITLE: Final = "title"
#: How much a reading counts: what the title says whole, what only descriptions say half.
TITLE_SCORE: Final = 1.0
DESCRIPTION_SCORE: Final = 0.5

#: A reader of a description looks at its beginning; names of things further on are those of others.
_READ_CHARACTERS: Final = 400


class Verdict(StrEnum):
    """What texts say."""

    GROUP = "group"
    NONE_OF_THESE = "none_of_these"
    AMBIGUOUS = "ambiguous"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class Text:
    """A text, the field it stands in (``TITLE`` or another name), and the languages in which it is read."""

    field: str
    text: str
    languages: tuple[str, ...] = (ENGLISH,)


@dataclass(frozen=True, slots=True)
class Word:
    """A word that counted, as it is written; ``says`` is a group, ``NONE_OF_THESE`` or ``AMBIGUOUS``."""

    word: str
    language: str
    field: str
    says: str


@dataclass(frozen=True, slots=True)
class TextReading:
    """What texts say: ``group`` with the verdict GROUP alone, ``garment`` where they name one of the ten.

    ``words`` are those that counted, ``score`` says how much the reading counts, 0 (silent) to 1.
    """

    verdict: Verdict = Verdict.SILENT
    group: str = ""
    garment: str = ""
    words: tuple[Word, ...] = ()
    score: float = 0.0


SILENT: Final = TextReading()
_END: Final = look_up("\n")


class _Noun(NamedTuple):
    """A noun at its place among the tokens, ``end`` excluded; made for every one that is met, hence no dataclass."""

    entry: Entry
    start: int
    end: int


class _Reading(NamedTuple):
    """What one text says in one language, the words that said it, and the places of those it knows among the tokens."""

    says: str
    garment: str
    words: tuple[Word, ...]
    weak: bool
    loan: bool
    seen: frozenset[int]


def choose_languages(countries: Collection[str]) -> tuple[str, ...]:
    """English and the languages of these countries, in the order of ``LANGUAGES``."""
    spoken = {language for country in countries for language in LANGUAGES_OF_COUNTRY.get(country.lower(), ())}
    return tuple(language for language in LANGUAGES if language == ENGLISH or language in spoken)


def read_texts(texts: Sequence[Text]) -> TextReading:
    """Read a product's texts. Never raises, whatever they are."""
    reading = _read_fields([text for text in texts if text.field == TITLE], score=TITLE_SCORE)
    if reading is SILENT:
        reading = _read_fields([text for text in texts if text.field != TITLE], score=DESCRIPTION_SCORE)
    return reading


def _read_fields(texts: Sequence[Text], *, score: float) -> TextReading:
    readings = [reading for text in texts for reading in _read_text(text)]
    if not readings:
        return SILENT
    # What counts little counts where nothing else does.
    counted = [reading for reading in readings if not reading.weak] or readings
    says = counted[0].says if all(reading.says == counted[0].says for reading in counted) else AMBIGUOUS
    garments = {reading.garment for reading in counted if reading.garment}
    group = "" if says in (NONE_OF_THESE, AMBIGUOUS) else says
    words = {(word.word, word.field): word for reading in reversed(counted) for word in reversed(reading.words)}
    return TextReading(
        verdict=Verdict.GROUP if group else Verdict.AMBIGUOUS if says == AMBIGUOUS else Verdict.NONE_OF_THESE,
        group=group,
        garment=garments.pop() if group and len(garments) == 1 else "",
        words=tuple(reversed(words.values())),
        score=score,
    )


def _read_text(text: Text) -> list[_Reading]:
    """Return what a text says, one reading for each language in which it says something."""
    is_title = text.field == TITLE
    # As the words are compared: what joins words does not make one of them.
    written = text.text[:_READ_CHARACTERS].replace("_", " ")
    tokens = TOKENS.findall(fold(written))
    known = list(map(look_up, tokens))
    naming = {language for word in known if word for language in word.naming}
    readings = []
    for language in text.languages:
        if language not in naming:
            continue
        heads, seen = _find_heads(tokens, known, language, is_title=is_title)
        if heads:
            readings.append(_weigh(heads, seen, text=written, tokens=tokens, language=language, field=text.field))
    if len(readings) > 1:
        # Who understands more of the words is right: in "Jeans Jacke" English knows the first alone.
        readings = [reading for reading in readings if not any(reading.seen < other.seen for other in readings)]
        # What hangs on words that English has too is English, if it understands as much.
        if any(reading.words[0].language == ENGLISH for reading in readings):
            readings = [reading for reading in readings if not reading.loan]
    return readings


def _find_heads(
    tokens: Sequence[str], known: Sequence[Known | None], language: str, *, is_title: bool
) -> tuple[list[tuple[_Noun, ...]], frozenset[int]]:
    """Return the heads of the phrases that name the thing, in their order, and the places of the words known.

    A head is several nouns where they contradict each other or are joined. Of a description it is the first sentence or
    part of one that names something.
    """
    number = LANGUAGES.index(language)
    is_last = language in HEAD_LAST
    heads: list[tuple[_Noun, ...]] = []
    phrase: list[_Noun] = []
    seen: list[int] = []
    is_named = is_apart = is_joined = False
    next_position = 0
    for position, word in enumerate((*known, _END)):
        if word is None or position < next_position or (found := word.found[number]) is None:
            continue
        entry, next_position = _match(found, tokens, position) if found.phrases else (found.entry, position + 1)
        if entry is None:
            continue
        if entry.says != END:
            seen += range(position, next_position)
            if entry.says not in (APART, AND):
                if entry.says != NOTHING:
                    phrase.append(_Noun(entry, position, next_position))
                continue
        if phrase and (head := _choose_head(phrase, is_last=is_last)):
            is_named = True
            if not is_apart and heads and is_joined:
                heads[-1] += head
            elif not is_apart and not (heads and _is_none(head)):
                heads.append(head)
        phrase = []
        is_joined = entry.says == AND
        if entry.says == APART:
            is_apart = is_named
        elif entry.says == END:
            if heads and not is_title:
                break
            is_named = is_apart = False
    return heads, frozenset(seen)


def _match(found: Found, tokens: Sequence[str], position: int) -> tuple[Entry | None, int]:
    """Return the entry of the longest phrase that stands here, else of the word, and where it ends."""
    for others, entry in found.phrases:
        end = position + 1 + len(others)
        if tuple(tokens[position + 1 : end]) == others:
            return entry, end
    return found.entry, position + 1


def _choose_head(nouns: Sequence[_Noun], *, is_last: bool) -> tuple[_Noun, ...]:
    """Return the head of a phrase, nothing where there is none, or the nouns that contradict each other."""
    first, *others = (reversed(nouns) if is_last else nouns) if nouns else (None,)
    if first is None:
        return ()
    beside = others[0] if others and (others[0].end == first.start or first.end == others[0].start) else None
    if first.entry.bound:
        return (
            (first,) if beside is not None and not beside.entry.bound else _choose_rest(nouns, first, is_last=is_last)
        )
    if first.entry.weak and any(not noun.entry.weak and not noun.entry.bound for noun in others):
        if beside is not None and not beside.entry.weak and beside.entry.says != first.entry.says:
            return (first, beside)
        return _choose_rest(nouns, first, is_last=is_last)
    if is_last and first.entry.says == NONE_OF_THESE and beside is None:
        # A thing of another kind at some distance, as in "dress black tie".
        return (first, *[noun for noun in others if noun.entry.says != NONE_OF_THESE and not noun.entry.weak][:1])
    return (first,)


def _choose_rest(nouns: Sequence[_Noun], passed: _Noun, *, is_last: bool) -> tuple[_Noun, ...]:
    return _choose_head([noun for noun in nouns if noun is not passed], is_last=is_last)


def _is_none(head: tuple[_Noun, ...]) -> bool:
    return all(noun.entry.says == NONE_OF_THESE for noun in head)


def _weigh(
    heads: Sequence[tuple[_Noun, ...]],
    seen: frozenset[int],
    *,
    text: str,
    tokens: Sequence[str],
    language: str,
    field: str,
) -> _Reading:
    """Return what these heads say together; weak ones are passed over where others are."""
    nouns = [noun for head in heads for noun in head]
    is_weak = all(noun.entry.weak for noun in nouns)
    if not is_weak:
        nouns = [noun for head in heads for noun in head if len(head) > 1 or not noun.entry.weak]
    said = {noun.entry.says for noun in nouns}
    garments = {noun.entry.garment for noun in nouns}
    return _Reading(
        says=said.pop() if len(said) == 1 else AMBIGUOUS,
        garment=garments.pop() if len(garments) == 1 else "",
        weak=is_weak,
        loan=all(noun.entry.loan for noun in nouns),
        seen=seen,
        words=tuple(
            Word(word=_find_spelling(text, tokens, noun), language=language, field=field, says=noun.entry.says)
            for noun in nouns
        ),
    )


def _find_spelling(text: str, tokens: Sequence[str], noun: _Noun) -> str:
    """Return the noun as the text writes it; as it was folded where folding changed the number of tokens before it."""
    spans = [found.span() for found in islice(TOKENS.finditer(text), noun.end)]
    spelling = text[spans[noun.start][0] : spans[-1][1]] if len(spans) == noun.end else ""
    if text.isascii() or TOKENS.findall(fold(spelling)) == tokens[noun.start : noun.end]:
        return spelling
    return " ".join(tokens[noun.start : noun.end])
