"""What an import would take of a product as it is stored, and what it would refuse: rows older than our rules, or of
other programs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from catalog.interchange.records import Description, ProductRecord, build_record, clean_description
from catalog.interchange.stored import StoredDescription, StoredProduct
from catalog.values import RecordError, clean_country


@dataclass(frozen=True, slots=True)
class ProductParts:
    """A product in two: `record` is None where even its id or title would be refused.

    `refused` is a product as JSON Lines have one, with what must be corrected and no more; empty where `reasons` are.
    """

    record: ProductRecord | None
    refused: Mapping[str, Any]
    reasons: list[str]


def refuse_longest(parts: ProductParts, record: ProductRecord, *, reason: str) -> ProductParts:
    """Return the parts with the longest thing of the record, its images or one of its texts, among what is refused."""
    lengths = {country: sum(len(text or "") for text in texts) for country, texts in record.descriptions.items()}
    longest = max(lengths, key=lambda country: lengths[country], default="")
    refused = {"id": record.id, "title": record.title, **parts.refused}
    if sum(map(len, record.images or ())) > lengths.get(longest, 0):
        refused["images"] = list(record.images or ())
        what, left = "images", replace(record, images=None)
    else:
        texts = dict(record.descriptions)
        refused["descriptions"] = [*refused.get("descriptions", []), _describe_texts(longest, texts.pop(longest))]
        what, left = f"text of {longest}", replace(record, descriptions=texts)
    return ProductParts(record=left, refused=refused, reasons=[*parts.reasons, f"{what}: {reason}"])


def split_product(product: StoredProduct) -> ProductParts:
    """Return the product in its two parts; an import of the first changes nothing."""
    reasons: list[str] = []
    refused: dict[str, Any] = {}
    descriptions: dict[str, Description] = {}
    bad_texts = [(text, "expected every country once in a product") for text in product.repeated]
    for text in product.descriptions.values():
        try:
            texts = clean_description(text.original_text, translated_text=text.translated_text)
            descriptions[clean_country(text.country_code)] = texts
        except RecordError as error:
            bad_texts.append((text, str(error)))
    if bad_texts:
        refused["descriptions"] = [
            _describe_texts(text.country_code, (text.original_text, text.translated_text)) for text, _ in bad_texts
        ]
        reasons += [f"text of {text.country_code}: {reason}" for text, reason in bad_texts]
    record: ProductRecord | None
    try:
        record = build_record(line=0, id=product.id, title=product.title, images=None, descriptions=descriptions)
    except RecordError as error:
        everything = [*product.descriptions.values(), *product.repeated]
        refused = {"images": product.images, "descriptions": list(map(_describe_stored, everything))}
        record, reasons = None, [str(error), *reasons]
    else:
        try:
            if product.has_gaps:
                raise RecordError("expected the indexes 0, 1, 2, ..., received others")
            record = build_record(
                line=0, id=product.id, title=product.title, images=list(product.images), descriptions=descriptions
            )
        except RecordError as error:
            refused["images"] = product.images
            reasons.append(f"images: {error}")
    return ProductParts(record, {"id": product.id, "title": product.title, **refused} if reasons else {}, reasons)


def describe_record(record: ProductRecord) -> dict[str, Any]:
    """Return the record as a line of JSON has it."""
    images = {} if record.images is None else {"images": list(record.images)}
    texts = [_describe_texts(country, texts) for country, texts in record.descriptions.items()]
    return {"id": record.id, "title": record.title, **images, "descriptions": texts}


def _describe_stored(text: StoredDescription) -> dict[str, str | None]:
    return _describe_texts(text.country_code, (text.original_text, text.translated_text))


def _describe_texts(country: str, texts: Description) -> dict[str, str | None]:
    return {"country_code": country, "original_text": texts[0], "translated_text": texts[1]}
