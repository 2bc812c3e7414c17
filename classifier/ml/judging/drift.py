"""Whether a window of pictures differs from a reference: in what networks see in them, or in the mix of things.

*Different* is not *worse*: what is told here says nothing of how many labels are right. All p-values are by
permutation: what a test would say if window and reference were mixed at random. Pictures of a catalogue come in batches
that hang together, and pictures that were shuffled one by one would make every new batch an alarm; so whole batches, or
else hosts, are shuffled where both sides have enough of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from classifier.ml.labels import GARMENTS, group_probabilities

#: A check alarms in so many of 100 windows that do not differ, at most.
LEVEL: Final = 0.05
PERMUTATIONS: Final = 999
#: Of fewer pictures on a side nothing is told; of fewer failures or reviews on a side their test is left out.
LEAST_PICTURES: Final = 100
LEAST_OTHERS: Final = 50
#: So many batches, or hosts, on each side are shuffled as wholes.
LEAST_UNITS: Final = 8
#: A host or batch with so many pictures on each side is compared with its own past; of more than so many the largest.
LEAST_OF_SEGMENT: Final = 50
MOST_SEGMENTS: Final = 20
#: Less of a difference is no alarm, however sure: standard deviations of the features, or a share of all things.
LEAST_DISTANCE: Final = 0.2
LEAST_CHANGE: Final = 0.02
#: Directions of the features that are looked at, and how much of the mean variance is added to each of them.
_DIRECTIONS: Final = 64
_RIDGE: Final = 0.02
#: A segment drives a difference that makes up so much of it, and so many times its share of the window.
_DRIVING_SHARE: Final = 0.4
_DRIVING_EXCESS: Final = 1.5
_LEAST_DRIVING: Final = 10
#: A mix explains a difference of which less than this is left where the reference has the window's mix.
_LEFT_BY_MIX: Final = 0.5
#: Pictures that show a difference best.
_SHOWN: Final = 24
_EM_ROUNDS: Final = 200
#: Of so many pictures of each side the statistics must be known.
_LEAST_KNOWN: Final = 0.9
_CHUNK: Final = 200

#: What is tested, beside each host's or batch's own past.
FEATURES, STATISTICS, MIX, FAILURES, DISAGREEMENT = "features", "statistics", "mix", "failures", "disagreement"
#: Of what whole things the permutation was.
BATCHES, HOSTS, PICTURES = "batches", "hosts", "pictures"
#: What else may drive a difference: a group, as the version says.
GROUPS_OF_THINGS: Final = "groups"


class DriftInputError(ValueError):
    """There is nothing to compare, or the two sides cannot be compared; the message says what was expected."""


@dataclass(frozen=True, slots=True)
class Side:
    """N pictures: the reference, or the window.

    ``features`` float[N, F] is what the networks saw, ``probabilities`` float[N, 10] what the version said, calibrated,
    ``statistics`` float[N, S] what is measured of the pixels, NaN where it was not. ``batches`` and ``hosts`` int[N]
    say with which others a picture came. ``failures`` and ``disagreement`` are of other things of the same time.
    """

    features: NDArray[np.floating]
    probabilities: NDArray[np.floating]
    batches: NDArray[np.int64]
    hosts: NDArray[np.int64]
    statistics: NDArray[np.floating] | None = None
    failures: "Flags | None" = None
    disagreement: "Flags | None" = None

    def __post_init__(self) -> None:
        lengths = {len(self.features), len(self.probabilities), len(self.batches), len(self.hosts)}
        if len(lengths) != 1 or self.probabilities.shape[1:] != (len(GARMENTS),):
            raise ValueError(f"expected features, {len(GARMENTS)} probabilities, batch and host of each picture")

    def __len__(self) -> int:
        return len(self.features)


@dataclass(frozen=True, slots=True)
class Flags:
    """Which of M things are so, bool[M], and with which others each came, int[M]."""

    flags: NDArray[np.bool_]
    batches: NDArray[np.int64]
    hosts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.flags)


@dataclass(frozen=True, slots=True)
class Test:
    """One test: how likely chance alone makes so much of a difference, alone and among all tests (Holm).

    ``effect`` is a distance in standard deviations of the features, or the largest change of a share, 0..1.
    ``permuted`` says what was shuffled. ``segment`` is a kind of thing and its number where one thing was compared with
    its own past. ``is_different`` where ``adjusted`` is small enough, and the effect large enough to matter.
    """

    name: str
    p: float
    adjusted: float
    effect: float
    permuted: str
    units: tuple[int, int]
    is_different: bool
    segment: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Driver:
    """The part of a window that makes it different: a host, batch or group, its share of pictures and difference."""

    kind: str
    value: int
    pictures: int
    share_of_pictures: float
    share_of_difference: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a window says beside its reference.

    ``false_alarms`` is the share of windows, mixed at random of both sides, in which the same tests would have said
    *different*. ``reference_mix`` and ``window_mix`` float[10] are how the garments are distributed, as far as the
    version can tell. ``left_by_mix`` is how much of the distance of the features is left where the reference has the
    window's mix: near 1 the pictures are others, near 0 the mix is. ``shown`` are indices of the window's pictures that
    show the difference best.
    """

    reference: int
    window: int
    tests: list[Test]
    false_alarms: float
    reference_mix: NDArray[np.float64]
    window_mix: NDArray[np.float64]
    left_by_mix: float
    driver: Driver | None
    shown: list[int] = field(default_factory=list)

    @property
    def is_different(self) -> bool:
        """Whether any test says so."""
        return any(test.is_different for test in self.tests)

    @property
    def is_another_mix(self) -> bool:
        """Whether the window mostly has another mix of the same things."""
        return self.left_by_mix < _LEFT_BY_MIX


def compare(reference: Side, window: Side, *, seed: int, permutations: int = PERMUTATIONS) -> Comparison:
    """What the window says beside the reference. Raises ``DriftInputError`` for too few pictures, or a single group."""
    _check(reference, window)
    chance = np.random.default_rng(seed)
    blocks = {FEATURES: _whiten(reference.features, window.features, directions=_DIRECTIONS)}
    if (statistics := _find_statistics(reference, window)) is not None:
        blocks[STATISTICS] = _whiten(*statistics, directions=statistics[0].shape[1])
    blocks[MIX] = _build_mix(reference, window)
    units = _find_units(reference, window)
    tried = _try_blocks(blocks, units=units, count=permutations, chance=chance)
    for name in (FAILURES, DISAGREEMENT):
        tried += _try_flags(name, reference, window, count=permutations, chance=chance)
    tried += _try_segments(reference, window, blocks[FEATURES], units=units, count=permutations, chance=chance)
    tests = _judge(tried)
    reference_mix, window_mix, left = _explain_by_mix(reference, window, blocks[FEATURES])
    driver, shown = _find_driver(reference, window, blocks[FEATURES], tests=tests)
    return Comparison(
        reference=len(reference),
        window=len(window),
        tests=tests,
        false_alarms=_measure_false_alarms(tried),
        reference_mix=reference_mix,
        window_mix=window_mix,
        left_by_mix=left,
        driver=driver,
        shown=shown,
    )


def estimate_mix(probabilities: NDArray[np.floating], *, prior: NDArray[np.floating]) -> NDArray[np.float64]:
    """How things are distributed, float64[K], of which calibrated probabilities float[N, K] are known.

    ``prior`` float[K] is the distribution with which these were calibrated. Expectation maximisation (Saerens, Latinne
    and Decaestecker 2002). It believes the probabilities, so it tells one mix from another and corrects no label.
    """
    mix: NDArray[np.float64] = np.asarray(prior, dtype=np.float64) / np.sum(prior)
    ratio = np.asarray(probabilities, dtype=np.float64) / np.maximum(mix, 1e-9)
    for _ in range(_EM_ROUNDS):
        likely = ratio * mix
        likely /= np.maximum(likely.sum(axis=1, keepdims=True), 1e-12)
        before, mix = mix, np.asarray(likely.mean(axis=0))
        if np.abs(mix - before).max() < 1e-6:
            break
    return mix


@dataclass(frozen=True, slots=True)
class _Units:
    """What is shuffled: of both sides together, the reference first, the unit of each picture, int[N]."""

    kind: str
    of: NDArray[np.int64]
    counts: tuple[int, int]

    def shuffle(
        self, values: NDArray[np.floating], *, count: int, chance: np.random.Generator
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Differences of the means of values float[N, D] between window and reference, float64[count + 1, D].

        The first are those that are; the others would be, had the units come to the sides by chance. With them their
        variances in pictures, float64[count + 1]: 1 / n of the window and 1 / n of the reference.
        """
        here, there = self.counts
        number = here + there
        sizes = np.bincount(self.of, minlength=number).astype(np.float64)
        if number == len(self.of):
            sums = np.asarray(values, dtype=np.float32)
        else:
            sums = np.zeros((number, values.shape[1]), dtype=np.float32)
            np.add.at(sums, self.of, values)
        total, differences, variances = sums.sum(axis=0, dtype=np.float64), [], []
        observed = np.zeros((1, number), dtype=np.float32)
        observed[:, here:] = 1
        for start in range(-_CHUNK, count, _CHUNK):
            chosen = observed if start < 0 else _choose(min(_CHUNK, count - start), there, number, chance)
            pictures = (chosen @ sizes)[:, None]
            window = (chosen @ sums).astype(np.float64)
            differences.append(window / pictures - (total - window) / (sizes.sum() - pictures))
            variances.append((1 / pictures + 1 / (sizes.sum() - pictures))[:, 0])
        return np.concatenate(differences), np.concatenate(variances)


@dataclass(frozen=True, slots=True)
class _Tried:
    """A test before it is judged: its statistics float64[1 + permutations], that of what is first, and its effect."""

    name: str
    statistics: NDArray[np.float64]
    effect: float
    least_effect: float
    units: _Units
    segment: tuple[str, int] | None = None


def _check(reference: Side, window: Side) -> None:
    for name, side in (("reference", reference), ("window", window)):
        if len(side) < LEAST_PICTURES:
            raise DriftInputError(f"expected at least {LEAST_PICTURES} pictures in the {name}, received {len(side)}")
    if reference.features.shape[1] != window.features.shape[1]:
        raise DriftInputError(
            f"expected features of one size, received {reference.features.shape[1]} in the reference and "
            f"{window.features.shape[1]} in the window"
        )
    if len(np.unique(group_probabilities(reference.probabilities).argmax(axis=1))) < 2:
        raise DriftInputError("expected a reference with things of two groups or more, received one of a single group")


def _whiten(reference: NDArray[np.floating], window: NDArray[np.floating], *, directions: int) -> NDArray[np.float32]:
    """Both sides together, the reference first, in their principal directions, each with about the variance 1."""
    values = np.concatenate([reference, window]).astype(np.float32)
    values -= values.mean(axis=0)
    spread, axes = np.linalg.eigh((values.T @ values).astype(np.float64) / len(values))
    spread, axes = spread[::-1][:directions], axes[:, ::-1][:, :directions]
    scale = 1 / np.sqrt(np.maximum(spread, 0) + _RIDGE * max(float(spread.mean()), 1e-12))
    return np.asarray(values @ (axes * scale).astype(np.float32))


def _find_statistics(reference: Side, window: Side) -> tuple[NDArray[np.floating], NDArray[np.floating]] | None:
    """The statistics of both sides, what is not known of a few pictures as their mean; None where more lack them."""
    sides = []
    for side in (reference, window):
        if side.statistics is None:
            return None
        known = np.isfinite(side.statistics).all(axis=1)
        if known.mean() < _LEAST_KNOWN:
            return None
        sides.append(np.where(known[:, None], side.statistics, side.statistics[known].mean(axis=0)))
    return sides[0], sides[1]


def _build_mix(reference: Side, window: Side) -> NDArray[np.float32]:
    """Probabilities of groups, scaled so that the squared difference of two means is that of the chi-square test."""
    groups = group_probabilities(np.concatenate([reference.probabilities, window.probabilities]))
    return np.asarray(groups / np.sqrt(np.maximum(groups.mean(axis=0), 1e-4)), dtype=np.float32)


def _find_units(reference: Side | Flags, window: Side | Flags) -> _Units:
    """What of these is to be shuffled: batches where both sides have enough of them, else hosts, else each alone."""
    for kind, name in ((BATCHES, "batches"), (HOSTS, "hosts")):
        here, of_reference = np.unique(getattr(reference, name), return_inverse=True)
        there, of_window = np.unique(getattr(window, name), return_inverse=True)
        if min(len(here), len(there)) >= LEAST_UNITS:
            of = np.concatenate([of_reference, of_window + len(here)])
            return _Units(kind, of.astype(np.int64), (len(here), len(there)))
    return _Units(PICTURES, np.arange(len(reference) + len(window)), (len(reference), len(window)))


def _choose(rows: int, chosen: int, of: int, chance: np.random.Generator) -> NDArray[np.float32]:
    """For each row as many of ``of`` units as are ``chosen``, at random: float32[rows, of] of zeros and ones."""
    numbers = chance.random((rows, of), dtype=np.float32)
    # Of two that are equal, which is rare, neither may be chosen.
    return (numbers < np.partition(numbers, chosen, axis=1)[:, chosen, None]).astype(np.float32)


def _try_blocks(
    blocks: dict[str, NDArray[np.float32]], *, units: _Units, count: int, chance: np.random.Generator
) -> list[_Tried]:
    """One test of each block of columns, all by the same permutations."""
    differences, variances = units.shuffle(np.hstack(list(blocks.values())), count=count, chance=chance)
    tried, start = [], 0
    for name, block in blocks.items():
        part = differences[:, start : start + block.shape[1]]
        start += block.shape[1]
        squares = (part**2).sum(axis=1)
        effect, least = (
            (_measure_change(part[0], block), LEAST_CHANGE) if name == MIX else (_debias(squares), LEAST_DISTANCE)
        )
        if units.kind != PICTURES:
            squares = ((part @ _undo_spread(block, units=units)) ** 2).sum(axis=1)
        tried.append(_Tried(name, squares / variances, effect, least, units))
    return tried


def _measure_change(difference: NDArray[np.float64], block: NDArray[np.float32]) -> float:
    """The largest change of a group's share, of a difference in the scale of `_build_mix`."""
    # A row's probabilities have the sum 1: the mean of a scaled column is the root of the group's share.
    return float(np.abs(difference * block.mean(axis=0)).max())


def _debias(squares: NDArray[np.float64]) -> float:
    """The distance that is left of the first of squared distances without what chance makes of it."""
    return float(np.sqrt(max(0.0, squares[0] - squares[1:].mean())))


def _undo_spread(block: NDArray[np.float32], *, units: _Units) -> NDArray[np.float64]:
    """A matrix that makes directions count less in which whole units differ, so far as so many units can tell."""
    number, directions = sum(units.counts), block.shape[1]
    sizes = np.bincount(units.of, minlength=number).astype(np.float64)
    sums = np.zeros((number, directions))
    np.add.at(sums, units.of, block - block.mean(axis=0))
    apart = sums / np.sqrt(sizes)[:, None]
    spread, axes = np.linalg.eigh(apart.T @ apart / (number - 1))
    trust = number / (number + directions)
    mixed = trust * np.maximum(spread, 0) + (1 - trust) * spread.mean() + 1e-9
    return np.asarray(axes / np.sqrt(mixed) @ axes.T)


def _try_flags(name: str, reference: Side, window: Side, *, count: int, chance: np.random.Generator) -> list[_Tried]:
    """One test of a share, if both sides have enough things to tell one."""
    here, there = getattr(reference, name), getattr(window, name)
    if here is None or there is None or min(len(here), len(there)) < LEAST_OTHERS:
        return []
    units = _find_units(here, there)
    flags = np.concatenate([here.flags, there.flags]).astype(np.float32)[:, None]
    differences, variances = units.shuffle(flags, count=count, chance=chance)
    effect = float(abs(differences[0, 0]))
    return [_Tried(name, differences[:, 0] ** 2 / variances, effect, LEAST_CHANGE, units)]


def _try_segments(
    reference: Side,
    window: Side,
    whitened: NDArray[np.float32],
    *,
    units: _Units,
    count: int,
    chance: np.random.Generator,
) -> list[_Tried]:
    """Each host, and each batch, that has enough pictures on both sides against its own past, the largest first.

    Pictures of it are shuffled. Where whole batches are, those of a host hang together as well, and its difference is
    one of as many means of batches, drawn from how far the batches of all hosts scatter about their host's mean.
    """
    found = []
    for kind, name in ((HOSTS, "hosts"), (BATCHES, "batches")):
        here, there = getattr(reference, name), getattr(window, name)
        for value, number in zip(*(column.tolist() for column in np.unique(there, return_counts=True)), strict=True):
            before = int((here == value).sum())
            if min(number, before) >= LEAST_OF_SEGMENT and number < len(window):
                found.append((number, before, kind, value, np.concatenate([here == value, there == value])))
    scatter = _measure_scatter(reference, window, whitened, units=units) if units.kind == BATCHES else None
    tried = []
    for number, before, kind, value, mask in sorted(found, key=lambda row: -row[0])[:MOST_SEGMENTS]:
        is_scattered = scatter is not None and kind == HOSTS
        own = _Units(PICTURES, np.arange(number + before), (before, number))
        differences, _ = own.shuffle(whitened[mask], count=0 if is_scattered else count, chance=chance)
        if scatter is not None and is_scattered:
            if len(scatter) < LEAST_UNITS:
                continue  # hardly any host has several batches: what is the host's and what the batch's is not known
            sides = np.split(units.of[mask], [before])
            sizes = [np.unique(side, return_counts=True)[1] for side in sides]
            old, new = (_draw_means(scatter, sizes=size, count=count, chance=chance) for size in sizes)
            differences = np.concatenate([differences, new - old])
            own = _Units(BATCHES, units.of[mask], (len(sizes[0]), len(sizes[1])))
        squares = (differences**2).sum(axis=1)
        tried.append(_Tried(FEATURES, squares, _debias(squares), LEAST_DISTANCE, own, (kind, value)))
    return tried


def _measure_scatter(
    reference: Side, window: Side, whitened: NDArray[np.float32], *, units: _Units
) -> NDArray[np.float64]:
    """How far the means of a host's batches of one side lie from their own mean, float64[B, D]."""
    rows, start = [np.zeros((0, whitened.shape[1]))], 0
    for side in (reference, window):
        of, values = units.of[start : start + len(side)], whitened[start : start + len(side)]
        start += len(side)
        for host in np.unique(side.hosts):
            own = side.hosts == host
            means = np.array([values[own & (of == unit)].mean(axis=0) for unit in np.unique(of[own])])
            if len(means) > 1:
                rows.append((means - means.mean(axis=0)) * np.sqrt(len(means) / (len(means) - 1)))
    return np.concatenate(rows)


def _draw_means(
    scatter: NDArray[np.float64], *, sizes: NDArray[np.int64], count: int, chance: np.random.Generator
) -> NDArray[np.float64]:
    """Means of batches of these sizes, each drawn from the scatter at random, float64[count, D]."""
    drawn = scatter[chance.integers(len(scatter), size=(count, len(sizes)))]
    return np.asarray(np.einsum("b,cbd->cd", sizes / sizes.sum(), drawn))


def _rank(statistics: NDArray[np.float64]) -> NDArray[np.float64]:
    """The p-value of each of the permutations of a test, were it the one that is, float64[1 + permutations]."""
    ordered = np.sort(statistics)
    # What differs by rounding alone is equal.
    above = len(ordered) - np.searchsorted(ordered, statistics * (1 - 1e-6) - 1e-12, side="left")
    return np.asarray(above / len(ordered))


def _judge(tried: Sequence[_Tried]) -> list[Test]:
    """The tests with their p-values, adjusted for their number (Holm 1979)."""
    values = np.array([_rank(each.statistics)[0] for each in tried])
    order = np.argsort(values, kind="stable")
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)))
    return [
        Test(
            name=each.name,
            p=float(p),
            adjusted=float(holm),
            effect=each.effect,
            permuted=each.units.kind,
            units=each.units.counts,
            is_different=bool(holm <= LEVEL and each.effect >= each.least_effect),
            segment=each.segment,
        )
        for each, p, holm in zip(tried, values, adjusted, strict=True)
    ]


def _measure_false_alarms(tried: Sequence[_Tried]) -> float:
    """The share of permutations in which a test of this check would have been sure."""
    least = np.min([_rank(each.statistics)[1:] for each in tried], axis=0)
    return float((least * len(tried) <= LEVEL).mean())


def _explain_by_mix(
    reference: Side, window: Side, whitened: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """The mix of garments of both sides, and the share of the squared distance that is left with one mix in both."""
    here = reference.probabilities.mean(axis=0, dtype=np.float64)
    there = estimate_mix(window.probabilities, prior=here)
    weights = reference.probabilities.astype(np.float64) @ (there / np.maximum(here, 1e-9))
    weights /= weights.sum()
    old, new = whitened[: len(reference)], whitened[len(reference) :].mean(axis=0)
    before = ((new - old.mean(axis=0)) ** 2).sum() - whitened.shape[1] * (1 / len(reference) + 1 / len(window))
    left = ((new - weights @ old) ** 2).sum() - whitened.shape[1] * ((weights**2).sum() + 1 / len(window))
    return here, there, float(np.clip(left / before, 0, 1)) if before > 0 else 1.0


def _find_driver(
    reference: Side, window: Side, whitened: NDArray[np.float32], *, tests: Sequence[Test]
) -> tuple[Driver | None, list[int]]:
    """What makes the window different, if one thing does, and the pictures that show it best.

    A host or batch that differs from its own past; else the host, batch or group whose pictures lie that way, measured
    from where its own lay before, much more than the others'.
    """
    old, new = whitened[: len(reference)], whitened[len(reference) :]
    said = [group_probabilities(side.probabilities).argmax(axis=1) for side in (reference, window)]
    kinds = {
        HOSTS: (reference.hosts, window.hosts),
        BATCHES: (reference.batches, window.batches),
        GROUPS_OF_THINGS: (said[0], said[1]),
    }
    way = new.mean(axis=0) - old.mean(axis=0)
    candidates = []
    for kind, (here, there) in kinds.items():
        parts = []
        for value, number in zip(*(column.tolist() for column in np.unique(there, return_counts=True)), strict=True):
            past = old[here == value]
            start = past.mean(axis=0) if len(past) >= LEAST_OF_SEGMENT else old.mean(axis=0)
            parts.append((value, number, float(((new[there == value] - start) @ way).sum())))
        total = sum(max(0.0, amount) for *_, amount in parts)
        for value, number, amount in parts:
            share, difference = number / len(window), amount / total if total else 0.0
            if number >= _LEAST_DRIVING and difference >= max(_DRIVING_SHARE, _DRIVING_EXCESS * share):
                candidates.append(Driver(kind, value, number, share, difference))
    driver = max(candidates, key=lambda each: each.share_of_difference - each.share_of_pictures, default=None)
    own = [test for test in tests if test.segment is not None and test.is_different]
    if own:
        kind, value = min(own, key=lambda test: (test.adjusted, -test.effect)).segment or ("", 0)
        if driver is None or (driver.kind, driver.value) != (kind, value):
            chosen = kinds[kind][1] == value
            way = new[chosen].mean(axis=0) - old[kinds[kind][0] == value].mean(axis=0)
            driver = Driver(kind, value, int(chosen.sum()), float(chosen.mean()), 1.0)
    inside = np.flatnonzero(kinds[driver.kind][1] == driver.value) if driver else np.arange(len(new))
    order = inside[np.argsort(-(new[inside] @ way), kind="stable")]
    return driver, order[:_SHOWN].tolist()
