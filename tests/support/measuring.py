"""Experiments on the drawn data set, made by a network that is a table of noisy answers."""

from dataclasses import replace
from functools import cache
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from classifier.ml.artefacts import DEFAULT_ARTEFACT, Manifest, load_manifest
from classifier.ml.inference import NetworkOutput
from classifier.ml.judging.calibration import Judgement
from classifier.ml.labels import GARMENTS
from classifier.ml.reports import experiments
from classifier.ml.reports.experiments import Experiment, measure_experiment
from tests.support.drawings import draw_dataset

#: What one recipe's record and its pictures may weigh together, so that a repository can hold them.
MAX_EXPERIMENT_BYTES = 200_000
RIGHT = {"accuracy": 0.75, "garment_accuracy": 0.5, "loss": 0.1}


def build_manifest(recipe: str, *, published_column: str | None) -> Manifest:
    """The manifest that comes with the product, as if it were of another recipe."""
    manifest = load_manifest(DEFAULT_ARTEFACT)
    return replace(
        manifest,
        version=f"{recipe}-1",
        recipe={"name": recipe, "description": f"What {recipe} is", "published_column": published_column},
        training={
            "history": [
                {
                    "epoch": epoch,
                    "loss": 1 / epoch,
                    "validation_loss": 1.5 / epoch,
                    "validation_garment_loss": 1.2 / epoch,
                    "validation_accuracy": 0.9,
                    "validation_garment_accuracy": 0.8,
                }
                for epoch in range(1, 41)
            ],
            "best_epochs": [38],
            "seconds": 100.0,
            "cpu_seconds": 190.0,
            "peak_memory_bytes": 1_500_000_000,
            "parts": {"train": RIGHT, "validation": RIGHT},
        },
    )


@cache
def measure_drawings(recipe: str, *, published_column: str | None = None) -> Experiment:
    """The experiment of a recipe of that name; no test may change it."""
    dataset = draw_dataset()
    generator = np.random.default_rng(3)
    logits = 3.0 * np.eye(len(GARMENTS))[dataset.test_labels] + generator.normal(0, 2, (len(dataset.test_labels), 10))

    def run(pictures: NDArray[np.uint8]) -> NetworkOutput:
        return NetworkOutput(
            logits=logits.astype(np.float32),
            embedding=logits.astype(np.float32),
            photograph=np.zeros(len(pictures), dtype=bool),
            blank=np.zeros(len(pictures), dtype=bool),
            views=np.ones(len(pictures), dtype=np.uint8),
        )

    manifest = build_manifest(recipe, published_column=published_column)

    def judge(output: NetworkOutput) -> Judgement:
        return manifest.calibration_values().judge(
            output.logits, features=output.embedding, photograph=output.photograph, blank=output.blank
        )

    def plot(*_: Any, title: str, **options: Any) -> dict[str, bytes]:
        return {theme: f"<svg>{theme}: {title}</svg>".encode() for theme in ("light", "dark")}

    network = SimpleNamespace(manifest=manifest, run=run, judge=judge)
    stand_ins = {"Classifier": SimpleNamespace(load=lambda folder, **options: network)}
    # Drawing takes most of the time; that of the tiny artefact's experiment is real.
    with patch.multiple(experiments, **stand_ins, plot_matrix=plot, plot_lines=plot):
        return measure_experiment(DEFAULT_ARTEFACT, dataset=dataset)
