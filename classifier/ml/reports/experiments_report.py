"""The experiments as sections of text, tables, plots and galleries, made from the stored records and nothing else.

The page and the Markdown report lay out the same sections. A section has ``id``, ``title``, ``text`` (paragraphs),
``command`` and ``parts``; a part has ``title`` and, where there are such, ``text``, ``plot``, ``table``, ``gallery``.
A section on a recipe names it in ``recipe``: its plots and sheets lie beside that record. A cell of a table is a text,
or one that stands out: ``{"text": ..., "strong": True}``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from classifier.ml.judging.published import MEASURES, PUBLISHED, is_reached
from classifier.ml.labels import GARMENTS, GROUPS
from classifier.ml.reports.experiments_summary import OPERATING_POINTS, Record, summarise, write_known
from classifier.ml.reports.report_parts import Section, build_table
from classifier.ml.words import percent

_KINDS: Final = {"groups": GROUPS, "garments": GARMENTS}


def build_sections(records: Sequence[Record], *, tried: Sequence[tuple[str, str]]) -> list[Section]:
    """The report on these records, in their order, and on what was tried; none without a record."""
    if not records:
        return []
    sections = [summarise(records), *map(_describe_recipe, records)]
    if tried:
        table = build_table("Measured and not used, or used because of it", ("Tried", "Result"), tried, words=2)
        sections.append(
            {
                "id": "tried",
                "title": "What else was tried",
                "text": ["Every line was measured; what is not here was not."],
                "parts": [{"title": "", "table": table}],
            }
        )
    return sections


def _describe_recipe(record: Record) -> Section:
    recipe, metrics, embedding = record["recipe"], record["metrics"], record["embedding"]
    name = recipe["name"]
    return {
        "id": name,
        "recipe": name,
        "title": f"Recipe {name}",
        "text": [
            f"{recipe['description']}. Version {record['version']}, seed {record['seed']}.",
            f"It answers {percent(metrics['answered'])} of the pictures and leaves the others to a person; of the "
            f"answers {percent(metrics['accuracy_of_answered'], digits=2)} are right.",
            f"By its embedding, {percent(embedding['nearest_same_group'])} of the test pictures lie next to one of "
            f"their own group, {percent(embedding['nearest_same_garment'])} next to one of their own garment, and of "
            f"the ten nearest {percent(embedding['precision_at_10'])} share the group.",
        ],
        "command": record["command"],
        "parts": [
            _compare_with_published(record),
            *(_describe_confusion(record, kind=kind, names=names) for kind, names in _KINDS.items()),
            _describe_reliability(record),
            _describe_risk(record),
            *([_describe_history(record)] if record["history"] else []),
            _describe_mistakes(record),
        ],
    }


def _compare_with_published(record: Record) -> dict[str, Any]:
    """Cell by cell; ours stand out where they are not below what this recipe answers."""
    own = record["recipe"].get("published_column")
    answered = [own] if own in PUBLISHED else list(PUBLISHED)
    points = record["metrics"]["operating_points"]
    rows = []
    for group in GROUPS:
        for measure, title in MEASURES.items():
            published = {name: getattr(result.scores[group], measure) for name, result in PUBLISHED.items()}
            bar = max(published[name] for name in answered)
            ours = [points[point][group][measure] for point in OPERATING_POINTS]
            rows.append(
                (
                    group,
                    title,
                    *({"text": f"{figure:.3f}", "strong": is_reached(bar, ours=figure)} for figure in ours),
                    *(f"{figure:.2f}" for figure in published.values()),
                )
            )
    compared = f"the column “{own}”, which this recipe answers" if own in PUBLISHED else "the best of the four columns"
    columns = ("Group", "Figure", "Ours, argmax", "Ours, balanced", *PUBLISHED)
    return {
        "title": "Against the published results",
        "text": [f"Bold: ours, rounded to two decimals, is not below {compared}."],
        "table": build_table("Test pictures", columns, rows, words=2),
    }


def _describe_confusion(record: Record, *, kind: str, names: Sequence[str]) -> dict[str, Any]:
    rows = [
        (name, *(f"{count:,}" for count in counts))
        for name, counts in zip(names, record["confusion"][kind], strict=True)
    ]
    return {
        "title": f"Confusion over {kind}",
        "plot": record["plots"][f"confusion-{kind}"],
        "table": build_table("Pictures; rows are true, columns what was said", ("", *names), rows),
    }


def _describe_reliability(record: Record) -> dict[str, Any]:
    rows = [
        (
            f"{row['low']:.2f} to {row['high']:.2f}",
            f"{row['count']:,}",
            write_known(row["confidence"], lambda value: f"{value:.3f}"),
            write_known(row["accuracy"], lambda value: f"{value:.3f}"),
        )
        for row in record["reliability"]
        if row["count"]
    ]
    error = record["metrics"]["expected_calibration_error"]
    return {
        "title": "Reliability",
        "text": [
            f"Confidence and accuracy in {len(record['reliability'])} equal bins of the group's confidence; their mean "
            f"gap, weighted by pictures, is the calibration error: {error:.4f}. Bins without a picture are left out, "
            "and those with fewer than ten are not drawn."
        ],
        "plot": record["plots"]["reliability"],
        "table": build_table("Groups, test pictures", ("Confidence", "Pictures", "Mean confidence", "Right"), rows),
    }


def _describe_risk(record: Record) -> dict[str, Any]:
    curve = record["risk_coverage"]
    rows = [
        (
            percent(point["coverage"], digits=0),
            percent(point["risk"], digits=2),
            f"{point['least_confidence']:.4f}",
        )
        for point in curve["points"]
    ]
    return {
        "title": "Risk against coverage",
        "text": [
            "What is wrong among the answers when only the most confident pictures are answered. The area under the "
            f"curve, lower is better, is {curve['area']:.5f}."
        ],
        "plot": record["plots"]["risk-coverage"],
        "table": build_table("Groups, test pictures", ("Answered", "Wrong of these", "Least confidence"), rows),
    }


def _describe_history(record: Record) -> dict[str, Any]:
    rows = [
        (
            f"{row['epoch']:.0f}" + (", kept" if row["best"] else ""),
            f"{row['loss']:.4f}",
            f"{row['validation_loss']:.4f}",
            f"{row['validation_accuracy']:.4f}",
            f"{row['validation_garment_accuracy']:.4f}",
        )
        for row in record["history"]
    ]
    columns = ("Epoch", "Training loss", "Validation loss", "Accuracy, groups", "Accuracy, garments")
    return {
        "title": "While training",
        "text": [
            "Losses over garments and groups together. The training loss is counted on augmented pictures, with "
            "dropout, so that it may lie above that of validation."
        ],
        "plot": record["plots"]["training"],
        "table": build_table("Accuracies on the validation part", columns, rows),
    }


def _describe_mistakes(record: Record) -> dict[str, Any]:
    items = [
        {
            "tiles": [row["tile"]],
            "lines": [
                f"{row['garment']}, said {row['said_garment']}",
                f"{row['said_group']}, {percent(row['confidence'])}{', abstained' if row['abstained'] else ''}",
            ],
        }
        for row in record["mistakes"]
    ]
    return {
        "title": "The most confident mistakes",
        "text": [f"{len(items)} of {record['wrong']:,} pictures with a wrong group, the surest first."],
        "gallery": {"kind": "pictures", "items": items},
    }
