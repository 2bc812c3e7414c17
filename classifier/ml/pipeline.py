"""The only module that joins the stages: a recipe becomes an artefact, an artefact becomes an evaluation report.

TensorFlow is imported inside ``train`` and nowhere else, so that evaluating does not need it.
"""

import dataclasses
import logging
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version as library_version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from classifier.ml.artefacts import (
    MANIFEST_FILE,
    NETWORK_FILE,
    SCHEMA_VERSION,
    WEIGHTS_FILE,
    ArtefactError,
    Manifest,
    SigningKey,
    VerifiedArtefact,
    artefact_bytes,
    build_file_hashes,
    save_artefact,
    verify_artefact,
)
from classifier.ml.config import ConfigurationError, PreprocessingSpec, Recipe, check_start
from classifier.ml.data.dataset import (
    SPLIT_SEED,
    TEST_IMAGES,
    FashionMnist,
    Split,
    limit_stratified,
    load_fashion_mnist,
    split_training_pictures,
)
from classifier.ml.data.duplicates import find_copies
from classifier.ml.data.shop_pictures import draw_turned
from classifier.ml.inference import Classifier, ServingNetwork
from classifier.ml.judging.calibration import Calibration, calibrate
from classifier.ml.judging.evaluation import EvaluationReport, Metrics, measure
from classifier.ml.judging.gate import GARMENTS as GARMENTS_ASKED
from classifier.ml.judging.gate import Comparison, compare, compare_groups
from classifier.ml.judging.photographs import calibrate_photographs
from classifier.ml.labels import GARMENTS, GROUPS, group_labels
from classifier.ml.preprocessing import canonical_pictures
from classifier.ml.types import Picture, ProgressCallback, TrainingProgress

if TYPE_CHECKING:
    from classifier.ml.network.architecture import BackboneWeights, NetworkSpec

logger = logging.getLogger(__name__)

#: Of the alterations of turned pictures: one for every network, so that a calibration can be made again.
_TURNED_SEED: Final = 0
#: Of networks that measure.
EVALUATING_THREADS: Final = 2
_RECORDED_LIBRARIES: Final = ("tensorflow", "keras", "numpy", "ai-edge-litert")


@dataclass(frozen=True, slots=True)
class TrainedArtefact:
    """An artefact that has been saved: its folder and its manifest."""

    folder: Path
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class TrainingRequest:
    """What to train: a recipe, the seed of every random choice but the split, and what overrides the recipe.

    ``epochs`` and ``limit`` (the number of training pictures, stratified) are None for the recipe's own and for all.
    ``backbone_weights`` is "imagenet", "none", a file, or the folder of an artefact, all of whose weights go on
    learning. ``command`` is recorded as what reproduces the artefact.
    ``name`` is the folder below the output folder; None takes the version's. Raises ``ConfigurationError`` for what
    ``check_start`` refuses.
    """

    recipe: Recipe
    seed: int
    command: str
    epochs: int | None = None
    limit: int | None = None
    backbone_weights: str = "imagenet"
    name: str | None = None

    def __post_init__(self) -> None:
        check_start(self.recipe, weights=self.backbone_weights)


def ignore_progress(progress: TrainingProgress) -> None:
    """The ``progress`` of a training that nobody watches."""


def train(
    request: TrainingRequest,
    *,
    output_dir: Path,
    data_dir: Path | None = None,
    dataset: FashionMnist | None = None,
    progress: ProgressCallback = ignore_progress,
) -> TrainedArtefact:
    """Train, calibrate, evaluate and save one artefact below ``output_dir``; nothing is left there on any failure.

    The data set is read from ``data_dir`` unless it is given. The test pictures are looked at once, after everything
    has been chosen. Raises ``DatasetError``, ``BackboneWeightsError``, ``ArtefactError``, ``ConfigurationError`` for an
    artefact from which the recipe cannot go on, and whatever ``progress`` raises to end the training.
    """
    # Here and not above: TensorFlow takes seconds and hundreds of megabytes.
    from classifier.ml.network import architecture as networks
    from classifier.ml.network import ensemble, training

    started, cpu_started = time.monotonic(), time.process_time()
    recipe = request.recipe if request.epochs is None else dataclasses.replace(request.recipe, epochs=request.epochs)
    progress(TrainingProgress("load"))
    data = dataset if dataset is not None else load_fashion_mnist(data_dir)
    continued = _find_artefact(request.backbone_weights)
    if recipe.kept_share and continued is None:
        raise ConfigurationError(
            f"expected the folder of an artefact for {recipe.name} to begin with, received {request.backbone_weights}"
        )
    weights = (
        networks.find_backbone_weights(request.backbone_weights, alpha=recipe.alpha) if continued is None else None
    )
    split = _limited_split(data, request=request)
    pictures, admitted = admit_pictures(data.train_images, test=data.test_images, spec=recipe.preprocessing)
    parts = {
        name: training.LabelledPictures(pictures[kept], data.train_labels[kept])
        for name, indices in (
            ("train", split.train),
            ("validation", split.validation),
            ("calibration", split.calibration),
        )
        for kept in [indices[admitted[indices]]]
    }
    spec = networks.NetworkSpec.for_recipe(
        recipe,
        mean=float(parts["train"].pictures.mean()),
        standard_deviation=max(1.0, float(parts["train"].pictures.std())),
    )
    if continued is not None:
        spec = _continue_spec(spec, manifest=continued.manifest)
    trained = ensemble.train_ensemble(
        spec,
        recipe=recipe,
        weights=weights if continued is None else safetensors.numpy.load(continued.networks[WEIGHTS_FILE]),
        train=parts["train"],
        validation=parts["validation"],
        seed=request.seed,
        progress=progress,
    )
    progress(TrainingProgress("calibrate"))
    served = ensemble.as_served(trained.members)
    contents = {
        WEIGHTS_FILE: safetensors.numpy.save(ensemble.name_members_weights(trained.members)),
        NETWORK_FILE: networks.to_serving_network(served),
    }
    calibration = _calibrate_network(
        contents[NETWORK_FILE], pictures=parts["calibration"].pictures, labels=parts["calibration"].labels
    )
    files = build_file_hashes(contents)
    created_at = datetime.now(UTC)
    manifest = Manifest(
        version=f"{recipe.name}-{created_at:%Y%m%d}-{files[WEIGHTS_FILE][:8]}",
        created_at=created_at.isoformat(timespec="seconds"),
        command=request.command,
        seed=request.seed,
        recipe=dataclasses.asdict(recipe),
        network=dataclasses.asdict(spec),
        preprocessing=dataclasses.asdict(recipe.preprocessing),
        calibration=calibration.to_json(),
        training={},
        dataset={
            "name": "Fashion-MNIST",
            "sha256": dict(data.sha256),
            "pictures": {name: len(part.labels) for name, part in parts.items()} | {"reserved": len(split.reserved)},
            "split_seed": SPLIT_SEED,
        },
        backbone=_describe_backbone(weights) if continued is None else continued.manifest.backbone,
        parameters=networks.count_parameters(served),
        libraries={name: library_version(name) for name in _RECORDED_LIBRARIES},
        files=files,
    )
    progress(TrainingProgress("evaluate"))
    metrics, _ = _evaluate_test_pictures(
        Classifier(network=contents[NETWORK_FILE], manifest=manifest), data.test_images, garments=data.test_labels
    )
    # As many pictures as stopped the training, with every label's share kept.
    sample = limit_stratified(parts["train"].labels, limit=len(parts["validation"].labels), seed=0)
    manifest = dataclasses.replace(
        manifest,
        metrics=metrics.to_json(),
        training={
            **({} if continued is None else {"continued_from": continued.manifest.version}),
            "history": [dict(row) for row in trained.history],
            "best_epochs": list(trained.best_epochs),
            "fit_seconds": trained.seconds,
            "seconds": time.monotonic() - started,
            "cpu_seconds": time.process_time() - cpu_started,
            "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            "parts": {
                "train": training.score(
                    served,
                    part=training.LabelledPictures(parts["train"].pictures[sample], parts["train"].labels[sample]),
                    group_loss_weight=recipe.group_loss_weight,
                ),
                "validation": training.score(
                    served, part=parts["validation"], group_loss_weight=recipe.group_loss_weight
                ),
            },
        },
    )
    progress(TrainingProgress("save", metrics={"accuracy": metrics.accuracy}))
    folder = output_dir / (request.name or manifest.version)
    save_artefact(folder, manifest=manifest, contents=contents)
    logger.info("saved artefact %s in %s, accuracy %.4f", manifest.version, folder, metrics.accuracy)
    return TrainedArtefact(folder=folder, manifest=manifest)


def calibrate_again(
    folder: Path, *, data_dir: Path | None = None, dataset: FashionMnist | None = None, key: SigningKey | None = None
) -> TrainedArtefact:
    """Calibrate an artefact anew, as one that is trained now would be, and write it in place; the networks stay.

    Its metrics are measured again. With a ``key`` the manifest must be signed, and is signed again. Raises
    ``ArtefactError`` or ``DatasetError``; the folder is as it was then.
    """
    artefact = verify_artefact(folder, key=key)
    if artefact.base is not None:
        raise ArtefactError(f"expected an artefact with its own networks at {folder}, received a head on a base")
    manifest, network = artefact.manifest, artefact.contents[NETWORK_FILE]
    data = dataset if dataset is not None else load_fashion_mnist(data_dir)
    seed = manifest.dataset.get("split_seed", manifest.seed)
    split = split_training_pictures(data.train_labels, seed=seed)
    pictures, admitted = admit_pictures(
        data.train_images[split.calibration], test=data.test_images, spec=manifest.preprocessing_spec()
    )
    chosen = split.calibration[admitted]
    calibration = _calibrate_network(network, pictures=pictures[admitted], labels=data.train_labels[chosen])
    # What another split trained on may be what is reserved now.
    reserved = {"reserved": len(split.reserved)} if seed == SPLIT_SEED else {}
    counts = {**manifest.dataset.get("pictures", {}), "calibration": len(chosen), **reserved}
    manifest = dataclasses.replace(
        manifest,
        calibration=calibration.to_json(),
        dataset={**manifest.dataset, "pictures": counts},
        schema_version=SCHEMA_VERSION,
    )
    metrics, _ = _evaluate_test_pictures(
        Classifier(network=network, manifest=manifest), data.test_images, garments=data.test_labels
    )
    manifest = dataclasses.replace(manifest, metrics=metrics.to_json())
    save_artefact(folder, manifest=manifest, contents=artefact.contents, key=key)
    return TrainedArtefact(folder=folder, manifest=manifest)


def _find_artefact(source: str) -> VerifiedArtefact | None:
    """The artefact whose folder is given as what to start from, or None for weights of a backbone."""
    return verify_artefact(Path(source)) if (Path(source) / MANIFEST_FILE).is_file() else None


def _continue_spec(spec: "NetworkSpec", *, manifest: Manifest) -> "NetworkSpec":
    """The specification of an artefact's network, which must be ``spec`` but for statistics and dropout.

    Its statistics stay, for its weights have learnt with them. Raises ``ConfigurationError``.
    """
    if manifest.dataset.get("split_seed", manifest.seed) != SPLIT_SEED:
        raise ConfigurationError(
            f"{manifest.version} was trained on another split: its training pictures would judge and calibrate"
        )
    continued = dataclasses.replace(
        spec,
        mean=manifest.network.get("mean", spec.mean),
        standard_deviation=manifest.network.get("standard_deviation", spec.standard_deviation),
    )
    if dataclasses.asdict(continued) != {**manifest.network, "dropout": spec.dropout}:
        raise ConfigurationError(
            f"expected a recipe of the network that {manifest.version} has, {dict(manifest.network)}, received {spec}"
        )
    return continued


def _describe_backbone(weights: "BackboneWeights | None") -> dict[str, Any] | None:
    if weights is None:
        return None
    return {"file": weights.path.name, "sha256": weights.sha256, "content_sha256": weights.content_sha256}


def admit_pictures(
    pictures: Sequence[Picture] | NDArray[np.uint8], *, test: NDArray[np.uint8], spec: PreprocessingSpec
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The canonical forms uint8[N, S, S, 1] of pictures that shall train, and which of them may, bool[N].

    Whatever trains, stops or calibrates comes in here, from wherever it is: a picture whose form is that of a test
    picture may not, or the test would ask for what was learnt by heart.
    """
    forms = canonical_pictures(pictures, spec=spec)
    admitted = ~find_copies(forms, of=canonical_pictures(test, spec=spec))
    if not admitted.all():
        logger.warning("%d pictures are test pictures and are left out of the training", (~admitted).sum())
    return forms, admitted


def evaluate(
    folder: Path,
    *,
    data_dir: Path | None = None,
    dataset: FashionMnist | None = None,
    manifest_sha256: str | None = None,
    key: SigningKey | None = None,
    threads: int = EVALUATING_THREADS,
) -> EvaluationReport:
    """The report on an artefact over the test pictures. Raises ``ArtefactError`` or ``DatasetError``."""
    classifier = Classifier.load(folder, manifest_sha256=manifest_sha256, key=key, threads=threads)
    data = dataset if dataset is not None else load_fashion_mnist(data_dir)
    metrics, seconds = _evaluate_test_pictures(classifier, data.test_images, garments=data.test_labels)
    return _report(classifier, folder=folder, metrics=metrics, seconds=seconds)


def evaluate_pictures(
    folder: Path,
    *,
    pictures: Sequence[Picture],
    groups: Sequence[int],
    manifest_sha256: str | None = None,
    key: SigningKey | None = None,
) -> EvaluationReport:
    """The report on an artefact over pictures of any sizes whose groups (indices) are known, but not their garments."""
    classifier = Classifier.load(folder, manifest_sha256=manifest_sha256, key=key, threads=EVALUATING_THREADS)
    started = time.perf_counter()
    # As they are labelled: photographs are looked at in colour as well, and heads may have been taught.
    said = classifier.classify(pictures)
    seconds = time.perf_counter() - started
    probabilities = np.array([[one.garment_probabilities[name] for name in GARMENTS] for one in said])
    metrics = measure(
        probabilities,
        groups=np.asarray(groups, dtype=np.int64),
        garments=None,
        balanced_groups=classifier.manifest.calibration_values().balanced_groups(probabilities),
        abstained=np.array([one.abstained for one in said]),
    )
    return _report(classifier, folder=folder, metrics=metrics, seconds=seconds)


@dataclass(frozen=True, slots=True)
class TestAnswers:
    """What a classifier says of the test pictures: garments uint8[N] that are said and that are true.

    ``pictures_sha256`` is that of the file of pictures: answers of other pictures are not to be compared.
    """

    pictures_sha256: str
    said: NDArray[np.uint8]
    truth: NDArray[np.uint8]


def answer_test_pictures(
    classifier: Classifier, *, data_dir: Path | None = None, dataset: FashionMnist | None = None
) -> TestAnswers:
    """Ask a classifier all test pictures. Raises ``DatasetError`` where the data set cannot be had."""
    data = dataset if dataset is not None else load_fashion_mnist(data_dir)
    said = [GARMENTS.index(answer.garment) for answer in classifier.classify(list(data.test_images))]
    return TestAnswers(
        pictures_sha256=data.sha256[TEST_IMAGES],
        said=np.array(said, dtype=np.uint8),
        truth=np.asarray(data.test_labels, dtype=np.uint8),
    )


def compare_answers(candidate: TestAnswers, *, other: TestAnswers) -> list[Comparison]:
    """The comparisons of two classifiers on the same test pictures: all groups, each group, and garments."""
    said = [group_labels(one.said) for one in (candidate, other)]
    groups = compare_groups(said[0], other=said[1], truth=group_labels(candidate.truth), names=GROUPS)
    right = [one.said == candidate.truth for one in (candidate, other)]
    return [*groups, compare(right[0], other=right[1], of=GARMENTS_ASKED)]


def _evaluate_test_pictures(
    classifier: Classifier, pictures: NDArray[np.uint8], *, garments: NDArray[np.integer]
) -> tuple[Metrics, float]:
    """Metrics, and the seconds from the pictures in memory to their labels."""
    calibration = classifier.manifest.calibration_values()
    started = time.perf_counter()
    judged = classifier.judge(classifier.run(pictures))
    seconds = time.perf_counter() - started
    metrics = measure(
        judged.garment_probabilities,
        groups=group_labels(garments),
        garments=garments,
        balanced_groups=calibration.balanced_groups(judged.garment_probabilities),
        abstained=judged.abstained,
    )
    return metrics, seconds


def _calibrate_network(network: bytes, *, pictures: NDArray[np.uint8], labels: NDArray[np.integer]) -> Calibration:
    """The calibration of a serving network on canonical pictures uint8[N, S, S, 1] with garments int[N]."""
    served = ServingNetwork(network, picture_size=pictures.shape[1])
    calibration = calibrate(served.run(pictures)[0], labels=labels)
    turned = draw_turned(pictures[..., 0], labels=labels, generator=np.random.default_rng(_TURNED_SEED))
    outputs = [served.run(way[..., None]) for way in turned]
    photographs = calibrate_photographs(
        np.stack([logits for logits, _ in outputs]),
        features=np.stack([embedding for _, embedding in outputs]),
        groups=group_labels(labels),
        temperature=calibration.temperature,
        threshold=max(calibration.thresholds.values()),
    )
    return dataclasses.replace(calibration, photographs=photographs)


def _report(classifier: Classifier, *, folder: Path, metrics: Metrics, seconds: float) -> EvaluationReport:
    return EvaluationReport(
        model_version=classifier.version,
        metrics=metrics,
        parameters=classifier.manifest.parameters,
        artefact_bytes=artefact_bytes(folder),
        seconds=seconds,
    )


def _limited_split(data: FashionMnist, *, request: TrainingRequest) -> Split:
    """The split of the training pictures; a limit shortens what trains, never what stops or calibrates."""
    split = split_training_pictures(data.train_labels)
    if request.limit is None:
        return split
    kept = limit_stratified(data.train_labels[split.train], limit=request.limit, seed=request.seed)
    return dataclasses.replace(split, train=split.train[kept])
