"""Writes of labels: the current label of each product, and its history.

Whoever writes a product's label holds the locks of the image that it shows first and of the one that its label names,
until the transaction ends. So a machine's result, a person's review and a change of the catalogue cannot pass each
other. (SQLite has one writer at a time anyway.)
"""

from collections.abc import Collection, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import fields
from operator import attrgetter
from types import MappingProxyType

from django.db import OperationalError, connection, transaction
from django.db.models import F

from catalog.labels import WITHOUT_ROW, with_first_image
from catalog.models import Image, Product, ProductImages, ProductLabel
from classifier.labels.decision import DISAGREEMENT, SILENT, Decision, PictureFacts, decide
from classifier.labels.facts import find_picture_facts
from classifier.labels.texts import (
    ReadTexts,
    add_learned,
    find_stale_texts,
    find_text_evidence,
    find_texts_said,
    remove_orphaned_texts,
    weigh_texts,
    write_texts,
)
from classifier.ml.judging.fusion import TextSaid
from classifier.models import LabelChange, ModelVersion, Review
from config.db.arrays import AnyOf
from config.db.bulk import insert_or_update_rows, insert_rows
from config.db.commit_order import announce_rows

Why = LabelChange.Why

#: The columns that a decision writes, and which of them a reader of the label sees; it may be given again unchanged.
COLUMNS = tuple(field.name for field in fields(Decision))
SHOWN = ("group", "garment", "garment_unsure", "confidence", "status", "source", "reason", "evidence")
_get_columns = attrgetter(*COLUMNS)
_get_shown = attrgetter(*SHOWN)
_CHANGE_FIELDS = (
    "product_id",
    "why",
    *(f"{side}_{name}" for side in ("old", "new") for name in SHOWN),
    "old_version_id",
    "new_version_id",
    "version_name",
    "review_id",
    "sha256",
    "texts_sha256",
    "words",
    "labelled_at",
    "run_id",
)
#: How every product begins; whatever else is known of it is a change.
_BEGINNINGS = (ProductLabel.Status.PENDING, ProductLabel.Status.NO_IMAGE)
_WITHOUT_ROW = Decision(status=WITHOUT_ROW)
# From so many changed labels on, and at each doubling, PostgreSQL learns which labels there are now. By what it knew it
# reads the list of a group or status past all labels that have left it: 1 s a page after 160,000.
LEARNT_FROM = 1 << 14


def lock_images(image_ids: Collection[int]) -> None:
    """Lock the images' rows, in one order, until the transaction ends."""
    if image_ids and connection.features.has_select_for_update:
        locked = Image.objects.select_for_update(no_key=True).filter(AnyOf("pk", image_ids)).order_by("pk")
        list(locked.values_list("pk", flat=True))


def refresh_image_labels(image_ids: Collection[int], *, why: str) -> int:
    """Bring the labels of the products that show one of these images first up to date; return how many changed.

    Call it inside the transaction that wrote what decides, after `lock_images` or before anybody else could know of it.
    """
    first = ProductImages.objects.filter(AnyOf("image", image_ids), image_index=0).order_by()
    return _write_labels(dict(first.values_list("product_id", "image_id")), why=why)


def refresh_product_labels(
    product_ids: Collection[int], *, why: str = Why.CATALOGUE, created: Set[int] = frozenset()
) -> int:
    """Bring the labels of these products up to date; return how many changed. Inside the transaction that changed them.

    What their texts say is read where they are others now. Products that are gone are passed over. `created` are those
    that the transaction made.
    """
    products = with_first_image(Product.objects.filter(AnyOf("pk", product_ids)))
    shown = products.values_list("first_image_id", "label__image_id")
    lock_images({image_id for pair in shown for image_id in pair if image_id is not None})
    write_texts(find_stale_texts(product_ids), created=created)
    return _write_labels(dict(products.values_list("pk", "first_image_id")), why=why, created=created)


def refresh_product_range(after: int, until: int, *, why: str, dry_run: bool = False) -> tuple[int, int]:
    """Look at the products with ids in this range, `after` excluded, and bring their labels up to date.

    Return how many were looked at, and how many labels are another now (or would be, with `dry_run`). In transactions
    of its own: only the products whose label is not what was decided are locked, and decided once more.
    """
    products = with_first_image(Product.objects.filter(pk__gt=after, pk__lte=until))
    firsts = dict(products.order_by().values_list("pk", "first_image_id"))
    facts, texts = find_picture_facts(_images_of(firsts)), find_stale_texts(firsts)
    said = _find_texts_of_classified(firsts, facts=facts, read=texts)
    stale = _find_stale(firsts, facts=facts, texts=said, former=_read_labels(firsts))
    if not dry_run:
        remove_orphaned_texts(after, until)
    if dry_run or not (stale or texts):
        return len(firsts), len(stale)
    with transaction.atomic():
        return len(firsts), refresh_product_labels({pk for pk, _ in stale} | texts.keys(), why=why)


def refresh_statistics(*, before: int, changed: int) -> None:
    """Let PostgreSQL look at labels now, where a run's step has changed so many, and it would by itself in minutes.

    `before` is how many the run had changed before the step. Outside of the step's transaction.
    """
    if connection.vendor == "postgresql" and changed >= LEARNT_FROM and changed.bit_length() > before.bit_length():
        with suppress(OperationalError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"ANALYZE {ProductLabel._meta.db_table}")


def preview_product_labels(
    product_ids: Collection[int], *, production: ModelVersion
) -> dict[int, tuple[Decision, Decision]]:
    """Return each product's label as it is, and as it would be if this version were in production; write nothing.

    Products that are gone are left out.
    """
    products = with_first_image(Product.objects.filter(AnyOf("pk", product_ids))).order_by()
    firsts = dict(products.values_list("pk", "first_image_id"))
    facts = find_picture_facts(_images_of(firsts), production=production)
    texts = _find_texts_of_classified(firsts, facts=facts, production=production)
    labels = _read_labels(firsts)
    return {
        pk: (labels.get(pk, _WITHOUT_ROW), decision)
        for pk, decision in _decide_products(firsts, facts=facts, texts=texts)
    }


def remove_product_labels(product_ids: Collection[int]) -> None:
    """Remove the labels of products that are about to be deleted, and write the last change of each."""
    former = _read_labels(product_ids)
    gone = Decision(status="")
    _record_changes([(pk, label, gone) for pk, label in sorted(former.items())], facts={}, why=Why.DELETED)
    ProductLabel.objects.filter(product__in=product_ids).delete()


def _write_labels(firsts: dict[int, int | None], *, why: str, created: Set[int] = frozenset()) -> int:
    """Write the labels of products that show these images first; return how many changed what a reader sees."""
    if not firsts:
        return 0
    facts = find_picture_facts(_images_of(firsts))
    _bind_reviews([of.image_id for of in facts.values() if of.sha256 and of.review and not of.review.is_bound])
    former = _read_labels(firsts.keys() - created)
    texts = _find_texts_of_classified(firsts, facts=facts)
    stale = _find_stale(firsts, facts=facts, texts=texts, former=former)
    insert_or_update_rows(
        ProductLabel,
        fields=("product", *(name.removesuffix("_id") for name in COLUMNS)),
        rows=[(product_id, *_get_columns(decision)) for product_id, decision in stale],
        new=created,
    )
    changes = [
        (pk, former.get(pk, _WITHOUT_ROW), decision)
        for pk, decision in stale
        if pk in former or decision.status not in _BEGINNINGS
    ]
    return _record_changes(changes, facts=facts, why=why)


def _find_texts_of_classified(
    firsts: dict[int, int | None],
    *,
    facts: dict[int, PictureFacts],
    read: Mapping[int, ReadTexts] = MappingProxyType({}),
    production: ModelVersion | None = None,
) -> dict[int, TextSaid]:
    """Return what texts say of the products whose label hangs on what a version said; others say nothing.

    `read` are texts that were read just now and are not stored yet. With `production` as if that version were.
    """
    decided = {of.image_id for of in facts.values() if of.classifications and of.review is None}
    product_ids = [product_id for product_id, image_id in firsts.items() if image_id in decided]
    said = find_texts_said(product_ids) | weigh_texts(read)
    return add_learned(said, product_ids=product_ids, production=production)


def _images_of(firsts: dict[int, int | None]) -> set[int]:
    return {image_id for image_id in firsts.values() if image_id is not None}


def _read_labels(product_ids: Collection[int]) -> dict[int, Decision]:
    """Return the labels of the products as they stand, by the product."""
    if not product_ids:
        return {}
    rows = ProductLabel.objects.filter(AnyOf("product", product_ids)).order_by().values_list("product_id", *COLUMNS)
    return {product_id: Decision(*values) for product_id, *values in rows}


def _find_stale(
    firsts: dict[int, int | None],
    *,
    facts: dict[int, PictureFacts],
    texts: dict[int, TextSaid],
    former: dict[int, Decision],
) -> list[tuple[int, Decision]]:
    """Return the products, in one order, whose label is not what is decided, with what is."""
    decided = _decide_products(firsts, facts=facts, texts=texts)
    return [(pk, decision) for pk, decision in decided if former.get(pk) != decision]


def _decide_products(
    firsts: dict[int, int | None], *, facts: dict[int, PictureFacts], texts: dict[int, TextSaid]
) -> list[tuple[int, Decision]]:
    """Return what is decided of the products, in one order."""
    return [
        (pk, decide(facts.get(image_id) if image_id else None, texts.get(pk, SILENT)))
        for pk, image_id in sorted(firsts.items())
    ]


def _bind_reviews(image_ids: Sequence[int]) -> None:
    """Bind reviews that were given before there was a picture to the first one that came from their address."""
    unbound = Review.objects.filter(image__in=image_ids, appearance="", image__stored_picture__url=F("url"))
    for review in unbound.select_related("image__stored_picture") if image_ids else ():
        review.appearance = review.image.stored_picture.appearance  # type: ignore[union-attr]
        review.save(update_fields=["appearance"])


def _record_changes(
    labels: Sequence[tuple[int, Decision, Decision]], *, facts: dict[int, PictureFacts], why: str
) -> int:
    """Write the history of those of the (product, old label, new label) that a reader sees change; return how many."""
    changed = [row for row in labels if _seen(row[1]) != _seen(row[2])]
    if not changed:
        return 0
    version_ids = {new.model_version_id for _, _, new in changed if new.model_version_id is not None}
    names = dict(ModelVersion.objects.filter(pk__in=version_ids).values_list("pk", "name"))
    by_texts = [product_id for product_id, _, new in changed if new.evidence or new.reason == DISAGREEMENT]
    texts = find_text_evidence(by_texts)
    announce_rows(LabelChange)
    insert_rows(
        LabelChange,
        fields=_CHANGE_FIELDS,
        rows=[
            (
                product_id,
                why,
                *_get_shown(old),
                *_get_shown(new),
                old.model_version_id,
                new.model_version_id,
                names.get(new.model_version_id or 0, ""),
                new.review_id,
                bytes.fromhex(facts[new.image_id].sha256) or None if new.image_id in facts else None,
                *texts.get(product_id, (None, None)),
                new.labelled_at,
                _find_run(facts.get(new.image_id or 0), classification_id=new.classification_id),
            )
            for product_id, old, new in changed
        ],
    )
    return len(changed)


def _find_run(facts: PictureFacts | None, *, classification_id: int | None) -> int | None:
    """Return the run of the classification that a label follows from, or that a person's corrects."""
    said = facts.classifications if facts is not None else ()
    return next((each.run_id for each in said if each.id == classification_id), None)


def _seen(label: Decision) -> tuple[object, ...]:
    return (*_get_shown(label), label.model_version_id)
