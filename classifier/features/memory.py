"""The features of a base in this process's memory, continued from the table.

Whoever looks for similar products adds what is new since somebody last looked; what is read once is never read again,
however many processes write.
"""

import io
import logging
import threading
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import numpy as np
from django.conf import settings
from django.db import connection
from django.db.models import QuerySet
from django.db.models.functions import Now
from numpy.typing import NDArray

from classifier.features.matrix import FeatureMatrix, normalise
from classifier.ml.types import FEATURE_TYPE
from classifier.models import PictureFeatures

logger = logging.getLogger(__name__)

#: A transaction that wrote an earlier id may still be open; none is for so long (`idle_in_transaction_session_timeout`
#: is 30 s). Below the newest row of this age nothing comes any more.
SETTLED_AFTER: Final = timedelta(seconds=120)
#: Rows that one look reads: other threads of the process go on between two of them.
CHUNK_ROWS: Final = 4_000
#: Pictures of which the principal axes are those of all.
SAMPLE_ROWS: Final = 1_000
#: Axes of fewer pictures than SAMPLE_ROWS are replaced once there are so many times as many.
_OUTGROWN: Final = 4
#: Of PostgreSQL's binary format of COPY: a signature with flags and no extension, and the count of values -1.
_COPY_HEADER_BYTES: Final = 19
_COPY_TRAILER_BYTES: Final = 2


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
        self.matrix = FeatureMatrix.for_sample(np.empty((0, size), np.float32))
        # How many pictures were sampled for its axes.
        self._sampled: int | None = None
        #: Whether this process has others in place of these, which nobody continues.
        self.is_replaced = False
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
        """Whether there are far more pictures than were sampled, so that a new beginning finds better axes."""
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
                self.matrix = FeatureMatrix.for_sample(normalise(sample.data, size=self._size))
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
        """Read what is new until nothing is or others take its place, unless a thread of this process is at it."""
        if not self._catching_up.acquire(blocking=False):
            return
        try:
            is_behind = True
            while is_behind and not (self.is_replaced or self.is_outgrown):
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
_replacing = threading.Lock()


def get_features(base_id: int, *, size: int) -> FeatureMatrix:
    """Return the features of the base's pictures, as they were SIMILAR_REFRESH_SECONDS ago or later.

    Those of another base leave this process's memory.
    """
    with _replacing:
        loaded = _loaded.get((base_id, size))
        if loaded is None or loaded.is_outgrown:
            _clear()
            loaded = _loaded[base_id, size] = LoadedFeatures(base_id, size=size)
    return loaded.refresh()


def forget_features() -> None:
    """Let this process read features anew: of much that it has the table has nothing any more."""
    logger.info("features are read anew: pictures were removed")
    with _replacing:
        _clear()


def _clear() -> None:
    for loaded in _loaded.values():
        loaded.is_replaced = True
    _loaded.clear()
