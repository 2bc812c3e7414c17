"""The files of embeddings: exact, continued with what is new, made anew when they do not fit, safe for processes."""

import fcntl
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.utils import timezone

from classifier.features import files as embedding_files
from classifier.features.files import get_folder, load_embeddings, update_embeddings
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


def list_files(version: ModelVersion) -> set[str]:
    return {path.name for path in get_folder(version).iterdir()}


def test_the_nearest_are_those_of_a_plain_comparison(version: ModelVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding_files, "CHUNK_ROWS", 7)
    vectors = draw(60)
    ids = record(version, vectors[:40]) + record(version, vectors[40:], age=timedelta(0))
    wanted = vectors[3] / np.linalg.norm(vectors[3])
    cosines = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)) @ wanted
    order = np.argsort(-cosines)[:9]
    found = update_embeddings(version).find_nearest(wanted, count=9)
    assert [id for id, _ in found] == [ids[place] for place in order]
    np.testing.assert_allclose([cosine for _, cosine in found], cosines[order], atol=1e-6)
    assert found[0] == (ids[3], pytest.approx(1.0))


def test_what_was_added_is_read_and_what_was_there_stays(version: ModelVersion) -> None:
    old = record(version, draw(10))
    first = update_embeddings(version)
    new = record(version, draw(1, seed=2))
    second = update_embeddings(version)
    assert (first.rows, second.rows) == (10, 11)
    assert (first.last_id, second.last_id, second.settled_id) == (old[-1], new[0], new[0])
    assert second.segments[0] == first.segments[0]
    assert load_embeddings(version).segments == second.segments


def test_what_is_young_is_read_again(version: ModelVersion) -> None:
    settled = record(version, draw(3))
    record(version, draw(2, seed=2), age=timedelta(0))
    young = update_embeddings(version)
    assert (young.rows, young.settled_id) == (5, settled[-1])
    # A transaction that wrote an earlier row ends only now: here, a row that is younger than its id.
    Classification.objects.update(created_at=timezone.now() - LONG_AGO)
    again = update_embeddings(version)
    assert (again.rows, again.settled_id) == (5, again.last_id)


def test_small_segments_become_one_and_their_files_go(version: ModelVersion) -> None:
    for seed in range(12):
        record(version, draw(3, seed=seed))
        last = update_embeddings(version)
    assert last.rows == 36
    assert len(last.segments) <= 4
    names = {f"{segment.name}.{suffix}" for segment in last.segments for suffix in ("vectors", "ids")}
    assert list_files(version) == names | {"state.json", "lock"}


def test_files_of_another_database_are_made_anew(version: ModelVersion) -> None:
    ids = record(version, draw(5))
    update_embeddings(version)
    other = draw(5, seed=2)
    for id, vector in zip(ids, other, strict=True):
        Classification.objects.filter(pk=id).update(embedding=vector.tobytes())
    fresh = update_embeddings(version)
    assert fresh.rows == 5
    assert fresh.find_nearest(other[2] / np.linalg.norm(other[2]), count=1) == [(ids[2], pytest.approx(1.0))]


def test_files_of_more_than_the_table_has_are_made_anew(version: ModelVersion) -> None:
    ids = record(version, draw(5))
    update_embeddings(version)
    Classification.objects.filter(pk__in=ids[3:]).delete()
    assert update_embeddings(version).rows == 3


def test_each_version_has_its_own(version: ModelVersion) -> None:
    other = create_model_version(stage=ModelVersion.Stage.RETIRED)
    record(version, draw(2))
    ids = record(other, draw(3, seed=2))
    assert update_embeddings(version).rows == 2
    assert [id for id, _ in update_embeddings(other).find_nearest(draw(1)[0], count=9)] != []
    assert sorted(id for id, _ in load_embeddings(other).find_nearest(draw(1)[0], count=9)) == ids


def test_what_is_no_embedding_is_left_out(version: ModelVersion) -> None:
    record(version, draw(2))
    ids = record(version, np.zeros((1, 3), "f4"))
    record(version, np.full((1, 64), np.nan, "f4"))
    embeddings = update_embeddings(version)
    assert embeddings.rows == 3
    found = embeddings.find_nearest(draw(1)[0], count=9)
    assert ids[0] not in [id for id, _ in found]
    assert 0.0 in [cosine for _, cosine in found]


def test_nothing_but_what_is_no_embedding_is_nothing(version: ModelVersion) -> None:
    record(version, np.zeros((2, 3), "f4"))
    embeddings = update_embeddings(version)
    assert (embeddings.rows, embeddings.find_nearest(draw(1)[0], count=9)) == (0, [])
    record(version, draw(1))
    assert update_embeddings(version).rows == 1


def test_while_another_process_reads_nothing_is_written(version: ModelVersion) -> None:
    record(version, draw(2))
    before = update_embeddings(version)
    record(version, draw(2, seed=2))
    with (get_folder(version) / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert update_embeddings(version).segments == before.segments
    assert update_embeddings(version).rows == 4


def test_who_holds_the_old_files_reads_on(version: ModelVersion) -> None:
    ids = record(version, draw(2))
    held = update_embeddings(version)
    record(version, draw(5, seed=2))
    assert update_embeddings(version).segments[0] != held.segments[0]
    assert sorted(id for id, _ in held.find_nearest(draw(1)[0], count=9)) == ids


def test_the_files_are_loaded_again_when_they_are_replaced_meanwhile(
    version: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(version, draw(2))
    update_embeddings(version)
    opened = []

    class Replaced(embedding_files.EmbeddingFiles):
        def __init__(self, *arguments: Any) -> None:
            opened.append(arguments)
            if len(opened) == 1:
                raise FileNotFoundError
            super().__init__(*arguments)

    monkeypatch.setattr(embedding_files, "EmbeddingFiles", Replaced)
    assert load_embeddings(version).rows == 2
    assert len(opened) == 2
