"""Pictures fall into parts: each with its family, once and for ever."""

import logging
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from django.core.cache import cache
from django.db import connection, transaction
from django.db.models.functions import Now

from catalog.models import StoredPicture
from catalog.pictures.decoding import PictureError, to_rgb
from catalog.pictures.storage import (
    THUMBNAIL_SIZE,
    StorageError,
    StorageTimeoutError,
    raise_if_away,
    read_media_picture,
    read_thumbnail,
)
from classifier.ml.data.fingerprints import (
    MAXIMUM_DIFFERENCE,
    NearFinder,
    build_band,
    build_fingerprint,
    is_plain,
    measure_differences,
    measure_tones,
)
from classifier.ml.data.parts import Part, draw_part
from classifier.models import SplitAssignment, SplitPicture, SplitProduct
from classifier.splits.selectors import (
    MAXIMUM_PRODUCTS,
    NearPicture,
    Place,
    find_held_pictures,
    find_near_pictures,
    find_parts,
    find_products,
    find_siblings,
    list_waiting,
    read_fingerprints,
)
from config.db.arrays import AnyOf
from config.db.clock import get_database_time

logger = logging.getLogger(__name__)

Reason = SplitAssignment.Reason

#: Pictures that are assigned in one transaction.
CHUNK_SIZE: Final = 100
#: Pictures that the sweep assigns between two looks at the clock.
STEP_SIZE: Final = 10
TRIED_KEY, TRIED_SECONDS = "pictures-without-part-since", 24 * 3600
#: How far a picture may be from the first one of those that show the same photograph.
MAXIMUM_SPREAD: Final = 2 * MAXIMUM_DIFFERENCE
# Why a picture is left out by itself; nothing follows from it for others.
_ALONE: Final = (Reason.BETWEEN, Reason.COMMON)
# Which family keeps its part where families of several meet: test, then what judges, then what trains.
_RANKS: Final = (Part.TEST, Part.CALIBRATION, Part.VALIDATION, Part.TRAINING)


def assign_parts(image_ids: Collection[int]) -> dict[int, Place]:
    """Let the pictures of these images fall into parts, as far as they have not, and return where each is, by image.

    Products of pictures that have a part already are looked at again. Absent from what is returned are pictures that
    are left out, that we do not hold or cannot read, and suspected placeholders. Raises StorageError while the media
    storage is away; what was assigned until then stays.
    """
    wanted = sorted(set(find_held_pictures(image_ids).values()))
    for start in range(0, len(wanted), CHUNK_SIZE):
        sha256s = wanted[start : start + CHUNK_SIZE]
        fingerprints = _read_fingerprints(_find_new(sha256s))
        with transaction.atomic():
            _lock()
            # Read again, now that nobody else assigns.
            new = set(_find_new(sha256s))
            links = _find_links(sha256s)
            for sha256, moved in _find_moved(links, known=set(sha256s) - new).items():
                _assign_again(sha256, moved)
            arrivals = _Arrivals(
                {sha256: fingerprints[sha256] for sha256 in sha256s if sha256 in new & set(fingerprints)}
            )
            for sha256 in arrivals.fingerprints:
                _assign_new(sha256, arrivals, links[sha256])
    return find_parts(image_ids)


def assign_waiting_parts(*, seconds: float) -> int:
    """Let pictures that people labelled lately fall into parts, for about so many seconds; return how many were tried.

    What was tried and cannot be read, or was left out, is not tried again for a day. While the media storage is away
    nothing is assigned.
    """
    end, now = time.monotonic() + seconds, get_database_time().timestamp()
    tried = {image_id: at for image_id, at in cache.get(TRIED_KEY, ()) if now - at < TRIED_SECONDS}
    waiting = [image_id for image_id in list_waiting() if image_id not in tried]
    number = 0
    try:
        while number < len(waiting) and time.monotonic() < end:
            step = waiting[number : number + STEP_SIZE]
            tried.update(dict.fromkeys(set(step) - assign_parts(step).keys(), now))
            number += len(step)
    except StorageError as error:
        logger.warning("pictures wait for their part: %s", error)
    if number:
        cache.set(TRIED_KEY, sorted(tried.items()), TRIED_SECONDS)
    return number


def _find_new(sha256s: Collection[str]) -> list[str]:
    """Return those of the pictures that are in no family yet."""
    known = SplitPicture.objects.filter(sha256__in=[bytes.fromhex(sha256) for sha256 in sha256s])
    found = {bytes(sha256).hex() for sha256 in known.values_list("sha256", flat=True)}
    return [sha256 for sha256 in sha256s if sha256 not in found]


def _read_fingerprints(sha256s: Collection[str]) -> dict[str, np.ndarray]:
    """Return the fingerprints of the pictures that can be read."""
    fingerprints = {}
    for sha256 in sha256s:
        try:
            fingerprints[sha256] = build_fingerprint(to_rgb(_read_picture(sha256), target_size=THUMBNAIL_SIZE))
        except (PictureError, StorageError) as error:
            if isinstance(error, StorageError):
                raise_if_away(error)
            logger.warning("the picture %s falls into no part: %s", sha256, error)
    return fingerprints


def _read_picture(sha256: str) -> bytes:
    """Return the picture's thumbnail, or the picture itself where that is missing or cannot be read."""
    try:
        return read_thumbnail(sha256)
    except StorageTimeoutError:
        raise
    except (PictureError, StorageError):
        name = StoredPicture.objects.filter(sha256=sha256).values_list("storage_name", flat=True).first()
        return read_media_picture(name or "")


def _lock() -> None:
    """Let one transaction at a time assign: of two at once neither would see the other's pictures."""
    # On SQLite every transaction that writes has waited for the others already.
    if connection.vendor == "postgresql":
        table = connection.ops.quote_name(SplitAssignment._meta.db_table)
        with connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE")


@dataclass(frozen=True, slots=True)
class _Links:
    """The products that show a picture, and the other pictures of these, but for those of too many products."""

    product_ids: list[int]
    sha256s: list[bytes]

    def list_families(self) -> dict[SplitAssignment, Reason]:
        """Return the families of these products and of their pictures."""
        ids = {*_find_families_of_products(self.product_ids).values()}
        ids.update(_find_families_of_pictures(self.sha256s).values())
        return dict.fromkeys(SplitAssignment.objects.filter(pk__in=ids).order_by("pk"), Reason.PRODUCT)


def _find_families_of_products(product_ids: Collection[int]) -> dict[int, int]:
    return dict(SplitProduct.objects.filter(AnyOf("product_id", product_ids)).values_list("product_id", "assignment"))


def _find_families_of_pictures(sha256s: Collection[bytes]) -> dict[bytes, int]:
    """Return the family of each picture, but of those that are left out by themselves."""
    pictures = SplitPicture.objects.filter(sha256__in=sha256s).exclude(assignment__left_out_because__in=_ALONE)
    return {bytes(sha256): family for sha256, family in pictures.values_list("sha256", "assignment")}


def _find_links(sha256s: Collection[str]) -> dict[str, _Links | None]:
    """Return what links each of the pictures that products show to others; None where too many products show it."""
    products = find_products(sha256s)
    few = {sha256: ids for sha256, ids in products.items() if len(ids) <= MAXIMUM_PRODUCTS}
    siblings = find_siblings({product_id for ids in few.values() for product_id in ids})
    shown_by = find_products({sha256 for pictures in siblings.values() for sha256 in pictures})
    links: dict[str, _Links | None] = dict.fromkeys(sha256s, _Links([], []))
    links |= dict.fromkeys(products)
    for sha256, ids in few.items():
        shown = {sibling for product_id in ids for sibling in siblings[product_id]} - {sha256}
        telling = [sibling for sibling in sorted(shown) if len(shown_by.get(sibling, ())) <= MAXIMUM_PRODUCTS]
        links[sha256] = _Links(ids, [bytes.fromhex(sibling) for sibling in telling])
    return links


def _find_moved(links: Mapping[str, _Links | None], *, known: Collection[str]) -> dict[str, _Links]:
    """Return the links of those pictures in a family that products show by now which are not in it. Two queries."""
    linked = {sha256: of for sha256, of in sorted(links.items()) if of is not None and sha256 in known}
    by_product = _find_families_of_products({pk for of in linked.values() for pk in of.product_ids})
    digests = {bytes.fromhex(sha256) for sha256 in linked}.union(*(of.sha256s for of in linked.values()))
    by_picture = _find_families_of_pictures(digests)
    moved = {}
    for sha256, of in linked.items():
        own = by_picture.get(bytes.fromhex(sha256))
        met = {by_product.get(product_id) for product_id in of.product_ids}
        met.update(by_picture[sibling] for sibling in of.sha256s if sibling in by_picture)
        if own is not None and met - {own}:
            moved[sha256] = of
    return moved


def _assign_again(sha256: str, links: _Links) -> None:
    """Join the family of a picture with those of the products that show it by now."""
    own = SplitAssignment.objects.get(pictures__sha256=bytes.fromhex(sha256))
    family = _join(links.list_families() | {own: Reason.PRODUCT}, sha256=sha256)
    _record_products(family, links.product_ids)


class _Arrivals:
    """The fingerprints of pictures that are assigned together, by SHA-256, and what is near to each.

    That are pictures of families, and those of these pictures that came into one before it.
    """

    def __init__(self, fingerprints: Mapping[str, np.ndarray]) -> None:
        self.fingerprints = fingerprints
        self._known: dict[str, list[NearPicture]] = {}
        # What each is near to among those before it, with the difference.
        self._alike: dict[str, dict[str, float]] = {}
        self._added: dict[str, SplitPicture] = {}
        telling = [sha256 for sha256, fingerprint in fingerprints.items() if not is_plain(fingerprint)]
        if telling:
            finder = NearFinder(np.stack([fingerprints[sha256] for sha256 in telling]))
            self._known = dict(zip(telling, find_near_pictures(finder), strict=True))
            for sha256, found in zip(telling, finder.find_before(), strict=True):
                self._alike[sha256] = {telling[place]: difference for place, difference in found.items()}

    def find_near(self, sha256: str) -> list[NearPicture]:
        """Return what shows the same photograph, nearest first."""
        near = list(self._known.get(sha256, ()))
        for other, difference in self._alike.get(sha256, {}).items():
            if added := self._added.get(other):
                near.append(NearPicture(added.pk, added.first_id or added.pk, difference))
        return sorted(near, key=lambda picture: (picture.difference, picture.id))

    def add(self, sha256: str, picture: SplitPicture) -> None:
        """Have one of the pictures found, now that it is in a family, unless nobody finds it by what it shows."""
        if picture.band is not None:
            self._added[sha256] = picture


def _assign_new(sha256: str, arrivals: _Arrivals, links: _Links | None) -> None:
    """Bring a picture into the family that it belongs to, and join the families that it shows to belong together."""
    fingerprint = arrivals.fingerprints[sha256]
    if links is None:
        _record_picture(_create_left_out(Reason.COMMON), sha256, fingerprint)
        return
    near = arrivals.find_near(sha256)
    confirmed = _confirm(fingerprint, near)
    if near and not confirmed:
        neighbour = SplitAssignment.objects.get(pictures=near[0].id)
        _record_picture(_create_left_out(Reason.BETWEEN, met=neighbour), sha256, fingerprint)
        return
    met: dict[SplitAssignment, Reason] = {}
    if confirmed:
        families = SplitAssignment.objects.filter(pictures__in=[picture.id for picture in confirmed])
        met = dict.fromkeys(families.order_by("pk"), Reason.PHOTOGRAPH)
    family = _join(met | links.list_families(), sha256=sha256)
    first_id = confirmed[0].first_id if confirmed else None
    arrivals.add(sha256, _record_picture(family, sha256, fingerprint, first_id=first_id))
    _record_products(family, links.product_ids)


def _confirm(fingerprint: np.ndarray, near: Collection[NearPicture]) -> list[NearPicture]:
    """Return those of the near pictures whose first one is not far either, so that no chain of likeness grows."""
    if not near:
        return []
    firsts = SplitPicture.objects.filter(pk__in={picture.first_id for picture in near})
    contents = dict(firsts.order_by().values_list("pk", "fingerprint"))
    spreads = measure_differences(fingerprint, read_fingerprints(contents.values()))
    close = {pk for pk, spread in zip(contents, spreads, strict=True) if spread <= MAXIMUM_SPREAD}
    return [picture for picture in near if picture.first_id in close]


def _join(met: Mapping[SplitAssignment, Reason], *, sha256: str) -> SplitAssignment:
    """Return the family to which what belongs to all of these families belongs; a new one where there are none.

    Families of one part become one. Of several parts the first by `_RANKS` keeps its own, and the others are left out
    for ever. One that was left out stands for the family it met; what meets it alone is left out with it.
    """
    if not met:
        return SplitAssignment.objects.create(part=draw_part(bytes.fromhex(sha256)))
    standing: dict[SplitAssignment, Reason] = {}
    for family, reason in met.items():
        standing.setdefault(_find_standing(family), reason)
    home, *others = sorted(standing, key=_rank)
    for family in others:
        if family.part == home.part:
            _merge(family, into=home)
        else:
            _leave_out(family, standing[family], of=home)
    is_met = any(family.part == home.part and not family.left_out_because for family in met)
    return home if is_met else min(met, key=lambda family: family.pk)


def _find_standing(family: SplitAssignment) -> SplitAssignment:
    """Return the family, or the one for which it was left out, or for which that one was."""
    while family.left_out_for is not None:
        family = family.left_out_for
    return family


def _rank(family: SplitAssignment) -> tuple[int, int]:
    return _RANKS.index(Part(family.part)), family.pk


def _leave_out(family: SplitAssignment, reason: Reason, *, of: SplitAssignment) -> None:
    logger.info("family %s of %s is left out: it met family %s of %s", family.pk, family.part, of.pk, of.part)
    family.left_out_because, family.left_out_for, family.left_out_at = reason, of, Now()
    family.save(update_fields=["left_out_because", "left_out_for", "left_out_at"])


def _merge(family: SplitAssignment, *, into: SplitAssignment) -> None:
    """Move everything of a family to another one of the same part."""
    family.pictures.update(assignment=into)
    family.products.update(assignment=into)
    family.left_out.update(left_out_for=into)
    family.delete()


def _create_left_out(reason: Reason, *, met: SplitAssignment | None = None) -> SplitAssignment:
    """Create a family for a picture that is left out by itself."""
    return SplitAssignment.objects.create(
        part=Part.TRAINING, left_out_because=reason, left_out_for=met, left_out_at=Now()
    )


def _record_picture(
    family: SplitAssignment, sha256: str, fingerprint: np.ndarray, *, first_id: int | None = None
) -> SplitPicture:
    found_by: dict[str, int] = {}
    if not is_plain(fingerprint) and family.left_out_because not in _ALONE:
        tones = measure_tones(fingerprint)
        found_by = {"band": build_band(tones), "tone_3": tones[3], "tone_4": tones[4], "tone_5": tones[5]}
    return SplitPicture.objects.create(
        sha256=bytes.fromhex(sha256),
        assignment=family,
        first_id=first_id,
        fingerprint=fingerprint.tobytes(),
        **found_by,
    )


def _record_products(family: SplitAssignment, product_ids: Iterable[int]) -> None:
    rows = [SplitProduct(product_id=product_id, assignment=family) for product_id in product_ids]
    SplitProduct.objects.bulk_create(
        rows, update_conflicts=True, update_fields=["assignment"], unique_fields=["product_id"]
    )
