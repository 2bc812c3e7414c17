"""The section of the experiments that compares the recipes with each other and with what was published."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from classifier.ml.judging.published import CELLS, PUBLISHED
from classifier.ml.reports.report_parts import Section, build_table

Record = Mapping[str, Any]

UNKNOWN: Final = "-"
OPERATING_POINTS: Final = ("argmax", "balanced")


def summarise(records: Sequence[Record]) -> Section:
    """The section that compares the recipes: how good, at what cost, and how much of it learnt by heart."""
    cores = max(record["costs"]["cores"] for record in records)
    images = max(record["costs"]["images"] for record in records)
    return {
        "id": "summary",
        "title": "All recipes",
        "text": [
            f"Measured on the {images:,} test pictures, which trained, stopped, calibrated and chose nothing. Accuracy "
            "is quoted at argmax, the operating point that serves. Balanced weighs the groups, with factors chosen on "
            "the calibration part, so that as few published cells as possible are higher than ours to two decimals.",
            f"Our times are the median of three runs, from pictures in memory to labels, on a processor with {cores} "
            "cores and without a GPU. Published times come from another machine.",
        ],
        "parts": [
            {"title": "How good", "table": _quality_table(records)},
            {
                "title": "What it costs",
                "text": [
                    "Our file is the whole artefact folder; it keeps the weights twice, to train on and to serve."
                ],
                "table": _cost_table(records),
            },
            {
                "title": "Training against validation and test",
                "text": [
                    "A network that has learnt its pictures by heart is much better on them than on others. The "
                    "published classifiers report no overfitting, without figures."
                ],
                "table": _overfitting_table(records),
            },
        ],
    }


def _quality_table(records: Sequence[Record]) -> dict[str, Any]:
    rows = []
    for record in records:
        metrics, higher = record["metrics"], record["higher_cells"]
        own = [higher[point]["own"] for point in OPERATING_POINTS]
        rows.append(
            (
                record["recipe"]["name"],
                record["recipe"].get("published_column") or UNKNOWN,
                f"{metrics['accuracy']:.4f}",
                f"{metrics['garment_accuracy']:.4f}",
                f"{metrics['expected_calibration_error']:.4f}",
                f"{record['one_piece']['precision']:.3f}",
                *(str(higher[point]["all"]) for point in OPERATING_POINTS),
                UNKNOWN if None in own else " / ".join(map(str, own)),
            )
        )
    columns = (
        "Recipe", "Answers the published", "Accuracy, groups", "Accuracy, garments", "Calibration error",
        "One piece at recall 0.96: precision", f"Published cells above ours, of {CELLS}: argmax", "balanced",
        "In its own column: argmax / balanced",
    )  # fmt: skip
    return build_table("Test pictures", columns, rows, words=2)


def _cost_table(records: Sequence[Record]) -> dict[str, Any]:
    rows: list[tuple[str, ...]] = []
    for record in records:
        costs = record["costs"]
        rows.append(
            (
                record["recipe"]["name"],
                f"{costs['parameters']:,}",
                f"{costs['artefact_bytes'] / 1e6:.1f}",
                f"{costs['seconds']:.2f}",
                f"{costs['images_per_second']:,.0f}",
                write_known(costs["training_seconds"], lambda value: f"{value:,.0f}"),
                write_known(costs["training_cpu_seconds"], lambda value: f"{value:,.0f}"),
                write_known(costs["training_peak_memory_bytes"], lambda value: f"{value / 1e9:.1f}"),
            )
        )
    rows += [
        (
            f"published: {result.name}",
            write_known(result.parameters, lambda value: f"{value:,.0f}"),
            write_known(result.megabytes, lambda value: f"{value:.1f}"),
            write_known(result.seconds, lambda value: f"{value:.1f}"),
            write_known(result.seconds, lambda value: f"{10_000 / value:,.0f}"),
            *[UNKNOWN] * 3,
        )
        for result in PUBLISHED.values()
    ]
    columns = (
        "Recipe", "Parameters", "File, MB", "Test images, s", "Images a second", "Training, s",
        "Training, processor s", "Training, peak memory, GB",
    )  # fmt: skip
    return build_table("Ours and published", columns, rows)


def _overfitting_table(records: Sequence[Record]) -> dict[str, Any]:
    rows = []
    for record in records:
        parts = record["accuracy"]
        train, test = parts["train"], parts["test"]
        gap = UNKNOWN if train is None else f"{100 * (train['accuracy'] - test['accuracy']):+.2f}"
        shares = [
            UNKNOWN if parts[part] is None else f"{parts[part][key]:.4f}"
            for key in ("accuracy", "garment_accuracy")
            for part in ("train", "validation", "test")
        ]
        rows.append((record["recipe"]["name"], *shares[:3], gap, *shares[3:]))
    columns = (
        "Recipe", "Groups: training", "validation", "test", "Training less test, points", "Garments: training",
        "validation", "test",
    )  # fmt: skip
    return build_table("Accuracy in each part", columns, rows)


def write_known(value: float | None, write: Callable[[float], str]) -> str:
    """The value as ``write`` puts it, or the sign for what an older artefact or a publication does not say."""
    return UNKNOWN if value is None else write(value)
