"""The page that says how good the labels are here: by the audit, by reviews, by confidence, and by agreement."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.decorators import login_required, permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_safe

from catalog.browse.filters import ProductCriteria
from catalog.browse.listing import list_labelled_products
from catalog.labels import get_label_summary
from catalog.models import ProductLabel
from classifier.audit.agreement import Agreements, measure_controls, measure_reviewers
from classifier.audit.confusion import BINS, count_confidences, find_compared
from classifier.audit.selectors import AuditEstimate, estimate_accuracy
from classifier.ml.judging.shares import Share, measure_share
from classifier.ml.labels import GROUPS
from classifier.ml.words import percent, write_fraction, write_share
from classifier.models import ModelVersion, Verdict, describe_label
from classifier.registry.selectors import find_active_model_version
from classifier.registry.services import find_heads
from config.db.arrays import AnyOf
from config.web.permissions import get_member

TRUE = [*GROUPS, str(Verdict.NONE_OF_THESE)]
#: Of a cell of the confusion so many pictures are shown.
SHOWN = 48


@dataclass(frozen=True, slots=True)
class Cell:
    """How many pictures people call one thing and the version another; `address` opens them."""

    number: int
    address: str
    is_right: bool


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many labels of a group have which confidence, and the height of each bar, 0..1, the highest 1."""

    group: str
    numbers: list[int]
    heights: list[float]
    threshold: float | None

    @property
    def sentence(self) -> str:
        """What the threshold is."""
        return f"Kept from {percent(self.threshold)} on." if self.threshold else "Its threshold is not known here."


@require_safe
@login_required
@permission_required("classifier.view_review", raise_exception=True)
def accuracy(request: HttpRequest) -> HttpResponse:
    """Answer with how good the labels are here; with `true` and `said`, with the pictures of that cell as well."""
    compared = find_compared()
    true, said = request.GET.get("true", ""), request.GET.get("said", "")
    images = [image_id for image_id, pair in compared.items() if pair == (true, said)]
    estimate, version = estimate_accuracy(), find_active_model_version()
    histograms, viewer_id = build_histograms(version), get_member(request).pk
    controls = measure_controls(viewer_id)
    context = {
        "estimate": estimate,
        "answers": describe_answers(estimate) if estimate and estimate.answered else "",
        "ways": list_ways(estimate) if estimate else [],
        "version": version,
        "published": version.write_figure("accuracy", digits=1) if version and version.has_figure("accuracy") else "",
        "groups": list_group_accuracies(estimate) if estimate else [],
        "columns": GROUPS,
        "confusion": build_confusion(compared),
        "compared": len(compared),
        "cell": f"People say {name_true(true)}, the version says {said}" if true in TRUE and said in GROUPS else "",
        "pictures": list_pictures(images),
        "more": max(0, len(images) - SHOWN),
        "histograms": histograms,
        "confidences": list_confidences(histograms),
        "agreement": list_agreements(measure_reviewers(viewer_id)),
        "controls": [(of.name, _write(of.share), of.agreed, of.count) for of in controls],
        "own": controls[0].sentence if controls and controls[0].reviewer_id == viewer_id else "",
    }
    return render(request, "classifier/accuracy.html", context)


def describe_answers(estimate: AuditEstimate) -> str:
    """Return what people answered, in words."""
    return (
        f"Of {estimate.answered:,} products drawn at random and shown without their label {estimate.other_group:,} are "
        f"of another group than their label, {estimate.none_of_these:,} are none of the five, which is wrong as well, "
        f"and {estimate.unusable:,} could not be judged and count neither way."
    )


def list_ways(estimate: AuditEstimate) -> list[tuple[str, str]]:
    """Return the ways in which the accuracy is told, in words, each with what it says."""
    if estimate.corrected.value is None:
        return []
    return [
        ("Answers and the model's confidence", _write(estimate.corrected)),
        ("Answers alone", _write(estimate.accuracy)),
        ("The model's confidence alone, which nobody checked", percent(estimate.confidence)),
    ]


def list_group_accuracies(estimate: AuditEstimate) -> list[tuple[str, str, int]]:
    """Return for each group how many of the products that are said to be of it are, with the number of answers."""
    return [(group, _write(share), share.count) for group, share in estimate.groups.items()]


def name_true(true: str) -> str:
    """Return what people said, in words."""
    return true if true in GROUPS else describe_label(true, "")


def build_confusion(compared: dict[int, tuple[str, str]]) -> list[tuple[str, list[Cell], str]]:
    """Return for each thing that people say its name, its cells by what the version says, and the share said right."""
    rows = []
    pairs = list(compared.values())
    for true in TRUE:
        numbers = [pairs.count((true, said)) for said in GROUPS]
        cells = [
            Cell(number, f"{reverse('accuracy')}?{urlencode({'true': true, 'said': said})}#pictures", true == said)
            for said, number in zip(GROUPS, numbers, strict=True)
        ]
        right = numbers[GROUPS.index(true)] if true in GROUPS else 0
        rows.append((name_true(true), cells, _write(measure_share(right, of=sum(numbers)))))
    return rows


def list_pictures(image_ids: list[int]) -> list[Any]:
    """Return the products that show one of the images first, each with its label, at most `SHOWN`."""
    shown = ProductLabel.objects.filter(AnyOf("image", image_ids)).values_list("product_id", flat=True)
    products = list_labelled_products(ProductCriteria()).filter(AnyOf("pk", list(shown[:SHOWN]))).order_by("pk")
    return [(product, get_label_summary(product)) for product in products] if image_ids else []


def build_histograms(version: ModelVersion | None) -> list[Histogram]:
    """Return how sure the machine's labels of each group are; the bars of one group have one scale."""
    heads = find_heads(version) if version else None
    counts = count_confidences()
    return [
        Histogram(
            group,
            numbers,
            [number / max(numbers) for number in numbers],
            heads.find_threshold(group) if heads else None,
        )
        for group in GROUPS
        if any(numbers := counts.get(group, []))
    ]


def list_confidences(histograms: Sequence[Histogram]) -> list[tuple[str, list[int]]]:
    """Return the histograms as rows of a table: a part of 0 to 1 in words, and the number of each group."""
    return [
        (
            f"{percent(part / BINS, digits=0)} to {percent((part + 1) / BINS, digits=0)}",
            [each.numbers[part] for each in histograms],
        )
        for part in range(BINS)
    ]


def list_agreements(agreements: Agreements) -> dict[str, Any]:
    """Return rows of words: (who, raw agreement, AC1, pictures), and (group, agreement, pictures)."""
    rows = [(" and ".join(pair.names), pair.agreement) for pair in agreements.pairs]
    rows.append(("All", agreements.overall))
    return {
        "count": agreements.overall.raw.count,
        "pairs": [
            (who, _write(both.raw), write_fraction(both.ac1.to_json(), digits=2), both.raw.count) for who, both in rows
        ],
        "groups": [(group, _write(share), share.count) for group, share in agreements.groups.items()],
    }


def _write(share: Share) -> str:
    return write_share(share.to_json())
