"""Reads of families and their parts."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import islice

import numpy as np
from django.db.models import F, Window
from django.db.models.functions import RowNumber

from catalog.models import ProductImages
from classifier.labels.facts import find_held_hashes
from classifier.labels.placeholders import MINIMUM_PRODUCTS
from classifier.ml.data.fingerprints import SIZE, NearFinder
from classifier.ml.data.parts import Part, draw_part
from classifier.models import Review, SplitPicture, SplitProduct, SuspectedPicture
from config.db.arrays import AnyOf

#: A picture that more products show, as a size chart is, says nothing of what they are; nor does a placeholder.
MAXIMUM_PRODUCTS = MINIMUM_PRODUCTS - 1
#: Of the reviews the newest are looked through for pictures that wait for a part; what is older a training assigns.
RECENT = 1_000
# Fingerprints that are compared together; prepared for that they take 12 kB each.
_ROWS_AT_ONCE = 1_024


@dataclass(frozen=True, slots=True)
class Place:
    """The part that a picture is in, and its family: pictures of one family are never in two folds either."""

    part: Part
    family: int


@dataclass(frozen=True, slots=True)
class NearPicture:
    """A picture of a family that shows the same photograph, and the first of those that do."""

    id: int
    first_id: int
    difference: float


def find_parts(image_ids: Collection[int]) -> dict[int, Place]:
    """Return where the pictures of these images are, by the image's id: of those that fell into a part.

    Pictures that are left out are not among them; see `services.assign_parts`, which assigns those that wait. Four
    queries.
    """
    pictures = find_held_pictures(image_ids)
    found = SplitPicture.objects.filter(sha256__in={bytes.fromhex(sha256) for sha256 in pictures.values()})
    rows = found.filter(assignment__left_out_because="").values_list("sha256", "assignment__part", "assignment_id")
    places = {bytes(sha256).hex(): Place(Part(part), family) for sha256, part, family in rows}
    return {image_id: places[sha256] for image_id, sha256 in pictures.items() if sha256 in places}


def list_waiting() -> list[int]:
    """Return the images of the newest `RECENT` reviews whose picture we hold and is in no family, the oldest first.

    Five queries.
    """
    newest = Review.objects.standing().filter(image__isnull=False).order_by("-pk")
    image_ids = list(dict.fromkeys(newest.values_list("image_id", flat=True)[:RECENT]))
    pictures = find_held_pictures(image_ids)
    known = SplitPicture.objects.filter(sha256__in={bytes.fromhex(sha256) for sha256 in pictures.values()})
    found = {bytes(sha256).hex() for sha256 in known.values_list("sha256", flat=True)}
    return [pk for pk in reversed(image_ids) if pk in pictures and pictures[pk] not in found]


def find_tested(sha256s: Collection[str]) -> set[str]:
    """Return those of the pictures that are in test, would fall into it, or are left out: whatever trains does without.

    A picture is where its family is and where the products are that show it; without any it falls as its hash says. No
    picture is read: what shows the photograph of a test picture and is in no family yet is not known. Three queries.
    """
    wanted = {sha256: bytes.fromhex(sha256) for sha256 in sha256s}
    of = ("assignment__part", "assignment__left_out_because")
    pictures = SplitPicture.objects.filter(sha256__in=set(wanted.values())).values_list("sha256", *of)
    teaching = {bytes(sha256).hex(): _may_teach(part, reason) for sha256, part, reason in pictures}
    shown_by = find_products(wanted)
    product_ids = {product_id for ids in shown_by.values() for product_id in ids}
    products = SplitProduct.objects.filter(AnyOf("product_id", product_ids)).values_list("product_id", *of)
    teaching_products = {product_id: _may_teach(part, reason) for product_id, part, reason in products}
    tested = set()
    for sha256, digest in wanted.items():
        places = [teaching_products[pk] for pk in shown_by.get(sha256, ()) if pk in teaching_products]
        places += [teaching[sha256]] if sha256 in teaching else []
        if not (all(places) if places else draw_part(digest) != Part.TEST):
            tested.add(sha256)
    return tested


def find_test_pictures(image_ids: Collection[int]) -> dict[str, int | str]:
    """Return the family of each picture of the test part that these images have, or its hash where it is in none.

    Those in no family fell there as `find_tested` has it. Pictures that are left out, and suspected placeholders, are
    not among them. Seven queries.
    """
    tested = find_tested(find_held_pictures(image_ids).values())
    rows = SplitPicture.objects.filter(sha256__in={bytes.fromhex(sha256) for sha256 in tested})
    of = ("assignment_id", "assignment__left_out_because")
    families = {bytes(sha256).hex(): (family, reason) for sha256, family, reason in rows.values_list("sha256", *of)}
    known = {sha256: families.get(sha256, (sha256, "")) for sha256 in tested}
    return {sha256: family for sha256, (family, reason) in known.items() if not reason}


def _may_teach(part: str, left_out_because: str) -> bool:
    return part != Part.TEST and not left_out_because


def find_held_pictures(image_ids: Collection[int]) -> dict[int, str]:
    """Return the SHA-256 of the picture that we hold of each image, but for suspected placeholders."""
    held = find_held_hashes(image_ids)
    suspected = SuspectedPicture.objects.exclude(answer=SuspectedPicture.Answer.PICTURE)
    left_out = set(suspected.filter(sha256__in=set(held.values())).values_list("sha256", flat=True))
    return {image_id: sha256 for image_id, sha256 in held.items() if sha256 not in left_out}


def find_products(sha256s: Collection[str]) -> dict[str, list[int]]:
    """Return the products that show each picture, at any place: one more than `MAXIMUM_PRODUCTS` at most."""
    picture = "image__stored_picture"
    shown = ProductImages.objects.filter(**{f"{picture}__sha256__in": sha256s, f"{picture}__url": F("image__url")})
    rank = Window(RowNumber(), partition_by=F(f"{picture}__sha256"), order_by=F("pk").asc())
    rows = shown.annotate(rank=rank).filter(rank__lte=2 * MAXIMUM_PRODUCTS)
    products = defaultdict(set)
    for product_id, sha256 in rows.values_list("product_id", f"{picture}__sha256"):
        products[sha256].add(product_id)
    return {sha256: sorted(ids)[: MAXIMUM_PRODUCTS + 1] for sha256, ids in products.items()}


def find_siblings(product_ids: Collection[int]) -> dict[int, list[str]]:
    """Return the pictures that we hold of each product."""
    picture = "image__stored_picture"
    shown = ProductImages.objects.filter(AnyOf("product", product_ids), **{f"{picture}__url": F("image__url")})
    siblings = defaultdict(list)
    for product_id, sha256 in shown.order_by().values_list("product_id", f"{picture}__sha256"):
        siblings[product_id].append(sha256)
    return siblings


def find_near_pictures(finder: NearFinder) -> list[list[NearPicture]]:
    """Return the pictures of families that show the photograph of each of the finder's fingerprints, by id.

    One indexed read for all of them.
    """
    rows = SplitPicture.objects.filter(AnyOf("band", finder.bands))
    for number, lowest, highest in zip((3, 4, 5), finder.lowest, finder.highest, strict=True):
        rows = rows.filter(**{f"tone_{number}__range": (lowest, highest)})
    near: list[list[NearPicture]] = [[] for _ in range(finder.count)]
    found = rows.order_by("pk").values_list("pk", "first_id", "fingerprint").iterator(chunk_size=_ROWS_AT_ONCE)
    while block := list(islice(found, _ROWS_AT_ONCE)):
        for pictures, differences in zip(near, finder.find(read_fingerprints(row[2] for row in block)), strict=True):
            for place, difference in differences.items():
                pk, first_id, _ = block[place]
                pictures.append(NearPicture(pk, first_id or pk, difference))
    return near


def read_fingerprints(contents: Iterable[bytes | memoryview]) -> np.ndarray:
    """Return stored fingerprints as uint8[N, 32, 32, 3]."""
    return np.frombuffer(b"".join(map(bytes, contents)), np.uint8).reshape(-1, SIZE, SIZE, 3)
