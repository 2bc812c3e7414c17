"""Families fall into parts by chance, in fixed shares, and alike everywhere."""

import hashlib
from collections import Counter

import pytest

from classifier.ml.data.parts import SHARES, draw_part


def test_parts_have_their_shares() -> None:
    assert sum(SHARES.values()) == 100
    digests = [hashlib.sha256(bytes([number % 256, number // 256])).digest() for number in range(20_000)]
    drawn = Counter(map(draw_part, digests))
    for part, share in SHARES.items():
        assert drawn[part] / 200 == pytest.approx(share, abs=1.5)
    assert [draw_part(digest) for digest in digests[:50]] == [draw_part(digest) for digest in digests[:50]]
