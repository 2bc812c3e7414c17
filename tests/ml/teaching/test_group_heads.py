"""A head that features teach: as good as they are separable, calibrated, refused where a group is missing."""

import numpy as np
import pytest

from classifier.ml.labels import GROUPS
from classifier.ml.teaching.group_heads import teach


def draw(count: int, *, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features of unit length around a direction for each group, the first group ten times as frequent."""
    generator = np.random.default_rng(seed)
    groups = generator.choice(5, count, p=[0.7, 0.075, 0.075, 0.075, 0.075])
    features = np.eye(16)[groups] + noise * generator.normal(size=(count, 16))
    return (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32), groups


def test_groups_are_told_apart_and_rare_ones_count_alike() -> None:
    features, groups = draw(600, noise=0.25)
    taught = teach(features, groups=groups, held_out=np.arange(600) % 5 == 0)
    assert taught.pictures == 120
    assert taught.balanced_accuracy > 0.85
    others, truth = draw(2000, noise=0.25, seed=1)
    probabilities = taught.head.probabilities(others)
    said = probabilities.argmax(axis=1)
    assert min((said[truth == group] == group).mean() for group in range(5)) > 0.8
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    assert abs(probabilities.max(axis=1).mean() - (said == truth).mean()) < 0.08


@pytest.mark.parametrize("side", ["taught", "held out"])
def test_a_group_that_is_missing_is_named(side: str) -> None:
    features, groups = draw(200, noise=0.2)
    held_out = (groups == 2) if side == "taught" else (groups != 2) & (np.arange(200) % 2 == 0)
    with pytest.raises(ValueError, match=f"{side}.*{GROUPS[2]}"):
        teach(features, groups=groups, held_out=held_out)
