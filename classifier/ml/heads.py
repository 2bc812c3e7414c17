"""What follows from features: the answers of a version's heads. No network is loaded for them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, Self

import numpy as np
import safetensors
import safetensors.numpy
import scipy
from numpy.typing import NDArray

from classifier.ml.artefacts import HEADS_FILE, ArtefactFormatError, VerifiedArtefact
from classifier.ml.judging.calibration import Calibration, Judgement
from classifier.ml.judging.fusion import DOUBTED
from classifier.ml.judging.photographs import doubt
from classifier.ml.labels import GARMENTS, GROUPS, garments_within_groups, group_probabilities, within_groups
from classifier.ml.text.ngrams import BUCKETS, count_ngrams
from classifier.ml.types import FEATURE_TYPE, Features, Prediction

#: What a picture or a title may be said to show: one of the groups, or none of these.
CLASSES: Final = len(GROUPS) + 1


@dataclass(frozen=True, slots=True)
class SeenPictures:
    """What a base saw in N pictures, in half precision, as it is stored.

    ``features`` is float16[N, F], ``logits`` float16[N, 10]; the others are N values each, as `Features` has them.
    """

    features: NDArray[np.float16]
    logits: NDArray[np.float16]
    blank: NDArray[np.bool_]
    canonical: NDArray[np.bool_]
    views: NDArray[np.uint8]
    test_form: NDArray[np.bool_]

    @classmethod
    def of(cls, pictures: Sequence[Features]) -> Self:
        """The pictures' features side by side. Raises ``ValueError`` unless all have the same number of them."""
        # Of no pictures NumPy cannot tell how many features each has.
        count, width = len(pictures), -1 if pictures else 0
        return cls(
            features=np.frombuffer(b"".join(each.numbers for each in pictures), FEATURE_TYPE).reshape(count, width),
            logits=np.frombuffer(b"".join(each.logits for each in pictures), FEATURE_TYPE).reshape(count, width),
            blank=np.array([each.blank for each in pictures], dtype=bool),
            canonical=np.array([each.canonical for each in pictures], dtype=bool),
            views=np.array([each.views for each in pictures], dtype=np.uint8),
            test_form=np.array([each.test_form for each in pictures], dtype=bool),
        )

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """The pictures of all parts, of which there is at least one, in their order."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    def take(self, chosen: NDArray[np.integer] | NDArray[np.bool_]) -> Self:
        """Those of the pictures that are chosen, by their indices int[M] or as bool[N]."""
        return type(self)(*(getattr(self, field.name)[chosen] for field in fields(self)))

    def split(self) -> list[Features]:
        """The features of each picture."""
        return [
            Features(numbers.tobytes(), logits.tobytes(), *flags)
            for numbers, logits, *flags in zip(
                self.features.astype(FEATURE_TYPE, copy=False),
                self.logits.astype(FEATURE_TYPE, copy=False),
                self.blank.tolist(),
                self.canonical.tolist(),
                self.views.tolist(),
                self.test_form.tolist(),
                strict=True,
            )
        ]


@dataclass(frozen=True, slots=True)
class GroupHead:
    """A linear head for the groups of photographs: weights float32[F, 5] on features, bias float32[5].

    ``prior`` is how much what was said before it was taught counts beside it, as a power of those probabilities.
    ``doubts`` is how much of the doubt about turned photographs it keeps, 0 to 1: older ones keep none. ``undoubted``
    is 1 where what was said before is meant without any doubt, as ``answer_undoubted`` has it; in older ones 0.
    """

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    prior: float = 0.0
    doubts: float = 0.0
    undoubted: float = 0.0

    def __post_init__(self) -> None:
        _check_shapes(self.weights, self.bias, count=len(GROUPS))

    def probabilities(
        self,
        features: NDArray[np.floating],
        *,
        groups: NDArray[np.float64] | None = None,
        trust: NDArray[np.float64] | None = None,
    ) -> NDArray[np.float64]:
        """The probability of each group, float64[N, 5], for features float[N, F].

        ``groups`` float64[N, 5] is what was said before, which a head without a prior does without; ``trust``
        float64[N] how surely the pictures stand upright, as ``trust_photographs`` says.
        """
        logits = features.astype(np.float64) @ self.weights + self.bias
        if self.prior and groups is not None:
            logits += self.prior * log_answer(groups)
        said = np.asarray(scipy.special.softmax(logits, axis=1))
        return said if trust is None else doubt(said, trust=1 - self.doubts * (1 - trust))


@dataclass(frozen=True, slots=True)
class NoneHead:
    """Says how likely a photograph shows none of the groups, from its features.

    The log-odds are ``bias + x @ weights + |x @ roots|^2`` for x = features - ``mean``, float32[F]. With weights
    float32[F] it was taught by pictures that people called none of these. Without such pictures it measures with roots
    float32[F, K] how far a picture is from reviewed garments (Mahalanobis' distance), which makes unsure at most.
    """

    mean: NDArray[np.float32]
    weights: NDArray[np.float32]
    roots: NDArray[np.float32]
    bias: float

    def __post_init__(self) -> None:
        width = self.mean.shape
        if len(width) != 1 or self.weights.shape != width or self.roots.ndim != 2 or self.roots.shape[:1] != width:
            raise ValueError(
                f"expected mean, weights and roots of as many features, received {self.mean.shape}, "
                f"{self.weights.shape} and {self.roots.shape}"
            )

    def probabilities(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """The probability of none of the groups, float64[N], for features float[N, F]."""
        apart = features.astype(np.float64) - self.mean
        said = scipy.special.expit(self.bias + apart @ self.weights + ((apart @ self.roots) ** 2).sum(axis=1))
        # Only pictures that people called none of these let one be called so; what is far from garments is in doubt.
        return np.asarray(said if self.weights.any() else np.minimum(said, DOUBTED))


@dataclass(frozen=True, slots=True)
class TitleHead:
    """Says what a title speaks for: weights float32[B, 6] on its n-grams, bias float32[6], classes as ``CLASSES``."""

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]

    def __post_init__(self) -> None:
        _check_shapes(self.weights, self.bias, count=CLASSES)
        if len(self.weights) != BUCKETS:
            raise ValueError(f"expected weights of {BUCKETS} n-grams, received {len(self.weights)}")

    def odds(self, titles: Sequence[str]) -> NDArray[np.float64]:
        """By how much each title multiplies the odds of each class, float64[N, 6], with the sum 1; even without one."""
        logits = count_ngrams(titles) @ self.weights.astype(np.float64) + self.bias
        said = np.asarray(scipy.special.softmax(logits, axis=1))
        said[[not title for title in titles]] = 1 / CLASSES
        return said


@dataclass(frozen=True, slots=True)
class Heads:
    """What answers for a version from features: its calibration, and what was taught for photographs, if anything.

    ``first`` is what was taught for photographs before any review, if anything was: the prior of ``photographs``.
    ``threshold`` is the confidence below which a photograph's label abstains; None: that of the calibration.
    """

    calibration: Calibration
    photographs: GroupHead | None = None
    first: GroupHead | None = None
    none: NoneHead | None = None
    titles: TitleHead | None = None
    threshold: float | None = None

    def find_threshold(self, group: str, *, canonical: bool = False) -> float:
        """The confidence from which on a label of that group is kept; of a ``canonical`` picture no head decides it."""
        return self.calibration.thresholds[group] if canonical or self.threshold is None else self.threshold


def write_heads(heads: Heads) -> bytes:
    """The file that an artefact keeps of what was taught; the calibration stands in the manifest."""
    arrays: dict[str, Any] = {"threshold": heads.threshold}
    named = {"groups": heads.photographs, "first": heads.first, "none": heads.none, "titles": heads.titles}
    for name, head in named.items():
        if head is not None:
            arrays |= {f"{name}/{field.name}": getattr(head, field.name) for field in fields(head)}
    if heads.titles is not None:
        arrays["titles/weights"] = heads.titles.weights.astype(np.float16)
    kept = {name: np.atleast_1d(value) for name, value in arrays.items() if value is not None}
    return safetensors.numpy.save(
        {name: array if array.dtype == np.float16 else array.astype(np.float32) for name, array in kept.items()}
    )


def parse_heads(content: bytes, *, calibration: Calibration) -> Heads:
    """The heads of such a file. Raises ``ValueError`` for anything else."""
    try:
        numbers = safetensors.numpy.load(content)
    except (safetensors.SafetensorError, KeyError) as error:
        # The loader looks up the name of a type, and NumPy has not all of them.
        raise ValueError(f"expected arrays: {error}") from error
    if not all(array.dtype in (np.float16, np.float32) and np.isfinite(array).all() for array in numbers.values()):
        raise ValueError("expected finite numbers in single or half precision")
    arrays = {name: array.astype(np.float32) for name, array in numbers.items()}

    def take(name: str, *parts: str) -> list[NDArray[np.float32]] | None:
        found = [arrays.get(f"{name}/{part}") for part in parts]
        if missing := [part for part, array in zip(parts, found, strict=True) if array is None]:
            if len(missing) == len(parts):
                return None
            raise ValueError(f"expected {name}/{missing[0]} beside the others")
        return [array for array in found if array is not None]

    def take_groups(name: str) -> GroupHead | None:
        found = take(name, "weights", "bias")
        if found is None:
            return None
        given = {part: arrays.get(f"{name}/{part}") for part in ("prior", "doubts", "undoubted")}
        scalars = {part: float(array.item()) for part, array in given.items() if array is not None}
        return GroupHead(found[0], found[1], **scalars)

    titles, none = take("titles", "weights", "bias"), take("none", "mean", "weights", "roots", "bias")
    threshold = arrays.get("threshold")
    return Heads(
        calibration,
        photographs=take_groups("groups"),
        first=take_groups("first"),
        none=NoneHead(none[0], none[1], none[2], float(none[3].item())) if none else None,
        titles=TitleHead(*titles) if titles else None,
        threshold=float(threshold.item()) if threshold is not None else None,
    )


def _check_shapes(weights: NDArray[np.float32], bias: NDArray[np.float32], *, count: int) -> None:
    if weights.ndim != 2 or weights.shape[1] != count or bias.shape != (count,):
        raise ValueError(
            f"expected weights of (F, {count}) and a bias of ({count},), received {weights.shape} and {bias.shape}"
        )


def log_answer(groups: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logarithm of probabilities of groups, float64 of the same shape; nothing is quite impossible."""
    return np.asarray(np.log(np.maximum(groups, 1e-4)))


def read_heads(artefact: VerifiedArtefact) -> Heads:
    """The heads of a verified artefact. Raises ``ArtefactFormatError`` for a file that holds none."""
    content = artefact.contents.get(HEADS_FILE)
    calibration = artefact.manifest.calibration_values()
    try:
        return Heads(calibration) if content is None else parse_heads(content, calibration=calibration)
    except ValueError as error:
        raise ArtefactFormatError(f"{HEADS_FILE} of {artefact.manifest.version}: {error}") from error


def answer_zero_reviews(seen: SeenPictures, *, calibration: Calibration) -> Judgement:
    """What follows from what a base saw without anything that was taught."""
    return calibration.judge(
        seen.logits.astype(np.float32),
        features=seen.features.astype(np.float32),
        photograph=~seen.canonical,
        blank=seen.blank,
    )


def answer_undoubted(seen: SeenPictures, *, heads: Heads) -> NDArray[np.float64]:
    """The groups float64[N, 5] of photographs before any review, as if all stood upright and none were unusual.

    It is the prior of what reviews teach, which find out themselves how much there is to doubt.
    """
    if heads.first is not None:
        return heads.first.probabilities(seen.features)
    calibration, logits = heads.calibration, seen.logits.astype(np.float32)
    photographs = calibration.photographs
    garments = calibration.probabilities(logits) if photographs is None else photographs.weighted(logits)
    return np.asarray(group_probabilities(garments), dtype=np.float64)


def trust_photographs(seen: SeenPictures, *, calibration: Calibration) -> NDArray[np.float64]:
    """How much what is said of each photograph counts beside an even chance, float64[N]: less where it looks turned."""
    if calibration.photographs is None:
        return np.ones(len(seen.features))
    features = seen.features.astype(np.float32)
    return calibration.photographs.trust(seen.logits.astype(np.float32), features=features)


def _judge_photographs(judged: Judgement, *, seen: SeenPictures, heads: Heads, nones: NDArray[np.float64]) -> Judgement:
    """The judgement with photographs as the heads say, and the shares of garments within a group as they were."""
    photographs = np.flatnonzero(~seen.canonical)
    shown, garments = seen.take(photographs), judged.garment_probabilities.copy()
    trust = trust_photographs(shown, calibration=heads.calibration)
    said = group_probabilities(garments[photographs]).astype(np.float64)
    if heads.photographs is not None and heads.photographs.undoubted:
        said = answer_undoubted(shown, heads=heads)
    elif heads.first is not None:
        said = heads.first.probabilities(shown.features, groups=said, trust=trust)
    if heads.photographs is not None:
        said = heads.photographs.probabilities(shown.features, groups=said, trust=trust)
    garments[photographs] = within_groups(garments[photographs], groups=said)
    predicted, confidence = said.argmax(axis=1), said.max(axis=1, initial=0.0)
    threshold = np.array([heads.find_threshold(name) for name in GROUPS])[predicted]
    within = garments_within_groups(garments[photographs], groups=predicted)
    abstained, garment_unsure = judged.abstained.copy(), judged.garment_unsure.copy()
    abstained[photographs] = (confidence < threshold) | seen.blank[photographs] | (nones[photographs] >= DOUBTED)
    garment_unsure[photographs] = garments[photographs, within] < heads.calibration.garment_threshold * confidence
    return Judgement(garments, abstained, garment_unsure)


def predict(seen: SeenPictures, *, heads: Heads) -> list[Prediction]:
    """What the heads say of pictures, the same whether their features were computed just now or read from a table.

    Pictures in which nothing is to be seen get a label all the same, and abstain. Raises ``ValueError`` where a head
    takes another number of features.
    """
    judged = answer_zero_reviews(seen, calibration=heads.calibration)
    nones = np.zeros(len(seen.features))
    if heads.none is not None:
        nones[~seen.canonical] = heads.none.probabilities(seen.features[~seen.canonical])
    if heads.photographs is not None or heads.none is not None:
        judged = _judge_photographs(judged, seen=seen, heads=heads, nones=nones)
    garments = judged.garment_probabilities
    groups = group_probabilities(garments)
    predicted = groups.argmax(axis=1)
    within = garments_within_groups(garments, groups=predicted)
    return [
        Prediction(
            group=GROUPS[group],
            garment=GARMENTS[garment],
            confidence=group_row[group],
            abstained=abstains,
            group_probabilities=dict(zip(GROUPS, group_row, strict=True)),
            garment_probabilities=dict(zip(GARMENTS, garment_row, strict=True)),
            features=features,
            garment_unsure=unsure,
            none_probability=none,
        )
        for group, garment, abstains, unsure, none, group_row, garment_row, features in zip(
            predicted.tolist(),
            within.tolist(),
            judged.abstained.tolist(),
            judged.garment_unsure.tolist(),
            nones.tolist(),
            groups.tolist(),
            garments.tolist(),
            seen.split(),
            strict=True,
        )
    ]
