"""What a network is worth on photographs: factors on groups, and pictures that are turned."""

from typing import Any

import numpy as np
import pytest

from classifier.ml.judging.photographs import (
    UPRIGHT_ODDS,
    Distance,
    PhotographCalibration,
    calibrate_photographs,
    fit_distance,
    fit_upright,
)
from classifier.ml.labels import GROUPS, group_probabilities

ONES = dict.fromkeys(GROUPS, 1.0)


def build_photographs(**changes: Any) -> PhotographCalibration:
    """A calibration that changes nothing, and takes every picture for upright."""
    return PhotographCalibration(
        **{
            "temperature": 1.0,
            "group_weights": ONES,
            "upright_logits": [0.0] * 10,
            "upright_embedding": [0.0] * 64,
            "upright_bias": 50.0,
            **changes,
        }
    )


def test_a_picture_that_is_not_upright_comes_to_an_even_chance_and_keeps_its_label() -> None:
    logits = np.tile(np.array([[3.0, 0, 0, 2, 0, 0, 1, 0, 0, 0]], dtype=np.float32), (3, 1))
    embedding = np.zeros((3, 64), dtype=np.float32)
    embedding[:, 5] = [1.0, 0.0, -1.0]
    calibration = build_photographs(upright_embedding=[20.0 * (place == 5) for place in range(64)], upright_bias=0.0)
    # Upright, as likely turned as not, and turned:
    garments = calibration.probabilities(logits, features=embedding)
    groups = group_probabilities(garments)
    np.testing.assert_allclose(groups[0], group_probabilities(calibration.weighted(logits))[0], atol=1e-6)
    np.testing.assert_allclose(groups[1], (groups[0] + 0.2) / 2, atol=1e-6)
    np.testing.assert_allclose(groups[2], 0.2, atol=1e-6)
    assert groups.argmax(axis=1).tolist() == [0, 0, 0]
    # Within the group a garment is as sure as it was.
    np.testing.assert_allclose(garments[:, 0] / groups[:, 0], garments[0, 0] / groups[0, 0])


def test_a_network_learns_which_of_its_numbers_tell_a_turned_picture() -> None:
    # Given a network of whose numbers one says whether the picture stands upright,
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 2, (4, 200, 10)).astype(np.float32)
    embedding = generator.normal(0, 0.1, (4, 200, 64)).astype(np.float32)
    embedding[0, :, 7] += 0.5
    groups = group_probabilities(logits[0]).argmax(axis=1)
    # when photographs are calibrated,
    calibration = calibrate_photographs(logits, features=embedding, groups=groups, temperature=2.0, threshold=0.5)
    # then it is told from the others,
    upright = [calibration.upright(way, features=seen).mean() for way, seen in zip(logits, embedding, strict=True)]
    assert upright[0] > 0.95
    assert max(upright[1:]) < 0.4
    assert calibration.temperature > 2.0
    # and where nothing tells it, the odds are those of the product.
    nothing = np.zeros_like(logits), np.zeros_like(embedding)
    unknown = calibrate_photographs(nothing[0], features=nothing[1], groups=groups, temperature=1.0, threshold=0.5)
    assert np.exp(unknown.upright_bias) == pytest.approx(UPRIGHT_ODDS, rel=1e-3)


def test_what_is_wrong_and_sure_when_turned_counts_and_what_is_not_answered_does_not() -> None:
    # Given turned pictures of which the first half is answered, and wrongly, and the other half is not,
    count = 400
    logits = np.zeros((4, count, 10), dtype=np.float32)
    logits[0, :, 3] = logits[1:, : count // 2, 8] = 9.0
    embedding = np.zeros((4, count, 64), dtype=np.float32)
    embedding[1:, : count // 2, 0] = embedding[1:, count // 2 :, 1] = 1.0
    # when photographs are calibrated,
    groups = np.full(count, GROUPS.index("One piece"))
    calibration = calibrate_photographs(logits, features=embedding, groups=groups, temperature=1.0, threshold=0.66)
    # then only what marks the first half speaks against standing upright.
    assert calibration.upright_embedding[0] < -1
    assert calibration.upright_embedding[1] == pytest.approx(0, abs=1e-3)


def test_photographs_without_labels_teach_colours_what_a_turned_picture_is() -> None:
    # Given pictures of which nobody knows the groups: turned, the first half is surely said to be something else,
    generator = np.random.default_rng(0)
    logits = np.zeros((4, 400, 10), dtype=np.float32)
    logits[0, :, 3] = logits[1:, :200, 8] = logits[1:, 200:, 3] = 9.0
    features = generator.normal(0, 0.1, (4, 400, 128)).astype(np.float32)
    # and colours that tell which are turned,
    features[1:, :, 100] += 0.5
    fitted = fit_upright(build_photographs(), logits, features=features, threshold=0.66, odds=5.0)
    upright = [fitted.upright(way, features=seen) for way, seen in zip(logits, features, strict=True)]
    assert upright[0].mean() > 0.9
    assert max(seen[:200].mean() for seen in upright[1:]) < 0.1
    # Pictures whose colours nobody looked at count as the mean picture does.
    mean = np.hstack([features[0, :, :64], np.zeros((400, 64), dtype=np.float32)])
    np.testing.assert_allclose(
        fitted.upright(logits[0], features=features[0, :, :64]), fitted.upright(logits[0], features=mean)
    )


def test_what_is_far_from_usual_photographs_is_less_sure_and_keeps_its_label() -> None:
    # Given photographs that differ along one direction, and little along the others,
    generator = np.random.default_rng(0)
    features = 0.05 * generator.normal(0, 1, (500, 128))
    features[:, 3] += generator.normal(0.4, 1, 500)
    distance = fit_distance(features)
    assert distance.measure(features).mean() == pytest.approx(1.1**0.5, rel=0.01)
    # the same way off counts more along the others.
    near, along, across = np.tile(features.mean(axis=0), (3, 1))
    along[3] += 4.0
    across[90] += 4.0
    seen = np.stack([near, along, across])
    measured = distance.measure(seen)
    assert measured[0] < 0.2 < measured[1] < measured[2] / 10
    # What has no colours is as usual as can be by them.
    np.testing.assert_allclose(distance.measure(seen[:, :64])[[0, 2]], measured[0], rtol=1e-6)
    logits = np.tile(np.array([[2.0, 0, 0, 3.0, 0, 0, 0, 0, 0, 0]], dtype=np.float32), (3, 1))
    calibration = build_photographs(distance=distance, group_weights={**ONES, "One piece": 1.5})
    garments = calibration.probabilities(logits, features=seen.astype(np.float32))
    groups = group_probabilities(garments)
    assert (groups.argmax(axis=1) == group_probabilities(calibration.weighted(logits)).argmax(axis=1)).all()
    assert groups[0].max() > groups[1].max() > groups[2].max()
    np.testing.assert_allclose(groups.sum(axis=1), 1)
    np.testing.assert_allclose(garments[:, 0] / garments[:, 2], np.exp(2.0), rtol=1e-6)


def test_photographs_that_are_all_alike_tell_no_distance() -> None:
    with pytest.raises(ValueError, match="photographs that differ"):
        fit_distance(np.ones((70, 128)))
    with pytest.raises(ValueError, match="directions of as many numbers"):
        Distance(mean=[0.0, 0.0], directions=[[1.0]], scale=1.0)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"temperature": 0.0}, "positive temperature of photographs, received 0.0"),
        ({"group_weights": {"Bags": 1.0}}, "group_weights for Upper part"),
        ({"upright_logits": [0.0]}, "10 numbers as upright_logits, received 1"),
        ({"upright_embedding": [0.0]}, "64 numbers as upright_embedding, received 1"),
        ({"upright_colours": [0.0]}, "64 numbers as upright_colours or none, received 1"),
    ],
)
def test_a_calibration_that_cannot_work_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_photographs(**changes)
