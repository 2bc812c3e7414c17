"""An artefact becomes an experiment: a record of what it is, what it costs and how good it is on the test pictures.

Test pictures measure here and do nothing else: nothing that this module finds goes back into an artefact.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from classifier.ml.artefacts import Manifest, artefact_bytes
from classifier.ml.data.dataset import FashionMnist
from classifier.ml.inference import Classifier, NetworkOutput
from classifier.ml.judging.evaluation import GroupScores, Metrics, measure
from classifier.ml.judging.published import PUBLISHED, list_higher_cells
from classifier.ml.labels import GARMENTS, GROUPS, ONE_PIECE, garments_within_groups, group_labels, group_probabilities
from classifier.ml.reports.experiment_figures import (
    count_confusions,
    judge_embedding,
    precision_at_recall,
    reliability,
    risk_against_coverage,
)
from classifier.ml.reports.experiment_plots import draw_gallery, draw_plots

TIMED_RUNS: Final = 3
#: The recall of One piece at which its precision is reported: the best that was published.
ONE_PIECE_RECALL: Final = 0.96
SHOWN_MISTAKES: Final = 24
SHOWN_EPOCHS: Final = 20
_DIGITS: Final = 6

#: Steps done, steps in all, and what comes next in a word or two.
ExperimentProgress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Experiment:
    """The record of one artefact, plain JSON, and the pictures that it names."""

    record: dict[str, Any]
    files: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class _Labelled:
    """What a classifier says of N pictures, and the seconds of each time it was asked."""

    output: NetworkOutput
    probabilities: NDArray[np.float64]
    abstained: NDArray[np.bool_]
    seconds: tuple[float, ...]


def ignore_steps(done: int, total: int, note: str) -> None:
    """The ``progress`` of a measurement that nobody watches."""


def measure_experiment(
    folder: Path,
    *,
    dataset: FashionMnist,
    key: bytes | None = None,
    threads: int = 2,
    progress: ExperimentProgress = ignore_steps,
) -> Experiment:
    """The experiment of a verified artefact folder over the test pictures; nothing is written.

    Raises ``ArtefactError`` when the folder holds no artefact that can be used.
    """
    steps = TIMED_RUNS + 2
    classifier = Classifier.load(folder, key=key, threads=threads)
    labelled = _label(classifier, dataset.test_images, progress=lambda done: progress(done, steps, "labelling"))
    progress(TIMED_RUNS, steps, "measuring")
    calibration = classifier.manifest.calibration_values()
    metrics = measure(
        labelled.probabilities,
        groups=group_labels(dataset.test_labels),
        garments=dataset.test_labels,
        balanced_groups=calibration.balanced_groups(labelled.probabilities),
        abstained=labelled.abstained,
    )
    record = {
        **_describe(classifier.manifest),
        "costs": _list_costs(classifier.manifest, folder=folder, labelled=labelled, threads=threads),
        "accuracy": _list_accuracies(classifier.manifest, metrics=metrics),
        "metrics": metrics.to_json(),
        "higher_cells": _find_higher_cells(classifier.manifest, metrics=metrics),
        **_judge(labelled, dataset=dataset),
    }
    progress(TIMED_RUNS + 1, steps, "drawing")
    record["mistakes"], record["sheets"], files = draw_gallery(record, images=dataset.test_images)
    record["plots"], plots = draw_plots(record)
    progress(steps, steps, "done")
    return Experiment(record=_rounded(record), files={**files, **plots})


def _label(classifier: Classifier, images: NDArray[np.uint8], *, progress: Callable[[int], None]) -> _Labelled:
    """The labels, asked for several times: from pictures in memory to labels, as ``evaluate_classifier`` counts."""
    calibration = classifier.manifest.calibration_values()
    seconds = []
    for run in range(TIMED_RUNS):
        progress(run)
        started = time.perf_counter()
        output = classifier.run(images)
        probabilities = calibration.probabilities(output.logits)
        abstained = calibration.abstentions(output.logits) | output.blank
        seconds.append(time.perf_counter() - started)
    return _Labelled(output=output, probabilities=probabilities, abstained=abstained, seconds=tuple(seconds))


def _describe(manifest: Manifest) -> dict[str, Any]:
    return {
        "version": manifest.version,
        "created_at": manifest.created_at,
        "seed": manifest.seed,
        "command": manifest.command,
        "recipe": dict(manifest.recipe),
        "dataset": dict(manifest.dataset),
        "history": _thinned(manifest.training.get("history", ()), best_epochs=manifest.training.get("best_epochs", ())),
    }


def _list_costs(manifest: Manifest, *, folder: Path, labelled: _Labelled, threads: int) -> dict[str, Any]:
    """What the artefact costs; None where an older manifest does not say."""
    seconds = statistics.median(labelled.seconds)
    return {
        "parameters": manifest.parameters,
        "artefact_bytes": artefact_bytes(folder),
        "images": len(labelled.probabilities),
        "seconds": seconds,
        "runs_seconds": list(labelled.seconds),
        "images_per_second": len(labelled.probabilities) / seconds,
        "threads": threads,
        "cores": len(os.sched_getaffinity(0)),
        "training_seconds": manifest.training.get("seconds"),
        "training_cpu_seconds": manifest.training.get("cpu_seconds"),
        "training_peak_memory_bytes": manifest.training.get("peak_memory_bytes"),
    }


def _list_accuracies(manifest: Manifest, *, metrics: Metrics) -> dict[str, Any]:
    """Accuracy over groups and garments in each part; None where an older manifest does not say."""
    parts = manifest.training.get("parts") or {}
    return {
        "train": parts.get("train"),
        "validation": parts.get("validation"),
        "test": {"accuracy": metrics.accuracy, "garment_accuracy": metrics.garment_accuracy},
    }


def _find_higher_cells(manifest: Manifest, *, metrics: Metrics) -> dict[str, Any]:
    """At both operating points the published cells above ours: all of them, and how many in the recipe's own column."""
    own = manifest.recipe.get("published_column")
    points: dict[str, Mapping[str, GroupScores]] = {"argmax": metrics.argmax, "balanced": metrics.balanced}
    result = {}
    for name, scores in points.items():
        cells = [asdict(cell) for cell in list_higher_cells(scores)]
        result[name] = {
            "all": len(cells),
            "own": sum(cell["column"] == own for cell in cells) if own in PUBLISHED else None,
            "cells": cells,
        }
    return result


def _judge(labelled: _Labelled, *, dataset: FashionMnist) -> dict[str, Any]:
    garments = dataset.test_labels.astype(np.int64)
    truth = group_labels(garments)
    groups = group_probabilities(labelled.probabilities)
    said, confidence = groups.argmax(axis=1), groups.max(axis=1)
    said_garments = garments_within_groups(labelled.probabilities, groups=said)
    right = said == truth
    one_piece = GROUPS.index(ONE_PIECE)
    wrong = np.flatnonzero(~right)
    shown = wrong[np.argsort(-confidence[wrong], kind="stable")][:SHOWN_MISTAKES]
    return {
        "confusion": {
            "groups": count_confusions(said, truth=truth, labels=len(GROUPS)).tolist(),
            "garments": count_confusions(said_garments, truth=garments, labels=len(GARMENTS)).tolist(),
        },
        "reliability": reliability(confidence, right=right),
        "risk_coverage": risk_against_coverage(confidence, right=right),
        "one_piece": precision_at_recall(groups[:, one_piece], positive=truth == one_piece, recall=ONE_PIECE_RECALL),
        "embedding": judge_embedding(labelled.output.embedding, groups=truth, garments=garments),
        "mistakes": [
            {
                "index": int(index),
                "group": GROUPS[truth[index]],
                "garment": GARMENTS[garments[index]],
                "said_group": GROUPS[said[index]],
                "said_garment": GARMENTS[said_garments[index]],
                "confidence": float(confidence[index]),
                "abstained": bool(labelled.abstained[index]),
            }
            for index in shown
        ],
        "wrong": len(wrong),
    }


def _thinned(history: Sequence[Mapping[str, float]], *, best_epochs: Sequence[float]) -> list[dict[str, float]]:
    """The epochs' figures, at most ``SHOWN_EPOCHS`` and one: spread evenly, with the last and each member's best."""
    if not history:
        return []
    kept = set(np.linspace(0, len(history) - 1, min(len(history), SHOWN_EPOCHS)).round().astype(int).tolist())
    return [
        {**row, "best": row["epoch"] in best_epochs}
        for number, row in enumerate(history)
        if number in kept or row["epoch"] in best_epochs
    ]


def _rounded(value: Any) -> Any:
    """The same plain JSON with no more digits than anybody reads."""
    if isinstance(value, float):
        return round(value, _DIGITS)
    if isinstance(value, Mapping):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(inner) for inner in value]
    return value
