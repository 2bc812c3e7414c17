"""Labelling pictures with an artefact's serving network, on LiteRT; TensorFlow is never imported here."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

import numpy as np
import scipy
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from classifier.ml.artefacts import (
    COLOUR_FILE,
    NETWORK_FILE,
    ArtefactFormatError,
    Manifest,
    SigningKey,
    verify_artefact,
)
from classifier.ml.data.forms import find_test_forms
from classifier.ml.heads import Heads, SeenPictures, predict, read_heads
from classifier.ml.judging.calibration import Judgement
from classifier.ml.labels import GARMENTS, group_probabilities
from classifier.ml.preprocessing import (
    COLOUR_SIZE,
    SURE_AT_FIRST,
    CanonicalView,
    Looks,
    canonical_view,
    colour_views,
    is_blank,
    take_looks,
)
from classifier.ml.types import COLOUR_FEATURES, Picture, Prediction

#: Measured with two looks of MobileNetV2 0.35 at 64 pixels: 3,800 pictures a second and core in batches of 16 or 32,
#: 3,400 in batches of 64.
BATCH_SIZE: Final = 32


@dataclass(frozen=True, slots=True)
class NetworkOutput:
    """What the network says of N pictures.

    ``logits`` is float32[N, 10], the mean over what was looked at, ``embedding`` float32[N, 64] of the whole object.
    ``photograph`` bool[N] are those that did not come in canonical form, ``blank`` bool[N] those that show nothing,
    ``views`` uint8[N] how often each was looked at.
    """

    logits: NDArray[np.float32]
    embedding: NDArray[np.float32]
    photograph: NDArray[np.bool_]
    blank: NDArray[np.bool_]
    views: NDArray[np.uint8]


class _Engine:
    """A serving network in memory, for one thread at a time. Raises ``ValueError`` for bytes that are none."""

    def __init__(self, network: bytes, *, picture_size: int) -> None:
        self._interpreter = Interpreter(model_content=network, num_threads=1)
        self._picture_size = picture_size
        self._batch_size = 0
        inputs = self._interpreter.get_input_details()
        shape = (picture_size, picture_size, 1)
        if len(inputs) != 1 or tuple(inputs[0]["shape"])[1:] != shape or inputs[0]["dtype"] != np.uint8:
            raise ValueError(f"expected one uint8 input of (N, {picture_size}, {picture_size}, 1), received {inputs}")
        # Outputs are told apart by their width.
        by_width = {int(output["shape"][-1]): int(output["index"]) for output in self._interpreter.get_output_details()}
        widths = sorted(by_width)
        if len(widths) != 2 or widths[0] != len(GARMENTS):
            raise ValueError(f"expected outputs of width {len(GARMENTS)} and of the embedding, received {widths}")
        self.embedding_size = widths[1]
        self._input, self._logits, self._embedding = int(inputs[0]["index"]), by_width[widths[0]], by_width[widths[1]]

    def run(self, batch: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The logits and embeddings of a batch uint8[N, size, size, 1]."""
        if len(batch) != self._batch_size:
            self._interpreter.resize_tensor_input(self._input, batch.shape)
            self._interpreter.allocate_tensors()
            self._batch_size = len(batch)
        self._interpreter.set_tensor(self._input, batch)
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._logits), self._interpreter.get_tensor(self._embedding)


class _ColourEngine:
    """The second branch of a base in memory, for one thread at a time.

    Raises ``ValueError`` for other bytes, and ``RuntimeError`` for a network that LiteRT cannot prepare.
    """

    def __init__(self, network: bytes) -> None:
        self._interpreter = Interpreter(model_content=network, num_threads=1)
        (inputs,), (outputs,) = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        sizes = tuple(inputs["shape"])[1:], tuple(outputs["shape"])[1:]
        if sizes != ((COLOUR_SIZE, COLOUR_SIZE, 3), (COLOUR_FEATURES,)) or inputs["dtype"] != np.uint8:
            raise ValueError(f"expected uint8 pictures of {COLOUR_SIZE} pixels and {COLOUR_FEATURES} features: {sizes}")
        self._input, self._output = int(inputs["index"]), int(outputs["index"])
        self._interpreter.resize_tensor_input(self._input, (1, *sizes[0]))
        self._interpreter.allocate_tensors()

    def run(self, views: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The features float32[N, 64] of views uint8[N, 128, 128, 3].

        One after the other: what passes between the layers stays in the processor's cache then, and a picture takes
        0.9 ms in place of 1.2 in batches of 32.
        """
        features = np.empty((len(views), COLOUR_FEATURES), dtype=np.float32)
        for row, view in zip(features, views, strict=True):
            self._interpreter.set_tensor(self._input, view[None])
            self._interpreter.invoke()
            row[:] = self._interpreter.get_tensor(self._output)[0]
        return features


class ServingNetwork:
    """A serving network, in as many copies as threads share the batches of a call; callers take turns.

    Two copies are faster by a sixth than one copy that computes with two threads. Raises ``ValueError`` for bytes that
    are no network of the expected shapes.
    """

    def __init__(self, network: bytes, *, picture_size: int, threads: int = 1) -> None:
        self._lock = threading.Lock()
        self._engines = [_Engine(network, picture_size=picture_size) for _ in range(threads)]

    def run(self, canonical: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The logits float32[N, 10] and embeddings float32[N, 64] of uint8[N, size, size, 1]."""
        logits = np.empty((len(canonical), len(GARMENTS)), dtype=np.float32)
        embedding = np.empty((len(canonical), self._engines[0].embedding_size), dtype=np.float32)
        starts = range(0, len(canonical), BATCH_SIZE)

        def work(number: int) -> None:
            for start in starts[number :: len(self._engines)]:
                batch = slice(start, start + BATCH_SIZE)
                logits[batch], embedding[batch] = self._engines[number].run(canonical[batch])

        with self._lock:
            if len(self._engines) == 1 or len(starts) <= 1:
                for number in range(len(self._engines)):
                    work(number)
            else:
                with ThreadPoolExecutor(len(self._engines)) as pool:
                    list(pool.map(work, range(len(self._engines))))
        return logits, embedding


class Classifier:
    """An artefact ready to label. One instance may be shared by threads; they take turns."""

    def __init__(
        self,
        *,
        network: bytes,
        manifest: Manifest,
        threads: int = 1,
        colour: bytes | None = None,
        heads: Heads | None = None,
    ) -> None:
        """A classifier of a serving network's bytes, which must have been verified before, in ``threads`` copies.

        ``colour`` are those of the base's second branch, ``heads`` what answers from features: without any, the
        manifest's calibration. Raises ``ArtefactFormatError`` when the bytes are no network of the expected shapes.
        """
        self.manifest = manifest
        self._preprocessing = manifest.preprocessing_spec()
        self._calibration = manifest.calibration_values()
        self.heads = heads or Heads(self._calibration)
        self._colour_lock = threading.Lock()
        try:
            self._network = ServingNetwork(network, picture_size=self._preprocessing.size, threads=threads)
        except ValueError as error:
            raise ArtefactFormatError(
                f"{NETWORK_FILE} of {manifest.version} is not a serving network: {error}"
            ) from error
        try:
            self._colour = _ColourEngine(colour) if colour is not None else None
        except (RuntimeError, ValueError) as error:
            raise ArtefactFormatError(f"{COLOUR_FILE} of {manifest.version} is no second branch: {error}") from error

    @classmethod
    def load(
        cls, folder: Path, *, manifest_sha256: str | None = None, key: SigningKey | None = None, threads: int = 1
    ) -> Self:
        """The classifier of a verified artefact folder. Raises ``ArtefactError`` when any check fails."""
        artefact = verify_artefact(folder, expected_sha256=manifest_sha256, key=key)
        return cls(
            network=artefact.networks[NETWORK_FILE],
            manifest=artefact.manifest,
            threads=threads,
            colour=artefact.networks.get(COLOUR_FILE),
            heads=read_heads(artefact),
        )

    def check(self) -> None:
        """Try the networks on noise.

        Raises ``ArtefactFormatError`` unless each picture gets finite features and probabilities with the sum 1.
        """
        output, probabilities = self._run_noise()
        sums = probabilities.sum(axis=1)
        if not (np.isfinite(output.embedding).all() and np.allclose(sums, 1, atol=1e-3)):
            raise ArtefactFormatError(
                f"{NETWORK_FILE} of {self.version}: expected finite embeddings and probabilities with the sum 1, "
                f"received sums from {sums.min()} to {sums.max()}"
            )

    def answer_golden(self) -> NDArray[np.float16]:
        """The garments' probabilities float16[32, 10] of a batch that is always the same. Raises as ``check`` does."""
        return self._run_noise()[1].astype(np.float16)

    def _run_noise(self) -> tuple[NetworkOutput, NDArray[np.float64]]:
        size = self._preprocessing.size
        noise = np.random.default_rng(0).integers(0, 256, (BATCH_SIZE, size, size, 1), dtype=np.uint8)
        try:
            output = self._run_forms(noise)
        except (RuntimeError, ValueError) as error:
            raise ArtefactFormatError(f"{NETWORK_FILE} of {self.version} does not run: {error}") from error
        if self._colour is not None:
            self._check_colours(self._colour)
        return output, self._calibration.probabilities(output.logits)

    def _check_colours(self, branch: _ColourEngine) -> None:
        picture = np.random.default_rng(0).integers(0, 256, (COLOUR_SIZE, COLOUR_SIZE, 3), dtype=np.uint8)
        try:
            features = self._look_at_colours(branch, pictures=[picture], canonical=np.zeros(1, dtype=np.bool_))
        except (RuntimeError, ValueError) as error:
            raise ArtefactFormatError(f"{COLOUR_FILE} of {self.version} does not run: {error}") from error
        if not np.isfinite(features).all():
            raise ArtefactFormatError(f"{COLOUR_FILE} of {self.version}: expected finite features of noise")

    @property
    def version(self) -> str:
        """The artefact's version."""
        return self.manifest.version

    def classify(self, pictures: Sequence[Picture]) -> list[Prediction]:
        """One prediction for each picture, in the same order.

        Pictures and errors are those of ``canonical_pictures``. The label is that which follows from the features as
        they are stored.
        """
        return predict(self.look(pictures), heads=self.heads)

    def look(self, pictures: Sequence[Picture]) -> SeenPictures:
        """What the base sees in pictures of any sizes, in the same order."""
        looks = take_looks(pictures, spec=self._preprocessing)
        output = self._run_looks(looks)
        features = [output.embedding]
        if self._colour is not None:
            features.append(self._look_at_colours(self._colour, pictures=looks.inner, canonical=~output.photograph))
        return SeenPictures(
            features=np.hstack(features).astype(np.float16),
            logits=output.logits.astype(np.float16),
            blank=output.blank,
            canonical=~output.photograph,
            views=output.views,
            test_form=find_test_forms(looks.forms),
        )

    def _look_at_colours(
        self, branch: _ColourEngine, *, pictures: Sequence[Picture], canonical: NDArray[np.bool_]
    ) -> NDArray[np.float32]:
        """The second branch's features float32[N, 64]; none, which is zeros, of pictures in canonical form."""
        features = np.zeros((len(pictures), COLOUR_FEATURES), dtype=np.float32)
        photographs = np.flatnonzero(~canonical)
        for start in range(0, len(photographs), BATCH_SIZE):
            batch = photographs[start : start + BATCH_SIZE]
            views = colour_views([pictures[index] for index in batch])
            with self._colour_lock:
                features[batch] = branch.run(views)
        return features

    def run(self, pictures: Sequence[Picture] | NDArray[np.uint8]) -> NetworkOutput:
        """The network's own numbers for pictures of any sizes, in the same order."""
        return self._run_looks(take_looks(pictures, spec=self._preprocessing))

    def _run_looks(self, looks: Looks) -> NetworkOutput:
        output = self._run_forms(looks.forms, photograph=looks.photograph)
        if self._calibration.photographs is None or not looks.cuts:
            return output
        groups = group_probabilities(scipy.special.softmax(output.logits.astype(np.float64), axis=1))
        sure = groups.max(axis=1) >= SURE_AT_FIRST
        chosen = ~sure[looks.owners]
        owners = looks.owners[chosen]
        if not len(owners):
            return output
        sums = output.logits.copy()
        np.add.at(sums, owners, self._run_forms(looks.take_further(chosen)).logits)
        views = 1 + np.bincount(owners, minlength=len(sums))
        logits = np.divide(sums, views[:, None], dtype=np.float32)
        return replace(output, logits=logits, views=views.astype(np.uint8))

    def judge(self, output: NetworkOutput) -> Judgement:
        """What follows from the network's numbers."""
        return self._calibration.judge(
            output.logits, features=output.embedding, photograph=output.photograph, blank=output.blank
        )

    def view(self, picture: Picture) -> CanonicalView:
        """What the network sees of a picture, and where it lies in it. Raises ``ValueError`` as ``classify`` does."""
        return canonical_view(picture, spec=self._preprocessing)

    def group_probabilities(
        self, canonical: NDArray[np.uint8], *, photograph: Picture | None = None
    ) -> NDArray[np.float64]:
        """What ``classify`` says of the groups, float64[N, 5], for forms that are canonical already or made of such.

        ``canonical`` is uint8[N, size, size] and is handed to the network as it is, once; ``photograph`` is the picture
        of which all the forms were made, without frames and bars, if it was one.
        """
        is_canonical = np.full(len(canonical), photograph is None)
        output = self._run_forms(canonical[..., None], photograph=~is_canonical)
        features = [output.embedding]
        if self._colour is not None:
            # One look for all forms; none at what is canonical.
            picture = canonical[0] if photograph is None else photograph
            colours = self._look_at_colours(self._colour, pictures=[picture], canonical=is_canonical[:1])
            features.append(colours.repeat(len(canonical), axis=0))
        seen = SeenPictures(
            features=np.hstack(features).astype(np.float16),
            logits=output.logits.astype(np.float16),
            blank=output.blank,
            canonical=is_canonical,
            views=output.views,
            test_form=np.zeros(len(canonical), dtype=np.bool_),
        )
        return np.array([list(said.group_probabilities.values()) for said in predict(seen, heads=self.heads)])

    def _run_forms(self, canonical: NDArray[np.uint8], *, photograph: NDArray[np.bool_] | None = None) -> NetworkOutput:
        """The network's numbers for uint8[N, size, size, 1]; without ``photograph`` all came as they are."""
        logits, embedding = self._network.run(canonical)
        return NetworkOutput(
            logits=logits,
            embedding=embedding,
            photograph=np.zeros(len(canonical), dtype=np.bool_) if photograph is None else photograph,
            blank=is_blank(canonical),
            views=np.ones(len(canonical), dtype=np.uint8),
        )
