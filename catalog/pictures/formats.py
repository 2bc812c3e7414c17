"""What a picture's bytes tell before a decoder sees them: format, completeness and scans.

Everything here reads headers and block lengths only, in time linear in the number of bytes, and never allocates for the
size that a header claims.
"""

import re
import struct
import zlib
from collections.abc import Iterator

JPEG, PNG, WEBP, GIF = "JPEG", "PNG", "WEBP", "GIF"
# The largest file that is fetched or read from the media storage.
MAX_FILE_BYTES = 10 * 1024 * 1024
EXTENSIONS = {JPEG: "jpg", PNG: "png", WEBP: "webp", GIF: "gif"}

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_JPEG_END = b"\xff\xd9"
# Within coded pixels 0xff is followed by zero or by a restart number; anything else begins a segment.
JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd8\xff]")

# Formats that are pictures but whose decoders stay out of reach; known by their first bytes only.
_REFUSED_SIGNATURES = (
    b"II*\0", b"MM\0*", b"II+\0", b"MM\0+",  # TIFF and BigTIFF
    b"\0\0\1\0", b"\0\0\2\0",  # ICO, CUR
    b"%!PS", b"\xc5\xd0\xd3\xc6",  # EPS, plain and with a preview
    b"8BPS", b"SIMPLE  =", b"gimp xcf", b"DDS ", b"icns", b"qoif", b"\x76\x2f\x31\x01",
    b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51",  # JPEG 2000
    b"\0\0\0\x0cJXL ", b"\xff\x0a",  # JPEG XL
)  # fmt: skip
_REFUSED_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")


def find_format(data: bytes) -> str | None:
    """Return JPEG, PNG, WEBP or GIF by the first bytes, or None; a name or a content type is never trusted."""
    if data.startswith(b"\xff\xd8\xff"):
        return JPEG
    if data.startswith(PNG_SIGNATURE):
        return PNG
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return WEBP
    if data.startswith((b"GIF87a", b"GIF89a")):
        return GIF
    return None


def is_refused_format(data: bytes) -> bool:
    """Return whether the bytes begin like a picture in a format that is not read here (TIFF, BMP, AVIF, ...)."""
    if data.startswith(_REFUSED_SIGNATURES):
        return True
    if data.startswith(b"BM"):
        # A text may begin with BM too; a bitmap's two reserved words are zero.
        return len(data) >= 26 and data[6:10] == b"\0\0\0\0"
    if data[4:8] == b"ftyp":
        return data[8:12] in _REFUSED_BRANDS
    return data[:1] == b"P" and data[1:2] in b"1234567" and data[2:3].isspace()


def is_cut_short(data: bytes, picture_format: str) -> bool:
    """Return whether the file lacks its own end: the end marker, the last chunk or the promised length."""
    if picture_format == JPEG:
        return _JPEG_END not in data
    if picture_format == PNG:
        return all(kind != b"IEND" for kind, _chunk, _is_whole in iterate_png_chunks(data))
    if picture_format == WEBP:
        return len(data) < 12 or len(data) < 8 + int.from_bytes(data[4:8], "little")
    return not data.rstrip(b"\0").endswith(b";")


def iterate_png_chunks(data: bytes) -> Iterator[tuple[bytes, memoryview, bool]]:
    """Yield (kind, chunk, whether its checksum is right) of each complete chunk up to and with IEND.

    A chunk has its length and kind before its body, and the checksum of four bytes behind it.
    """
    view = memoryview(data)
    position = len(PNG_SIGNATURE)
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        end = position + 12 + length
        if end > len(data):
            return
        kind = data[position + 4 : position + 8]
        checksum = zlib.crc32(view[position + 4 : end - 4])
        yield kind, view[position:end], struct.unpack_from(">I", data, end - 4)[0] == checksum
        if kind == b"IEND":
            return
        position = end


def get_png_header(data: bytes) -> tuple[int, int, int] | None:
    """Return a PNG's (width, height, bits per sample), or None when the header is missing."""
    if len(data) < 33 or data[12:16] != b"IHDR":
        return None
    width, height, bits = struct.unpack_from(">IIB", data, 16)
    return width, height, bits


def count_jpeg_scans(data: bytes) -> int:
    """Return the number of scans by walking the segments up to the end marker; a thumbnail does not count."""
    scans = 0
    position = 2
    while marker := JPEG_MARKER.search(data, position):
        position = marker.end()
        kind = data[position - 1]
        if kind == 0xD9:
            break
        scans += kind == 0xDA
        if kind != 0x01:
            position += int.from_bytes(data[position : position + 2], "big")
    return scans
