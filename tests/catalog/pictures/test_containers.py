"""What pixels do not need is not judged: pictures with damaged metadata or later frames, as browsers show them.

Chromium shows all of them but a WebP that is cut behind its picture and a PNG whose animation begins with garbage.
"""

import time
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from catalog.pictures import formats
from catalog.pictures.containers import open_container
from catalog.pictures.decoding import PictureError, to_rgb
from tests.support import make_images as make

pytestmark = pytest.mark.filterwarnings("ignore:Corrupt EXIF data")

ENDLESS_EXIF = b"Exif\0\0MM\0*\0\0\0\x08" + b"\xff" * 200


def webp(**metadata: bytes) -> bytes:
    return make.encode(make.scene(), "WEBP", lossless=True, **metadata)


def png_chunk(kind: str, body: bytes, *, before: bytes = b"IDAT", whole: bool = True) -> bytes:
    return make.with_chunk(make.png(), kind.encode(), body, before=before, whole=whole)


def jpeg_segment(marker: int, body: bytes) -> bytes:
    return make.with_segment(make.jpeg(), marker, body)


def jpeg_with_large_photoshop() -> bytes:
    segment = jpeg_segment(0xED, b"8" * 65_533)[2 : 2 + 2 + 65_535]
    return make.JPEG_START + segment * 64 + make.jpeg()[2:]


def wrong_riff_size(data: bytes) -> bytes:
    return data[:4] + (len(data) * 2).to_bytes(4, "little") + data[8:]


def gif_with_comment(size: int) -> bytes:
    data = make.encode(make.few_colours(), "GIF")
    table = 13 + (3 << (data[10] & 7) + 1)
    return data[:table] + b"!\xfe" + (b"\xff" + b"c" * 255) * (size // 255) + b"\0" + data[table:]


def apng_out_of_sequence() -> bytes:
    data = make.animated("PNG")
    place = data.index(b"fdAT") + 4
    return data[:place] + b"\0\0\0\x63" + data[place + 4 :]


SIBLINGS: list[tuple[str, Callable[[], bytes]]] = [
    *((f"PNG, wrong checksum of {kind}", lambda kind=kind: png_chunk(kind, b"\0" * 9, whole=False))
      for kind in ("pHYs", "tEXt", "tIME", "gAMA", "cHRM", "sRGB", "iCCP", "eXIf", "tRNS", "acTL", "prVt")),
    *((f"PNG, {kind} of two bytes", lambda kind=kind: png_chunk(kind, b"\0\1"))
      for kind in ("pHYs", "zTXt", "iTXt", "gAMA", "cHRM", "iCCP", "eXIf", "tRNS", "acTL", "fcTL")),
    ("PNG, unknown packing of a text", lambda: png_chunk("zTXt", b"k\0\x07data")),
    ("PNG, name of a chunk with a space", lambda: png_chunk("a bc", b"data")),
    ("PNG, 1.5 MB of packed XMP", lambda: png_chunk(
        "iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(b"<x/>" * 375_000))),
    ("PNG, 2 MB of colour profile", lambda: make.png(icc_profile=bytes(2_000_000))),
    ("PNG, 5 MB of colour profile", lambda: make.png(icc_profile=bytes(5_000_000))),
    ("PNG, wrong checksum of the end", lambda: make.png()[:-1] + b"\0"),
    ("PNG without its end", lambda: make.png()[:-12]),
    ("PNG cut in the checksum of its pixels", lambda: make.png()[:-14]),
    ("PNG cut in a text behind its pixels", lambda: png_chunk("tEXt", b"k\0v" * 99, before=b"IEND")[:-99]),
    ("PNG and more", lambda: make.png() + b"more" * 99),
    ("animated PNG cut in its last frame", lambda: make.animated("PNG")[:-40]),
    ("animated PNG out of sequence", apng_out_of_sequence),
    ("JPEG, JFIF of five bytes", lambda: jpeg_segment(0xE0, b"JFIF\0")),
    ("JPEG, Adobe of five bytes", lambda: jpeg_segment(0xEE, b"Adobe")),
    ("JPEG, multi-picture garbage", lambda: jpeg_segment(0xE2, b"MPF\0MM\0*\0\0\0\x08\0\x03" + b"\xb0\x01" * 30)),
    ("JPEG, Photoshop garbage", lambda: jpeg_segment(0xED, b"Photoshop 3.0\08BIM\x03\xed\0\0\0\0\0\x01\0")),
    ("JPEG, EXIF cut", lambda: jpeg_segment(0xE1, b"Exif\0\0MM")),
    ("JPEG, EXIF of 65,535 entries", lambda: jpeg_segment(0xE1, ENDLESS_EXIF)),
    ("JPEG, XMP that turns it", lambda: jpeg_segment(0xE1, b'http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation="6"/>')),
    ("JPEG, profile of which a part is missing", lambda: jpeg_segment(0xE2, b"ICC_PROFILE\0\1\2data")),
    ("JPEG, profile of 300 parts", lambda: make.JPEG_START + jpeg_segment(0xE2, b"ICC_PROFILE\0\1\1")[2:20] * 300
     + make.jpeg()[2:]),
    ("JPEG, 4 MB of Photoshop", jpeg_with_large_photoshop),
    ("JPEG, bytes between segments", lambda: jpeg_segment(0xFE, b"").replace(b"\xff\xfe\0\2", b"\xff\xfe\0\2garbage")),
    ("JPEG and more", lambda: make.jpeg() + b"\xff\xd8\xff\xe1more"),
    ("phone's JPEG cut in its second picture", lambda: make.animated("MPO")[:-40]),
    ("WebP, EXIF garbage", lambda: webp(exif=ENDLESS_EXIF)),
    ("WebP, profile and XMP garbage", lambda: webp(icc_profile=b"\xff" * 300, xmp=b"\xff" * 300)),
    ("WebP cut in its XMP", lambda: webp(xmp=b"<x/>" * 300)[:-500]),
    ("WebP, wrong length of the file", lambda: wrong_riff_size(webp())),
    ("WebP and more", lambda: webp() + b"more" * 99),
    ("animated WebP cut in its last frame", lambda: make.animated("WEBP")[:-20]),
    ("GIF without its end", lambda: make.encode(make.few_colours(), "GIF")[:-1]),
    ("GIF, 4 MB of comment", lambda: gif_with_comment(4_000_000)),
    ("animated GIF cut in its last frame", lambda: make.animated("GIF")[:-20]),
    ("GIF with garbage for its last frame", lambda: make.animated("GIF")[:-20] + b"\x99" * 200),
]  # fmt: skip


@pytest.mark.parametrize("make_file", [row[1] for row in SIBLINGS], ids=[row[0] for row in SIBLINGS])
def test_damage_outside_the_pixels_changes_none(make_file):
    data = make_file()
    started = time.process_time()

    pixels = to_rgb(data)

    golden = np.asarray(make.few_colours().convert("RGB")) if data.startswith(b"GIF") else make.scene_pixels()
    tolerance = 40 if b"MPF\0" in data[:4_000] else 4 if data.startswith(b"\xff\xd8") else 0
    assert np.abs(pixels.astype(np.int16) - golden).max() <= tolerance
    assert time.process_time() - started < 2.0


@pytest.mark.parametrize(
    "make_file,side,value",
    [
        (lambda: make.gif_of_frames(200, side=500), 500, (10, 20, 30)),
        (lambda: make.gif_of_frames(200_000), 16, (10, 20, 30)),
        (lambda: make.webp_of_frames(70, side=800), 800, (40, 40, 40)),
    ],
    ids=["GIF of 50 megapixels in 200 frames", "GIF of 200,000 frames", "WebP of 45 megapixels in 70 frames"],
)
def test_frames_that_are_not_decoded_do_not_count(make_file, side, value):
    data = make_file()
    started = time.process_time()

    assert (to_rgb(data) == value).all()
    assert to_rgb(data).shape == (side, side, 3)
    assert time.process_time() - started < 2.0


@pytest.mark.parametrize("parts", [(20_000_000,), (6_000_000, 6_000_000)], ids=["one", "two together"])
def test_texts_that_unpack_to_more_than_any_file_are_refused_with_their_reason(parts):
    data = make.png()
    for size in parts:
        data = make.with_chunk(data, b"zTXt", b"k\0\0" + zlib.compress(bytes(size)))

    with pytest.raises(PictureError, match="texts and profile unpack to more than 10,485,760 bytes"):
        to_rgb(data)


@pytest.mark.parametrize("picture_format", ["JPEG", "PNG", "WEBP"])
def test_decoder_sees_no_metadata(picture_format):
    exif = Image.Exif()
    exif[0x010F] = "SecretCamera"
    data = make.encode(
        make.scene(), picture_format, exif=exif.tobytes(), xmp=b"<secret/>", icc_profile=b"secret profile"
    )

    container = open_container(data, picture_format)

    assert b"SecretCamera" in container.exif
    assert container.profile == b"secret profile"
    assert not any(word in container.pixels for word in (b"SecretCamera", b"secret"))
    assert formats.find_format(container.pixels) == picture_format
