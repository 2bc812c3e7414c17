"""What a version that reviews taught is worth in this catalogue, and the reviews that it contradicts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import F, OuterRef, Subquery

from catalog.models import Product
from classifier.ml.judging.shares import LEAST_COUNT
from classifier.ml.reports.evaluation_report import list_figures
from classifier.ml.reports.sections import Block, build_table
from classifier.ml.words import NONE, percent
from classifier.models import ModelVersion, OutOfFoldAnswer

#: From this confidence on an answer out of fold contradicts a review.
CONTRADICTING_CONFIDENCE: Final = 0.9
#: So many are listed.
MAXIMUM_CONTRADICTIONS: Final = 24


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A review that may be an error: its picture, the first product that shows it (or None), and a sentence."""

    sha256: str
    product_id: int | None
    title: str
    sentence: str


def describe_catalogue(training: Mapping[str, Any]) -> Block | None:
    """Return the figures of what a manifest says of its training by reviews; None where none taught the version."""
    found = training.get("catalogue")
    if found is None:
        return None
    reviews, test = found["reviews"], found.get("test")
    columns = {"this": "This version, test part", "in_production": f"{found['in_production']}, test part"}
    ways = {title: test[way] for way, title in columns.items()} if test else {}
    ways["This version, out of fold"] = found["out_of_fold"]
    numbers = ", ".join(f"{number:,} {name}" for name, number in reviews.items())
    return {
        "text": [
            f"Taught by {sum(reviews.values()):,} reviewed pictures: {numbers}. {_describe_test(test)}",
            _describe_titles(found["titles"]),
        ],
        "table": build_table(
            "Pictures alone; shares with their 95 % intervals, a dash for fewer than 30 pictures",
            ("Figure", *ways),
            [row for row in list_figures(ways) if any(cell != NONE for cell in row[1:])],
        ),
    }


def _describe_test(test: Mapping[str, Any] | None) -> str:
    if test is None:
        return "No reviewed picture fell into the test part yet."
    difference = test["difference"]
    text = f"{difference['images']:,} reviewed pictures of the test part taught nothing and judge both versions"
    if test["this"]["products"] < LEAST_COUNT:
        return f"{text}: too few to tell anything."
    low, high = (f"{100 * difference[edge]:+.1f}" for edge in ("low", "high"))
    points = f"{100 * difference['difference']:+.1f} points ({low} to {high})"
    return f"{text}: this one is right on {points} more of them than the one that was in production."


def _describe_titles(titles: Mapping[str, Any]) -> str:
    if titles["gain"] is None:
        return "Too few of the pictures have a title for titles to teach anything."
    gain = f"{titles['gain']:.3f} \N{PLUS-MINUS SIGN} {titles['margin']:.3f}"
    if titles["count"]:
        return (
            f"Titles count as well where the lexicon says nothing: they make the log-loss of pictures less by {gain}."
        )
    return f"Titles do not count: they would make the log-loss of pictures less by {gain}, which may be nothing."


def list_contradictions(version: ModelVersion) -> list[Contradiction]:
    """Return reviews of which those that taught the version, the review's own left out, surely say something else."""
    answers = OutOfFoldAnswer.objects.filter(model_version=version, confidence__gte=CONTRADICTING_CONFIDENCE)
    answers = answers.filter(review__withdrawn_at__isnull=True).exclude(group=F("review__group"))
    picture = "review__image__stored_picture__sha256"
    first = Product.objects.filter(
        product_images__image=OuterRef("review__image"), product_images__image_index=0
    ).order_by("pk")
    rows = answers.filter(**{f"{picture}__isnull": False}).annotate(
        product_id=Subquery(first.values("pk")[:1]), title=Subquery(first.values("title")[:1])
    )
    fields = ("product_id", "title", "group", "confidence", "review__group", picture)
    return [
        Contradiction(
            sha256=sha256,
            product_id=product_id,
            title=title or "Untitled",
            sentence=f"Reviewed as {_name(reviewed)}; the others say {_name(said)}, {percent(confidence, digits=0)}",
        )
        for product_id, title, said, confidence, reviewed, sha256 in rows.order_by("-confidence", "pk").values_list(
            *fields
        )[:MAXIMUM_CONTRADICTIONS]
    ]


def _name(group: str) -> str:
    return group or "none of these"
