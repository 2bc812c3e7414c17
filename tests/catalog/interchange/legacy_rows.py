"""Rows that the columns allow, exported and imported again: ``python -m tests.catalog.interchange.legacy_rows``."""

import argparse
import io
import json
import os
import sys
import tempfile
import time
import traceback
from collections import Counter
from typing import Any, cast

import hypothesis
from hypothesis import strategies

# What texts of other programs begin and end with, what readers of files take for something else, and what nobody sees.
_PIECES = strategies.sampled_from(
    [
        *" \t\n\r'\"=+-@,;|\\/:.#?\u200b\ufeff\u00a0\u2028\x07\x85\uff1dé漢👟aZ0",
        *("\r\n", "e\u0301", "us", "id", "n/a", "NULL", "null", "#N/A", "https://a.example/1.jpg", "{}", "[]"),
    ]
)
_SHORT = strategies.lists(_PIECES, max_size=6).map("".join)
_LONG = ("x" * 131_072, '"' * 131_072, "=" * 131_072, "x" * 131_073, "y" * 600_000)
_COUNTRIES = (
    *("us", "US", " us", "de", "gb", "uk", "UK", "GBR", "en-US", "en_gb", "Spain"),
    *("39", "Deutschland!", "xx", "u\u200bs", ""),
)
_URLS = (
    *("https://a.example/1.jpg", " https://a.example/1.jpg", "https://a.example/my pic.jpg", "//cdn.example/x.jpg"),
    *("https://a.example/1,2.jpg", "https://a.example/1.jpg,https://a.example/2.jpg", "a,b.png", "a.png|b.png"),
    *("javascript:alert(1)", "../../etc/passwd", "-1.png", "b c.png", "x" * 2_048, "é" * 1_025),
    *("a.png", "a.png;b.png", "n/a", "NULL", "-", "#N/A"),
)


def _mostly(usual: strategies.SearchStrategy[Any], *seldom: Any) -> strategies.SearchStrategy[Any]:
    """Return a strategy that takes one of the few values once in fifty times."""
    return strategies.integers(0, 49).flatmap(lambda number: usual if number else strategies.sampled_from(seldom))


_TEXTS = _mostly(
    strategies.none()
    | _SHORT
    | strategies.text(strategies.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20),
    *_LONG,
)
#: A product as other programs write one: its id (None is drawn), the URLs at their indexes (None: 0, 1, 2, ...), texts.
PRODUCTS = strategies.fixed_dictionaries(
    {
        "id": _mostly(strategies.none(), 0, -5, 2**62, 2**62 + 1, 2**63 - 2),
        "title": _mostly(_SHORT | _SHORT.map(" Shirt {}".format), "x" * 1_000, "x" * 1_001),
        "urls": _mostly(strategies.lists(strategies.sampled_from(_URLS) | _SHORT, max_size=4), ["a.png"] * 1_001),
        "indexes": _mostly(strategies.none(), [1, 2, 3, 4], [0, 2, 3, 2**31 - 1]),
        "texts": strategies.lists(strategies.tuples(strategies.sampled_from(_COUNTRIES), _TEXTS, _TEXTS), max_size=4),
    }
)


def write_rows(products: list[dict[str, Any]]) -> int:
    """Empty the four tables, and write the products past every rule; return how many rows that are."""
    from catalog.models import Image, Product, ProductDescription, ProductImages

    for model in (ProductDescription, ProductImages, Product, Image):
        model.objects.all().delete()
    number = 0
    for row, product in enumerate(products, start=1):
        id = row if product["id"] is None else product["id"]
        if Product.objects.filter(pk=id).exists():
            continue
        Product.objects.create(id=id, title=product["title"])
        images = {url: Image.objects.get_or_create(url=url)[0] for url in set(product["urls"])}
        indexes = range(len(product["urls"])) if product["indexes"] is None else product["indexes"]
        places = [
            ProductImages(product_id=id, image=images[url], image_index=index)
            for url, index in zip(product["urls"], indexes, strict=False)
        ]
        texts = [
            ProductDescription(product_id=id, country_code=country, original_text=original, translated_text=translated)
            for country, original, translated in product["texts"]
        ]
        ProductImages.objects.bulk_create(places)
        ProductDescription.objects.bulk_create(texts)
        number += 1 + len(places) + len(texts)
    return number


def check_rows(products: list[dict[str, Any]]) -> int:
    """Write the products, export them in both forms and import that: nothing may change, be refused or be lost.

    Return how many of them an import would have refused something of, which their export says.
    """
    from catalog.browse.filters import PRODUCT_ORDERINGS
    from catalog.interchange.exporting import encode_products
    from catalog.interchange.importing import import_catalog
    from catalog.interchange.reading import read_records
    from catalog.interchange.writing import ExportReport
    from catalog.models import Product
    from tests.support.importing import read_catalogue

    before = read_catalogue()
    for suffix in ("jsonl", "csv"):
        report = ExportReport()
        parts = encode_products(Product.objects.all(), ordering=PRODUCT_ORDERINGS["id"], suffix=suffix, report=report)
        content = b"".join(parts)
        stream = cast(io.BufferedReader, io.BufferedReader(io.BytesIO(content)))
        done = import_catalog(read_records(stream, format=suffix))
        outcome = (done.created, done.changed, done.refused)
        assert outcome == (0, 0, 0), f"expected {suffix} to change nothing, received {outcome}: {done.errors}"
        assert done.unchanged + report.refused >= len(before) == report.products
        assert read_catalogue() == before
        if suffix == "jsonl":
            _check_that_nothing_is_lost(content.decode(), before)
    return report.refused


def _check_that_nothing_is_lost(content: str, before: list[dict[str, Any]]) -> None:
    """Look for every image and text in the lines of an export, in those of what was refused as well."""
    expected: Counter[str] = Counter()
    found: Counter[str] = Counter()
    for product in before:
        expected.update(url.strip() for _, url in product["images"])
        expected.update((text or "").strip() for texts in product["descriptions"] for text in texts[1:])
    for line in content.split("\n")[:-1]:
        document = json.loads(line)
        if "refused" in document:
            assert document["reasons"]
            document = document["refused"]
        found.update(url.strip() for url in document.get("images", []))
        for text in document.get("descriptions", []):
            found.update((text[name] or "").strip() for name in ("original_text", "translated_text"))
    for counter in (expected, found):  # what nobody can see is no text
        for text in [text for text in counter if not any(map(str.isprintable, text))]:
            del counter[text]
    assert found == expected


def main() -> int:
    """Export and import generated rows, and return 1 if that changed, refused or lost something."""
    parser = argparse.ArgumentParser(prog="python -m tests.catalog.interchange.legacy_rows", description=main.__doc__)
    parser.add_argument("--products", type=int, default=10_000, help="how many, ten at a time (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="what they are made from (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print the outcome as one JSON document")
    arguments = parser.parse_args()
    started = time.monotonic()
    counts: Counter[str] = Counter()
    failure = ""
    with tempfile.TemporaryDirectory(prefix="legacy-rows-") as folder:
        os.environ |= {"VAR_DIR": folder, "DJANGO_SETTINGS_MODULE": "config.settings.base", "DATABASE_URL": ""}
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)

        @hypothesis.seed(arguments.seed)
        @hypothesis.settings(max_examples=arguments.products // 10, deadline=None, database=None)
        @hypothesis.given(strategies.lists(PRODUCTS, min_size=10, max_size=10))
        def check(products: list[dict[str, Any]]) -> None:
            counts["rows"] += write_rows(products)
            counts["products"] += len(products)
            counts["refused at the export"] += check_rows(products)

        try:
            check()
        except AssertionError:
            failure = traceback.format_exc()
    outcome = dict(counts) | {
        "seed": arguments.seed,
        "passed": not failure,
        "elapsed_seconds": round(time.monotonic() - started, 1),
    }
    sys.stdout.write((json.dumps(outcome) if arguments.json else str(outcome)) + "\n")
    sys.stderr.write(failure)
    return 1 if failure else 0


if __name__ == "__main__":
    sys.exit(main())
