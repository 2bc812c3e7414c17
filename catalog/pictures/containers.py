"""A picture's file taken apart: what its pixels need, its orientation and its colour profile; the rest is left behind.

Decoders judge all they are given: a wrong checksum of a physical size, an editor's history of some megabytes, the end
of an animation of which one frame is read. Browsers show such pictures. So a decoder gets the pixels of the first frame
alone, and metadata that is damaged is as good as none. A file in which no pixels are found stays as it is, for the
decoder to say so.
"""

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from catalog.pictures.formats import (
    GIF,
    JPEG,
    JPEG_MARKER,
    MAX_FILE_BYTES,
    PNG,
    PNG_SIGNATURE,
    WEBP,
    iterate_png_chunks,
)

# What a packed chunk of a PNG has before its data: name and method of a profile or text, language and key as well of an
# international one.
_PACKED_START = re.compile(rb"[^\0]*\0(?:\0|\x01\0[^\0]*\0[^\0]*\0)")
# Bytes of a transparent colour by colour type; a palette has one for each opacity.
_TRANSPARENCY_BYTES = {0: 2, 2: 6, 3: 1}
# Of a WebP's header: the picture has opacities, the file is an animation.
_WEBP_FLAGS = 0x12
_PNG_END = b"\0\0\0\0IEND\xae\x42\x60\x82"


class ContainerError(ValueError):
    """A file that no decoder shall see; the text says why."""


@dataclass(frozen=True, slots=True)
class Container:
    """The file reduced to the pixels of its first frame; its EXIF data and ICC profile, empty where there are none."""

    pixels: bytes
    exif: bytes = b""
    profile: bytes = b""


def open_container(data: bytes, picture_format: str) -> Container:
    """Take a file of this format apart, in time linear in its bytes.

    Raises ContainerError for a PNG of which a chunk that the pixels need has a wrong checksum, or whose texts and
    profile unpack to more than the largest file that is read.
    """
    return _READERS[picture_format](data)


def _open_jpeg(data: bytes) -> Container:
    kept, exif, position = [data[:2]], b"", 2
    profile_parts: list[bytes] = []
    while marker := JPEG_MARKER.search(data, position):
        start, kind = marker.start(), data[marker.end() - 1]
        if kind in (0xD9, 0xDA):
            # What stands between scans is the decoder's: it reads no metadata there.
            return Container(b"".join([*kept, data[start:]]), exif, _join_profile(profile_parts))
        position = start + 2 if kind == 0x01 else start + 2 + max(2, int.from_bytes(data[start + 2 : start + 4], "big"))
        body = data[start + 4 : position]
        if _decides_pixels(kind, body):
            kept.append(data[start:position])
        elif kind == 0xE1 and body.startswith(b"Exif\0"):
            exif = exif or body
        elif kind == 0xE2 and body.startswith(b"ICC_PROFILE\0"):
            profile_parts.append(body[12:])
    return Container(data)


def _decides_pixels(kind: int, body: bytes) -> bool:
    """Return whether a JPEG's segment is one of tables or frames, or says how its colours are to be understood."""
    return (
        0xC0 <= kind <= 0xCF
        or 0xDB <= kind <= 0xDF
        or (kind == 0xE0 and body.startswith(b"JFIF\0") and len(body) >= 14)
        or (kind == 0xEE and body.startswith(b"Adobe") and len(body) >= 12)
    )


def _join_profile(parts: list[bytes]) -> bytes:
    """Join a profile's parts, each with its number and their count before it; empty if any is missing."""
    parts = sorted(parts)
    whole = [list(part[:2]) for part in parts] == [[number + 1, len(parts)] for number in range(len(parts))]
    return b"".join(part[2:] for part in parts) if whole else b""


def _open_png(data: bytes) -> Container:
    kept: list[bytes | memoryview] = [PNG_SIGNATURE]
    exif, profile, unpacked, position = b"", b"", 0, len(PNG_SIGNATURE)
    for kind, chunk, is_whole in iterate_png_chunks(data):
        position += len(chunk)
        body = chunk[8:-4]
        if kind in (b"IHDR", b"PLTE", b"IDAT"):
            if not is_whole:
                # Pillow does not compare the checksum of pixel data, so that a damaged file could pass for a good one.
                raise ContainerError(f"wrong checksum of {kind.decode()}")
            kept.append(chunk)
        elif kind in (b"iCCP", b"iTXt", b"zTXt"):
            content = _unpack(body, most=MAX_FILE_BYTES - unpacked)
            unpacked += len(content)
            if unpacked > MAX_FILE_BYTES:
                raise ContainerError(f"its texts and profile unpack to more than {MAX_FILE_BYTES:,} bytes")
            if kind == b"iCCP" and is_whole:
                profile = content
        elif kind == b"tRNS" and is_whole and len(body) >= _TRANSPARENCY_BYTES.get(data[25], len(body) + 1):
            kept.append(chunk)
        elif kind == b"eXIf" and is_whole:
            exif = bytes(body)
    # A file that was cut may still have all of its pixels.
    kept.append(data[position:] if data[position + 4 : position + 8] == b"IDAT" else _PNG_END)
    return Container(b"".join(kept), exif, profile)


def _unpack(body: memoryview, *, most: int) -> bytes:
    """Return what is packed in a PNG's chunk, at most one byte more than `most`, or nothing if it is damaged."""
    start = _PACKED_START.match(body)
    try:
        return zlib.decompressobj().decompress(body[start.end() :], most + 1) if start else b""
    except zlib.error:
        return b""


def _open_webp(data: bytes) -> Container:
    kept, exif, profile, has_picture = [], b"", b"", False
    position = 12
    while position + 8 <= len(data):
        kind, start = data[position : position + 4], position + 8
        position = start + int.from_bytes(data[start - 4 : start], "little")
        body = data[start:position]
        if position > len(data):
            break
        position += position % 2
        if kind == b"EXIF":
            exif = body
        elif kind == b"ICCP":
            profile = body
        elif kind in (b"VP8X", b"ALPH", b"ANIM", b"VP8 ", b"VP8L", b"ANMF") and not has_picture:
            has_picture = kind in (b"VP8 ", b"VP8L", b"ANMF")
            if kind == b"VP8X":
                body = bytes((body[0] & _WEBP_FLAGS,)) + body[1:] if body else body
            kept.append(kind + len(body).to_bytes(4, "little") + body + bytes(len(body) % 2))
    if not has_picture:
        return Container(data)
    content = b"WEBP" + b"".join(kept)
    return Container(b"RIFF" + len(content).to_bytes(4, "little") + content, exif, profile)


def _open_gif(data: bytes) -> Container:
    try:
        first = position = 13 + _colour_table_bytes(data[10])
        control = b""
        while (kind := data[position]) in b"!,":
            start = position
            position += 2 if kind == 0x21 else 11 + _colour_table_bytes(data[position + 9])
            while length := data[position]:
                position += length + 1
            position += 1
            if kind == 0x2C:
                return Container(data[:first] + control + data[start:position] + b";")
            if data[start + 1] == 0xF9:
                control = data[start:position]
    except IndexError:
        pass  # the file ends early, and the decoder says whether the first frame is concerned
    return Container(data)


def _colour_table_bytes(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


_READERS: dict[str, Callable[[bytes], Container]] = {
    JPEG: _open_jpeg,
    PNG: _open_png,
    WEBP: _open_webp,
    GIF: _open_gif,
}
