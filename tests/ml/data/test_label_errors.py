"""Labels are doubted by a judge that never saw the picture."""

import numpy as np
import pytest

from classifier.ml.data import label_errors
from classifier.ml.data.label_errors import (
    assign_folds,
    confusion_matrix,
    find_label_suspects,
    predict_out_of_fold,
)
from classifier.ml.labels import GARMENTS, GROUPS, group_probabilities

SHIRT, DRESS, COAT = (GARMENTS.index(name) for name in ("Shirt", "Dress", "Coat"))


def test_folds_share_every_label_evenly():
    labels = np.repeat(np.arange(10), 20)

    folds = assign_folds(labels, folds=5, seed=1)

    for label in range(10):
        assert np.bincount(folds[labels == label], minlength=5).tolist() == [4] * 5
    assert (folds == assign_folds(labels, folds=5, seed=1)).all()
    assert (folds != assign_folds(labels, folds=5, seed=2)).any()


def test_a_planted_label_error_is_the_first_suspect(drawn_dataset):
    labels = drawn_dataset.train_labels.copy()
    planted = int(np.flatnonzero(labels == SHIRT)[3])
    labels[planted] = DRESS

    probabilities = predict_out_of_fold(drawn_dataset.train_images, labels=labels, seed=1, features=128)
    suspects = find_label_suspects(probabilities, labels=labels)

    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert suspects.indices.tolist() == [planted]
    assert (suspects.given[0], suspects.predicted[0]) == (DRESS, SHIRT)
    assert suspects.across_groups().indices.tolist() == [planted]


def test_a_label_has_no_say_in_what_is_said_of_its_picture(drawn_dataset, monkeypatch):
    folds = assign_folds(drawn_dataset.train_labels, seed=1)
    monkeypatch.setattr(label_errors, "assign_folds", lambda labels, *, folds, seed, fixed=folds: fixed)
    monkeypatch.setattr(label_errors, "_to_probabilities", lambda scores, *, labels: scores)
    changed = drawn_dataset.train_labels.copy()
    changed[0] = (changed[0] + 3) % 10

    before, after = (
        predict_out_of_fold(drawn_dataset.train_images, labels=labels, seed=1, features=64)
        for labels in (drawn_dataset.train_labels, changed)
    )

    same_fold = folds == folds[0]
    assert np.allclose(before[same_fold], after[same_fold], atol=1e-4)
    assert np.abs(before[~same_fold] - after[~same_fold]).max() > 0.01


def test_the_same_seed_gives_the_same_probabilities(drawn_dataset):
    first, second = (
        predict_out_of_fold(drawn_dataset.train_images, labels=drawn_dataset.train_labels, seed=4, features=64)
        for _ in range(2)
    )

    assert np.array_equal(first, second)


@pytest.mark.parametrize("count", [4, 9])
def test_too_few_pictures_or_labels_are_refused(count, drawn_dataset):
    labels = drawn_dataset.train_labels[:4]

    with pytest.raises(ValueError, match=f"at least 5 pictures, received 4 for {count}"):
        predict_out_of_fold(drawn_dataset.train_images[:count], labels=labels, seed=1)


def test_an_unsure_judge_doubts_nothing():
    labels = np.array([SHIRT, SHIRT, COAT, COAT])
    probabilities = np.zeros((4, 10), dtype=np.float32)
    probabilities[0, SHIRT], probabilities[0, COAT] = 0.9, 0.1
    probabilities[1, SHIRT], probabilities[1, COAT] = 0.45, 0.55
    probabilities[2:, COAT], probabilities[2:, SHIRT] = 0.8, 0.2

    # 0.55 is below the 0.8 that coats get.
    assert find_label_suspects(probabilities, labels=labels).indices.tolist() == []

    probabilities[1, SHIRT], probabilities[1, COAT] = 0.1, 0.9
    suspects = find_label_suspects(probabilities, labels=labels)
    assert suspects.indices.tolist() == [1]
    assert suspects.across_groups().indices.tolist() == []


def test_the_matrix_has_a_row_for_each_label():
    matrix = confusion_matrix(np.array([0, 0, 2]), predicted=np.array([0, 1, 2]), classes=3)

    assert matrix.tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 1]]


def test_the_group_is_the_largest_sum():
    probabilities = np.zeros((1, 10), dtype=np.float32)
    probabilities[0, [SHIRT, COAT, DRESS]] = 0.3, 0.3, 0.4

    assert GROUPS[group_probabilities(probabilities).argmax()] == "Upper part"
