"""Small drawn pictures that stand for garments, and a data set of them in the published format."""

import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from classifier.ml.data.dataset import FILE_SHA256, FashionMnist
from classifier.ml.labels import GARMENTS

SIDE = 28


def draw_garment(label: int, *, generator: np.random.Generator, is_test: bool = False) -> NDArray[np.uint8]:
    """A bright rectangle on black in the label's place, uint8[28, 28]; none for tests is one for training."""
    picture = np.zeros((SIDE, SIDE), dtype=np.uint8)
    top, left = 1 + 2 * (label % 5), 1 + 9 * (label // 5)
    picture[top : top + 10, left : left + 14] = 255
    picture[top + 2 : top + 4, left + 2 : left + 12] = 2 * generator.integers(50, 100) + is_test
    return picture


def draw_dataset(*, train_per_label: int = 20, test_per_label: int = 4, seed: int = 0) -> FashionMnist:
    """A data set of drawn garments with the same number of every label."""
    generator = np.random.default_rng(seed)
    parts = []
    for count, is_test in ((train_per_label, False), (test_per_label, True)):
        labels = np.tile(np.arange(len(GARMENTS), dtype=np.uint8), count)
        drawn = [draw_garment(int(label), generator=generator, is_test=is_test) for label in labels]
        parts += [np.stack(drawn), labels]
    return FashionMnist(*parts, sha256=dict.fromkeys(FILE_SHA256, "0" * 64))


def to_idx(array: NDArray[np.uint8]) -> bytes:
    """The array as an IDX file of unsigned bytes."""
    header = struct.pack(">BBBB", 0, 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.tobytes()


def write_idx_folder(folder: Path, *, dataset: FashionMnist, compressed: bool = True) -> dict[str, str]:
    """Write the four files and return the SHA-256 of each one's decompressed bytes, by its name."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = (dataset.train_images, dataset.train_labels, dataset.test_images, dataset.test_labels)
    hashes = {}
    for name, array in zip(FILE_SHA256, arrays, strict=True):
        content = to_idx(array)
        hashes[name] = hashlib.sha256(content).hexdigest()
        if compressed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content, compresslevel=1))
        else:
            (folder / name).write_bytes(content)
    return hashes


def render_for_shop(picture: NDArray[np.uint8], *, side: int, margin: int) -> NDArray[np.uint8]:
    """A canonical picture as a shop shows it: dark on white, enlarged, with a margin; uint8[H, W, 3]."""
    enlarged = np.kron(picture, np.ones((side // SIDE, side // SIDE), dtype=np.uint8))
    page = np.full((enlarged.shape[0] + 2 * margin, enlarged.shape[1] + 2 * margin, 3), 255, dtype=np.uint8)
    page[margin:-margin, margin:-margin] = 255 - enlarged[:, :, None]
    return page
