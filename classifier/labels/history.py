"""The history of labels: its changes in order, the label of any product at any time, and what that was made of."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery

from catalog.labels import LabelSummary, get_label_summary, name_evidence
from catalog.models import Product, ProductLabel
from classifier.ml.judging.fusion import KEPT_CONFIDENCE
from classifier.ml.labels import GROUPS
from classifier.ml.text.reading import Word
from classifier.models import LabelChange, ModelVersion, PictureFeatures, TextEvidence
from classifier.registry.services import find_heads
from config.db.arrays import AnyOf
from config.db.commit_order import get_settled_id

Status = ProductLabel.Status
#: What stands on texts, or on their contradiction.
_BY_TEXTS = (ProductLabel.Evidence.TEXT, ProductLabel.Evidence.BOTH)


@dataclass(frozen=True, slots=True)
class Provenance:
    """What a label was made of; None where it has no part in it, or where it was not written down at that time.

    `changed_at` is when the label became what it says, and `why`. `sha256` is that of its picture, `thresholds` are the
    confidences from which on a label of each group was kept. `run_id` is the labelling run, `review_id` the person's
    label. `texts_sha256` and `words` are of the texts where they counted.
    """

    changed_at: datetime | None = None
    why: str | None = None
    sha256: str | None = None
    model_version: str | None = None
    evidence: str = ""
    thresholds: Mapping[str, float] | None = None
    run_id: int | None = None
    review_id: int | None = None
    texts_sha256: str | None = None
    words: Sequence[Word] = ()


@dataclass(frozen=True, slots=True)
class LabelThen:
    """A product's label at some time; `change` brought it about, and is None before the first one."""

    summary: LabelSummary
    change: LabelChange | None = None
    is_present: bool = False


def list_changes(*, after: int = 0, product_id: int | None = None, count: int) -> list[LabelChange]:
    """Return the first changes with ids behind `after`, oldest first, of one product or of all.

    None that is committed later has a smaller id than the last of them. Two queries, on PostgreSQL three.
    """
    changes = LabelChange.objects.filter(pk__gt=after, pk__lte=get_settled_id(LabelChange))
    if product_id is not None:
        changes = changes.filter(product_id=product_id)
    return list(changes.order_by("pk")[:count])


def find_version_names(version_ids: Collection[int | None]) -> dict[int, str]:
    """Return the names of the versions that are still there, by their ids."""
    wanted = {pk for pk in version_ids if pk is not None}
    return dict(ModelVersion.objects.filter(pk__in=wanted).values_list("pk", "name")) if wanted else {}


def find_labels_as_of(product_ids: Collection[int], at: datetime) -> dict[int, LabelSummary]:
    """Return the label that each of the products had at that time; in four queries."""
    return {pk: then.summary for pk, then in find_labels_then(product_ids, at).items()}


def find_labels_then(product_ids: Collection[int], at: datetime) -> dict[int, LabelThen]:
    """Return the label that each of the products had at that time, with the change that brought it; in four queries.

    It is what the next change found, or the present one where there was no other change since. A product whose label
    was given later, with no change written down, is taken to have been *pending*.
    """
    # SQLite compares times as texts, which have three digits behind the second or six.
    behind = at + timedelta(microseconds=1)
    changes = LabelChange.objects.filter(product_id=OuterRef("pk"))
    last, following = changes.filter(at__lt=behind).order_by("-pk"), changes.filter(at__gte=behind).order_by("pk")
    products: QuerySet[Any] = Product.objects.filter(AnyOf("pk", product_ids)).order_by()
    rows = list(
        products.annotate(last=Subquery(last.values("pk")[:1]), following=Subquery(following.values("pk")[:1]))
        .select_related("label__model_version")
        .defer("title")
    )
    known = LabelChange.objects.in_bulk([pk for row in rows for pk in (row.last, row.following) if pk is not None])
    names = find_version_names([change.old_version_id for change in known.values()])
    return {
        row.pk: _find_label_then(row, last=known.get(row.last), following=known.get(row.following), at=at, names=names)
        for row in rows
    }


def find_present_label(product: Product) -> LabelThen:
    """Return the label that a product came with, with the change that brought it; in one query."""
    return _tell_present(product, last=LabelChange.objects.filter(product_id=product.pk).order_by("-pk").first())


def _tell_present(product: Product, *, last: LabelChange | None) -> LabelThen:
    present = get_label_summary(product)
    is_last = last is not None and last.new_status == present.status
    return LabelThen(present, last if is_last else None, is_present=True)


def _find_label_then(
    product: Product,
    *,
    last: LabelChange | None,
    following: LabelChange | None,
    at: datetime,
    names: Mapping[int, str],
) -> LabelThen:
    if following is not None:
        summary = summarise_change(following, side="old", names=names)
        if last is None or last.new_status != following.old_status:
            return LabelThen(summary)
        return LabelThen(replace(summary, labelled_at=last.labelled_at or last.at), last)
    present = get_label_summary(product)
    if present.labelled_at is None or present.labelled_at <= at:
        return _tell_present(product, last=last)
    # The same was said again since; or it was said first, of a product that is older than this history.
    if last is None:
        return LabelThen(LabelSummary(status=Status.PENDING))
    return LabelThen(replace(present, labelled_at=last.labelled_at or last.at), last)


def summarise_change(change: LabelChange, *, side: str, names: Mapping[int, str]) -> LabelSummary:
    """Return the label before a change, the side `old`, or behind it, `new`.

    `names` are those of versions; the new one's is in the change. When the old label was given is not.
    """
    values = {name: getattr(change, f"{side}_{name}") for name in ("status", "group", "garment", "source")}
    version_id = change.old_version_id if side == "old" else None
    return LabelSummary(
        status=values["status"],
        group=values["group"] or None,
        garment=values["garment"] or None,
        garment_unsure=getattr(change, f"{side}_garment_unsure"),
        confidence=getattr(change, f"{side}_confidence"),
        source=values["source"] or None,
        reason=getattr(change, f"{side}_reason"),
        evidence=name_evidence(getattr(change, f"{side}_evidence"), source=values["source"]),
        model_version=names.get(version_id or 0) if side == "old" else change.version_name or None,
        labelled_at=None if side == "old" else change.labelled_at or change.at,
    )


def find_provenance(product: Product, then: LabelThen) -> Provenance:
    """Return what a product's label was made of at a time; in two queries at most, of the product of a `ProductDetail`.

    `then` is what `find_present_label` or `find_labels_then` said of it.
    """
    change, summary = then.change, then.summary
    found = Provenance(model_version=summary.model_version, evidence=summary.evidence)
    if change is not None:
        found = replace(
            found,
            changed_at=change.at,
            why=change.why,
            sha256=to_hex(change.sha256),
            run_id=change.run_id,
            review_id=change.review_id,
            texts_sha256=to_hex(change.texts_sha256),
            words=[Word(*word) for word in change.words or ()],
        )
    if then.is_present:
        found = _add_present(found, product=product, summary=summary)
    return replace(found, thresholds=_find_thresholds(product, then, sha256=found.sha256))


def _add_present(found: Provenance, *, product: Product, summary: LabelSummary) -> Provenance:
    """Add what stands behind the present label: the same may have been said again, or before this history began."""
    label: ProductLabel | None = getattr(product, "label", None)
    if label is None:
        return found
    picture = label.image.picture if label.image else None
    texts = None
    if summary.evidence in _BY_TEXTS or summary.reason == ProductLabel.Reason.DISAGREEMENT:
        texts = TextEvidence.objects.filter(product=product).first()
    return replace(
        found,
        sha256=picture.sha256 if picture else found.sha256,
        run_id=label.classification.run_id if label.classification else found.run_id,
        review_id=label.review_id,
        texts_sha256=to_hex(texts.sha256) if texts else found.texts_sha256,
        words=[Word(*word) for word in texts.words] if texts else found.words,
    )


def _find_thresholds(product: Product, then: LabelThen, *, sha256: str | None) -> Mapping[str, float] | None:
    """Return from which confidence on a label of each group was kept; None of a person's label or without files."""
    summary = then.summary
    if summary.source != ProductLabel.Source.MACHINE or summary.model_version is None:
        return None
    if summary.evidence in _BY_TEXTS:
        return dict.fromkeys(GROUPS, KEPT_CONFIDENCE)
    # Names may be doubled; the id is in the change.
    label: ProductLabel | None = getattr(product, "label", None)
    if then.is_present and label is not None:
        version = label.model_version
    elif then.change is not None and then.change.new_version_id is not None:
        version = ModelVersion.objects.filter(pk=then.change.new_version_id).first()
    else:
        version = ModelVersion.objects.filter(name=summary.model_version).first()
    heads = find_heads(version) if version else None
    if version is None or heads is None:
        return None
    # Asked only where it makes a difference.
    canonical = False
    if heads.threshold is not None and sha256 is not None:
        seen = PictureFeatures.objects.filter(base=version.base_id, sha256=bytes.fromhex(sha256))
        canonical = seen.filter(canonical=True).exists()
    return {group: heads.find_threshold(group, canonical=canonical) for group in GROUPS}


def to_hex(digest: bytes | memoryview | None) -> str | None:
    """Return a hash in hexadecimal digits, None without one."""
    return bytes(digest).hex() if digest is not None else None
