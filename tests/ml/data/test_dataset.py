"""Fashion-MNIST's files: found, verified, read, split."""

import gzip
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from classifier.ml.artefacts import DEFAULT_ARTEFACT, load_manifest
from classifier.ml.data import dataset as dataset_module
from classifier.ml.data.dataset import (
    FILE_SHA256,
    SPLIT_SEED,
    DatasetError,
    limit_stratified,
    load_fashion_mnist,
    parse_idx_images,
    parse_idx_labels,
    split_training_pictures,
)
from tests.support.drawings import draw_dataset, to_idx, write_idx_folder


@pytest.mark.parametrize("compressed", [True, False])
def test_files_are_read_raw_and_compressed(tmp_path: Path, compressed: bool) -> None:
    drawn = draw_dataset(train_per_label=2, test_per_label=1)
    hashes = write_idx_folder(tmp_path, dataset=drawn, compressed=compressed)
    loaded = load_fashion_mnist(tmp_path, expected_sha256=hashes)
    np.testing.assert_array_equal(loaded.train_images, drawn.train_images)
    np.testing.assert_array_equal(loaded.test_labels, drawn.test_labels)
    assert loaded.sha256 == hashes


def test_the_hash_is_that_of_the_decompressed_bytes(tmp_path: Path) -> None:
    hashes = write_idx_folder(tmp_path, dataset=draw_dataset(train_per_label=1, test_per_label=1))
    labels = tmp_path / "train-labels-idx1-ubyte.gz"
    labels.write_bytes(gzip.compress(gzip.decompress(labels.read_bytes()), compresslevel=9, mtime=1))
    assert load_fashion_mnist(tmp_path, expected_sha256=hashes).sha256 == hashes


def test_another_file_of_the_right_form_is_refused(tmp_path: Path) -> None:
    hashes = write_idx_folder(tmp_path, dataset=draw_dataset(train_per_label=1, test_per_label=1))
    with pytest.raises(DatasetError, match=FILE_SHA256["train-images-idx3-ubyte"]) as caught:
        load_fashion_mnist(tmp_path)
    assert hashes["train-images-idx3-ubyte"] in str(caught.value)
    assert "--data-dir" in str(caught.value)


def test_a_missing_file_is_named_with_what_to_do(tmp_path: Path) -> None:
    hashes = write_idx_folder(tmp_path, dataset=draw_dataset(train_per_label=1, test_per_label=1))
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DatasetError, match=r"t10k-labels-idx1-ubyte or t10k-labels-idx1-ubyte\.gz in .*--data-dir"):
        load_fashion_mnist(tmp_path, expected_sha256=hashes)


@pytest.mark.parametrize("content", [b"no gzip at all", gzip.compress(b"x" * 1000, mtime=0)[:-12]])
def test_a_damaged_archive_is_named(tmp_path: Path, content: bytes) -> None:
    write_idx_folder(tmp_path, dataset=draw_dataset(train_per_label=1, test_per_label=1))
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(content)
    with pytest.raises(DatasetError, match=r"train-images-idx3-ubyte\.gz cannot be read: .*Delete it"):
        load_fashion_mnist(tmp_path)


def test_without_a_folder_the_keras_cache_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = draw_dataset(train_per_label=1, test_per_label=1)
    hashes = write_idx_folder(tmp_path / "datasets" / "fashion-mnist", dataset=drawn)
    monkeypatch.setattr(dataset_module, "DEBIAN_FOLDER", tmp_path / "absent")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert load_fashion_mnist(expected_sha256=hashes).sha256 == hashes


def test_a_failed_download_says_what_was_tried_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Files of the right name but the wrong content stand for a publisher that was tampered with.
    wrong = tmp_path / "publisher"
    write_idx_folder(wrong, dataset=draw_dataset(train_per_label=1, test_per_label=1))
    monkeypatch.setattr(dataset_module, "DEBIAN_FOLDER", tmp_path / "absent")
    monkeypatch.setattr(dataset_module, "PUBLISHER_URLS", (f"file://{wrong}/", f"file://{tmp_path}/nowhere/"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    with pytest.raises(DatasetError) as caught:
        load_fashion_mnist()
    message = str(caught.value)
    assert str(tmp_path / "absent") in message
    assert "dataset-fashion-mnist" in message
    assert "expected SHA-256 c59f468a" in message
    assert "nowhere/train-images-idx3-ubyte.gz" in message
    assert not (tmp_path / "keras").exists()


def test_header_and_length_must_agree() -> None:
    content = to_idx(np.zeros((3, 28, 28), dtype=np.uint8))
    with pytest.raises(DatasetError, match="of 2368 bytes, received magic 0x00000803 and 2367 bytes"):
        parse_idx_images(content[:-1])
    with pytest.raises(DatasetError, match="received magic 0x00000803"):
        parse_idx_labels(content)
    with pytest.raises(DatasetError, match="header of 16 bytes, received 7 bytes"):
        parse_idx_images(content[:7])


def test_a_label_above_nine_is_refused() -> None:
    with pytest.raises(DatasetError, match="from 0 to 9, received 10"):
        parse_idx_labels(to_idx(np.array([0, 9, 10], dtype=np.uint8)))


def test_the_split_is_stratified_complete_and_disjoint() -> None:
    labels = np.repeat(np.arange(10), 100)
    split = split_training_pictures(labels, seed=3)
    parts = ((split.train, 80), (split.validation, 10), (split.calibration, 8), (split.reserved, 2))
    for indices, expected in parts:
        assert np.bincount(labels[indices]).tolist() == [expected] * 10
    every = np.concatenate([indices for indices, _ in parts])
    assert sorted(every.tolist()) == list(range(1000))


def test_there_is_one_split_for_ever() -> None:
    split = split_training_pictures(np.repeat(np.arange(10), 100))
    # It is that of the artefact that comes with the product.
    manifest = load_manifest(DEFAULT_ARTEFACT)
    assert manifest.dataset.get("split_seed", manifest.seed) == SPLIT_SEED
    # Its networks were trained, stopped and calibrated by these parts before some were reserved of the last.
    calibration = np.sort(np.concatenate([split.calibration, split.reserved]))
    digests = [sha256(part.tobytes()).hexdigest()[:8] for part in (split.train, split.validation, calibration)]
    assert digests == ["7cf863b0", "d99b99b7", "922df927"]
    assert sha256(split.reserved.tobytes()).hexdigest()[:8] == "50534007"


def test_the_split_follows_the_seed() -> None:
    labels = np.repeat(np.arange(10), 20)
    first, again, other = (split_training_pictures(labels, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.calibration, again.calibration)
    assert first.calibration.tolist() != other.calibration.tolist()


def test_a_limit_keeps_every_labels_share() -> None:
    labels = np.array([0] * 60 + [1] * 30 + [2] * 10)
    kept = limit_stratified(labels, limit=20, seed=1)
    assert np.bincount(labels[kept]).tolist() == [12, 6, 2]
    assert limit_stratified(labels, limit=1000, seed=1).tolist() == list(range(100))
