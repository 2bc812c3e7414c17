"""Features that point anywhere, or that lie along few axes as those of pictures do; the same at every run."""

import numpy as np


def draw(rows: int, *, seed: int = 1) -> np.ndarray:
    """Features float32[rows, 64], their lengths not 1."""
    return np.random.default_rng(seed).normal(size=(rows, 64)).astype("f4")


def draw_along(axes: int, rows: int, *, seed: int = 1) -> np.ndarray:
    """Vectors of which all but a hundredth lies on so many axes, as pictures' features do."""
    turn = np.linalg.qr(draw(64, seed=0))[0]
    return (draw(rows, seed=seed) * np.where(np.arange(64) < axes, 1, 0.01)).astype("f4") @ turn


def normalise(vectors: np.ndarray) -> np.ndarray:
    """The same directions with length 1, or 0."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype("f4")
