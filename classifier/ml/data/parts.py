"""The parts of a catalogue's reviewed pictures, and which of them a family of pictures falls into."""

import hashlib
from enum import StrEnum
from typing import Final


class Part(StrEnum):
    """What pictures are used for."""

    TRAINING = "training"
    VALIDATION = "validation"
    CALIBRATION = "calibration"
    TEST = "test"


#: How many of a hundred families fall into each part. What chooses and calibrates is small: out-of-fold answers of
#: training pictures do most of that.
SHARES: Final = {Part.TRAINING: 70, Part.VALIDATION: 5, Part.CALIBRATION: 5, Part.TEST: 20}


def draw_part(sha256: bytes) -> Part:
    """Return the part of a family whose first picture has this SHA-256: by chance, but the same in every catalogue."""
    # Hashed once more: the first byte of the hash itself says which titled pictures are held out.
    place = int.from_bytes(hashlib.sha256(b"part" + sha256).digest()[:8], "big") * 100 >> 64
    for part, share in SHARES.items():
        place -= share
        if place < 0:
            return part
    raise AssertionError("expected shares of a hundred")
