"""The commands that make files which come with the product: the demo's sample, and the hashes of test pictures."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from catalog.demo.sample import CATALOGUE_FILE, SAMPLE_FOLDER, TRUE_GARMENTS_FILE, read_pictures, read_true_garments
from classifier.management.commands import build_test_forms
from classifier.ml.config import PreprocessingSpec
from classifier.ml.data.dataset import DEBIAN_FOLDER, FILE_SHA256, load_fashion_mnist, split_training_pictures
from classifier.ml.data.forms import TEST_FORMS_FILE, find_test_forms
from classifier.ml.preprocessing import canonical_pictures

needs_data_set = pytest.mark.skipif(
    not all((DEBIAN_FOLDER / f"{name}.gz").exists() for name in FILE_SHA256),
    reason=f"Fashion-MNIST is not in {DEBIAN_FOLDER}",
)


def test_missing_data_set_fails_and_writes_nothing(tmp_path):
    output = tmp_path / "sample"

    with pytest.raises(CommandError, match="expected train-images-idx3-ubyte or"):
        call_command("build_demo_sample", data_dir=tmp_path, output=output)

    assert not output.exists()


@needs_data_set
def test_command_makes_the_shipped_sample_again(tmp_path):
    output = io.StringIO()

    call_command("build_demo_sample", data_dir=Path(DEBIAN_FOLDER), output=tmp_path, json=True, stdout=output)

    for name in (CATALOGUE_FILE, TRUE_GARMENTS_FILE):
        assert (tmp_path / name).read_bytes() == (SAMPLE_FOLDER / name).read_bytes()
    shipped, made = read_pictures(), read_pictures(tmp_path)
    assert list(made) == list(shipped)
    assert all((made[name] == shipped[name]).all() for name in shipped)
    assert json.loads(output.getvalue())["pictures"] == len(shipped)


@pytest.fixture(scope="module")
def data():
    return load_fashion_mnist(Path(DEBIAN_FOLDER))


@needs_data_set
def test_shipped_hashes_know_test_pictures_whatever_they_come_as(data, tmp_path, monkeypatch):
    monkeypatch.setattr(build_test_forms, "load_fashion_mnist", lambda folder: data)
    output = io.StringIO()
    call_command("build_test_forms", output=tmp_path / "made.bin", json=True, stdout=output)
    assert (tmp_path / "made.bin").read_bytes() == TEST_FORMS_FILE.read_bytes()
    assert json.loads(output.getvalue())["bytes"] == 80_000
    disguised = [np.repeat(picture[..., None], 3, axis=2) for picture in data.test_images[:200]]
    others = data.train_images[:200, ..., None]
    found = find_test_forms(canonical_pictures(disguised, spec=PreprocessingSpec()))
    assert (found.any(), find_test_forms(others).any()) == (True, False)


@needs_data_set
def test_shipped_garments_are_reserved_ones_each_shown_once(data):
    reserved = split_training_pictures(data.train_labels).reserved
    garments = read_true_garments()

    shown = [picture.tobytes() for name, picture in read_pictures().items() if name in garments]

    assert len(set(shown)) == len(shown)
    assert set(shown) <= {picture.tobytes() for picture in data.train_images[reserved]}
    assert not set(shown) & {picture.tobytes() for picture in data.test_images}
