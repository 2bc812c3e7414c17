"""The inference benchmark on a few pictures: what it reports, never how fast it is."""

import json
from pathlib import Path

import numpy as np
import pytest

from classifier.ml.data.dataset import DatasetError, load_fashion_mnist


def run_benchmark(*arguments: str) -> int:
    # Not above: it imports TensorFlow, which tests that are begun early do without.
    from benchmarks.inference import main

    return main(arguments)


def test_all_ways_label_the_pictures_in_one_run(
    artefact_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        load_fashion_mnist()
    except DatasetError as error:
        pytest.skip(str(error))
    monkeypatch.setattr("benchmarks.inference.DEFAULT_ARTEFACT", artefact_folder)
    assert run_benchmark("--images", "32", "--published-images", "2", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    product, predictions, same, published = report["rates"]
    assert [row["images"] for row in report["rates"]] == [32, 32, 32, 2]
    assert all(row["seconds"] > 0 for row in report["rates"])
    assert len(product["all_seconds"]) == len(predictions["all_seconds"]) == 5
    assert product["seconds"] == np.median(product["all_seconds"])
    assert product["images_per_second"] == pytest.approx(32 / product["seconds"])
    assert same["batch_size"] in (32, 128)
    assert published["parameters"] == 2_230_277
    assert published["times_faster_than_published"] == 1.0
    assert product["times_faster_than_published"] == pytest.approx(
        product["images_per_second"] / published["images_per_second"]
    )
    assert min(report["photographs"].values()) > 0
    told = [row["joules_per_1000_images"] for row in report["rates"]]
    assert all(joules is None for joules in told) or all(joules > 0 for joules in told)
    assert set(report["machine"]) == {"processor", "cores", "load_before", "python", "libraries"}
    assert set(report["machine"]["libraries"]) == {"tensorflow", "keras", "ai-edge-litert", "numpy", "pillow"}


def test_a_data_set_that_is_not_there_ends_the_benchmark(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run_benchmark("--data-dir", str(tmp_path))
    said = capsys.readouterr()
    assert ended.value.code == 1
    assert str(tmp_path) in said.err
    assert said.out == ""
