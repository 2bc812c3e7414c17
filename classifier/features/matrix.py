"""Many pictures' features in little memory, and the search for the nearest in it.

A byte a number: it says which pictures may be the nearest, and their rows say which are.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from classifier.ml.types import FEATURE_TYPE

#: Pictures that a search looks at together, at most.
PART_ROWS: Final = 2**16
#: Numbers that are made single precision together: as many as a cache holds.
BLOCK_NUMBERS: Final = 2**17
#: Candidates, at most, unless more are wanted: where more are as near as rounding can tell, the nearest by it will do.
MOST_CANDIDATES: Final = 10_000
#: Of so many numbers one is a leading one.
_LEADING_OF: Final = 4
#: So many times the pictures that are wanted are compared wholly at first.
_LOOKED_AT_FIRST: Final = 20
#: Of so many pictures the nearest is looked at, where the nearest of very many are wanted.
_GROUP_ROWS: Final = 64
#: Of one search.
_THREADS: Final = min(4, os.cpu_count() or 1)
_LARGEST_INT8: Final = 127
#: What single precision may lose in a sum.
_LOST_IN_SUMS: Final = 1e-5


@dataclass(frozen=True, slots=True)
class RoundedFeatures:
    """The ids int64[N] and rounded features of N pictures: `leading` int8[N, L] and `rest` int8[N, F - L] of F numbers.

    Of each picture, `leading_steps` and `rest_steps` float32[N] are what its numbers are multiples of, `rest_lengths`
    float32[N] is the length of the rest, and `errors` float32[N] that of what rounding took.
    """

    ids: NDArray[np.int64]
    leading: NDArray[np.int8]
    rest: NDArray[np.int8]
    leading_steps: NDArray[np.float32]
    rest_steps: NDArray[np.float32]
    rest_lengths: NDArray[np.float32]
    errors: NDArray[np.float32]

    @classmethod
    def of(cls, ids: NDArray[np.int64], vectors: NDArray[np.float32]) -> Self:
        """Round features float32[N, F], the leading ones first."""
        count = _count_leading(vectors.shape[1])
        leading, leading_steps, leading_errors = _round(vectors[:, :count])
        rest, rest_steps, rest_errors = _round(vectors[:, count:])
        lengths = np.linalg.norm(vectors[:, count:], axis=1)
        return cls(ids, leading, rest, leading_steps, rest_steps, lengths, np.hypot(leading_errors, rest_errors))

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """The pictures of all parts, of which there is at least one."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    def compare_leading(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what the leading numbers make of the products float32[N] with a vector float32[F]."""
        return _multiply(self.leading, vector[: self.leading.shape[1]]) * self.leading_steps

    def add_rest(
        self, leading: NDArray[np.float32], vector: NDArray[np.float32], *, rows: NDArray[np.intp]
    ) -> NDArray[np.float32]:
        """Return the products float32[R] of R rows with a vector float32[F], from what `compare_leading` returned."""
        rest = vector[self.leading.shape[1] :]
        if 2 * len(rows) > len(self.ids):  # To gather most of them takes longer than to compare all.
            return (leading + _multiply(self.rest, rest) * self.rest_steps)[rows]
        return leading[rows] + _multiply(self.rest.take(rows, axis=0), rest) * self.rest_steps[rows]

    def find_possible(
        self, leading: NDArray[np.float32], vector: NDArray[np.float32], *, least: np.float32
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
        """Return ids, products and errors of those whose product with a vector float32[F] may be at least `least`.

        `leading` is what `compare_leading` returned of the vector.
        """
        rest_length = np.linalg.norm(vector[self.leading.shape[1] :])
        most = self.rest_lengths * rest_length
        most += leading
        most += self.errors
        rows = np.flatnonzero(most >= least)
        products = self.add_rest(leading, vector, rows=rows)
        kept = products + self.errors[rows] >= least
        rows = rows[kept]
        return self.ids[rows], products[kept], self.errors[rows]


@dataclass(frozen=True, slots=True)
class FeatureMatrix:
    """Features in parts, of which there is at least one. Nothing of it changes; a later one may share them.

    The parts have what remains of them without `centre` float32[F], along the columns of `axes` float32[F, F], which
    are at right angles: those along which pictures differ most come first.
    """

    centre: NDArray[np.float32]
    axes: NDArray[np.float32]
    parts: tuple[RoundedFeatures, ...]

    @classmethod
    def for_pictures_like(cls, vectors: NDArray[np.float32]) -> Self:
        """Return a matrix without pictures for such as differ as these do, float32[N, F]; N may be 0."""
        centre = vectors.sum(axis=0) / max(1, len(vectors))
        around = (vectors - centre).astype(np.float64)
        axes = np.linalg.eigh(around.T @ around)[1][:, ::-1].astype(np.float32)
        nothing = RoundedFeatures.of(np.empty(0, np.int64), np.empty((0, len(centre)), np.float32))
        return cls(centre, axes, (nothing,))

    @property
    def ids(self) -> NDArray[np.int64]:
        """The ids int64[N] of all pictures."""
        return np.concatenate([part.ids for part in self.parts])

    def __len__(self) -> int:
        """Return how many pictures there are."""
        return sum(len(part.ids) for part in self.parts)

    def add(self, ids: NDArray[np.int64], vectors: NDArray[np.float32]) -> Self:
        """Return a matrix that has these as well, behind the others: features float32[N, F] of length 1 or 0."""
        before, last = self.parts[:-1], self.parts[-1]
        new = RoundedFeatures.of(ids, np.matmul(vectors - self.centre, self.axes, dtype=np.float32))
        if len(last.ids) + len(ids) <= PART_ROWS:
            return replace(self, parts=(*before, RoundedFeatures.join([last, new])))
        return replace(self, parts=(*before, last, new))

    def find_candidates(self, vector: NDArray[np.float32], *, count: int) -> list[int]:
        """Return ids among which those of the `count` nearest to a vector float32[F] of length 1 are.

        The centre adds the same to every cosine. What is left of one is no further from that of the rounded features
        than the error: with it for them the others have to reach the last of `count` that have it against them. The
        leading numbers of all are compared first, to which the rest adds no more than its length; the rest only of
        those whom it may bring among the nearest. Where the candidates are more than `MOST_CANDIDATES`, the nearest by
        the rounded features are returned.
        """
        if len(self) <= count:
            return list(self.ids.tolist())
        vector = vector @ self.axes
        # Threads of this search alone, which end with it: NumPy leaves them to each other.
        with ThreadPoolExecutor(_THREADS) as pool:
            leading = list(pool.map(lambda part: part.compare_leading(vector), self.parts))
            # Those whose leading numbers are nearest are compared wholly first: the nearest are as near at least.
            high = _find_high(leading, count=_LOOKED_AT_FIRST * count)
            sure = []
            for part, products in zip(self.parts, leading, strict=True):
                rows = np.flatnonzero(products >= high)
                sure.append(part.add_rest(products, vector, rows=rows) - part.errors[rows])
            least = _find_least(np.concatenate(sure), count=count)
            found = pool.map(lambda part, own: part.find_possible(own, vector, least=least), self.parts, leading)
            ids, nearness, errors = (np.concatenate(columns) for columns in zip(*found, strict=True))
        candidates = np.flatnonzero(nearness + errors >= _find_least(nearness - errors, count=count))
        most = max(count, MOST_CANDIDATES)
        if len(candidates) > most:
            candidates = candidates[np.argpartition(nearness[candidates], -most)[-most:]]
        return list(ids[candidates].tolist())


def _count_leading(size: int) -> int:
    """Return how many of a picture's numbers are leading ones."""
    return -(-size // _LEADING_OF)


def _round(vectors: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32], NDArray[np.float32]]:
    """Return vectors float32[N, F] as multiples int8[N, F] of steps float32[N], and the lengths of what that took."""
    steps = np.abs(vectors).max(axis=1, initial=0.0) / np.float32(_LARGEST_INT8)
    multiples = np.rint(vectors / np.where(steps > 0, steps, 1)[:, None])
    return multiples.astype(np.int8), steps, np.linalg.norm(vectors - multiples * steps[:, None], axis=1)


def _multiply(multiples: NDArray[np.int8], vector: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return int8[N, F] times float32[F]: float32[N]."""
    products, rows = np.empty(len(multiples), np.float32), max(1, BLOCK_NUMBERS // max(1, len(vector)))
    block = np.empty((min(rows, len(multiples)), len(vector)), np.float32)
    for start in range(0, len(multiples), rows):
        part = multiples[start : start + rows]
        block[: len(part)] = part
        np.dot(block[: len(part)], vector, out=products[start : start + rows])
    return products


def _find_high(products: Sequence[NDArray[np.float32]], *, count: int) -> np.float32:
    """Return what at least `count` of all products have, and not many more; of few products what all have."""
    whole = [part[: len(part) - len(part) % _GROUP_ROWS] for part in products]
    highest = np.concatenate([part.reshape(_GROUP_ROWS, -1).max(axis=0) for part in whole])
    return np.partition(highest, -count)[-count] if len(highest) > count else np.float32(-np.inf)


def _find_least(products: NDArray[np.float32], *, count: int) -> np.float32:
    """Return what the `count` largest of these have at least, however much single precision lost."""
    return np.partition(products, -count)[-count] - np.float32(_LOST_IN_SUMS)


def normalise(data: bytes, *, size: int) -> NDArray[np.float32]:
    """Return stored features of pictures, float32[N, size] with length 1, or 0 where they have no direction."""
    vectors = np.frombuffer(data, FEATURE_TYPE).reshape(-1, size).astype(np.float32)
    if not np.isfinite(vectors).all():
        np.nan_to_num(vectors, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors /= np.where(lengths > 0, lengths, 1)
    return vectors
