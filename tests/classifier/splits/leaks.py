"""The detector: whether something is on two sides, however it came there."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass

from classifier.ml.data.fingerprints import NearFinder
from classifier.models import SplitPicture
from classifier.splits.selectors import (
    MAXIMUM_PRODUCTS,
    find_held_pictures,
    find_near_pictures,
    find_parts,
    find_products,
    read_fingerprints,
)
from config.db.arrays import AnyOf

# Pictures that are looked for together.
_CHUNK_SIZE = 100
_PLACE = ("sha256", "assignment__part")


@dataclass(frozen=True, slots=True)
class Leak:
    """Two parts that share a photograph or a product; the pictures are named by their SHA-256."""

    parts: tuple[str, str]
    sha256s: tuple[str, str]
    shared: str


def find_leaks(image_ids: Collection[int]) -> list[Leak]:
    """Return what the pictures of these images, as far as they are in parts, share with pictures of other parts.

    Looks at pictures and products as they are now, not at how they were assigned: one indexed read a hundred pictures.
    """
    pictures = find_held_pictures(image_ids)
    part_of = {pictures[image_id]: str(place.part) for image_id, place in find_parts(image_ids).items()}
    leaks = set()
    shown = defaultdict(set)
    for sha256, product_ids in find_products(part_of).items():
        for product_id in product_ids if len(product_ids) <= MAXIMUM_PRODUCTS else ():
            shown[product_id].add(sha256)
    for product_id, sha256s in shown.items():
        first, *others = sorted(sha256s)
        for other in others:
            leaks.add(_build_leak(first, other, part_of, shared=f"product {product_id}"))
    rows = SplitPicture.objects.filter(sha256__in=[bytes.fromhex(sha256) for sha256 in part_of], band__isnull=False)
    named = list(rows.order_by("pk").values_list("sha256", "fingerprint"))
    for start in range(0, len(named), _CHUNK_SIZE):
        chunk = named[start : start + _CHUNK_SIZE]
        near = find_near_pictures(NearFinder(read_fingerprints(content for _, content in chunk)))
        ids = {picture.id for alike in near for picture in alike}
        near_rows = SplitPicture.objects.filter(AnyOf("pk", ids), assignment__left_out_because="")
        places = {pk: (bytes(found).hex(), part) for pk, found, part in near_rows.values_list("pk", *_PLACE)}
        for (digest, _), alike in zip(chunk, near, strict=True):
            for found, part in {places[picture.id] for picture in alike if picture.id in places}:
                first, second = sorted((bytes(digest).hex(), found))
                leaks.add(_build_leak(first, second, part_of | {found: part}, shared="a photograph"))
    return sorted((leak for leak in leaks if leak.parts[0] != leak.parts[1]), key=lambda leak: leak.sha256s)


def _build_leak(first: str, second: str, part_of: dict[str, str], *, shared: str) -> Leak:
    return Leak((part_of[first], part_of[second]), (first, second), shared)
