"""The benchmark of a retraining on a few drawn products: what it reports, not how fast it is."""

import csv
from pathlib import Path

import pytest

from catalog.demo.rendering import render_picture
from catalog.demo.sample import read_pictures, read_true_garments
from classifier.ml.labels import GROUP_OF_GARMENT
from tests.benchmarks.running import read_report

pytestmark = pytest.mark.long

PICTURES = 45


@pytest.mark.postgresql
@pytest.mark.timeout(600)
def test_reviews_make_a_candidate_and_each_phase_has_its_seconds(tmp_path: Path) -> None:
    true, pictures = read_true_garments(), read_pictures()
    names = [name for name in pictures if name in true][:PICTURES]
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "group", "title"])
        for number, name in enumerate(names):
            (tmp_path / Path(name).name).write_bytes(render_picture(pictures[name], name=name))
            writer.writerow([Path(name).name, GROUP_OF_GARMENT[true[name]], f"Acme {number}"])
    (training,) = read_report("retraining", str(tmp_path), "--reviews", str(PICTURES))["trainings"]
    assert training["reviews"] == PICTURES
    assert {"load", "train", "evaluate", "save"} <= set(training["phases"])
    assert sum(training["phases"].values()) == pytest.approx(training["seconds"], rel=0.2)
    assert training["accuracy_out_of_fold"]["count"] > 0
