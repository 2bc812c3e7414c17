"""A Celery worker that trains on a small part of Fashion-MNIST: ``python -m tests.support.small_data_worker ...``.

Validation, calibration and evaluation go over all their pictures whatever a run's limit is; of the whole data set that
takes minutes, and says no more about the way from the queue to a registered version.
"""

import dataclasses
import sys

from celery.__main__ import main

from classifier.ml import pipeline
from classifier.ml.data.dataset import FashionMnist, limit_stratified, load_fashion_mnist

TRAINING_PICTURES, TEST_PICTURES = 600, 100


def load_small_part(*_: object) -> FashionMnist:
    """Return the published data set with every garment's share of fewer pictures."""
    data = load_fashion_mnist()
    train = limit_stratified(data.train_labels, limit=TRAINING_PICTURES, seed=0)
    test = limit_stratified(data.test_labels, limit=TEST_PICTURES, seed=0)
    return dataclasses.replace(
        data,
        train_images=data.train_images[train],
        train_labels=data.train_labels[train],
        test_images=data.test_images[test],
        test_labels=data.test_labels[test],
    )


if __name__ == "__main__":
    pipeline.load_fashion_mnist = load_small_part
    sys.exit(main())
