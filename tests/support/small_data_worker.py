"""A Celery worker that trains less of a network on less of Fashion-MNIST: ``... -m tests.support.small_data_worker``.

Validation, calibration and evaluation go over all their pictures whatever a run's limit is; of the whole data set that
takes minutes, and says no more about the way from the queue to a registered version. Nor do more layers, of which each
takes half a second to build.
"""

import dataclasses
import sys

from celery.__main__ import main

from classifier.ml import config, pipeline
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


def shorten(recipe: config.Recipe) -> config.Recipe:
    """Return the recipe of a network that ends early, at one size."""
    return dataclasses.replace(recipe, last_layer="block_1_expand_relu", first_size=None)


if __name__ == "__main__":
    config.RECIPES = {name: shorten(recipe) for name, recipe in config.RECIPES.items()}
    pipeline.load_fashion_mnist = load_small_part
    sys.exit(main())
