"""What a process has in memory of a base's features: continued, and complete whoever commits when."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from unittest.mock import Mock

import numpy as np
import pytest
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from classifier.features import memory
from classifier.features.matrix import FeatureMatrix
from classifier.features.memory import LoadedFeatures
from classifier.models import Base, PictureFeatures
from tests.support.directions import draw, draw_along, normalise
from tests.support.fakes import create_model_version

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

LONG_AGO = timedelta(minutes=10)


@pytest.fixture(autouse=True)
def _forgetful() -> Iterator[None]:
    """Nothing in memory of other tests, and of this one nothing in that of others."""
    memory.forget_features()
    yield
    memory.forget_features()


@pytest.fixture
def base() -> Base:
    return create_model_version().base


def see(base: Base, vectors: np.ndarray, *, age: timedelta = LONG_AGO, ids: list[int] | None = None) -> list[int]:
    """Record what the base sees in as many new pictures; the ids."""
    rows = PictureFeatures.objects.bulk_create(
        PictureFeatures(
            pk=ids[number] if ids else None,
            base=base,
            sha256=np.random.default_rng().bytes(32),
            features=vector.astype("<f2").tobytes(),
            blank=False,
            canonical=False,
            views=1,
            created_at=timezone.now() - age,
        )
        for number, vector in enumerate(vectors)
    )
    return [row.pk for row in rows]


def list_ids(loaded: LoadedFeatures) -> list[int]:
    return loaded.matrix.ids.tolist()


def test_axes_are_those_of_pictures_of_all_kinds_and_of_more_once_there_are_more(
    base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "CHUNK_ROWS", 100)
    monkeypatch.setattr(memory, "SAMPLE_ROWS", 50)
    monkeypatch.setattr(threading.Thread, "start", lambda thread: None)

    def get_rest(features: FeatureMatrix) -> float:
        return float(np.median(np.concatenate([part.rest_lengths for part in features.parts])))

    ids = see(base, draw_along(12, 40))
    features = memory.get_features(base.pk, size=64)
    assert features.ids.tolist() == ids
    assert get_rest(features) < 0.05
    np.testing.assert_allclose(features.axes.T @ features.axes, np.eye(64), atol=1e-5)
    # Many more, which lie on other axes.
    see(base, draw(400) * (np.arange(64) < 12))
    loaded = memory._loaded[base.pk, 64]
    while loaded.read_on():
        assert memory._loaded[base.pk, 64] is loaded
    assert get_rest(loaded.matrix) > 0.5
    memory.get_features(base.pk, size=64)
    anew = memory._loaded[base.pk, 64]
    assert anew is not loaded
    while anew.read_on():
        pass
    assert (len(anew.matrix), anew.is_outgrown) == (440, False)
    assert get_rest(anew.matrix) < 0.1


def test_nobody_reads_on_for_what_was_replaced(base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "CHUNK_ROWS", 4)
    monkeypatch.setattr(threading.Thread, "start", lambda thread: None)
    # The thread's end would close the connection that is the test's.
    monkeypatch.setattr(connection, "close", lambda: None)
    ids = see(base, draw(13))
    memory.get_features(base.pk, size=64)
    (loaded,) = memory._loaded.values()
    memory.forget_features()
    loaded._catch_up()
    assert list_ids(loaded) == ids[:4]
    memory.get_features(base.pk, size=64)
    (anew,) = memory._loaded.values()
    anew._catch_up()
    assert list_ids(anew) == ids


def test_features_are_quantised_to_length_1_or_0(base: Base) -> None:
    vectors = np.vstack([draw(3), np.zeros((1, 64), "f4")])
    see(base, vectors)
    loaded = LoadedFeatures(base.pk, size=64)
    loaded.read_on()
    (held,) = loaded.matrix.parts
    assert (held.leading.shape, held.rest.shape) == ((4, 16), (4, 48))
    assert {held.leading.dtype, held.rest.dtype} == {np.dtype(np.int8)}
    kept = np.hstack([held.leading * held.leading_steps[:, None], held.rest * held.rest_steps[:, None]])
    lost = np.linalg.norm(kept @ loaded.matrix.axes.T + loaded.matrix.centre - normalise(vectors), axis=1)
    np.testing.assert_allclose(held.errors, lost, atol=1e-3)
    assert 0 < lost[:3].max() < 0.02
    # Where there is no direction the length is 0.
    assert lost[3] < 0.02


def test_what_was_added_is_read_behind_what_was_there(base: Base) -> None:
    loaded = LoadedFeatures(base.pk, size=64)
    old = see(base, draw(10))
    loaded.read_on()
    held = loaded.matrix
    new = see(base, draw(30, seed=2))
    assert not loaded.read_on()
    assert list_ids(loaded) == old + new
    # Who searches what was there before is not disturbed.
    assert held.ids.tolist() == old


def test_many_are_read_step_by_step(base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "CHUNK_ROWS", 4)
    ids = see(base, draw(9))
    loaded = LoadedFeatures(base.pk, size=64)
    steps = [(loaded.read_on(), len(list_ids(loaded))) for _ in range(3)]
    assert steps == [(True, 4), (True, 8), (False, 9)]
    assert list_ids(loaded) == ids


def test_a_row_whose_transaction_ends_after_later_ones_is_found_once(base: Base) -> None:
    settled = see(base, draw(3))
    young = see(base, draw(2, seed=2), age=timedelta(0), ids=[settled[-1] + 2, settled[-1] + 3])
    loaded = LoadedFeatures(base.pk, size=64)
    loaded.read_on()
    late = see(base, draw(1, seed=3), age=timedelta(0), ids=[settled[-1] + 1])
    for _ in range(2):
        loaded.read_on()
        assert list_ids(loaded) == settled + young + late


def test_late_rows_are_looked_for_only_where_an_id_is_missing(base: Base, django_assert_num_queries) -> None:
    ids = see(base, draw(3))
    loaded = LoadedFeatures(base.pk, size=64)
    loaded.read_on()
    ids += see(base, draw(1), age=timedelta(0), ids=[ids[-1] + 1])
    loaded.read_on()
    with django_assert_num_queries(3):
        loaded.read_on()
    see(base, draw(1), age=timedelta(0), ids=[ids[-1] + 2])
    loaded.read_on()
    with django_assert_num_queries(4):
        loaded.read_on()


def test_a_late_row_is_found_where_many_ids_are_missing(base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "CHUNK_ROWS", 4)
    (settled,) = see(base, draw(1))
    young = see(base, draw(2), age=timedelta(0), ids=[settled + 10, settled + 20])
    loaded = LoadedFeatures(base.pk, size=64)
    loaded.read_on()
    # More than one look reads at once.
    late = see(base, draw(6), age=timedelta(0), ids=[*range(settled + 2, settled + 8)])
    for _ in range(2):
        loaded.read_on()
        ids = list_ids(loaded)
        assert (ids[:3], sorted(ids[3:])) == ([settled, *young], late)


def test_what_is_late_is_found_once_what_is_new_was_read(base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "CHUNK_ROWS", 4)
    young = see(base, draw(2), age=timedelta(0))
    late, others = young[-1] + 1, range(young[-1] + 2, young[-1] + 11)
    see(base, draw(9), age=timedelta(0), ids=[*others])
    loaded = LoadedFeatures(base.pk, size=64)
    assert loaded.read_on()
    see(base, draw(1), age=timedelta(0), ids=[late])
    while loaded.read_on():
        pass
    assert sorted(list_ids(loaded)) == [*young, late, *others]


def test_others_wait_for_the_first_read(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, reading, may_end = LoadedFeatures(1, size=64), threading.Event(), threading.Event()

    def read_on() -> bool:
        reading.set()
        assert may_end.wait(10)
        loaded._add(memory._Read(np.array([7]), np.ones(64, "<f2").tobytes(), count=1, last=7))
        return False

    monkeypatch.setattr(loaded, "read_on", read_on)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(loaded.refresh)
        assert reading.wait(10)
        second = pool.submit(loaded.refresh)
        with pytest.raises(TimeoutError):
            second.result(timeout=0.2)
        may_end.set()
        assert [found.result(10).ids.tolist() for found in (first, second)] == [[7], [7]]


def test_after_a_read_that_failed_the_next_one_reads(base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = see(base, draw(3))
    loaded = LoadedFeatures(base.pk, size=64)
    with monkeypatch.context() as failing:
        failing.setattr(loaded, "read_on", Mock(side_effect=OperationalError))
        with pytest.raises(OperationalError):
            loaded.refresh()
    assert loaded.refresh().ids.tolist() == ids


def test_a_read_that_the_database_ends_fails_as_any_statement(base: Base) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite ends no statement")
    see(base, draw(3))
    slow = PictureFeatures.objects.extra(where=["pg_sleep(1) IS NOT NULL"])
    with transaction.atomic():
        connection.cursor().execute("SET LOCAL statement_timeout = 10")
        with pytest.raises(OperationalError), transaction.atomic():
            memory._read(slow, size=64)


def test_other_bases_and_other_sizes_are_left_out(base: Base) -> None:
    see(create_model_version(stage="retired").base, draw(3))
    own = see(base, draw(2))
    see(base, np.zeros((3, 3)))
    loaded = LoadedFeatures(base.pk, size=64)
    loaded.read_on()
    assert list_ids(loaded) == own
