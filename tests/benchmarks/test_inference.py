"""The inference benchmark on a few pictures: what it reports, never how fast it is."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from classifier.ml.data.dataset import DatasetError, load_fashion_mnist

pytestmark = pytest.mark.long

REPOSITORY = Path(__file__).resolve().parents[2]


def run_benchmark(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.inference", *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": ""},
        capture_output=True,
        text=True,
        check=False,
    )


def test_all_ways_label_the_pictures_in_one_run() -> None:
    try:
        load_fashion_mnist()
    except DatasetError as error:
        pytest.skip(str(error))
    result = run_benchmark("--images", "32", "--published-images", "2", "--json")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
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
    told = [row["joules_per_1000_images"] for row in report["rates"]]
    assert all(joules is None for joules in told) or all(joules > 0 for joules in told)
    assert set(report["machine"]) == {"processor", "cores", "load_before", "python", "libraries"}
    assert set(report["machine"]["libraries"]) == {"tensorflow", "keras", "ai-edge-litert", "numpy", "pillow"}


def test_a_data_set_that_is_not_there_ends_the_benchmark(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from benchmarks.inference import (
        main,
    )  # not above: it imports TensorFlow, which tests that are begun early do without

    with pytest.raises(SystemExit) as ended:
        main(["--data-dir", str(tmp_path)])
    said = capsys.readouterr()
    assert ended.value.code == 1
    assert str(tmp_path) in said.err
    assert said.out == ""
