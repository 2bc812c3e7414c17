"""The architecture, its weights, and the serving network's agreement with it."""

import dataclasses
from pathlib import Path

import keras
import numpy as np
import pytest

from classifier.ml.network.architecture import (
    IMAGENET_CONTENT_SHA256,
    BackboneWeightsError,
    NetworkSpec,
    assign_weights,
    build_backbone,
    build_network,
    content_sha256,
    count_parameters,
    cut_backbone,
    find_backbone_weights,
    load_backbone_weights,
    named_weights,
    split_network,
)
from classifier.ml.pipeline import TrainedArtefact
from tests.ml.network.specs import SPEC


@pytest.fixture(scope="module")
def backbone() -> keras.Model:
    return build_backbone(SPEC)


@pytest.fixture(scope="module")
def wider_backbone() -> keras.Model:
    return build_backbone(dataclasses.replace(SPEC, alpha=1.0))


@pytest.fixture(scope="module")
def weights_file(backbone: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights of `backbone`."""
    path = tmp_path_factory.mktemp("weights") / "backbone.weights.h5"
    backbone.save_weights(path)
    return path


@pytest.fixture(scope="module")
def network(tiny_members: tuple[keras.Model, ...]) -> keras.Model:
    """One network of the tiny artefact as it learnt."""
    return tiny_members[0]


def test_the_embedding_has_unit_length_and_explains_the_logits(network: keras.Model) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (4, 28, 28, 1), dtype=np.uint8)
    logits, embedding = (np.asarray(value) for value in network(pictures, training=False))
    np.testing.assert_allclose(np.linalg.norm(embedding, axis=1), 1.0, rtol=1e-5)
    weights = named_weights(network)
    direction = embedding @ weights["logits/kernel"]
    centred = logits - weights["logits/bias"]
    scale = (centred * direction).sum(axis=1) / (direction**2).sum(axis=1)
    np.testing.assert_allclose(direction * scale[:, None], centred, rtol=1e-3, atol=1e-4)


def test_parameters_are_counted_as_the_published_tables_count_them(wider_backbone: keras.Model) -> None:
    # The published 2,230,277 are MobileNetV2 at 1.0 with a 1280 x 5 head, without batch norm's statistics.
    assert count_parameters(wider_backbone) + 1280 * 5 + 5 == 2_230_277


def test_weights_of_another_architecture_change_nothing(network: keras.Model) -> None:
    before = named_weights(network)
    with pytest.raises(ValueError, match="logits/kernel of shape"):
        assign_weights(network, weights={**before, "logits/kernel": np.zeros((32, 5), dtype=np.float32)})
    with pytest.raises(ValueError, match=r"unknown \{'more'\}"):
        assign_weights(network, weights={**before, "more": np.zeros(1, dtype=np.float32)})
    for name, value in named_weights(network).items():
        np.testing.assert_array_equal(value, before[name])


def test_backbone_weights_come_from_a_file(backbone: keras.Model, weights_file: Path) -> None:
    other = build_backbone(SPEC)
    assert content_sha256(other) != content_sha256(backbone)
    weights = find_backbone_weights(str(weights_file), alpha=0.35)
    assert weights is not None
    load_backbone_weights(other, weights=weights)
    assert content_sha256(other) == content_sha256(backbone)


@pytest.mark.filterwarnings("ignore:Skipping nested container:UserWarning")
def test_a_file_for_another_width_is_refused(wider_backbone: keras.Model, weights_file: Path) -> None:
    weights = find_backbone_weights(str(weights_file), alpha=1.0)
    assert weights is not None
    with pytest.raises(BackboneWeightsError, match=r"backbone\.weights\.h5 .* does not hold the weights"):
        load_backbone_weights(wider_backbone, weights=weights)


def test_imagenet_weights_are_pinned_by_their_content(
    backbone: keras.Model, weights_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a file of the right shapes with other numbers,
    monkeypatch.setenv("BACKBONE_WEIGHTS", str(weights_file))
    # when it is offered as the ImageNet weights,
    weights = find_backbone_weights("imagenet", alpha=0.35)
    # then it is refused by the hash of its content.
    assert weights is not None
    with pytest.raises(BackboneWeightsError, match=f"expected SHA-256 {IMAGENET_CONTENT_SHA256[0.35]}"):
        load_backbone_weights(backbone, weights=weights)


def test_a_missing_file_and_an_unpinned_width_say_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(BackboneWeightsError, match="in --backbone-weights, found none at /nowhere"):
        find_backbone_weights("/nowhere", alpha=0.35)
    monkeypatch.setenv("BACKBONE_WEIGHTS", str(tmp_path / "absent.h5"))
    with pytest.raises(BackboneWeightsError, match=r"in BACKBONE_WEIGHTS, found none at .*absent\.h5"):
        find_backbone_weights("imagenet", alpha=0.35)
    with pytest.raises(BackboneWeightsError, match=r"pinned ImageNet weights \(0\.35\), received 1\.3"):
        find_backbone_weights("imagenet", alpha=1.3)


def test_a_failed_download_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> str:
        raise Exception("URL fetch failure")

    monkeypatch.delenv("BACKBONE_WEIGHTS", raising=False)
    monkeypatch.setattr(keras.utils, "get_file", fail)
    with pytest.raises(BackboneWeightsError, match=r"URL fetch failure\. Name a file with BACKBONE_WEIGHTS"):
        find_backbone_weights("imagenet", alpha=0.35)


def test_none_starts_from_random_weights() -> None:
    assert find_backbone_weights("none", alpha=0.35) is None


def test_a_cut_backbone_ends_after_the_named_layer(backbone: keras.Model) -> None:
    cut = cut_backbone(backbone, last_layer="block_13_expand_relu")
    assert cut.output.shape == (None, 192)
    whole, part = named_weights(backbone), named_weights(cut)
    assert set(part) < set(whole)
    assert "block_13_expand/kernel" in part
    assert not any(name.startswith(("block_13_depthwise", "block_14", "Conv_1")) for name in part)
    assert cut_backbone(backbone, last_layer=None) is backbone
    with pytest.raises(ValueError, match="block_99"):
        cut_backbone(backbone, last_layer="block_99_add")


def test_the_two_halves_of_a_network_make_the_whole(network: keras.Model, tiny_artefact: TrainedArtefact) -> None:
    spec = NetworkSpec(**tiny_artefact.manifest.network)
    pictures = np.random.default_rng(4).integers(0, 256, (5, 28, 28, 1), dtype=np.uint8)
    features, head = split_network(network, spec=spec)
    halves = head(features(pictures, training=False), training=False)
    for half, whole in zip(halves, network(pictures, training=False), strict=True):
        np.testing.assert_allclose(np.asarray(half), np.asarray(whole), rtol=1e-5, atol=1e-6)


def test_a_network_at_another_size_shares_all_that_learns(network: keras.Model, tiny_artefact: TrainedArtefact) -> None:
    spec = dataclasses.replace(NetworkSpec(**tiny_artefact.manifest.network), network_size=48)
    larger = build_network(spec, trained=network)
    assert [id(variable) for variable in larger.trainable_variables] == [
        id(variable) for variable in network.trainable_variables
    ]
