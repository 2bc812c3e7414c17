"""A running average of a network's weights while it learns, which labels better than the weights themselves do.

At a high learning rate the weights swing around a good place; their average lies nearer to it (Polyak averaging; see
Izmailov et al. 2018, arXiv:1803.05407).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import keras
import numpy as np
from numpy.typing import NDArray

from classifier.ml.network.architecture import assign_weights, named_weights

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
