"""The networks of these tests, as small as they go; one cut off early, since building the layers takes longest."""

import dataclasses

from classifier.ml.network.architecture import NetworkSpec
from tests.ml.conftest import TINY_RECIPE

SPEC = NetworkSpec(input_size=28, network_size=32, alpha=0.35, dropout=0.2, mean=70.0, standard_deviation=90.0)
CUT_SPEC = dataclasses.replace(SPEC, last_layer=TINY_RECIPE.last_layer)
