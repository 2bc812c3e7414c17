"""The n-grams of characters that titles consist of, counted in as many buckets as a head has weights."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import scipy
from numpy.typing import NDArray

from classifier.ml.text.lexicon import fold

#: N-grams share a bucket by chance; of the titles of one shop few do.
BUCKETS: Final = 1 << 14
_LENGTHS: Final = (2, 3, 4, 5)
#: Of a title so many characters are read.
_MOST_CHARACTERS: Final = 300
# An odd factor, and Knuth's for hashing by multiplication, modulo 2^32.
_FACTOR: Final = 0x01000193
_GOLDEN: Final = 2654435769
_SHIFT: Final = 32 - BUCKETS.bit_length() + 1


def count_ngrams(titles: Sequence[str]) -> "scipy.sparse.csr_array":
    """Which n-grams of 2 to 5 characters each title has, float64[N, BUCKETS], sparse, each row of unit length.

    Letters count without case and accents; a word begins and ends with a space. The same titles give the same numbers
    on any machine. A title without words has none.
    """
    words = [fold(title)[:_MOST_CHARACTERS].split() for title in titles]
    texts = [f" {' '.join(of)} " if of else "" for of in words]
    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    codes = np.frombuffer("".join(texts).encode("utf-32-le", errors="replace"), dtype="<u4").astype(np.uint32)
    owners = np.repeat(np.arange(len(texts)), lengths)
    left = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(codes))
    keys = [np.empty(0, np.int64)]
    hashed = np.zeros(len(codes), dtype=np.uint32)
    for length in range(1, _LENGTHS[-1] + 1):
        # Beyond the end stands what the next title begins with; no n-gram of it is taken.
        hashed = hashed * np.uint32(_FACTOR) + np.roll(codes, 1 - length) + np.uint32(length)
        if length in _LENGTHS:
            whole = left >= length
            buckets = (hashed[whole] * np.uint32(_GOLDEN)) >> np.uint32(_SHIFT)
            keys.append(owners[whole] * BUCKETS + buckets.astype(np.int64))
    rows, columns = np.divmod(np.unique(np.concatenate(keys)), BUCKETS)
    counts = np.bincount(rows, minlength=len(texts))
    values: NDArray[np.float64] = 1 / np.sqrt(counts[rows])
    return scipy.sparse.csr_array((values, (rows, columns)), shape=(len(texts), BUCKETS))
