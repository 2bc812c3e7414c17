"""Similar products: those whose pictures are nearest to a product's own, by what the base in production saw in them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from django.db.models import F, Window
from django.db.models.functions import RowNumber
from numpy.typing import NDArray

from catalog.browse.filters import ProductCriteria
from catalog.browse.listing import list_labelled_products
from catalog.models import Product, ProductImages
from classifier.features.matrix import normalise
from classifier.features.memory import forget_features, get_features
from classifier.ml.types import FEATURE_TYPE
from classifier.models import PictureFeatures
from classifier.registry.selectors import find_active_model_version
from config.db.arrays import AnyOf

#: Pictures looked at for each product wanted, at first and at last: a product has several pictures, and what a base saw
#: may be in pictures that no product shows any more.
_FIRST_FACTOR, _LAST_FACTOR = 4, 64


@dataclass(frozen=True, slots=True)
class SimilarProduct:
    """A product, as `list_labelled_products` gives it, and the cosine of its nearest picture, from 0 to 1."""

    product: Product
    similarity: float


def find_similar_products(product_id: int, *, limit: int, country: str = "us") -> list[SimilarProduct]:
    """Return the products with the nearest pictures, the nearest first, at most `limit`, each once.

    Compared is the product's first picture in which the base in production saw something with all pictures in which it
    did, whatever their label. Empty while there is none. Raises `Product.DoesNotExist`. Six queries, two more
    for each time that what was found belongs to too few products, and three to five when it is time to look for new
    features.
    """
    found = _find_own_features(product_id)
    if found is None:
        return []
    base_id, vector = found
    features = get_features(base_id, size=len(vector))
    factor = _FIRST_FACTOR
    while True:
        count = factor * (limit + 1)
        candidates = features.find_candidates(vector, count=count)
        nearest, known = compare_candidates(candidates, vector=vector, count=count)
        similarities = _find_products(nearest, maximum=limit + 1)
        similarities.pop(product_id, None)
        if len(similarities) >= limit or len(candidates) < count or factor >= _LAST_FACTOR:
            break
        factor *= 4
    if 2 * known < len(candidates):
        forget_features()
    best = sorted(similarities, key=lambda id: (-similarities[id], id))[:limit]
    products = list_labelled_products(ProductCriteria(country=country)).in_bulk(best)
    return [SimilarProduct(products[id], similarities[id]) for id in best if id in products]


def compare_candidates(
    candidates: list[int], *, vector: NDArray[np.float32], count: int
) -> tuple[dict[str, float], int]:
    """Return hashes and cosines of the `count` nearest of them to a vector float32[F], the nearest first.

    And how many of the candidates, ids of `PictureFeatures`, are known still. By what is stored. One query.
    """
    size = len(vector) * FEATURE_TYPE.itemsize
    rows = PictureFeatures.objects.filter(AnyOf("pk", candidates)).order_by().values_list("pk", "sha256", "features")
    seen = sorted((pk, bytes(sha256).hex(), bytes(data)) for pk, sha256, data in rows if len(data) == size)
    cosines = normalise(b"".join(data for _, _, data in seen), size=len(vector)) @ vector
    nearest = np.argsort(-cosines, kind="stable")[:count]
    return {seen[place][1]: float(cosines[place]) for place in nearest}, len(seen)


def _find_own_features(product_id: int) -> tuple[int, NDArray[np.float32]] | None:
    """Return the base in production, and what it saw in the first picture in which it saw something; or None."""
    placements = Product.objects.filter(pk=product_id).order_by("product_images__image_index", "product_images__pk")
    picture = "product_images__image__stored_picture"
    rows = list(placements.values_list("product_images__image__url", f"{picture}__url", f"{picture}__sha256"))
    if not rows:
        raise Product.DoesNotExist
    version = find_active_model_version()
    held = [bytes.fromhex(sha256) for url, stored_url, sha256 in rows if sha256 and stored_url == url]
    if version is None or not held:
        return None
    seen = PictureFeatures.objects.filter(base=version.base_id, sha256__in=held).order_by()
    features = {bytes(sha256): bytes(data) for sha256, data in seen.values_list("sha256", "features")}
    for sha256 in held:
        if data := features.get(sha256):
            (vector,) = normalise(data, size=len(data) // FEATURE_TYPE.itemsize)
            if vector.any():
                return version.base_id, vector
    return None


def _find_products(cosines: Mapping[str, float], *, maximum: int) -> dict[int, float]:
    """Return the similarity of the products that show the pictures with these hashes, by id; one query.

    Of the products that share one picture no more than `maximum` are looked at.
    """
    picture = "image__stored_picture"
    shown = ProductImages.objects.filter(
        **{f"{picture}__sha256__in": list(cosines), f"{picture}__url": F("image__url")}
    )
    rank = Window(RowNumber(), partition_by=F(f"{picture}__sha256"), order_by=F("pk").asc())
    placements = shown.annotate(rank=rank).filter(rank__lte=maximum)
    similarities: dict[int, float] = {}
    for product_id, sha256 in placements.values_list("product_id", f"{picture}__sha256"):
        similarity = min(1.0, max(0.0, cosines[sha256]))
        similarities[product_id] = max(similarity, similarities.get(product_id, 0.0))
    return similarities
