"""Fitting a network: augmentation, AdamW with a one-cycle rate, early stopping, and the best weights kept."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from classifier.ml.config import NO_AUGMENTATION, AugmentationSpec, Recipe
from classifier.ml.data.augmentation import Examples, augment
from classifier.ml.labels import GARMENT_TO_GROUP, GARMENTS, group_labels, group_probabilities
from classifier.ml.network.architecture import (
    BackboneWeights,
    NetworkSpec,
    assign_weights,
    build_backbone,
    build_network,
    cut_backbone,
    load_backbone_weights,
    named_weights,
    split_network,
)
from classifier.ml.network.layers import with_faster_layers
from classifier.ml.types import ProgressCallback, TrainingProgress
from config.ahead import read_ahead

#: The share of the steps in which the rate rises; then it falls to almost nothing along a cosine.
_WARM_UP_SHARE: Final = 0.2
_START_FACTOR: Final = 0.1
_END_FACTOR: Final = 0.001
_GRADIENT_NORM: Final = 5.0
_PREDICTION_BATCH: Final = 250
_PROGRESS_EVERY_STEPS: Final = 5
_BATCHES_AHEAD: Final = 4
#: Keeps the logarithm of a group's probability finite.
_LEAST_PROBABILITY: Final = 1e-7


@dataclass(frozen=True, slots=True)
class LabelledPictures:
    """Pictures in canonical form, uint8[N, S, S, 1], and the index of each one's garment, int[N].

    Where only the head learns, their features float32[N, 1280] stand in the pictures' place.
    """

    pictures: NDArray[Any]
    labels: NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What a training leaves besides the weights in the network.

    ``history`` has one row per epoch with losses, accuracies over groups, rate and seconds; ``best_epoch`` counts
    from 1 and names the row whose weights the network has.
    """

    history: tuple[dict[str, float], ...]
    best_epoch: int
    seconds: float


def build_seeded_network(
    spec: NetworkSpec, *, seed: int, weights: BackboneWeights | None, frozen: bool = False
) -> keras.Model:
    """A network ready to be trained; everything random in it and in its training's dropout follows from the seed.

    A ``frozen`` backbone keeps its weights and its statistics. Raises ``BackboneWeightsError`` when ``weights`` do not
    fit; None starts from random weights.
    """
    keras.utils.set_random_seed(seed)
    backbone = build_backbone(spec)
    if weights is not None:
        load_backbone_weights(backbone, weights=weights)
    backbone = with_faster_layers(cut_backbone(backbone, last_layer=spec.last_layer))
    backbone.trainable = not frozen
    return build_network(spec, backbone=backbone)


def train_network(
    network: keras.Model,
    *,
    spec: NetworkSpec,
    recipe: Recipe,
    train: LabelledPictures,
    validation: LabelledPictures,
    seed: int,
    progress: ProgressCallback,
) -> TrainingResult:
    """Train the network of ``spec`` in place as the recipe says: all its layers, or its head on the features."""
    if recipe.trainable == "head":
        extractor, head = split_network(network, spec=spec)
        generator = np.random.default_rng(seed)
        copies = [
            _to_features(extractor, train, augmentation=recipe.augmentation, generator=generator, progress=progress)
            for _ in range(recipe.feature_copies)
        ]
        return fit(
            head,
            recipe=replace(recipe, augmentation=NO_AUGMENTATION, final_augmentation=None, first_size=None),
            train=LabelledPictures(
                np.concatenate([copy.pictures for copy in copies]), np.concatenate([copy.labels for copy in copies])
            ),
            validation=_to_features(
                extractor, validation, augmentation=NO_AUGMENTATION, generator=generator, progress=progress
            ),
            seed=seed,
            progress=progress,
        )
    return fit(
        network,
        recipe=recipe,
        train=train,
        validation=validation,
        seed=seed,
        progress=progress,
        network_at=lambda size: build_network(replace(spec, network_size=size), trained=network),
    )


def fit(
    network: keras.Model,
    *,
    recipe: Recipe,
    train: LabelledPictures,
    validation: LabelledPictures,
    seed: int,
    progress: ProgressCallback,
    network_at: Callable[[int], keras.Model] | None = None,
) -> TrainingResult:
    """Train the network in place on ``train``; ``validation`` alone decides when to stop and which epoch is kept.

    ``network_at`` gives a network that shares the weights at another size in pixels; epochs at a smaller size than
    the recipe's are never kept. Whatever ``progress`` raises ends the training; the weights are then of no use.
    """
    started = time.monotonic()
    steps = max(1, len(train.labels) // recipe.batch_size)
    optimizer = keras.optimizers.AdamW(weight_decay=recipe.weight_decay, global_clipnorm=_GRADIENT_NORM)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    optimizer.build(network.trainable_variables)
    generator = np.random.default_rng(seed)
    history: list[dict[str, float]] = []
    best_loss, best_epoch, best_weights = np.inf, 0, named_weights(network)
    average = None if recipe.ema_decay is None else WeightAverage(network, decay=recipe.ema_decay)
    size = 0

    for epoch in range(1, recipe.epochs + 1):
        epoch_started = time.monotonic()
        if size != recipe.size_in_epoch(epoch):
            size = recipe.size_in_epoch(epoch)
            trained_network = network if network_at is None or size == recipe.network_size else network_at(size)
            train_step = _build_train_step(trained_network, optimizer=optimizer, recipe=recipe)
        losses = []
        batches = _batches(train, recipe=recipe, epoch=epoch, generator=generator)
        # A thread of our own and not tf.data: its generators set glibc's trim threshold to 128 kB, after which every
        # tensor is mapped and cleared anew. Measured at 64 pixels in batches of 128: 1.1 steps a second, 2.6 without.
        for step, examples in enumerate(read_ahead(batches, ahead=_BATCHES_AHEAD)):
            share = ((epoch - 1) * steps + step) / (recipe.epochs * steps)
            optimizer.learning_rate.assign(recipe.learning_rate * one_cycle_factor(share))
            shown = (examples.pictures, examples.targets, examples.garment_known)
            losses.append(float(train_step(*map(tf.constant, shown))))
            if average is not None and step % UPDATE_EVERY_STEPS == 0:
                average.update()
            if step % _PROGRESS_EVERY_STEPS == 0:
                recent = {"loss": float(np.mean(losses[-20:]))}
                progress(TrainingProgress("train", epoch, recipe.epochs, step, steps, recent))
        # The average is what an epoch leaves: it is judged, and kept if it is the best. The weights go on learning.
        with nullcontext(named_weights(network)) if average is None else average.in_network() as weights:
            scores = score(trained_network, part=validation, group_loss_weight=recipe.group_loss_weight)
        row = {
            "epoch": float(epoch),
            "size": float(size),
            "loss": float(np.mean(losses)),
            **{f"validation_{name}": value for name, value in scores.items()},
            "learning_rate": float(recipe.learning_rate * one_cycle_factor(epoch / recipe.epochs)),
            "seconds": time.monotonic() - epoch_started,
        }
        history.append(row)
        progress(TrainingProgress("train", epoch, recipe.epochs, steps, steps, row))
        if trained_network is not network:
            continue
        if row["validation_garment_loss"] < best_loss:
            best_loss, best_epoch, best_weights = row["validation_garment_loss"], epoch, weights
        elif epoch - best_epoch >= recipe.patience:
            break
    assign_weights(network, weights=best_weights)
    return TrainingResult(history=tuple(history), best_epoch=best_epoch, seconds=time.monotonic() - started)


def one_cycle_factor(share: float) -> float:
    """The factor on the highest rate when ``share`` (0..1) of the steps are done: up along a line, down a cosine."""
    if share < _WARM_UP_SHARE:
        return _START_FACTOR + (1 - _START_FACTOR) * share / _WARM_UP_SHARE
    fall = (share - _WARM_UP_SHARE) / (1 - _WARM_UP_SHARE)
    return float(_END_FACTOR + (1 - _END_FACTOR) * 0.5 * (1 + np.cos(np.pi * fall)))


def predict_logits(network: keras.Model, *, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The network's logits in inference mode, float32[N, 10]."""
    if not len(pictures):
        return np.zeros((0, len(GARMENTS)), dtype=np.float32)
    # Keras keeps the traced function with the network; tracing it anew would take seconds in every epoch.
    return np.asarray(network.predict(pictures, batch_size=_PREDICTION_BATCH, verbose=0)[0])


def score(network: keras.Model, *, part: LabelledPictures, group_loss_weight: float) -> dict[str, float]:
    """Losses, and accuracy over the groups and over the garments, before any calibration.

    ``loss`` is what a training lessens: the loss over the garments and, with its weight, that over the groups.
    ``garment_loss`` is the first of the two alone.
    """
    logits = predict_logits(network, pictures=part.pictures).astype(np.float64)
    log_probabilities = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    probabilities = np.exp(log_probabilities)
    groups, true_groups = group_probabilities(probabilities), group_labels(part.labels)
    rows = np.arange(len(logits))
    garment_loss = -log_probabilities[rows, part.labels].mean()
    group_loss = -np.log(groups[rows, true_groups] + _LEAST_PROBABILITY).mean()
    return {
        "loss": float(garment_loss + group_loss_weight * group_loss),
        "garment_loss": float(garment_loss),
        "accuracy": float((groups.argmax(axis=1) == true_groups).mean()),
        "garment_accuracy": float((probabilities.argmax(axis=1) == part.labels).mean()),
    }


def _to_features(
    extractor: keras.Model,
    part: LabelledPictures,
    *,
    augmentation: AugmentationSpec,
    generator: np.random.Generator,
    progress: ProgressCallback,
) -> LabelledPictures:
    """The part with the features of its pictures, each of them augmented once, in their place."""
    targets = np.eye(len(GARMENTS), dtype=np.float32)[part.labels]
    features = []
    for start in range(0, len(part.labels), _PREDICTION_BATCH):
        batch = slice(start, start + _PREDICTION_BATCH)
        examples = augment(part.pictures[batch], targets=targets[batch], spec=augmentation, generator=generator)
        features.append(np.asarray(extractor.predict_on_batch(examples.pictures)))
        progress(TrainingProgress("features", step=min(batch.stop, len(part.labels)), steps=len(part.labels)))
    return LabelledPictures(np.concatenate(features), part.labels)


def _batches(
    train: LabelledPictures, *, recipe: Recipe, epoch: int, generator: np.random.Generator
) -> Iterator[Examples]:
    """One epoch in a new order, in full batches; the last incomplete one is left out, for its statistics are poor."""
    order = generator.permutation(len(train.labels))
    batch_size = min(recipe.batch_size, len(order))
    table = np.eye(len(GARMENTS), dtype=np.float32)
    spec = recipe.augmentation_in_epoch(epoch)
    for start in range(0, len(order) - batch_size + 1, batch_size):
        indices = order[start : start + batch_size]
        pictures, targets = train.pictures[indices], table[train.labels[indices]]
        yield (
            Examples(pictures, targets, np.ones(len(targets), dtype=np.bool_))
            if spec == NO_AUGMENTATION
            else augment(pictures, targets=targets, spec=spec, generator=generator)
        )


def _build_train_step(network: keras.Model, *, optimizer: Any, recipe: Recipe) -> Callable[..., Any]:
    group_loss_weight = recipe.group_loss_weight
    to_groups = tf.constant(GARMENT_TO_GROUP)

    @tf.function(reduce_retracing=True)
    def train_step(pictures: tf.Tensor, targets: tf.Tensor, garment_known: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            logits, _ = network(pictures, training=True)
            garment_loss = tf.nn.softmax_cross_entropy_with_logits(labels=targets, logits=logits)
            groups = tf.matmul(tf.nn.softmax(logits), to_groups)
            group_loss = -tf.reduce_sum(
                tf.matmul(targets, to_groups) * tf.math.log(groups + _LEAST_PROBABILITY), axis=1
            )
            # Where only the group is known, its loss stands in the garment's place as well.
            loss = tf.where(garment_known, garment_loss, group_loss) + group_loss_weight * group_loss
            loss = tf.reduce_mean(loss)
        gradients = tape.gradient(loss, network.trainable_variables)
        optimizer.apply_gradients(zip(gradients, network.trainable_variables, strict=True))
        return loss

    return train_step  # type: ignore[no-any-return]


#: An update takes 21 ms and a step of 128 pictures at 64 pixels about 200: in every step that would be a tenth of the
#: time, in every fifth it is a fiftieth.
UPDATE_EVERY_STEPS: Final = 5


class WeightAverage:
    """The exponential moving average of every weight of a network, the statistics of its normalisation included.

    ``decay`` (0..1) is the share that the average keeps in a step. At first it keeps less, so that it forgets where
    the weights began: after n updates at most (n + 1) / (n + 10) of itself.
    """

    def __init__(self, network: keras.Model, *, decay: float) -> None:
        self._network = network
        self._decay = decay**UPDATE_EVERY_STEPS
        self._updates = 0
        self._average = named_weights(network)

    def update(self) -> None:
        """Take the weights into the average as they are now; to be called every ``UPDATE_EVERY_STEPS`` steps."""
        decay = min(self._decay, (self._updates + 1) / (self._updates + 10))
        for name, value in named_weights(self._network).items():
            self._average[name] = decay * self._average[name] + (1 - decay) * value
        self._updates += 1

    @contextmanager
    def in_network(self) -> Iterator[dict[str, NDArray[np.float32]]]:
        """Put the average into the network for a while, and its own weights back afterwards; gives the average."""
        own = named_weights(self._network)
        assign_weights(self._network, weights=self._average)
        try:
            yield dict(self._average)
        finally:
            assign_weights(self._network, weights=own)
