"""Whether new bytes at an address are the picture that was there before: made anew by its host, or another one.

Shops make their pictures again (another size, another compression) without changing what they show. What people said of
a picture then still holds. The looks are compared by difference hashes: one bit for each of 64 neighbours, which one is
lighter. Plain pictures have hashes that say little, so a look with few bits, or few missing, is like no other.
"""

import struct

import numpy as np
from PIL import Image

#: Bits by which the hashes of one look may differ, the bits that a hash must have to say something, and how much the
#: shape (width by height) may differ.
MAXIMUM_DIFFERENCE = 4
FEWEST_BITS, MOST_BITS = 12, 52
MAXIMUM_SHAPE_DIFFERENCE = 0.02


def build_look_hash(pixels: np.ndarray) -> int:
    """Return the 64-bit difference hash, as a signed number, of a picture: uint8 of shape (height, width, 3)."""
    grey = np.asarray(Image.fromarray(pixels).convert("L").resize((9, 8), Image.Resampling.BOX), dtype=np.int16)
    (number,) = struct.unpack(">q", np.packbits(grey[:, 1:] > grey[:, :-1]).tobytes())
    return int(number)


def is_same_look(first: tuple[int, float], second: tuple[int, float]) -> bool:
    """Return whether two looks, each a hash and a shape, are of one picture."""
    (hash, shape), (other_hash, other_shape) = first, second
    return (
        all(FEWEST_BITS <= _count_bits(number) <= MOST_BITS for number in (hash, other_hash))
        and _count_bits(hash ^ other_hash) <= MAXIMUM_DIFFERENCE
        and max(shape, other_shape) <= min(shape, other_shape) * (1 + MAXIMUM_SHAPE_DIFFERENCE)
    )


def _count_bits(number: int) -> int:
    return (number & 0xFFFF_FFFF_FFFF_FFFF).bit_count()
