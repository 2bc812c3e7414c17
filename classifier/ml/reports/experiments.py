"""An artefact becomes an experiment: a record of what it is, what it costs and how good it is on the test pictures.

Test pictures measure here and do nothing else: nothing that this module finds goes back into an artefact.
"""

import json
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from classifier.ml.artefacts import Manifest, artefact_bytes
from classifier.ml.data.dataset import FashionMnist
from classifier.ml.data.label_errors import confusion_matrix
from classifier.ml.inference import Classifier
from classifier.ml.judging.evaluation import (
    Metrics,
    judge_embedding,
    measure,
    precision_at_recall,
    reliability,
    risk_against_coverage,
)
from classifier.ml.judging.published import count_higher_cells
from classifier.ml.judging.shares import LEAST_COUNT
from classifier.ml.labels import GARMENTS, GROUPS, ONE_PIECE, garments_within_groups, group_labels, group_probabilities
from classifier.ml.reports.curves import tell_losses_apart
from classifier.ml.reports.plots import plot_lines, plot_matrix
from classifier.ml.reports.sections import ReportFiles

TIMED_RUNS: Final = 3
_THREADS: Final = 2
#: The recall of One piece at which its precision is reported: the best that was published.
ONE_PIECE_RECALL: Final = 0.96
SHOWN_MISTAKES: Final = 24
SHOWN_EPOCHS: Final = 20
TRAINING_COSTS: Final = ("seconds", "cpu_seconds", "peak_memory_bytes")
_DIGITS: Final = 6

#: Told the steps done, the steps in all, and as ``note`` what comes next in a word or two.
ExperimentProgress = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Experiment:
    """The record of one artefact, plain JSON, and the pictures that it names."""

    record: dict[str, Any]
    files: Mapping[str, bytes]


def measure_experiment(
    folder: Path,
    *,
    dataset: FashionMnist,
    progress: ExperimentProgress = lambda done, total, note: None,
) -> Experiment:
    """The experiment of a verified artefact folder over the test pictures; nothing is written.

    Raises ``ArtefactError`` when the folder holds no artefact that can be used.
    """
    steps = TIMED_RUNS + 2
    classifier = Classifier.load(folder, threads=_THREADS)
    manifest, calibration = classifier.manifest, classifier.manifest.calibration_values()
    seconds = []
    for run in range(TIMED_RUNS):
        progress(run, steps, note="labelling")
        # From pictures in memory to labels, as ``evaluate_classifier`` counts.
        started = time.perf_counter()
        output = classifier.run(dataset.test_images)
        judged = classifier.judge(output)
        seconds.append(time.perf_counter() - started)
    progress(TIMED_RUNS, steps, note="measuring")
    probabilities, abstained = judged.garment_probabilities, judged.abstained
    metrics = measure(
        probabilities,
        groups=group_labels(dataset.test_labels),
        garments=dataset.test_labels,
        balanced_groups=calibration.balanced_groups(probabilities),
        abstained=abstained,
    )
    record = {
        **_describe(manifest, metrics=metrics),
        "costs": {
            "parameters": manifest.parameters,
            "artefact_bytes": artefact_bytes(folder),
            "images": metrics.images,
            "seconds": statistics.median(seconds),
            "runs_seconds": seconds,
            "images_per_second": metrics.images / statistics.median(seconds),
            "threads": _THREADS,
            "cores": len(os.sched_getaffinity(0)),
            **{f"training_{name}": manifest.training.get(name) for name in TRAINING_COSTS},
        },
        **_judge(probabilities, embedding=output.embedding, abstained=abstained, labels=dataset.test_labels),
    }
    progress(TIMED_RUNS + 1, steps, note="drawing")
    # A picture of 28 pixels is shown on 84, which a reader of the plain file can see.
    files = ReportFiles(prefix=f"{manifest.recipe['name']}-", columns=8, scale=3)
    for row in record["mistakes"]:
        picture = dataset.test_images[row["index"]]
        row["tile"] = files.add_tile("mistakes", picture, text=f"Test {row['index']}: {row['garment']}")
    record |= {"sheets": files.write_sheets(), "plots": _draw_plots(record, files=files)}
    progress(steps, steps, note="done")
    # Plain JSON, with no more digits than anybody reads.
    rounded = json.loads(json.dumps(record), parse_float=lambda text: round(float(text), _DIGITS))
    return Experiment(record=rounded, files=files.contents)


def _describe(manifest: Manifest, *, metrics: Metrics) -> dict[str, Any]:
    """What the artefact is, its accuracy in each part, and the figures; None where an older manifest does not say."""
    training, parts = manifest.training, manifest.training.get("parts") or {}
    return {
        "version": manifest.version,
        "created_at": manifest.created_at,
        "seed": manifest.seed,
        "command": manifest.command,
        "recipe": dict(manifest.recipe),
        "dataset": dict(manifest.dataset),
        "history": _thinned(training.get("history", ()), best_epochs=training.get("best_epochs", ())),
        "accuracy": {
            "train": parts.get("train"),
            "validation": parts.get("validation"),
            "test": {"accuracy": metrics.accuracy, "garment_accuracy": metrics.garment_accuracy},
        },
        "metrics": metrics.to_json(),
        "higher_cells": _find_higher_cells(manifest, metrics=metrics),
    }


def _find_higher_cells(manifest: Manifest, *, metrics: Metrics) -> dict[str, Any]:
    """How many published cells are above ours at both operating points: of all, and of the recipe's own column."""
    own = manifest.recipe.get("published_column") or ""
    points = {"argmax": metrics.argmax, "balanced": metrics.balanced}
    higher = {name: count_higher_cells(scores) for name, scores in points.items()}
    return {name: {"all": sum(counts.values()), "own": counts.get(own)} for name, counts in higher.items()}


def _judge(
    probabilities: NDArray[np.float64],
    *,
    embedding: NDArray[np.floating],
    abstained: NDArray[np.bool_],
    labels: NDArray[np.integer],
) -> dict[str, Any]:
    """What the metrics leave out, for garment probabilities float[N, 10] and true garments int[N]."""
    garments = labels.astype(np.int64)
    truth = group_labels(garments)
    groups = group_probabilities(probabilities)
    said, confidence = groups.argmax(axis=1), groups.max(axis=1)
    said_garments = garments_within_groups(probabilities, groups=said)
    right = said == truth
    one_piece = GROUPS.index(ONE_PIECE)
    wrong = np.flatnonzero(~right)
    shown = wrong[np.argsort(-confidence[wrong], kind="stable")][:SHOWN_MISTAKES]
    return {
        "confusion": {
            "groups": confusion_matrix(truth, predicted=said, classes=len(GROUPS)).tolist(),
            "garments": confusion_matrix(garments, predicted=said_garments, classes=len(GARMENTS)).tolist(),
        },
        "reliability": reliability(confidence, right=right),
        "risk_coverage": risk_against_coverage(confidence, right=right),
        "one_piece": precision_at_recall(groups[:, one_piece], positive=truth == one_piece, recall=ONE_PIECE_RECALL),
        "embedding": judge_embedding(embedding, groups=truth, garments=garments),
        "mistakes": [
            {
                "index": int(index),
                "group": GROUPS[truth[index]],
                "garment": GARMENTS[garments[index]],
                "said_group": GROUPS[said[index]],
                "said_garment": GARMENTS[said_garments[index]],
                "confidence": float(confidence[index]),
                "abstained": bool(abstained[index]),
            }
            for index in shown
        ],
        "wrong": len(wrong),
    }


def _draw_plots(record: Mapping[str, Any], *, files: ReportFiles) -> dict[str, Any]:
    """The plots by name, drawn from the record alone."""
    recipe = record["recipe"]["name"]
    below = f"{recipe}, test pictures, n = {record['costs']['images']:,}"
    plots = {
        f"confusion-{kind}": files.add_plot(
            f"confusion-{kind}",
            plot_matrix(
                np.array(record["confusion"][kind]),
                names=names,
                title=f"Confusion over {kind}\n{below}",
                axes_labels=("said, % of the true label's pictures", "true"),
                digits=digits,
            ),
            text=f"Matrix of true {kind} against what was said, {recipe}",
        )
        for kind, names, digits in (("groups", GROUPS, 1), ("garments", GARMENTS, 0))
    }
    bins = [(row["confidence"], row["accuracy"]) for row in record["reliability"] if row["count"] >= LEAST_COUNT]
    plots["reliability"] = files.add_plot(
        "reliability",
        plot_lines(
            {"as right as it is sure": [(0.0, 0.0), (1.0, 1.0)], "measured": bins},
            reference="as right as it is sure",
            title=f"Reliability\n{below}",
            axes_labels=("mean confidence of a bin", "share of right labels"),
            shares=True,
        ),
        text=f"Line of accuracy against confidence, {recipe}",
    )
    points = [(point["coverage"], point["risk"]) for point in record["risk_coverage"]["points"]]
    plots["risk-coverage"] = files.add_plot(
        "risk-coverage",
        plot_lines(
            {"most confident first": points},
            title=f"Risk against coverage\n{below}",
            axes_labels=("coverage: share of pictures that are answered", "risk: share of wrong answers"),
            shares=True,
        ),
        text=f"Line of the share of wrong answers against the share of pictures answered, {recipe}",
    )
    if history := tell_losses_apart(record["history"]):
        losses = {
            title: points
            for title, column in (("training", "loss"), ("validation", "validation_loss"))
            if (points := [(row["epoch"], row[column]) for row in history if column in row])
        }
        plots["training"] = files.add_plot(
            "training",
            plot_lines(losses, title=f"Loss while training\n{recipe}", axes_labels=("epoch", "loss")),
            text=f"Loss over the epochs, {recipe}: {' and '.join(losses)}",
        )
    return plots


def _thinned(history: Sequence[Mapping[str, float]], *, best_epochs: Sequence[float]) -> list[dict[str, float]]:
    """The epochs' figures, at most ``SHOWN_EPOCHS`` and one: spread evenly, with the last and each member's best."""
    if not history:
        return []
    shown = set(np.linspace(0, len(history) - 1, min(len(history), SHOWN_EPOCHS)).round().astype(int).tolist())
    return [
        {**row, "best": row["epoch"] in best_epochs}
        for number, row in enumerate(history)
        if number in shown or row["epoch"] in best_epochs
    ]
