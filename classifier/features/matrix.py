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

#: Pictures that a search compares in one go; a part has no more unless they were added together.
PART_ROWS: Final = 2**16
#: Numbers that are made single precision together: as many as a cache holds.
BLOCK_NUMBERS: Final = 2**17
#: Candidates, at most, unless more are wanted: where more are as near as quantisation can tell, the nearest by it do.
MOST_CANDIDATES: Final = 10_000
#: Of so many numbers one is a leading one.
_LEADING_OF: Final = 4
#: So many times the pictures that are wanted are compared wholly at first.
FIRST_FACTOR: Final = 20
#: Of very many pictures the threshold of the first comparison is taken from the maxima of groups of so many.
GROUP_ROWS: Final = 64
#: Of one search.
_THREADS: Final = min(4, os.cpu_count() or 1)
_LARGEST_INT8: Final = 127
#: What single precision may lose in a sum.
_LOST_IN_SUMS: Final = 1e-5


@dataclass(frozen=True, slots=True)
class QuantisedFeatures:
    """The ids int64[N] and features of N pictures: of F numbers the `leading` int8[N, L], the `rest` int8[N, F - L].

    Of each picture, `leading_steps` and `rest_steps` float32[N] are what its numbers are multiples of, `rest_lengths`
    float32[N] is the length of the rest, and `errors` float32[N] that of what quantisation took.
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
        """Quantise features float32[N, F], the leading numbers first."""
        split = -(-vectors.shape[1] // _LEADING_OF)
        leading, leading_steps, leading_errors = _quantise(vectors[:, :split])
        rest, rest_steps, rest_errors = _quantise(vectors[:, split:])
        lengths = np.linalg.norm(vectors[:, split:], axis=1)
        return cls(ids, leading, rest, leading_steps, rest_steps, lengths, np.hypot(leading_errors, rest_errors))

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """The pictures of all parts, of which there is at least one."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    def multiply_leading(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what the leading numbers add to the products float32[N] with a vector float32[F]."""
        return _multiply(self.leading, vector[: self.leading.shape[1]]) * self.leading_steps

    def find_lower_bounds(
        self, leading_products: NDArray[np.float32], vector: NDArray[np.float32], *, threshold: np.float32
    ) -> NDArray[np.float32]:
        """Return the least that the products with a vector are, of pictures whose leading one reaches the threshold.

        `leading_products` float32[N] are those of `multiply_leading`.
        """
        rows = np.flatnonzero(leading_products >= threshold)
        return self._add_rest(leading_products, vector, rows=rows) - self.errors[rows]

    def find_above(
        self, leading_products: NDArray[np.float32], vector: NDArray[np.float32], *, threshold: np.float32
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
        """Return ids, products and errors of the pictures whose product with a vector may reach the threshold.

        `leading_products` float32[N] are those of `multiply_leading`.
        """
        upper_bounds = self.rest_lengths * np.linalg.norm(vector[self.leading.shape[1] :])
        upper_bounds += leading_products
        upper_bounds += self.errors
        rows = np.flatnonzero(upper_bounds >= threshold)
        products = self._add_rest(leading_products, vector, rows=rows)
        is_above = products + self.errors[rows] >= threshold
        rows = rows[is_above]
        return self.ids[rows], products[is_above], self.errors[rows]

    def _add_rest(
        self, leading_products: NDArray[np.float32], vector: NDArray[np.float32], *, rows: NDArray[np.intp]
    ) -> NDArray[np.float32]:
        """Return the whole products float32[R] of R rows."""
        rest = vector[self.leading.shape[1] :]
        if 2 * len(rows) > len(self.ids):  # To gather most of them takes longer than to multiply all.
            return (leading_products + _multiply(self.rest, rest) * self.rest_steps)[rows]
        return leading_products[rows] + _multiply(self.rest.take(rows, axis=0), rest) * self.rest_steps[rows]


@dataclass(frozen=True, slots=True)
class FeatureMatrix:
    """Features in parts, of which there is at least one. Nothing of it changes; a later one may share them.

    The parts have their differences from `centre` float32[F] along the principal axes of a sample of pictures, the
    columns of `axes` float32[F, F]: those along which the pictures differ most come first.
    """

    centre: NDArray[np.float32]
    axes: NDArray[np.float32]
    parts: tuple[QuantisedFeatures, ...]

    @classmethod
    def for_sample(cls, vectors: NDArray[np.float32]) -> Self:
        """Return a matrix without pictures for such as those of a sample float32[N, F]; N may be 0."""
        centre = vectors.sum(axis=0) / max(1, len(vectors))
        differences = (vectors - centre).astype(np.float64)
        axes = np.linalg.eigh(differences.T @ differences)[1][:, ::-1].astype(np.float32)
        nothing = QuantisedFeatures.of(np.empty(0, np.int64), np.empty((0, len(centre)), np.float32))
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
        new = QuantisedFeatures.of(ids, np.matmul(vectors - self.centre, self.axes, dtype=np.float32))
        if len(last.ids) + len(ids) <= PART_ROWS:
            return replace(self, parts=(*before, QuantisedFeatures.join([last, new])))
        return replace(self, parts=(*before, last, new))

    def find_candidates(self, vector: NDArray[np.float32], *, count: int) -> list[int]:
        """Return ids among which those of the `count` nearest neighbours of a vector float32[F] of length 1 are.

        The centre adds the same to every cosine, so that products with the differences from it are compared. None is
        further from that of the quantised features than their error. The leading numbers of all are multiplied first;
        the rest adds no more than the product of the lengths, and is multiplied for those alone whom that may bring
        among the nearest. Of more candidates than `MOST_CANDIDATES` those with the largest products are returned.
        """
        if len(self) <= count:
            return list(self.ids.tolist())
        vector = vector @ self.axes
        # Threads of this search alone, which end with it: NumPy releases the lock of the interpreter.
        with ThreadPoolExecutor(_THREADS) as pool:
            leading = list(pool.map(lambda part: part.multiply_leading(vector), self.parts))
            first = _find_first_threshold(leading, count=FIRST_FACTOR * count)
            bounds = pool.map(
                lambda part, own: part.find_lower_bounds(own, vector, threshold=first), self.parts, leading
            )
            threshold = _find_lower_bound(np.concatenate(list(bounds)), count=count)
            found = pool.map(lambda part, own: part.find_above(own, vector, threshold=threshold), self.parts, leading)
            ids, products, errors = (np.concatenate(columns) for columns in zip(*found, strict=True))
        candidates = np.flatnonzero(products + errors >= _find_lower_bound(products - errors, count=count))
        most = max(count, MOST_CANDIDATES)
        if len(candidates) > most:
            candidates = candidates[np.argpartition(products[candidates], -most)[-most:]]
        return list(ids[candidates].tolist())


def _quantise(vectors: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32], NDArray[np.float32]]:
    """Return vectors float32[N, F] as multiples int8[N, F] of steps float32[N], and the lengths of what that took."""
    steps = np.abs(vectors).max(axis=1, initial=0.0) / np.float32(_LARGEST_INT8)
    multiples = np.rint(vectors / np.where(steps > 0, steps, 1)[:, None])
    return multiples.astype(np.int8), steps, np.linalg.norm(vectors - multiples * steps[:, None], axis=1)


def _multiply(multiples: NDArray[np.int8], vector: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return int8[N, F] times float32[F]: float32[N]."""
    products, block_rows = np.empty(len(multiples), np.float32), max(1, BLOCK_NUMBERS // max(1, len(vector)))
    block = np.empty((min(block_rows, len(multiples)), len(vector)), np.float32)
    for start in range(0, len(multiples), block_rows):
        rows = multiples[start : start + block_rows]
        block[: len(rows)] = rows
        np.dot(block[: len(rows)], vector, out=products[start : start + block_rows])
    return products


def _find_first_threshold(products: Sequence[NDArray[np.float32]], *, count: int) -> np.float32:
    """Return what `count` of all products reach, or all where there are fewer, and not many more."""
    grouped = [part[: len(part) - len(part) % GROUP_ROWS].reshape(GROUP_ROWS, -1) for part in products]
    highest = np.concatenate([part.max(axis=0) for part in grouped])
    if len(highest) < 2 * count:  # Too many of these are not among the highest of all.
        highest = np.concatenate(products)
    count = min(count, len(highest))
    return np.float32(np.partition(highest, -count)[-count])


def _find_lower_bound(products: NDArray[np.float32], *, count: int) -> np.float32:
    """Return the least that the `count` largest of these may be, however much single precision lost."""
    return np.partition(products, -count)[-count] - np.float32(_LOST_IN_SUMS)


def normalise(data: bytes, *, size: int) -> NDArray[np.float32]:
    """Return stored features of pictures, float32[N, size] with length 1, or 0 where they have no direction."""
    vectors = np.frombuffer(data, FEATURE_TYPE).reshape(-1, size).astype(np.float32)
    if not np.isfinite(vectors).all():
        np.nan_to_num(vectors, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors /= np.where(lengths > 0, lengths, 1)
    return vectors
