"""What a product's texts say of it, in sentences, and the words that counted, marked where they stand."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from django.utils.html import conditional_escape, format_html_join
from django.utils.safestring import SafeString

from classifier.labels.decision import DISAGREEMENT
from classifier.labels.precision import ENOUGH_PICTURES, ENOUGH_REVIEWS
from classifier.labels.reads import ImageLabel, ProductTexts
from classifier.ml.text.reading import TITLE, Verdict, Word
from classifier.ml.words import percent
from classifier.models import TextPrecision
from config.web.texts import extract_text

_LANGUAGES = {
    "en": "English",
    "de": "German",
    "nl": "Dutch",
    "es": "Spanish",
    "fr": "French",
    "it": "Italian",
    "pt": "Portuguese",
    "pl": "Polish",
}


@dataclass(frozen=True, slots=True)
class WordsPage:
    """What texts say, for a page."""

    texts: ProductTexts

    @property
    def sentence(self) -> str:
        """What they say and by which words; empty where they are silent."""
        reading = self.texts.reading
        if not reading.words:
            return ""
        who = "The title" if reading.words[0].field == TITLE else "The descriptions"
        says = "says" if reading.words[0].field == TITLE else "say"
        if reading.verdict == Verdict.AMBIGUOUS:
            named = "; ".join(f"{_quote(word)} is {_name(word)}" for word in reading.words)
            return f"{who} {says} more than one thing: {named}."
        words = ", ".join(_quote(word) for word in reading.words)
        if reading.verdict == Verdict.NONE_OF_THESE:
            return f"{who} {says} {words}, which is none of the five groups."
        return f"{who} {says} {words}, which is {reading.group}{f', {reading.garment}' if reading.garment else ''}."

    @property
    def weight(self) -> str:
        """How much texts count where the product is sold, and why; empty where they are silent."""
        if not self.texts.reading.words:
            return ""
        precision = self.texts.precision
        if precision is None or precision.precision is None:
            return (
                "How often texts are right here is not known yet, so they move the confidence alone: that takes "
                f"{ENOUGH_REVIEWS} reviews or {ENOUGH_PICTURES} sure pictures of products with a country like this."
            )
        vote = "have a vote" if precision.has_vote else "move the confidence alone"
        return (
            f"Texts {_place(precision)} are right in {percent(precision.precision)} {_count(precision)}: they {vote}."
        )

    def mark_title(self, title: str) -> SafeString:
        """Return the title as HTML with the words that counted marked."""
        return self._mark(title, field=TITLE)

    def mark_text(self, text: str | None, *, field: str, country: str) -> SafeString | str:
        """Return a description's text likewise; empty for none."""
        return self._mark(extract_text(text), field=f"{field} {country}") if text else ""

    def _mark(self, text: str, *, field: str) -> SafeString:
        return mark_words(text, {word.word for word in self.texts.reading.words if word.field == field})


def describe_disagreement(texts: ProductTexts, label: ImageLabel) -> str:
    """Return what title and picture say against each other; empty where they do not."""
    said = label.classification
    if label.reason != DISAGREEMENT or said is None:
        return ""
    looks = f"picture looks like {said.garment} ({said.group}, {percent(said.confidence)} sure)."
    if not texts.reading.words:
        return f"Titles like this one were reviewed as {label.group}, {looks}" if texts.learned else ""
    words = " and ".join(dict.fromkeys(word.word.lower() for word in texts.reading.words))
    return f"Title says {words}, {looks}"


def mark_words(text: str, words: Iterable[str]) -> SafeString:
    """Return the text as HTML; each of these words that stands in it as a whole, between signs or _, is marked."""
    ordered = sorted(words, key=len, reverse=True)
    wanted = "|".join("[ _]".join(map(re.escape, word.split(" "))) for word in ordered)
    if not wanted:
        return SafeString(conditional_escape(text))
    parts = re.split(rf"(?<![^\W_])({wanted})(?![^\W_])", text)
    # What the pattern found stands at the odd places.
    tags = (("<mark>", "</mark>") if number % 2 else ("", "") for number in range(len(parts)))
    return format_html_join(
        "",
        "{}{}{}",
        ((SafeString(start), part, SafeString(end)) for part, (start, end) in zip(parts, tags, strict=True)),
    )


def _quote(word: Word) -> str:
    return f"\N{LEFT DOUBLE QUOTATION MARK}{word.word}\N{RIGHT DOUBLE QUOTATION MARK} ({_LANGUAGES[word.language]})"


def _name(word: Word) -> str:
    return {"ambiguous": "of no one group"}.get(word.says, word.says)


def _place(precision: TextPrecision) -> str:
    return f"of products sold in {precision.country.upper()}" if precision.country else "of products without a country"


def _count(precision: TextPrecision) -> str:
    if precision.reviewed >= ENOUGH_REVIEWS:
        return f"of {precision.reviewed:,} reviewed ones"
    return f"as {precision.sure:,} sure pictures say"
