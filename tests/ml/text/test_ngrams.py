"""The n-grams of titles: what they have in common, and nothing that depends on their neighbours."""

import numpy as np

from classifier.ml.text.ngrams import BUCKETS, count_ngrams


def test_titles_are_alike_by_the_ngrams_that_they_share() -> None:
    counts = count_ngrams(["Acme Blue Jeans", "acme  blue JEANS", "Acme Blue Jumper", "Sandalen"])
    assert counts.shape == (4, BUCKETS)
    likeness = (counts @ counts.T).toarray()
    np.testing.assert_allclose(np.diag(likeness), 1.0)
    assert likeness[0, 1] == likeness[0, 0]
    assert 0.5 < likeness[0, 2] < 0.9
    assert likeness[0, 3] < 0.1


def test_a_title_counts_the_same_whatever_stands_beside_it() -> None:
    titles = ["Été", "", "x", "Kleid \U0001f457", "a" * 1000, "\ud800 half"]
    together = count_ngrams(titles)
    for number, title in enumerate(titles):
        np.testing.assert_array_equal(count_ngrams([title]).toarray()[0], together[[number]].toarray()[0])
    assert together[[1]].nnz == 0
    np.testing.assert_array_equal(count_ngrams(["ete"]).toarray()[0], together[[0]].toarray()[0])
    assert count_ngrams([]).shape == (0, BUCKETS)
