"""Runs the import command on text or bytes, and reads back what the catalogue holds."""

import io
import json
from pathlib import Path
from typing import Any

from django.core.management import CommandError, call_command

from catalog.models import Image, Product, ProductDescription, ProductImages


class Importer:
    """Writes catalogue files below a folder and imports them by the command, as a user would."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def run(self, content: str | bytes | list[dict[str, Any]], *, name: str | None = None, **options: Any) -> dict:
        """Import and return the command's JSON document, with `exit` added: 0, or 1 where the command failed.

        A list is written as JSON Lines. A file that is refused as a whole gives its message as `failure`.
        """
        if isinstance(content, list):
            content = "".join(json.dumps(product) + "\n" for product in content)
        path = self._folder / (name or ("catalogue.jsonl" if b"{" in encode(content)[:4] else "catalogue.csv"))
        path.write_bytes(encode(content))
        output = io.StringIO()
        failure = None
        try:
            call_command("import_catalog", str(path), json=True, stdout=output, stderr=io.StringIO(), **options)
        except CommandError as error:
            failure = str(error)
        document = json.loads(output.getvalue()) if output.getvalue() else {"failure": failure}
        return {**document, "exit": 0 if failure is None else 1}


def encode(content: str | bytes) -> bytes:
    """Return text as UTF-8 and bytes as they are."""
    return content.encode() if isinstance(content, str) else content


def counts(document: dict) -> tuple[int, int, int, int]:
    """Return (created, changed, unchanged, refused)."""
    return document["created"], document["changed"], document["unchanged"], document["refused"]


def read_catalogue() -> list[dict[str, Any]]:
    """Return everything the four tables hold, product by product, in the order of their ids."""
    images: dict[int, list[Any]] = {}
    descriptions: dict[int, list[Any]] = {}
    for id, *place in ProductImages.objects.values_list("product", "image_index", "image__url"):
        images.setdefault(id, []).append(tuple(place))
    texts = ProductDescription.objects.order_by("country_code", "pk")
    for id, *text in texts.values_list("product", "country_code", "original_text", "translated_text"):
        descriptions.setdefault(id, []).append(tuple(text))
    return [
        {"id": id, "title": title, "images": images.get(id, []), "descriptions": descriptions.get(id, [])}
        for id, title in Product.objects.order_by("pk").values_list("pk", "title")
    ]


def is_empty() -> bool:
    """Return whether nothing was written to any of the four tables."""
    return not any(model.objects.exists() for model in (Product, Image, ProductImages, ProductDescription))
