"""The canonical forms of Fashion-MNIST's test pictures, as hashes: no picture with such a form trains anything.

They come with the product, so that a picture is known for one where nobody has the data set.
"""

import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from classifier.ml.config import PreprocessingSpec
from classifier.ml.preprocessing import canonical_pictures

#: One hash after the other, in ascending order.
TEST_FORMS_FILE: Final = Path(__file__).with_name("test_forms.bin")
_HASH_BYTES: Final = 8


def build_test_forms(test_images: NDArray[np.uint8]) -> bytes:
    """The file of the test pictures uint8[N, 28, 28]."""
    return b"".join(sorted(set(_hash_forms(canonical_pictures(test_images, spec=PreprocessingSpec())))))


def find_test_forms(forms: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which of the canonical forms uint8[N, S, S, 1] are that of a test picture, bool[N]."""
    known = _load_hashes()
    return np.fromiter((digest in known for digest in _hash_forms(forms)), dtype=bool, count=len(forms))


def _hash_forms(forms: NDArray[np.uint8]) -> Iterator[bytes]:
    return (hashlib.blake2b(bytes(form), digest_size=_HASH_BYTES).digest() for form in forms)


@cache
def _load_hashes() -> frozenset[bytes]:
    content = TEST_FORMS_FILE.read_bytes()
    return frozenset(content[start : start + _HASH_BYTES] for start in range(0, len(content), _HASH_BYTES))
