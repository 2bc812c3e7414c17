"""Similar products: those whose pictures are nearest to a product's own, by the embeddings of its model version."""

import logging
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from django.conf import settings
from django.db import connection
from django.db.models import Exists, F, OuterRef, Window
from django.db.models.functions import RowNumber
from numpy.typing import NDArray

from catalog.browse.filters import ProductCriteria
from catalog.browse.listing import list_labelled_products
from catalog.models import Product, ProductImages
from classifier.features.files import Embeddings, get_path, read_embedding, read_embeddings
from classifier.labels.facts import find_picture_facts
from classifier.models import Classification, ModelVersion

logger = logging.getLogger(__name__)

#: Embeddings looked at for each product wanted, at first and at last: a product has several pictures, pictures are
#: labelled again, and one picture may be all that a hundred products have.
_FIRST_FACTOR, _LAST_FACTOR = 4, 64


@dataclass(frozen=True, slots=True)
class SimilarProduct:
    """A product, as `list_labelled_products` gives it, and the cosine of its nearest picture, from 0 to 1."""

    product: Product
    similarity: float


def find_similar_products(product_id: int, *, limit: int, country: str = "us") -> list[SimilarProduct]:
    """Return the products with the nearest pictures, the nearest first, at most `limit`, each once.

    Compared is the product's first picture that has an embedding with all pictures that the same model version
    labelled, whatever their label. Empty while no picture of the product has an embedding. Raises
    `Product.DoesNotExist`. Ten queries, twelve when it is time to look for new embeddings.
    """
    found = _find_embedding(product_id)
    if found is None:
        return []
    version, vector = found
    embeddings = get_embeddings(version)
    factor = _FIRST_FACTOR
    while True:
        count = factor * (limit + 1)
        nearest = dict(embeddings.find_nearest(vector, count=count))
        similarities, known = _find_products(nearest, version=version, maximum=limit + 1)
        similarities.pop(product_id, None)
        if len(similarities) >= limit or len(nearest) < count or factor >= _LAST_FACTOR:
            break
        factor *= 4
    if 2 * known < len(nearest):
        forget_embeddings(version)
    best = sorted(similarities, key=lambda id: (-similarities[id], id))[:limit]
    products = list_labelled_products(ProductCriteria(country=country)).in_bulk(best)
    return [SimilarProduct(products[id], similarities[id]) for id in best if id in products]


def _find_embedding(product_id: int) -> tuple[ModelVersion, NDArray[np.float32]] | None:
    """Return version and embedding of the product's first picture that has one; two queries."""
    placements = Product.objects.filter(pk=product_id).order_by("product_images__image_index", "product_images__pk")
    image_ids = list(placements.values_list("product_images__image", flat=True))
    if not image_ids:
        raise Product.DoesNotExist
    facts = find_picture_facts([id for id in image_ids if id is not None])
    ids = [of.classifications[0].id for of in facts.values() if of.classifications]
    said = {row.image_id: row for row in Classification.objects.filter(pk__in=ids).select_related("model_version")}
    for image_id in image_ids:
        if image_id in said:
            vector = read_embedding(bytes(said[image_id].embedding))
            if vector is not None:
                return said[image_id].model_version, vector
    return None


def _find_products(nearest: dict[int, float], *, version: ModelVersion, maximum: int) -> tuple[dict[int, float], int]:
    """Return the similarity of the products that have the classified pictures, by id, and how many of these there are.

    What a version said of a picture before it said something else does not count, nor what was removed since the
    file was written. Of the products that share one picture no more than `maximum` are looked at. Two queries.
    """
    later = Classification.objects.filter(image=OuterRef("image"), model_version=version, pk__gt=OuterRef("pk"))
    found = Classification.objects.filter(pk__in=nearest, model_version=version).annotate(is_last=~Exists(later))
    rows = list(found.order_by().values_list("pk", "image_id", "is_last"))
    cosines = {image_id: nearest[pk] for pk, image_id, is_last in rows if is_last}
    rank = Window(RowNumber(), partition_by=F("image_id"), order_by=F("pk").asc())
    placements = ProductImages.objects.filter(image_id__in=cosines).annotate(rank=rank).filter(rank__lte=maximum)
    similarities: dict[int, float] = {}
    for product_id, image_id in placements.values_list("product_id", "image_id"):
        similarity = min(1.0, max(0.0, cosines[image_id]))
        similarities[product_id] = max(similarity, similarities.get(product_id, 0.0))
    return similarities, len(rows)


# --- the embeddings that this process has in memory ----------------------------------------------------------------


_loaded: dict[Path, tuple[Embeddings, float]] = {}
_catching_up = threading.Lock()


def get_embeddings(version: ModelVersion) -> Embeddings:
    """Return the embeddings of the version, as they were SIMILAR_REFRESH_SECONDS ago or later.

    Of more than CHUNK_ROWS new ones the others are read by a thread of this process, and found by later calls.
    """
    key = get_path(version)
    now = time.monotonic()
    embeddings, looked_at = _loaded.get(key, (None, 0.0))
    if embeddings is None or now - looked_at >= settings.SIMILAR_REFRESH_SECONDS:
        embeddings = read_embeddings(version)
        _loaded[key] = embeddings, now
        if embeddings.is_behind:
            threading.Thread(target=_catch_up, args=[version], name="embeddings", daemon=True).start()
    return embeddings


def forget_embeddings(version: ModelVersion) -> None:
    """Let the version's file be made anew: of much that it has the table has nothing any more."""
    logger.info("the embeddings of model version %s are made anew: pictures were removed", version.pk)
    get_path(version).unlink(missing_ok=True)
    _loaded.pop(get_path(version), None)


def _catch_up(version: ModelVersion) -> None:
    """Read what is new until nothing is, unless a thread of this process is at it."""
    if not _catching_up.acquire(blocking=False):
        return
    try:
        while read_embeddings(version).is_behind:
            pass
    except Exception:
        logger.exception("the embeddings of model version %s could not be read", version.pk)
    finally:
        _catching_up.release()
        connection.close()
