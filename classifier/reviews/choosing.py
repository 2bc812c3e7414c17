"""What the queues of unsure and suspicious labels and of the audit choose."""

from collections import defaultdict

import numpy as np
from django.contrib.auth.models import User
from numpy.typing import NDArray

from catalog.models import ProductImages, ProductLabel
from classifier.audit.selectors import find_current_round, list_open_segments, list_unanswered
from classifier.labels.texts import SPEAKING
from classifier.ml.labels import GROUPS
from classifier.ml.teaching.choosing import CANDIDATES, choose_useful, find_contradicted
from classifier.models import AuditRound, Classification, ModelVersion, TextEvidence
from classifier.registry.selectors import find_active_model_version
from classifier.reviews.candidates import Candidates, probe_labels, read_candidates, read_reviewed
from classifier.reviews.choices import Choice, is_open
from config.db.arrays import AnyOf

Status = ProductLabel.Status

# Confident labels that one look for suspicious ones takes in.
PROBED = 1_000
# How much a product's other pictures, and its texts, contradict a label, beside reviewed pictures that are like it.
OTHER_PICTURES, TEXTS = 0.5, 0.7


def choose_unsure(reviewer: User, size: int) -> list[Choice]:
    """Return unsure products that teach most, and between them as many at random: the audit's next, shown blind.

    A queue of doubtful pictures alone teaches less than chance where a shop's pictures are unlike each other.
    """
    useful = _choose_useful(size)
    blind = choose_audit(reviewer, min(size // 2, len(useful)))
    drawn = {choice.product_id for choice in blind}
    useful = [choice for choice in useful if choice.product_id not in drawn][: size - len(blind)]
    mixed = [choice for pair in zip(useful, blind, strict=False) for choice in pair]
    return mixed + useful[len(blind) :] + blind[len(useful) :]


def choose_audit(reviewer: User, size: int) -> list[Choice]:
    """Return the next of the audit's samples that nobody answered or has open, while their picture is shown first.

    Those of which an alarm of drift is about come first.
    """
    chosen: dict[int, Choice] = {}
    for audit in _list_rounds():
        waiting = list_unanswered(audit).filter(~is_open("product_id", "image_id"))
        rows = waiting.order_by("position").values_list("product_id", "image_id", "inclusion_probability")
        for product_id, image_id, probability in rows[: size - len(chosen)]:
            choice = Choice(product_id, image_id, blind=True, inclusion_probability=probability)
            chosen.setdefault(product_id, choice)
    return list(chosen.values())


def count_audit() -> int | None:
    """Return how many of the audit's samples nobody answered; None before one is drawn."""
    rounds = _list_rounds()
    return sum(list_unanswered(audit).count() for audit in rounds) if rounds else None


def _list_rounds() -> list[AuditRound]:
    current = find_current_round()
    return list_open_segments() + ([current] if current else [])


def choose_suspicious(reviewer: User, size: int) -> list[Choice]:
    """Return confident labels that reviewed pictures like theirs, other pictures or texts of theirs contradict.

    They are looked for among labels that chance chooses, anew each time; the most contradicted come first.
    """
    version = find_active_model_version()
    if version is None:
        return []
    labels = ProductLabel.objects.filter(
        ~is_open("product_id", "image_id"), status=Status.LABELLED, source=ProductLabel.Source.MACHINE
    )
    candidates = read_candidates(probe_labels(labels, count=PROBED), base_id=version.base_id)
    if candidates is None:
        return []
    reviewed = read_reviewed(version.base_id, size=candidates.features.shape[1])
    doubt = find_contradicted(
        candidates.features,
        probabilities=candidates.probabilities,
        reviewed=reviewed.features,
        groups=reviewed.groups,
    )
    doubt += OTHER_PICTURES * _find_other_pictures(candidates, version=version) + TEXTS * _find_other_texts(candidates)
    first = np.argsort(-doubt, kind="stable")[:size]
    return [_get_choice(candidates, index) for index in first.tolist() if doubt[index] > 0]


def _choose_useful(size: int) -> list[Choice]:
    labels = ProductLabel.objects.filter(~is_open("product_id", "image_id"), status=Status.NEEDS_REVIEW)
    labels = labels.filter(confidence__isnull=False, image__isnull=False)
    version = find_active_model_version()
    candidates = read_candidates(probe_labels(labels, count=CANDIDATES), base_id=version.base_id) if version else None
    chosen: list[Choice] = []
    if version is not None and candidates is not None:
        reviewed = read_reviewed(version.base_id, size=candidates.features.shape[1])
        indices = choose_useful(
            candidates.features,
            probabilities=candidates.probabilities,
            reviewed=reviewed.features,
            groups=reviewed.groups,
            count=size,
        )
        chosen = [_get_choice(candidates, index) for index in indices.tolist()]
    # What nobody looked at, or looks as something chosen does, comes when nothing else waits.
    known = [choice.product_id for choice in chosen]
    others = labels.exclude(product__in=known).order_by("confidence", "product_id")
    return chosen + [Choice(*pair) for pair in others.values_list("product_id", "image_id")[: size - len(chosen)]]


def _get_choice(candidates: Candidates, index: int) -> Choice:
    return Choice(int(candidates.product_ids[index]), int(candidates.image_ids[index]))


def _find_other_pictures(candidates: Candidates, *, version: ModelVersion) -> NDArray[np.float64]:
    """Return the share of each product's further pictures that are surely of another group than its label."""
    products = candidates.product_ids.tolist()
    placed = ProductImages.objects.filter(AnyOf("product", products), image_index__gt=0)
    images = dict(placed.order_by("product_id", "image_index").values_list("image_id", "product_id"))
    said = Classification.objects.filter(AnyOf("image", images), model_version=version, abstained=False)
    groups: dict[int, list[str]] = defaultdict(list)
    for image_id, group in said.values_list("image_id", "group"):
        groups[images[image_id]].append(group)
    labels = _list_labels(candidates)
    shares = [
        sum(group != label for group in groups[product]) / len(groups[product]) if product in groups else 0.0
        for product, label in zip(products, labels, strict=True)
    ]
    return np.array(shares, dtype=np.float64)


def _find_other_texts(candidates: Candidates) -> NDArray[np.float64]:
    """Return 1 for each product whose texts name another group than its label or none of the five, else 0."""
    products = candidates.product_ids.tolist()
    read = TextEvidence.objects.filter(AnyOf("product", products), verdict__in=SPEAKING)
    said = dict(read.values_list("product_id", "group"))
    labels = _list_labels(candidates)
    return np.array([float(said.get(product, label) != label) for product, label in zip(products, labels, strict=True)])


def _list_labels(candidates: Candidates) -> list[str]:
    return [GROUPS[index] for index in candidates.probabilities.argmax(axis=1).tolist()]
