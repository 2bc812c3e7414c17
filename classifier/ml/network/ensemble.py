"""An ensemble: networks of one specification, trained one after the other, that label together.

They begin with other random numbers and so err differently, and every second one looks at the mirror image; the mean
of what they say is right more often than any of them (deep ensembles: Lakshminarayanan et al. 2017, arXiv:1612.01474).
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import keras
import numpy as np
from numpy.typing import NDArray

from classifier.ml.config import Recipe
from classifier.ml.network.architecture import (
    BackboneWeights,
    NetworkSpec,
    assign_weights,
    named_weights,
)
from classifier.ml.network.training import LabelledPictures, build_seeded_network, train_network
from classifier.ml.types import ProgressCallback, TrainingProgress

#: Between the seeds of two members, so that neighbouring seeds of a training have no member in common.
_SEED_STEP: Final = 1_000_000
_PREFIX: Final = "member_"


@dataclasses.dataclass(frozen=True, slots=True)
class TrainedEnsemble:
    """The members, and what their trainings left.

    ``history`` has the rows of all of them, whose ``epoch`` counts on from one member to the next; ``best_epochs``
    names each member's row whose weights it has.
    """

    members: tuple[keras.Model, ...]
    history: tuple[dict[str, float], ...]
    best_epochs: tuple[int, ...]
    seconds: float


def train_ensemble(
    spec: NetworkSpec,
    *,
    recipe: Recipe,
    weights: BackboneWeights | Mapping[str, NDArray[np.float32]] | None,
    train: LabelledPictures,
    validation: LabelledPictures,
    seed: int,
    progress: ProgressCallback,
) -> TrainedEnsemble:
    """Train the members of ``spec`` one after the other, each from ``weights`` and from a seed of its own.

    ``weights`` are those of a backbone, or those of all members by ``name_members_weights``, which go on learning; of
    these the recipe's ``kept_share`` stays in the result.
    ``progress`` hears of them as of one training with the epochs of all. Raises what ``build_seeded_network`` raises,
    and whatever ``progress`` raises to end the training.
    """
    members, history, best_epochs, seconds = [], [], [], 0.0
    learnt = split_by_member(weights, members=spec.members) if isinstance(weights, Mapping) else None
    backbone = None if isinstance(weights, Mapping) else weights
    for number in range(spec.members):
        member_seed, first_epoch = seed + number * _SEED_STEP, number * recipe.epochs
        network = build_seeded_network(spec, seed=member_seed, weights=backbone, frozen=recipe.trainable == "head")
        if learnt is not None:
            assign_weights(network, weights=learnt[number])
        result = train_network(
            network,
            spec=spec,
            recipe=recipe,
            train=train,
            validation=validation,
            seed=member_seed,
            progress=_count_on(progress, first_epoch=first_epoch, epochs=spec.members * recipe.epochs),
        )
        if learnt is not None and recipe.kept_share:
            _mix(network, former=learnt[number], kept_share=recipe.kept_share)
        members.append(network)
        history += [{**row, "epoch": row["epoch"] + first_epoch} for row in result.history]
        best_epochs.append(result.best_epoch + first_epoch)
        seconds += result.seconds
    return TrainedEnsemble(tuple(members), history=tuple(history), best_epochs=tuple(best_epochs), seconds=seconds)


def _mix(network: keras.Model, *, former: Mapping[str, NDArray[np.float32]], kept_share: float) -> None:
    """Give the network the weighted mean of its former weights and its own, statistics included.

    Between the two, networks that went on learning other pictures lose less of what they knew than they gain
    (Wortsman et al. 2022, arXiv:2109.01903).
    """
    own = named_weights(network)
    mixed = {name: kept_share * former[name] + (1 - kept_share) * value for name, value in own.items()}
    assign_weights(network, weights=mixed)


def as_served(members: Sequence[keras.Model]) -> keras.Model:
    """The network that labels: uint8[N, S, S, 1] -> [logits float32[N, 10], embedding float32[N, 64] of unit length].

    It shares the members' weights; a single member is the network itself. The logits are the mean of the members'. The
    embeddings stand side by side, so that the cosine of two pictures is the mean of those that the members give.
    """
    if len(members) == 1:
        return members[0]
    pictures = keras.Input(members[0].input_shape[1:], dtype="uint8", name="pictures")
    views = [pictures, keras.ops.flip(pictures, axis=2)]
    # The same layers by another name, for all members have one name and a network must not hold a name twice.
    named = [
        keras.Model(member.input, member.output, name=f"{_PREFIX}{number}") for number, member in enumerate(members)
    ]
    outputs = [member(views[number % 2]) for number, member in enumerate(named)]
    logits = keras.layers.Average()([member_logits for member_logits, _ in outputs])
    together = keras.layers.Concatenate()([embedding for _, embedding in outputs])
    return keras.Model(pictures, [logits, keras.layers.UnitNormalization(name="embedding")(together)], name="served")


def name_members_weights(members: Sequence[keras.Model]) -> dict[str, NDArray[np.float32]]:
    """Every weight of all members by a name that depends on architecture and order only, statistics included."""
    return {
        f"{_PREFIX}{number}/{name}": value
        for number, member in enumerate(members)
        for name, value in named_weights(member).items()
    }


def split_by_member(
    weights: Mapping[str, NDArray[np.float32]], *, members: int
) -> list[dict[str, NDArray[np.float32]]]:
    """What ``name_members_weights`` gave, apart by member. Raises ``ValueError`` for weights of another ensemble."""
    parts: list[dict[str, NDArray[np.float32]]] = [{} for _ in range(members)]
    for name, value in weights.items():
        number, _, rest = name.removeprefix(_PREFIX).partition("/")
        if not name.startswith(_PREFIX) or int(number) >= members:
            raise ValueError(f"expected weights of {members} members, received {name}")
        parts[int(number)][rest] = value
    return parts


def _count_on(progress: ProgressCallback, *, first_epoch: int, epochs: int) -> Callable[[TrainingProgress], None]:
    """The progress of one member, reported as that of all: its epochs count on from ``first_epoch``."""

    def report(said: TrainingProgress) -> None:
        if not said.epochs:
            progress(said)
            return
        epoch = said.epoch + first_epoch
        metrics = {**said.metrics, "epoch": float(epoch)} if "epoch" in said.metrics else said.metrics
        progress(dataclasses.replace(said, epoch=epoch, epochs=epochs, metrics=metrics))

    return report
