"""Fashion-MNIST: its four IDX files are found or downloaded, verified by hash, read, and split.

The hash is that of the decompressed bytes, because the places that offer the files compress them differently.
"""

import gzip
import hashlib
import logging
import os
import urllib.request
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from classifier.ml.labels import GARMENTS
from config.files import write_file

logger = logging.getLogger(__name__)

#: File name (without .gz) -> SHA-256 of the decompressed bytes.
FILE_SHA256: Final[Mapping[str, str]] = MappingProxyType(
    {
        "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    }
)
TEST_IMAGES: Final = "t10k-images-idx3-ubyte"
DEBIAN_FOLDER: Final = Path("/usr/share/datasets/fashion-mnist")
PUBLISHER_URLS: Final[tuple[str, ...]] = (
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
)
DOWNLOAD_TIMEOUT_SECONDS: Final = 30.0
#: The largest of the four files is 47,040,016 bytes decompressed; anything beyond this is not one of them.
MAX_FILE_BYTES: Final = 64 * 1024 * 1024
#: There is one split, whatever the seed of a training: pictures that one version learnt from must not judge another.
SPLIT_SEED: Final = 1
VALIDATION_SHARE: Final = 0.1
#: With what is reserved.
CALIBRATION_SHARE: Final = 0.1
#: As much of the training pictures, 100 of each garment, nothing that a recipe does sees: catalogues may show them.
RESERVED_SHARE: Final = 1 / 60

_IDX_MAGIC_IMAGES: Final = 0x00000803
_IDX_MAGIC_LABELS: Final = 0x00000801


class DatasetError(Exception):
    """The data set cannot be had, or is not the published one; the message says what was tried and what to do."""


@dataclass(frozen=True, slots=True)
class FashionMnist:
    """The data set in memory: uint8 pictures of 28 x 28 and uint8 labels 0..9 (indices into ``GARMENTS``).

    ``sha256`` maps each file's name to the hash of its decompressed bytes.
    """

    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.uint8]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.uint8]
    sha256: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Split:
    """Four disjoint parts of the training pictures, as sorted int64 indices.

    ``train`` fits the weights, ``validation`` stops the training, ``calibration`` chooses temperature, thresholds
    and operating points; ``reserved`` does nothing. The test pictures are in none of them.
    """

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    calibration: NDArray[np.int64]
    reserved: NDArray[np.int64]


def load_fashion_mnist(
    data_dir: Path | None = None, *, expected_sha256: Mapping[str, str] = FILE_SHA256
) -> FashionMnist:
    """The verified data set, from ``data_dir`` or from the first known place that has it.

    Without ``data_dir`` the files are looked for where Debian's package ``dataset-fashion-mnist`` puts them, then
    in the Keras cache, and are else downloaded into that cache. Raises ``DatasetError`` when a file is missing, damaged
    or another one.
    """
    folder = data_dir if data_dir is not None else _find_or_download()
    contents = {name: _read_verified(folder, name, expected_sha256=expected_sha256) for name in FILE_SHA256}
    return FashionMnist(
        train_images=parse_idx_images(contents["train-images-idx3-ubyte"]),
        train_labels=parse_idx_labels(contents["train-labels-idx1-ubyte"]),
        test_images=parse_idx_images(contents["t10k-images-idx3-ubyte"]),
        test_labels=parse_idx_labels(contents["t10k-labels-idx1-ubyte"]),
        sha256={name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
    )


def keras_cache_folder() -> Path:
    """Where Keras keeps the data set: below ``KERAS_HOME``, by default ``~/.keras``."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "datasets" / "fashion-mnist"


def parse_idx_images(content: bytes) -> NDArray[np.uint8]:
    """The pictures of an IDX3 file, uint8[N, H, W]. Raises ``DatasetError`` when header and length disagree."""
    magic, count, height, width = _idx_header(content, fields=4)
    expected_bytes = 16 + count * height * width
    if magic != _IDX_MAGIC_IMAGES or len(content) != expected_bytes:
        raise DatasetError(
            f"expected an IDX image file (magic {_IDX_MAGIC_IMAGES:#010x}) of {expected_bytes} bytes, "
            f"received magic {magic:#010x} and {len(content)} bytes"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=16).reshape(count, height, width)


def parse_idx_labels(content: bytes) -> NDArray[np.uint8]:
    """The labels of an IDX1 file, uint8[N] in 0..9. Raises ``DatasetError`` when header, length or a label is wrong."""
    magic, count = _idx_header(content, fields=2)
    if magic != _IDX_MAGIC_LABELS or len(content) != 8 + count:
        raise DatasetError(
            f"expected an IDX label file (magic {_IDX_MAGIC_LABELS:#010x}) of {8 + count} bytes, "
            f"received magic {magic:#010x} and {len(content)} bytes"
        )
    labels = np.frombuffer(content, dtype=np.uint8, offset=8)
    if labels.size and labels.max() >= len(GARMENTS):
        raise DatasetError(f"expected labels from 0 to {len(GARMENTS) - 1}, received {labels.max()}")
    return labels


def split_training_pictures(labels: NDArray[np.integer], *, seed: int = SPLIT_SEED) -> Split:
    """The stratified split of training pictures by their labels int[N].

    Another seed gives another one: artefacts from before there was one split have that of their training's seed. The
    reserved pictures are the last of the calibration's share: networks from before any were reserved were calibrated
    with them, and never trained or stopped by them.
    Each part holds the same share of every label, rounded to whole pictures, and every picture is in exactly one
    part.
    """
    generator = np.random.default_rng(seed)
    pieces = []
    for label in np.unique(labels):
        indices = generator.permutation(np.flatnonzero(labels == label)).astype(np.int64)
        validation_end = round(len(indices) * VALIDATION_SHARE)
        reserved_end = validation_end + round(len(indices) * CALIBRATION_SHARE)
        calibration_end = reserved_end - round(len(indices) * RESERVED_SHARE)
        pieces.append(np.split(indices, [validation_end, calibration_end, reserved_end]))
    validation, calibration, reserved, train = (np.sort(np.concatenate(part)) for part in zip(*pieces, strict=True))
    return Split(train=train, validation=validation, calibration=calibration, reserved=reserved)


def limit_stratified(labels: NDArray[np.integer], *, limit: int, seed: int) -> NDArray[np.int64]:
    """Sorted indices of about ``limit`` pictures with every label's share kept, int64[<= N]."""
    if limit >= len(labels):
        return np.arange(len(labels), dtype=np.int64)
    generator = np.random.default_rng(seed)
    kept = [
        generator.permutation(np.flatnonzero(labels == label))[: max(1, round(limit * np.mean(labels == label)))]
        for label in np.unique(labels)
    ]
    return np.sort(np.concatenate(kept)).astype(np.int64)


def _idx_header(content: bytes, *, fields: int) -> tuple[int, ...]:
    if len(content) < 4 * fields:
        raise DatasetError(f"expected an IDX file with a header of {4 * fields} bytes, received {len(content)} bytes")
    return tuple(int(value) for value in np.frombuffer(content, dtype=">u4", count=fields))


def _find_file(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def find_fashion_mnist() -> Path | None:
    """The first known folder of this machine that has the four files, or None."""
    folders = (DEBIAN_FOLDER, keras_cache_folder())
    return next((folder for folder in folders if all(_find_file(folder, name) for name in FILE_SHA256)), None)


def _find_or_download() -> Path:
    folder = find_fashion_mnist()
    if folder is not None:
        logger.info("reading Fashion-MNIST from %s", folder)
        return folder
    cache = keras_cache_folder()
    for name in FILE_SHA256:
        if _find_file(cache, name) is None:
            _download(name, folder=cache)
    return cache


def _read_verified(folder: Path, name: str, *, expected_sha256: Mapping[str, str]) -> bytes:
    path = _find_file(folder, name)
    if path is None:
        raise DatasetError(
            f"expected {name} or {name}.gz in {folder}, found neither. --data-dir is a folder with the four "
            f"Fashion-MNIST files {', '.join(FILE_SHA256)}, raw or .gz"
        )
    content = _read_bounded(path)
    actual = hashlib.sha256(content).hexdigest()
    if actual != expected_sha256[name]:
        raise DatasetError(
            f"{path} is not the published file: expected SHA-256 {expected_sha256[name]} of its decompressed "
            f"bytes, received {actual}. Delete it and run the command again, or name a good copy with --data-dir"
        )
    return content


def _read_bounded(path: Path) -> bytes:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return file.read(MAX_FILE_BYTES)
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(f"{path} cannot be read: {error}. Delete it and run the command again") from error


def _download(name: str, *, folder: Path) -> None:
    """Fetch one file from the publisher into ``folder``; nothing is left there unless its hash is right."""
    failures = []
    for base in PUBLISHER_URLS:
        url = f"{base}{name}.gz"
        try:
            with urllib.request.urlopen(url, timeout=DOWNLOAD_TIMEOUT_SECONDS) as response:  # noqa: S310 - fixed URLs
                compressed = response.read(MAX_FILE_BYTES)
            actual = hashlib.sha256(gzip.decompress(compressed)).hexdigest()
        except (OSError, EOFError, zlib.error) as error:
            failures.append(f"{url}: {error}")
            continue
        if actual != FILE_SHA256[name]:
            failures.append(f"{url}: expected SHA-256 {FILE_SHA256[name]}, received {actual}")
            continue
        folder.mkdir(parents=True, exist_ok=True)
        write_file(folder / f"{name}.gz", compressed)
        logger.info("downloaded %s into %s", url, folder)
        return
    raise DatasetError(
        f"Fashion-MNIST was not found in {DEBIAN_FOLDER} nor in {keras_cache_folder()}, and the download failed: "
        f"{'; '.join(failures)}. Install Debian's package dataset-fashion-mnist, or name a folder with the four "
        "files with --data-dir"
    )
