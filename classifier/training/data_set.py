"""What people said of pictures as files: a data set whose parts are those that pictures fell into for ever."""

import csv
import logging
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from catalog.models import Image, Product, ProductDescription
from catalog.pictures.formats import EXTENSIONS, find_format
from catalog.pictures.storage import StorageError, find_picture_bytes, raise_if_away
from classifier.labels.facts import find_picture_facts
from classifier.ml.judging.catalogues import NONE
from classifier.models import Review, Verdict
from classifier.splits.services import assign_parts

logger = logging.getLogger(__name__)

#: As `evaluate_classifier --catalogue` reads it.
COLUMNS: Final = ("path", "group", "garment", "title", "country", "split", "sha256", "review")
_CHUNK_SIZE: Final = 500


def write_data_set(folder: Path, *, counts: Counter[str]) -> Iterator[None]:
    """Write the reviewed pictures into an empty folder, by part and group, with labels.csv; yield after each picture.

    The newest review that stands decides, each different picture is there once, and unusable ones are not. Pictures
    that fell into no part are left out, or that we do not hold or cannot read. `counts` are the pictures of each part.
    Raises `OSError`, and `StorageError` while the media storage is away.
    """
    seen: set[str] = set()
    with (folder / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        for image_ids in _list_reviewed():
            facts = find_picture_facts(image_ids)
            held = {pk: of for pk, of in facts.items() if of.sha256 and of.review is not None}
            places, products = assign_parts(held), _find_products(held)
            images = Image.objects.select_related("stored_picture").in_bulk(list(places))
            for pk, image in sorted(images.items()):
                of = held[pk]
                content = b"" if of.sha256 in seen else _read(image)
                extension = EXTENSIONS.get(find_format(content) or "")
                if of.review is None or of.review.verdict == Verdict.UNUSABLE or extension is None:
                    continue
                seen.add(of.sha256)
                group, part = of.review.group or NONE, places[pk].part.value
                path = f"{part}/{group.lower().replace(' ', '-')}/{of.sha256}.{extension}"
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(content)
                title, country = products.get(pk, ("", ""))
                table.writerow([path, group, of.review.garment, title, country, part, of.sha256, of.review.id])
                counts[part] += 1
                yield


def _read(image: Image) -> bytes:
    """Return what we hold of the image, nothing where that cannot be read. Raises StorageError."""
    try:
        return find_picture_bytes(image) or b""
    except StorageError as error:
        raise_if_away(error)
        logger.warning("the picture of image %s is left out: %s", image.pk, error)
        return b""


def _list_reviewed() -> Iterator[list[int]]:
    """Yield the images of the reviews that stand, in chunks."""
    standing = Review.objects.filter(withdrawn_at__isnull=True, image__isnull=False)
    ids = list(standing.order_by("image").values_list("image_id", flat=True).distinct())
    for start in range(0, len(ids), _CHUNK_SIZE):
        yield ids[start : start + _CHUNK_SIZE]


def _find_products(image_ids: Collection[int]) -> dict[int, tuple[str, str]]:
    """Return title and country of the first product that shows each image first; both in one line."""
    shown = Product.objects.filter(product_images__image__in=image_ids, product_images__image_index=0)
    rows = list(shown.order_by("-pk").values_list("product_images__image_id", "pk", "title"))
    texts = ProductDescription.objects.filter(product__in={pk for _, pk, _ in rows}).order_by("-pk")
    countries = dict(texts.values_list("product_id", "country_code"))
    return {image_id: (" ".join((title or "").split()), countries.get(pk, "").lower()) for image_id, pk, title in rows}
