"""Placeholders: pictures that stand for none of the products that show them, such as *image not available*.

The same bytes, shown first by many products whose titles have nothing in common, are suspected. A label says so then
(`decision`), until a person answers, once for all of these products.
"""

import logging
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet, Subquery
from django.db.models.functions import Now

from catalog.models import ProductImages, ProductLabel, StoredPicture
from classifier.labels.services import Why, refresh_product_labels
from classifier.labels.settling import STEP_SIZE, settle
from classifier.models import SuspectedPicture

logger = logging.getLogger(__name__)

#: So many products show a suspected picture first, and no word is in the titles of half of them.
MINIMUM_PRODUCTS = 20
# Titles that are compared at most; of more products they are taken evenly from all over the catalogue.
COMPARED_TITLES = 1000
SPREAD = 9973
# Chinese and Japanese, which are written without spaces.
_UNSPACED = re.compile(r"([\u2e80-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+)")


def split_words(title: str) -> set[str]:
    """Return the words of a title, without case; where there are no spaces, every two neighbouring characters."""
    text = unicodedata.normalize("NFKC", title).casefold()
    kinds = [(character, unicodedata.category(character)) for character in text if character not in "'\u2019"]
    kept = [character if kind[0] in "LMN" else " " for character, kind in kinds if kind != "Cf"]
    words: set[str] = set()
    for number, part in enumerate(_UNSPACED.split("".join(kept))):
        # What the pattern found stands at the odd places.
        words.update(map("".join, pairwise(part)) if number % 2 and len(part) > 1 else part.split())
    return words


def are_unlike(titles: Sequence[str]) -> bool:
    """Whether no word is in half of the titles."""
    number_of = Counter(word for title in titles for word in split_words(title))
    return 2 * max(number_of.values(), default=0) < len(titles)


def list_showing(sha256: Any) -> QuerySet[ProductImages]:
    """Return the places where the picture with this hash stands first in a product; not ordered."""
    return ProductImages.objects.filter(
        image_index=0, image__stored_picture__sha256=sha256, image__stored_picture__url=F("image__url")
    ).order_by()


def suspect_pictures(after: int, until: int) -> None:
    """Suspect the placeholders among the pictures of the products with ids in this range, `after` excluded.

    A picture is looked at in the range of the first product that shows it, so that a walk through all products looks
    once at each. One that a person labelled is none, nor one that was suspected before.
    """
    known = SuspectedPicture.objects.filter(sha256=OuterRef("image__stored_picture__sha256"))
    first = ProductImages.objects.filter(image_index=0, product__gt=after, product__lte=until)
    first = first.filter(~Exists(known), image__stored_picture__url=F("image__url")).order_by()
    first = first.exclude(product__label__source=ProductLabel.Source.PERSON)
    image_of = dict(first.values_list("image__stored_picture__sha256", "image_id"))
    if not image_of:
        return
    showing = list_showing(OuterRef("sha256"))
    # No more than so many are counted of any picture, and of most there is one.
    shown = StoredPicture.objects.filter(Exists(showing[MINIMUM_PRODUCTS - 1 :]), image__in=image_of.values())
    earlier_product = Subquery(showing.filter(product__lte=after).values("product_id")[:1])
    for sha256, product_id in shown.values_list("sha256", earlier_product):
        if product_id is None and (products := _count_unlike_products(sha256)):
            SuspectedPicture.objects.get_or_create(sha256=sha256, defaults={"products": products})
            logger.info("the picture %s of %s unlike products is taken for a placeholder", sha256, products)


def review_suspects() -> int:
    """Look again at the suspects that nobody answered; return how many labels changed since some are none any more."""
    changed = 0
    for suspect in SuspectedPicture.objects.filter(answer=""):
        unanswered = SuspectedPicture.objects.filter(pk=suspect.pk, answer="")
        products = _count_unlike_products(suspect.sha256)
        if products:
            unanswered.exclude(products=products).update(products=products)
            continue
        with transaction.atomic():
            # There are few of them, but where titles became alike; of more, the walk finds the others.
            showing = list_showing(suspect.sha256).order_by("product_id").values_list("product_id", flat=True)
            if unanswered.delete()[0]:
                changed += refresh_product_labels(list(showing[:STEP_SIZE]), why=Why.SUSPECTED)
    return changed


def answer_suspects(ids: Collection[int], *, answer: str, user: User, again: bool = False) -> int:
    """Answer for suspected pictures in a person's name; return how many have this answer now.

    One that has another answer keeps it unless it is asked `again`; the same answer twice changes nothing. The labels
    of the first thousand products or so follow at once, those of the others in the next sweeps.
    """
    suspects = SuspectedPicture.objects.filter(pk__in=ids)
    changeable = suspects.exclude(answer=answer) if again else suspects.filter(answer="")
    answered = changeable.update(answer=answer, answered_by=user, answered_at=Now(), labels_after=0)
    if answered:
        logger.info("%s answered %r for %s of the suspected pictures %s", user, answer, answered, sorted(ids))
        settle_labels(seconds=0.5)
    return suspects.filter(answer=answer).count()


def settle_labels(*, seconds: float) -> int:
    """Bring labels that follow from suspects and answers up to date for so long; return how many changed."""
    return settle(
        SuspectedPicture.objects.order_by("pk"),
        list_products=lambda suspect: list_showing(suspect.sha256),
        why=lambda suspect: Why.ANSWERED if suspect.answer else Why.SUSPECTED,
        seconds=seconds,
    )


def _count_unlike_products(sha256: str) -> int:
    """Return how many products show the picture first, if they are many and unlike; else 0."""
    showing = list_showing(sha256)
    spread = showing.order_by(F("product_id") % SPREAD, "product_id")
    titles = list(spread.values_list("product__title", flat=True)[:COMPARED_TITLES])
    if len(titles) < MINIMUM_PRODUCTS or not are_unlike(titles):
        return 0
    return showing.count() if len(titles) == COMPARED_TITLES else len(titles)
