"""What products' texts say: read anew where they are others than those that were read, and stored with their hash."""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Mapping, Set
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet

from catalog.labels import with_first_image
from catalog.models import Product, ProductDescription
from classifier.ml.heads import TitleHead
from classifier.ml.judging.fusion import SILENT as SILENT_TEXTS
from classifier.ml.judging.fusion import TextSaid
from classifier.ml.text.lexicon import LEXICON_DIGEST
from classifier.ml.text.reading import (
    SILENT,
    TITLE,
    TITLE_SCORE,
    Text,
    TextReading,
    Verdict,
    choose_languages,
    read_texts,
)
from classifier.models import ModelVersion, TextEvidence, TextPrecision
from classifier.registry.selectors import find_active_model_version
from classifier.registry.services import find_heads
from config.db.arrays import AnyOf
from config.db.bulk import insert_or_update_rows
from config.web.texts import extract_text

ORIGINAL, TRANSLATED = "original_text", "translated_text"
#: What may change a label.
SPEAKING = (Verdict.GROUP, Verdict.NONE_OF_THESE)
_FIELDS = ("product", "score", "sha256", "verdict", "country", "group", "garment", "words")

#: A country, its text as it was written, and translated.
Description = tuple[str, str | None, str | None]
_choose_languages = lru_cache(maxsize=1024)(choose_languages)


@dataclass(frozen=True, slots=True)
class ReadTexts:
    """A product's texts as they are now, and what they say; whether nothing is stored of them."""

    sha256: bytes
    country: str
    reading: TextReading
    is_first: bool


def read_product_texts(title: str, descriptions: Collection[Description]) -> TextReading:
    """Read a product's texts: the title in English and the languages of its countries, a description in its country's.

    A description's field is named as its column, with its country: `original_text de`.
    """
    countries = frozenset([country for country, _, _ in descriptions])
    reading = read_texts([Text(TITLE, title, _choose_languages(countries))])
    if reading is not SILENT:
        return reading
    texts = []
    for country, original, translated in descriptions:
        languages = _choose_languages(frozenset((country,)))
        for field, text in ((ORIGINAL, original), (TRANSLATED, translated)):
            if text:
                plain = extract_text(text) if "<" in text else text
                texts.append(Text(f"{field} {country}", plain, languages))
    return read_texts(texts)


def find_stale_texts(product_ids: Collection[int]) -> dict[int, ReadTexts]:
    """Return what texts say of those products whose texts, or the lexicon, are not what was read; in two queries."""
    products = Product.objects.filter(AnyOf("pk", product_ids)).order_by()
    rows = list(products.values_list("pk", "title", "text_evidence__sha256"))
    descriptions: dict[int, list[Description]] = defaultdict(list)
    fields = ("product_id", "country_code", ORIGINAL, TRANSLATED)
    texts = ProductDescription.objects.filter(AnyOf("product", product_ids)).order_by("pk")
    for product_id, *description in texts.values_list(*fields):
        descriptions[product_id].append(tuple(description))
    stale = {}
    for product_id, title, former in rows:
        of = descriptions.get(product_id, [])
        sha256 = _digest(title, of)
        if former is None or bytes(former) != sha256:
            country = of[0][0] if of else ""
            stale[product_id] = ReadTexts(sha256, country, read_product_texts(title, of), former is None)
    return stale


def write_texts(texts: Mapping[int, ReadTexts], *, created: Set[int] = frozenset()) -> None:
    """Store what the texts of these products say; call it in the transaction that writes their labels.

    `created` are the products that the transaction made: nobody else reads their texts.
    """
    rows = [
        (
            product_id,
            of.reading.score,
            of.sha256,
            of.reading.verdict.value,
            of.country,
            of.reading.group,
            of.reading.garment,
            [[word.word, word.language, word.field, word.says] for word in of.reading.words],
        )
        for product_id, of in sorted(texts.items())
    ]
    new = {product_id for product_id in created & texts.keys() if texts[product_id].is_first}
    insert_or_update_rows(TextEvidence, fields=_FIELDS, rows=rows, new=new)


def remove_orphaned_texts(after: int, until: int) -> None:
    """Remove what texts said of products with ids in this range, `after` excluded, that are gone."""
    exists = Exists(Product.objects.filter(pk=OuterRef("pk")))
    TextEvidence.objects.filter(~exists, pk__gt=after, pk__lte=until).delete()


def find_texts_said(product_ids: Collection[int]) -> dict[int, TextSaid]:
    """Return what the stored readings say, of products of which they say something that may change a label."""
    if not product_ids:
        return {}
    voting = TextPrecision.objects.filter(country=OuterRef("country"), has_vote=True)
    rows = TextEvidence.objects.filter(AnyOf("product", product_ids), verdict__in=SPEAKING).order_by()
    fields = rows.values_list("product_id", "verdict", "group", "garment", "score", Exists(voting))
    return {product_id: TextSaid(*said) for product_id, *said in fields}


def add_learned(
    said: Mapping[int, TextSaid], *, product_ids: Collection[int], production: ModelVersion | None = None
) -> dict[int, TextSaid]:
    """Return what texts say together with what reviews taught about the titles of these products, by the product.

    Nothing is added where nothing taught the version in production that, or `production` if it were, or where texts
    with a vote name a group.
    """
    asked = [pk for pk in product_ids if not _names_group(said.get(pk, SILENT_TEXTS))]
    head = find_title_head(production) if asked else None
    if head is None:
        return dict(said)
    rows = Product.objects.filter(AnyOf("pk", asked)).exclude(title="").order_by()
    titles = dict(rows.values_list("pk", "title"))
    odds = head.odds([title or "" for title in titles.values()]).tolist()
    learned = {pk: replace(said.get(pk, SILENT_TEXTS), learned=of) for pk, of in zip(titles, odds, strict=True)}
    return {**said, **learned}


def find_title_head(version: ModelVersion | None = None) -> TitleHead | None:
    """Return what reviews taught the version about titles, if they did and this machine has it.

    Without one, the version in production.
    """
    version = version or find_active_model_version()
    heads = find_heads(version) if version is not None else None
    return heads.titles if heads is not None else None


def _names_group(said: TextSaid) -> bool:
    return said.has_vote and said.verdict == Verdict.GROUP


def weigh_texts(texts: Mapping[int, ReadTexts]) -> dict[int, TextSaid]:
    """Return what texts say that are not stored yet, by the product, with the vote that they have."""
    countries = TextPrecision.objects.filter(has_vote=True).values_list("country", flat=True)
    voting = set(countries) if texts else set()
    return {
        product_id: TextSaid(
            of.reading.verdict, of.reading.group, of.reading.garment, of.reading.score, of.country in voting
        )
        for product_id, of in texts.items()
    }


def list_named() -> QuerySet[Any]:
    """Return the products with an image whose title names one group, by id: (id, group, id of the first image)."""
    named = Product.objects.filter(text_evidence__verdict=Verdict.GROUP, text_evidence__score=TITLE_SCORE)
    shown = with_first_image(named).filter(first_image_id__isnull=False)
    return shown.order_by("pk").values_list("pk", "text_evidence__group", "first_image_id")


def find_text_evidence(product_ids: Collection[int]) -> dict[int, tuple[bytes, list[list[str]]]]:
    """Return the hash of the texts that were read, and the words that counted, by the product."""
    if not product_ids:
        return {}
    rows = TextEvidence.objects.filter(AnyOf("product", product_ids)).order_by()
    fields = rows.values_list("product_id", "sha256", "words")
    return {product_id: (bytes(sha256), words) for product_id, sha256, words in fields}


def _digest(title: str, descriptions: Collection[Description]) -> bytes:
    """Return the hash of the texts and of the lexicon that they are read with; no text has a NUL in it."""
    texts = [title, *(text or "" for description in descriptions for text in description)]
    return hashlib.sha256(LEXICON_DIGEST + "\0".join(texts).encode(errors="surrogatepass")).digest()
