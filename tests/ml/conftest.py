"""One small trained artefact for all tests that only read it."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import safetensors.numpy

from classifier.ml.artefacts import WEIGHTS_FILE, verify_artefact
from classifier.ml.config import NO_AUGMENTATION, Recipe
from classifier.ml.data.dataset import FashionMnist
from classifier.ml.pipeline import TrainedArtefact, TrainingRequest, train
from classifier.ml.types import TrainingProgress
from tests.support.drawings import draw_dataset

if TYPE_CHECKING:
    import keras

TINY_RECIPE = Recipe(
    name="tiny",
    description="the smallest network, for tests",
    network_size=32,
    # Most of a small training goes into building each layer's part of the graphs, not into learning.
    last_layer="block_1_expand_relu",
    epochs=2,
    batch_size=16,
    ema_decay=0.9,
    members=2,
    augmentation=NO_AUGMENTATION,
)
TINY_REQUEST = TrainingRequest(
    recipe=TINY_RECIPE, seed=7, command="train tiny", limit=80, backbone_weights="none", name="tiny"
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give time to whichever test comes first and waits for the training, on a machine that has other work as well."""
    for item in items:
        if "tiny_artefact" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="session")
def drawn_dataset() -> FashionMnist:
    """200 training pictures and 40 test pictures."""
    return draw_dataset()


@pytest.fixture(scope="session")
def training_reports() -> list[TrainingProgress]:
    """What the training of the tiny artefact reported; filled by it."""
    return []


@pytest.fixture(scope="session")
def tiny_artefact(
    drawn_dataset: FashionMnist, training_reports: list[TrainingProgress], tmp_path_factory: pytest.TempPathFactory
) -> TrainedArtefact:
    """An artefact of the tiny recipe, from random weights."""
    return train(
        TINY_REQUEST,
        output_dir=tmp_path_factory.mktemp("artefacts"),
        dataset=drawn_dataset,
        progress=training_reports.append,
    )


@pytest.fixture(scope="session")
def artefact_folder(tiny_artefact: TrainedArtefact) -> Path:
    """Its folder, which no test may change."""
    return tiny_artefact.folder


@pytest.fixture(scope="session")
def tiny_members(tiny_artefact: TrainedArtefact) -> "tuple[keras.Model, ...]":
    """The tiny artefact's networks as they learnt, rebuilt from code and its weights file; no test may change them."""
    # Here and not above: TensorFlow keeps the standard error that it finds, and pytest replaces it after this file.
    from classifier.ml.network.architecture import NetworkSpec
    from tests.support.networks import build_trained_members

    content = verify_artefact(tiny_artefact.folder).contents[WEIGHTS_FILE]
    spec = NetworkSpec(**tiny_artefact.manifest.network)
    return build_trained_members(spec, weights=safetensors.numpy.load(content))
