"""The file of embeddings: exact, continued with what is new, made anew when it does not fit, safe for processes."""

import fcntl
import os
import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.utils import timezone

from classifier.features import files as embedding_files
from classifier.features.files import RECORD, Embeddings, get_path, map_file, read_embeddings
from classifier.models import Classification, LabellingRun, ModelVersion
from tests.support.factories import create_image
from tests.support.fakes import create_model_version

pytestmark = pytest.mark.django_db

LONG_AGO = timedelta(minutes=10)


@pytest.fixture(autouse=True)
def embeddings_folder(settings: Any, tmp_path: Path) -> Path:
    settings.EMBEDDINGS_DIR = tmp_path / "embeddings"
    return settings.EMBEDDINGS_DIR


@pytest.fixture
def version() -> ModelVersion:
    return create_model_version()


def record(version: ModelVersion, vectors: np.ndarray, *, age: timedelta = LONG_AGO) -> list[int]:
    """Record what the version says of as many new pictures; the ids."""
    run = LabellingRun.objects.create(model_version=version)
    rows = Classification.objects.bulk_create(
        Classification(
            image=create_image(),
            model_version=version,
            run=run,
            sha256="0" * 64,
            group="Bags",
            garment="Bag",
            confidence=0.9,
            abstained=False,
            garment_probabilities=[0.1] * 10,
            embedding=vector.astype("<f4").tobytes(),
            created_at=timezone.now() - age,
        )
        for vector in vectors
    )
    return [row.pk for row in rows]


def draw(rows: int, *, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, 64)).astype("f4")


def list_ids(embeddings: Embeddings) -> list[int]:
    """The ids in the order in which they are searched."""
    return [id for part in embeddings.parts for id in part["id"].tolist()]


def list_written(version: ModelVersion) -> list[int]:
    return map_file(get_path(version))["id"].tolist()


def test_the_nearest_are_those_of_a_plain_comparison(version: ModelVersion) -> None:
    vectors = draw(60)
    ids = record(version, vectors[:20])
    read_embeddings(version)
    ids += record(version, vectors[20:40]) + record(version, vectors[40:], age=timedelta(0))
    wanted = vectors[3] / np.linalg.norm(vectors[3])
    cosines = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)) @ wanted
    order = np.argsort(-cosines)[:9]
    embeddings = read_embeddings(version)
    found = embeddings.find_nearest(wanted, count=9)
    assert [len(part) for part in embeddings.parts] == [20, 40]
    assert [id for id, _ in found] == [ids[place] for place in order]
    np.testing.assert_allclose([cosine for _, cosine in found], cosines[order], atol=1e-6)
    assert found[0] == (ids[3], pytest.approx(1.0))


def test_what_was_added_is_written_behind_what_was_there(version: ModelVersion) -> None:
    old = record(version, draw(10))
    assert list_ids(read_embeddings(version)) == old
    before = get_path(version).read_bytes()
    new = record(version, draw(1, seed=2))
    assert list_ids(read_embeddings(version)) == old + new
    after = get_path(version).read_bytes()
    assert (after[: len(before)], len(after)) == (before, 11 * RECORD.itemsize)
    assert list_ids(read_embeddings(version)) == old + new


def test_what_is_young_is_searched_and_written_when_no_earlier_id_can_come(version: ModelVersion) -> None:
    settled = record(version, draw(3))
    young = record(version, draw(2, seed=2), age=timedelta(0))
    late = record(version, draw(1, seed=3))
    assert list_ids(read_embeddings(version)) == settled + young + late
    assert list_written(version) == settled
    # A transaction that wrote an earlier row ends only now: here, a row that is younger than its id.
    Classification.objects.update(created_at=timezone.now() - LONG_AGO)
    assert list_ids(read_embeddings(version)) == settled + young + late
    assert list_written(version) == settled + young + late


def test_many_are_read_step_by_step(version: ModelVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding_files, "CHUNK_ROWS", 4)
    ids = record(version, draw(9))
    steps = [read_embeddings(version) for _ in range(3)]
    assert [(len(list_ids(step)), step.is_behind) for step in steps] == [(4, True), (8, True), (9, False)]
    assert list_written(version) == ids
    # Those that cannot be written yet make nobody try again at once.
    record(version, draw(5, seed=2), age=timedelta(0))
    assert not read_embeddings(version).is_behind


def test_a_file_of_another_database_is_made_anew(version: ModelVersion) -> None:
    ids = record(version, draw(5))
    read_embeddings(version)
    other = draw(5, seed=2)
    for id, vector in zip(ids, other, strict=True):
        Classification.objects.filter(pk=id).update(embedding=vector.tobytes())
    fresh = read_embeddings(version)
    assert list_ids(fresh) == list_written(version) == ids
    assert fresh.find_nearest(other[2] / np.linalg.norm(other[2]), count=1) == [(ids[2], pytest.approx(1.0))]


def test_a_file_of_more_than_the_table_has_is_made_anew(version: ModelVersion) -> None:
    ids = record(version, draw(5))
    read_embeddings(version)
    held = read_embeddings(version)
    Classification.objects.filter(pk__in=ids[3:]).delete()
    assert list_ids(read_embeddings(version)) == list_written(version) == ids[:3]
    # Who has the old file mapped reads on.
    assert sorted(id for id, _ in held.find_nearest(draw(1)[0], count=9)) == ids


def test_each_version_has_its_own(version: ModelVersion) -> None:
    other = create_model_version(stage=ModelVersion.Stage.RETIRED)
    own = record(version, draw(2))
    ids = record(other, draw(3, seed=2))
    assert list_ids(read_embeddings(version)) == own
    assert list_ids(read_embeddings(other)) == ids


def test_what_is_no_embedding_is_left_out(version: ModelVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding_files, "CHUNK_ROWS", 2)
    record(version, np.zeros((3, 3), "f4"))
    assert list_ids(read_embeddings(version)) == []
    (directionless,) = record(version, np.full((1, 64), np.nan, "f4"))
    assert read_embeddings(version).find_nearest(draw(1)[0], count=9) == [(directionless, 0.0)]


def test_who_was_slower_writes_nothing(version: ModelVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = record(version, draw(4))
    other_looks = [lambda: read_embeddings(version)]
    flock = fcntl.flock

    def be_slow(file: Any, operation: int) -> None:
        """Let another process look and write before this one has the file to itself."""
        while other_looks:
            other_looks.pop()()
        flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", be_slow)
    assert list_ids(read_embeddings(version)) == ids
    assert list_written(version) == ids


@pytest.mark.parametrize("left", [1, RECORD.itemsize - 1])
def test_part_of_a_record_that_a_killed_writer_left_is_overwritten(version: ModelVersion, left: int) -> None:
    ids = record(version, draw(3))
    read_embeddings(version)
    os.truncate(get_path(version), 2 * RECORD.itemsize + left)
    assert list_written(version) == ids[:2]
    assert list_ids(read_embeddings(version)) == ids
    assert get_path(version).stat().st_size == 3 * RECORD.itemsize
    assert list_written(version) == ids


@pytest.mark.timeout(120)
def test_processes_that_write_at_once_write_everything_once(version: ModelVersion, tmp_path: Path) -> None:
    """Each takes the records in steps of its own, and some are killed while they write."""
    path = tmp_path / "file"
    records = np.zeros(3000, RECORD)
    records["id"] = np.arange(1, len(records) + 1)

    def write_all(step: int) -> None:
        while (last := len(map_file(path))) < len(records):
            embedding_files._append(path, records[last : last + step], after=last)

    children = []
    for step in (7, 11, 13, 17):
        if (child := os.fork()) == 0:
            try:
                write_all(step)
            finally:
                os._exit(0)
        children.append(child)
    os.kill(children[0], signal.SIGKILL)
    for child in children:
        os.waitpid(child, 0)
    assert map_file(path)["id"].tolist() == records["id"].tolist()
