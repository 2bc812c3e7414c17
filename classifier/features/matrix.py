"""The features of a base in this process's memory: what nearest pictures are searched in.

A copy of what `PictureFeatures` holds, a byte a number: it says which pictures may be the nearest, and their rows say
which are. Whoever looks for similar products adds what is new since somebody last looked; what is read once is never
read again, however many processes write.
"""

import io
import logging
import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import Final, Self

import numpy as np
from django.conf import settings
from django.db import connection
from django.db.models import QuerySet
from django.db.models.functions import Now
from numpy.typing import NDArray

from classifier.ml.types import FEATURE_TYPE
from classifier.models import PictureFeatures

logger = logging.getLogger(__name__)

#: A transaction that wrote an earlier id may still be open; none is for so long (`idle_in_transaction_session_timeout`
#: is 30 s). Below the newest row of this age nothing comes any more.
SETTLED_AFTER: Final = timedelta(seconds=120)
#: Rows that one look reads: other threads of the process go on between two of them.
CHUNK_ROWS: Final = 4_000
#: Numbers that are made single precision together: as many as a cache holds.
BLOCK_NUMBERS: Final = 2**17
#: Pictures that a search looks at together, at most.
PART_ROWS: Final = 2**16
#: Pictures of which the axes are found along which all differ most.
SAMPLE_ROWS: Final = 1_000
#: Candidates, at most, unless more are wanted: where more are as near as rounding can tell, the nearest by it will do.
MOST_CANDIDATES: Final = 10_000
#: Of so many numbers one is a leading one.
_LEADING_OF: Final = 4
#: So many times as many as were to be sampled are too many for axes that were found of fewer.
_OUTGROWN: Final = 4
#: So many times the pictures that are wanted are compared wholly at first.
_LOOKED_AT_FIRST: Final = 20
#: Of so many pictures the nearest is looked at, where the nearest of very many are wanted.
_GROUP_ROWS: Final = 64
#: Of one search.
_THREADS: Final = min(4, os.cpu_count() or 1)
_LARGEST_INT8: Final = 127
#: What single precision may lose in a sum.
_LOST_IN_SUMS: Final = 1e-5
#: Of PostgreSQL's binary format of COPY: a signature with flags and no extension, and the count of values -1.
_COPY_HEADER_BYTES: Final = 19
_COPY_TRAILER_BYTES: Final = 2


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


@dataclass(frozen=True, slots=True)
class _Read:
    """Of `count` rows up to the id `last` the ids int64[N] and features, one behind the other, of those of a size."""

    ids: NDArray[np.int64]
    data: bytes
    count: int
    last: int


def _read(rows: QuerySet[PictureFeatures], *, size: int) -> _Read:
    """Read rows with so many features each, and pass over others.

    PostgreSQL copies them: to make each row Python's keeps a process busy for many times as long. Which have the size
    is no condition of the rows: it takes them for few then, and reads and sorts the whole table.
    """
    values, length = rows.values_list("pk", "features"), size * FEATURE_TYPE.itemsize
    if connection.vendor != "postgresql":
        found = list(values)
        kept = [(pk, bytes(data)) for pk, data in found if len(data) == length]
        ids = np.array([pk for pk, _ in kept], np.int64)
        return _Read(ids, b"".join(data for _, data in kept), len(found), max((pk for pk, _ in found), default=0))
    select, parameters = values.query.sql_with_params()
    statement = (
        f"COPY (SELECT id, length(features) = %s, CASE WHEN length(features) = %s THEN features ELSE %s END "  # noqa: S608
        f"FROM ({select}) AS rows (id, features)) TO STDOUT (FORMAT binary)"
    )
    copied = io.BytesIO()
    # Django's cursor passes this method on as it is, with errors that nobody else expects.
    with connection.cursor() as cursor, connection.wrap_database_errors:
        cursor.copy_expert(cursor.mogrify(statement, [length, length, bytes(length), *parameters]), copied)
    # All rows have as many bytes: how many values, and each with its length before it.
    columns = (("id", ">i8"), ("fits", "?"), ("features", f"V{length}"))
    layout = [part for name, kind in columns for part in ((f"length of {name}", ">i4"), (name, kind))]
    copies = np.frombuffer(copied.getbuffer()[_COPY_HEADER_BYTES:-_COPY_TRAILER_BYTES], [("count", ">i2"), *layout])
    fitting = copies[copies["fits"]]
    last = int(copies["id"].max(initial=0))
    return _Read(fitting["id"].astype(np.int64), fitting["features"].tobytes(), len(copies), last)


class LoadedFeatures:
    """The features of one base, of one size, as far as this process has read them."""

    def __init__(self, base_id: int, *, size: int) -> None:
        """Nothing yet of this base, whose pictures have `size` features each."""
        self._base_id, self._size = base_id, size
        #: What was read until now.
        self.matrix = FeatureMatrix.for_pictures_like(np.empty((0, size), np.float32))
        # How many pictures its axes were found of.
        self._sampled: int | None = None
        # What was read reaches up to here, and up to there for good: nothing comes below it any more.
        self._until = self._settled = 0
        self._refreshing, self._reading, self._catching_up = threading.Lock(), threading.Lock(), threading.Lock()
        self._looked_at: float | None = None

    def refresh(self) -> FeatureMatrix:
        """Return the features as they were SIMILAR_REFRESH_SECONDS ago or later.

        While one thread reads others get what was there; the first time they wait for it, since that is nothing. Of
        more than CHUNK_ROWS new ones the others are read by a thread of this process, and found by later calls.
        """
        if self._is_due() and self._refreshing.acquire(blocking=self._looked_at is None):
            try:
                # Another thread may have read while this one waited.
                if self._is_due():
                    now = time.monotonic()
                    is_behind = self.read_on()
                    # Only now: who comes after a read that failed reads.
                    self._looked_at = now
                    if is_behind:
                        threading.Thread(target=self._catch_up, name="features", daemon=True).start()
            finally:
                self._refreshing.release()
        return self.matrix

    @property
    def is_outgrown(self) -> bool:
        """Whether there are far more pictures than the axes were found of, and a new beginning finds better ones."""
        return self._sampled is not None and self._sampled < SAMPLE_ROWS < len(self.matrix) / _OUTGROWN

    def _is_due(self) -> bool:
        return self._looked_at is None or time.monotonic() - self._looked_at >= settings.SIMILAR_REFRESH_SECONDS

    def read_on(self) -> bool:
        """Add what is new, CHUNK_ROWS rows at most; return whether there is more."""
        with self._reading:
            rows = PictureFeatures.objects.filter(base=self._base_id)
            if self._sampled is None:
                # By their hashes, which are as good as drawn by chance: those that came first may be of one kind.
                sample = _read(rows.order_by("sha256")[:SAMPLE_ROWS], size=self._size)
                self.matrix = FeatureMatrix.for_pictures_like(normalise(sample.data, size=self._size))
                self._sampled = sample.count
            newest = PictureFeatures.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
            ahead = rows.filter(pk__gt=self._until, pk__lte=newest).order_by("pk")[:CHUNK_ROWS]
            read = _read(ahead, size=self._size)
            is_behind = read.count == CHUNK_ROWS
            is_complete = self._settled >= self._until
            if is_behind and not is_complete:
                # What is late may wait until the rest is there, and nothing new is settled before.
                settled = self._settled
            else:
                old = PictureFeatures.objects.filter(created_at__lt=Now() - SETTLED_AFTER)
                settled = old.order_by("-pk").values_list("pk", flat=True).first() or 0
                if not is_complete:
                    self._add_late(rows)
            self._add(read)
            self._until = read.last if is_behind else max(newest, self._until)
            self._settled = min(settled, self._until)
            return is_behind

    def _add_late(self, rows: QuerySet[PictureFeatures]) -> None:
        """Add rows whose transaction ended after later ones were read: their ids are missing among what is known."""
        ids = self.matrix.ids
        known = ids[ids > self._settled]
        if self._until - self._settled - len(known) <= CHUNK_ROWS:
            young = np.arange(self._settled + 1, self._until + 1)
        else:  # Many ids are another base's, or nobody's.
            found = rows.filter(pk__gt=self._settled, pk__lte=self._until).values_list("pk", flat=True)
            young = np.fromiter(found.iterator(), np.int64)
        late = np.setdiff1d(young, known).tolist()
        for start in range(0, len(late), CHUNK_ROWS):
            self._add(_read(rows.filter(pk__in=late[start : start + CHUNK_ROWS]), size=self._size))

    def _add(self, read: _Read) -> None:
        """Put rows behind what is there; whoever searches that meanwhile is not disturbed."""
        if len(read.ids):
            self.matrix = self.matrix.add(read.ids, normalise(read.data, size=self._size))

    def _catch_up(self) -> None:
        """Read what is new until nothing is, unless a thread of this process is at it."""
        if not self._catching_up.acquire(blocking=False):
            return
        try:
            is_behind = True
            while is_behind:
                started = time.monotonic()
                is_behind = self.read_on()
                # As much of the processor is left to those who ask for pages.
                time.sleep(time.monotonic() - started)
        except Exception:
            logger.exception("the features of base %s could not be read", self._base_id)
        finally:
            self._catching_up.release()
            connection.close()


_loaded: dict[tuple[int, int], LoadedFeatures] = {}


def get_features(base_id: int, *, size: int) -> FeatureMatrix:
    """Return the features of the base's pictures, as they were SIMILAR_REFRESH_SECONDS ago or later.

    Those of another base leave this process's memory.
    """
    key = (base_id, size)
    loaded = _loaded.get(key)
    if loaded is None or loaded.is_outgrown:
        _loaded.clear()
    return _loaded.setdefault(key, LoadedFeatures(base_id, size=size)).refresh()


def forget_features() -> None:
    """Let this process read features anew: of much that it has the table has nothing any more."""
    logger.info("features are read anew: pictures were removed")
    _loaded.clear()
