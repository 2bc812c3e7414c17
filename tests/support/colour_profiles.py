"""ICC profiles made in memory, as small as LittleCMS reads them."""

import struct

D50 = (0.9642, 1.0, 0.8249)
#: Red, green and blue in XYZ under D50, and the exponent of the curve.
ADOBE_RGB = (((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)), 563 / 256)
PROPHOTO = (((0.79767, 0.28804, 0.0), (0.13519, 0.71188, 0.0), (0.03134, 0.00009, 0.82491)), 1.8)
DISPLAY_P3 = (((0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407)), None)


def build_rgb_profile(space: tuple[tuple[tuple[float, ...], ...], float | None]) -> bytes:
    """Return the profile of one of the spaces above; without an exponent the curve is sRGB's."""
    colours, exponent = space
    tags = {name: _xyz(colour) for name, colour in zip((b"rXYZ", b"gXYZ", b"bXYZ"), colours, strict=True)}
    return _build(b"mntr", b"RGB ", b"XYZ ", tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _curve(exponent)))


def build_grey_profile(exponent: float) -> bytes:
    """Return the profile of a grey scale with this exponent."""
    return _build(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": _curve(exponent)})


def build_ink_profile(cyan: tuple[int, int, int]) -> bytes:
    """Return the profile of four inks of which cyan alone is of this colour in Lab, and the others are black."""
    corners = [(100, 0, 0), *[(0, 0, 0)] * 7, cyan, *[(0, 0, 0)] * 7]  # black varies fastest, cyan slowest
    table = b"".join(bytes((round(light * 2.55), a + 128, b + 128)) for light, a, b in corners)
    identity = struct.pack(">9i", *(65536 * (index % 4 == 0) for index in range(9)))
    ramp = bytes(range(256))
    lut = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0)) + identity + ramp * 4 + table + ramp * 3
    return _build(b"prtr", b"CMYK", b"Lab ", {b"A2B0": lut})


def _xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))


def _curve(exponent: float | None) -> bytes:
    if exponent is not None:
        return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(exponent * 256))
    values = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    return b"para\0\0\0\0" + struct.pack(">HH5i", 3, 0, *(round(value * 65536) for value in values))


def _build(kind: bytes, colours: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    tags = {b"wtpt": _xyz(D50), **tags}
    offset, table, bodies = 132 + 12 * len(tags), b"", b""
    for name, body in tags.items():
        body += bytes(-len(body) % 4)
        table += name + struct.pack(">II", offset + len(bodies), len(body))
        bodies += body
    size = offset + len(bodies)
    head = struct.pack(">I4xI", size, 0x04200000) + kind + colours + connection + bytes(12) + b"acsp" + bytes(28)
    head += _xyz(D50)[8:] + bytes(48)
    return head + struct.pack(">I", len(tags)) + table + bodies
