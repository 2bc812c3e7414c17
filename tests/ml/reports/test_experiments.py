"""An artefact becomes a record of what it is, what it costs and how good it is."""

import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from classifier.ml.artefacts import NETWORK_FILE, ArtefactTamperedError, artefact_bytes, save_artefact, verify_artefact
from classifier.ml.data.dataset import FashionMnist
from classifier.ml.judging.published import CELLS
from classifier.ml.pipeline import TrainedArtefact
from classifier.ml.reports.experiments import Experiment, measure_experiment
from tests.support.measuring import MAX_EXPERIMENT_BYTES

OLDER_TRAINING = {"history": [], "best_epochs": [1], "seconds": 5.0}


@pytest.fixture(scope="session")
def steps() -> list[tuple[int, int, str]]:
    """What the measuring of the tiny artefact reported; filled by it."""
    return []


@pytest.fixture(scope="session")
def tiny_experiment(
    tiny_artefact: TrainedArtefact, drawn_dataset: FashionMnist, steps: list[tuple[int, int, str]]
) -> Experiment:
    """The experiment of the tiny artefact; no test may change it."""
    return measure_experiment(
        tiny_artefact.folder,
        dataset=drawn_dataset,
        progress=lambda done, total, note: steps.append((done, total, note)),
    )


def test_the_record_says_what_was_measured(tiny_experiment: Experiment, tiny_artefact: TrainedArtefact) -> None:
    record, manifest = tiny_experiment.record, tiny_artefact.manifest

    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert (record["version"], record["seed"], record["command"]) == (manifest.version, 7, "train tiny")
    assert record["recipe"]["name"] == "tiny"
    assert record["metrics"]["accuracy"] == pytest.approx(manifest.metrics["accuracy"], abs=1e-6)
    assert record["metrics"]["operating_points"].keys() == {"argmax", "balanced"}


def test_the_costs_are_those_of_the_folder_and_of_three_runs(
    tiny_experiment: Experiment, tiny_artefact: TrainedArtefact
) -> None:
    costs = tiny_experiment.record["costs"]

    assert costs["parameters"] == tiny_artefact.manifest.parameters
    assert costs["artefact_bytes"] == artefact_bytes(tiny_artefact.folder)
    assert costs["images"] == 40
    assert len(costs["runs_seconds"]) == 3
    assert costs["seconds"] == sorted(costs["runs_seconds"])[1]
    assert costs["training_seconds"] > 0


def test_every_test_picture_is_in_every_figure(tiny_experiment: Experiment) -> None:
    record = tiny_experiment.record

    assert np.sum(record["confusion"]["groups"], axis=1).tolist() == [16, 4, 4, 12, 4]
    assert np.sum(record["confusion"]["garments"], axis=1).tolist() == [4] * 10
    right = np.trace(record["confusion"]["groups"])
    assert right / 40 == pytest.approx(record["metrics"]["accuracy"])
    assert record["wrong"] == 40 - right
    assert sum(row["count"] for row in record["reliability"]) == 40
    assert record["risk_coverage"]["points"][-1]["risk"] == pytest.approx(1 - record["metrics"]["accuracy"], abs=1e-5)
    assert record["one_piece"]["recall"] >= 0.96
    assert 0 <= record["embedding"]["nearest_same_group"] <= 1


def test_mistakes_come_from_the_most_to_the_least_confident(
    tiny_experiment: Experiment, drawn_dataset: FashionMnist
) -> None:
    mistakes = tiny_experiment.record["mistakes"]

    assert len(mistakes) == min(24, tiny_experiment.record["wrong"]) > 0
    assert all(row["group"] != row["said_group"] for row in mistakes)
    confidences = [row["confidence"] for row in mistakes]
    assert confidences == sorted(confidences, reverse=True)
    first = mistakes[0]
    sheet_path = first["tile"]["sheet"]
    (size,) = tiny_experiment.record["sheets"].values()
    sheet = np.asarray(Image.open(io.BytesIO(tiny_experiment.files[sheet_path])))
    assert sheet.shape == (size["height"], size["width"])
    left, top, side = (first["tile"][key] for key in ("x", "y", "size"))
    assert side == 84
    shown = sheet[top : top + side : 3, left : left + side : 3]
    np.testing.assert_array_equal(shown, drawn_dataset.test_images[first["index"]])


def test_published_cells_above_ours_are_counted(tiny_experiment: Experiment) -> None:
    for point in tiny_experiment.record["higher_cells"].values():
        assert 0 < point["all"] <= CELLS
        assert point["own"] is None


def test_plots_and_record_are_small_and_named_after_the_recipe(tiny_experiment: Experiment) -> None:
    files = tiny_experiment.files

    assert set(tiny_experiment.record["plots"]) == {
        "confusion-groups", "confusion-garments", "reliability", "risk-coverage", "training",
    }  # fmt: skip
    named = {plot[theme] for plot in tiny_experiment.record["plots"].values() for theme in ("light", "dark")}
    assert named | {"tiny-mistakes.png"} == set(files)
    total = sum(map(len, files.values())) + len(json.dumps(tiny_experiment.record, indent=1))
    assert total < MAX_EXPERIMENT_BYTES


def test_an_older_artefact_and_a_column_of_its_own(
    tiny_artefact: TrainedArtefact, drawn_dataset: FashionMnist, tmp_path: Path
) -> None:
    artefact = verify_artefact(tiny_artefact.folder)
    recipe = {**artefact.manifest.recipe, "published_column": "SqueezeNet 1.1, all layers trained"}
    manifest = dataclasses.replace(artefact.manifest, training=OLDER_TRAINING, recipe=recipe)
    save_artefact(tmp_path / "older", manifest=manifest, contents=artefact.contents)

    record = measure_experiment(tmp_path / "older", dataset=drawn_dataset).record

    assert record["costs"]["training_seconds"] == 5.0
    assert record["costs"]["training_cpu_seconds"] is None
    assert record["costs"]["training_peak_memory_bytes"] is None
    assert (record["accuracy"]["train"], record["accuracy"]["validation"]) == (None, None)
    assert "training" not in record["plots"]
    counts = record["higher_cells"]["argmax"]
    assert 0 < counts["own"] < counts["all"]


def test_no_training_picture_changes_a_measurement(
    tiny_artefact: TrainedArtefact, tiny_experiment: Experiment, drawn_dataset: FashionMnist
) -> None:
    changed = dataclasses.replace(drawn_dataset, train_images=np.zeros_like(drawn_dataset.train_images))

    other = measure_experiment(tiny_artefact.folder, dataset=changed)

    assert other.files == tiny_experiment.files
    assert {**other.record, "costs": None} == {**tiny_experiment.record, "costs": None}


def test_a_damaged_artefact_is_not_measured(
    tiny_artefact: TrainedArtefact, drawn_dataset: FashionMnist, tmp_path: Path
) -> None:
    artefact = verify_artefact(tiny_artefact.folder)
    save_artefact(tmp_path / "damaged", manifest=artefact.manifest, contents=artefact.contents)
    (tmp_path / "damaged" / NETWORK_FILE).write_bytes(b"other")

    with pytest.raises(ArtefactTamperedError):
        measure_experiment(tmp_path / "damaged", dataset=drawn_dataset)


def test_progress_counts_to_the_end(tiny_experiment: Experiment, steps: list[tuple[int, int, str]]) -> None:
    assert [done for done, _, _ in steps] == [0, 1, 2, 3, 4, 5]
    assert steps[-1] == (5, 5, "done")
