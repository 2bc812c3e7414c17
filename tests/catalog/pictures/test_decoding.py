"""Pictures as pixels: every row of the corpus of good, odd and hostile files, with its outcome."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile

from catalog.pictures.decoding import PictureError, decode_picture, to_rgb
from tests.support import make_images as make

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.filterwarnings("ignore:Corrupt EXIF data", "ignore:Truncated File Read")


def flat(height: int, width: int, value: int | tuple[int, int, int]) -> np.ndarray:
    """A picture of one colour."""
    return np.full((height, width, 3), value, dtype=np.uint8)


def halves(left: int | tuple[int, int, int], right: int | tuple[int, int, int]) -> np.ndarray:
    """A 20 x 20 picture of two halves."""
    return np.concatenate([flat(20, 10, left), flat(20, 10, right)], axis=1)


def levels(bits: int) -> np.ndarray:
    """The rows of `make.packed_png`, each value spread over 0 to 255."""
    row = np.arange(24) % (1 << bits) * 255 // ((1 << bits) - 1)
    return np.broadcast_to(row[None, :, None], (20, 24, 3)).astype(np.uint8)


def few_colours() -> np.ndarray:
    """The scene as a GIF can hold it."""
    return np.asarray(make.few_colours().convert("RGB"))


half_jpeg, half_png = make.jpeg()[: len(make.jpeg()) // 2], make.png()[: len(make.png()) // 2]
key_16_bit = make.png_chunk(b"tRNS", b"\x9c\x40")

# Row of the corpus, name, file, and the error's code.
BAD_PICTURES: list[tuple[int, str, Callable[[], bytes], str]] = [
    (5, "half a JPEG", lambda: half_jpeg, "truncated"),
    (6, "JPEG without its last two bytes", lambda: make.jpeg()[:-2], "truncated"),
    (7, "JPEG header", lambda: make.jpeg()[:20], "truncated"),
    (7, "JPEG up to its first scan", lambda: make.jpeg()[: make.jpeg().index(b"\xff\xda") + 14], "truncated"),
    (8, "half a PNG", lambda: half_png, "truncated"),
    (9, "PNG with a changed pixel byte", make.damaged_png, "decode_error"),
    (9, "PNG with a wrong checksum", make.wrong_checksum_png, "decode_error"),
    (10, "PNG with no pixel data", lambda: make.raw_png(20, 20, bits=8, colour_type=0), "truncated"),
    (11, "no byte", lambda: b"", "not_image"),
    (11, "one byte", lambda: b"\xff", "not_image"),
    (12, "PNG of 50,000 x 50,000", lambda: make.raw_png(50_000, 50_000, bits=8, colour_type=0), "too_many_pixels"),
    (13, "PNG of 41 megapixels", lambda: make.raw_png(6_400, 6_407, bits=8, colour_type=0), "too_many_pixels"),
    (13, "PNG of 20,001 pixels", lambda: make.raw_png(20_001, 1_500, bits=8, colour_type=0), "too_many_pixels"),
    (14, "GIF of 7,000 x 7,000", lambda: make.gif_that_claims(screen=7_000, frame=7_000), "too_many_pixels"),
    (
        14,
        "GIF with a frame beyond its screen",
        lambda: make.gif_that_claims(screen=16, frame=65_535),
        "too_many_pixels",
    ),
    (15, "PNG with a packed text of 20 MB", lambda: make.text_bomb_png(b"zTXt"), "decode_error"),
    (15, "PNG with an international text of 20 MB", lambda: make.text_bomb_png(b"iTXt"), "decode_error"),
    (16, "JPEG of 65,500 x 1", lambda: make.jpeg(Image.new("L", (65_500, 1)), subsampling=-1), "too_small"),
    (16, "PNG of 16 x 321", lambda: make.png(Image.new("L", (16, 321))), "too_small"),
    (17, "PNG of 1 x 1", lambda: make.png(Image.new("L", (1, 1))), "too_small"),
    (17, "PNG of 1,000 x 15", lambda: make.png(Image.new("L", (1_000, 15))), "too_small"),
    (18, "PNG of 0 x 0", lambda: make.raw_png(0, 0, bits=8, colour_type=0), "too_small"),
    (25, "TIFF", lambda: make.encode(make.scene(), "TIFF"), "format_not_allowed"),
    (26, "BMP", lambda: make.encode(make.scene(), "BMP"), "format_not_allowed"),
    (27, "ICO", lambda: make.encode(make.scene(), "ICO"), "format_not_allowed"),
    (28, "EPS", lambda: make.encode(make.scene(), "EPS"), "format_not_allowed"),
    (29, "PSD", lambda: b"8BPS\0\1" + bytes(60), "format_not_allowed"),
    (29, "FITS", lambda: b"SIMPLE  =                    T" + bytes(2_850), "format_not_allowed"),
    (29, "JPEG 2000", lambda: b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(60), "format_not_allowed"),
    (29, "AVIF", lambda: b"\0\0\0\x20ftypavif" + bytes(60), "format_not_allowed"),
    (29, "PPM", lambda: make.encode(make.scene(), "PPM"), "format_not_allowed"),
    (30, "SVG", lambda: b'<svg xmlns="http://www.w3.org/2000/svg"/>', "not_image"),
    (30, "PDF", lambda: b"%PDF-1.7\n" + bytes(60), "not_image"),
    (30, "HTML", lambda: b"<!doctype html><title>Not found</title>", "not_image"),
    (30, "text that begins like a bitmap", lambda: b"BMW and other marques, in alphabetical order", "not_image"),
    (
        39,
        "progressive JPEG with 1,010 scans",
        lambda: make.progressive_bomb(1_000, size=(2_000, 1_500)),
        "decode_error",
    ),
]

# Row of the corpus, name, file, the pixels it holds, and how far the file's own coding may be off.
GOOD_PICTURES: list[tuple[int, str, Callable[[], bytes], Callable[[], np.ndarray], int]] = [
    (1, "JPEG", make.jpeg, make.scene_pixels, 4),
    (1, "multi-picture JPEG of a phone", lambda: make.animated("MPO"), make.scene_pixels, 40),
    (2, "PNG", make.png, make.scene_pixels, 0),
    (3, "WebP", lambda: make.encode(make.scene(), "WEBP", lossless=True), make.scene_pixels, 0),
    (4, "GIF", lambda: make.encode(make.few_colours(), "GIF"), few_colours, 0),
    (15, "PNG with 10,000 texts", make.many_texts_png, lambda: flat(20, 20, 128), 0),
    (19, "CMYK JPEG by Adobe", lambda: make.cmyk_jpeg(adobe=True), make.scene_pixels, 4),
    (19, "CMYK JPEG of plain inks", lambda: make.cmyk_jpeg(adobe=False), make.scene_pixels, 4),
    (
        20,
        "16-bit grey",
        lambda: make.flat_png(bits=16, colour_type=0, sample=b"\x9c\x40"),
        lambda: flat(20, 20, 156),
        0,
    ),
    (
        20,
        "16-bit grey, made transparent",
        lambda: make.flat_png(bits=16, colour_type=0, sample=b"\x9c\x40", before=key_16_bit),
        lambda: flat(20, 20, 255),
        0,
    ),
    (
        21,
        "16-bit RGB",
        lambda: make.flat_png(bits=16, colour_type=2, sample=b"\x9c\x40\x00\xff\xff\xff"),
        lambda: flat(20, 20, (156, 1, 255)),
        1,
    ),
    (22, "palette with a transparent colour", make.palette_png, lambda: halves((255, 0, 0), 255), 0),
    (23, "RGBA", lambda: make.png(make.half_transparent("RGBA")), lambda: halves(127, 255), 1),
    (23, "LA", lambda: make.png(make.half_transparent("LA")), lambda: halves(127, 255), 1),
    (23, "palette with opacities", lambda: make.translucent_palette_png(), lambda: halves((127, 127, 255), 255), 1),
    (24, "1-bit", lambda: make.packed_png(1), lambda: levels(1), 0),
    (24, "2-bit", lambda: make.packed_png(2), lambda: levels(2), 0),
    (24, "4-bit", lambda: make.packed_png(4), lambda: levels(4), 0),
    (32, "EXIF garbage", lambda: make.with_segment(make.jpeg(), 0xE1, b"Exif\0\0\xde\xad"), make.scene_pixels, 4),
    (33, "EXIF with a maker note of 1 MB", lambda: make.with_large_maker_note(make.jpeg()), make.scene_pixels, 4),
    (34, "colour profile garbage", lambda: make.jpeg(icc_profile=b"garbage"), make.scene_pixels, 4),
    (34, "colour profile garbage in PNG", lambda: make.png(icc_profile=b"garbage"), make.scene_pixels, 0),
    (35, "animated GIF", lambda: make.animated("GIF"), few_colours, 0),
    (36, "GIF of 10,000 frames", lambda: make.gif_of_frames(10_000), lambda: flat(16, 16, (10, 20, 30)), 0),
    (37, "animated WebP", lambda: make.animated("WEBP"), make.scene_pixels, 0),
    (38, "animated PNG", lambda: make.animated("PNG"), make.scene_pixels, 0),
    (40, "grey JPEG", lambda: make.jpeg(Image.new("L", (30, 20), 77), subsampling=-1), lambda: flat(20, 30, 77), 1),
    (41, "JPEG with a place", make.located_jpeg, make.scene_pixels, 4),
    (
        42,
        "JPEG with a script in its XMP",
        lambda: make.with_segment(make.jpeg(), 0xE1, b"http://ns.adobe.com/xap/1.0/\0<script>alert(1)</script>"),
        make.scene_pixels,
        4,
    ),
    (
        43,
        "JPEG with a comment of 64 KB",
        lambda: make.with_segment(make.jpeg(), 0xFE, b"c" * 65_533),
        make.scene_pixels,
        4,
    ),
    (44, "JPEG and ZIP at once", make.jpeg_zip, make.scene_pixels, 4),
    (45, "GIF and script at once", make.gif_script, lambda: flat(540, 0x2A2F, 0), 0),
    (46, "PNG, whatever its name", make.png, make.scene_pixels, 0),
]
GOOD_PICTURES += [
    (31, f"EXIF orientation {number}", lambda number=number: make.oriented_jpeg(number), make.scene_pixels, 4)
    for number in range(1, 9)
]


def names(rows: list[Any]) -> list[str]:
    """Test ids by row and name."""
    return [f"I{row[0]:02d} {row[1]}" for row in rows]


@pytest.mark.parametrize("row,name,make_file,code", BAD_PICTURES, ids=names(BAD_PICTURES))
def test_bad_picture_has_a_code_and_takes_two_seconds_at_most(row, name, make_file, code):
    data = make_file()
    started = time.process_time()

    with pytest.raises(PictureError) as raised:
        to_rgb(data, target_size=224)

    assert raised.value.code == code
    assert time.process_time() - started < 2.0


@pytest.mark.parametrize("row,name,make_file,make_golden,tolerance", GOOD_PICTURES, ids=names(GOOD_PICTURES))
def test_good_picture_has_its_golden_pixels(row, name, make_file, make_golden, tolerance):
    data = make_file()

    pixels = to_rgb(data)

    golden = make_golden()
    assert pixels.dtype == np.uint8
    assert pixels.shape == golden.shape
    assert np.abs(pixels.astype(np.int16) - golden.astype(np.int16)).max() <= tolerance


def test_corpus_has_all_46_rows():
    assert sorted({row[0] for row in [*BAD_PICTURES, *GOOD_PICTURES]}) == list(range(1, 47))


def test_many_scans_of_a_small_picture_are_read_in_time():
    data = make.progressive_bomb(1_000, size=(500, 500))
    started = time.process_time()

    pixels = to_rgb(data)

    assert np.array_equal(pixels, flat(500, 500, 255))
    assert time.process_time() - started < 2.0


@pytest.mark.parametrize(
    "make_file",
    [
        lambda image: make.jpeg(image),
        lambda image: make.png(image),
        lambda image: make.encode(image, "WEBP"),
        lambda image: make.png(image.convert("RGBA")),
    ],
    ids=["JPEG", "PNG", "WebP", "RGBA"],
)
def test_target_size_shrinks_but_keeps_the_longer_side_long_enough(make_file):
    large = make.scene().resize((960, 640), Image.Resampling.BICUBIC)

    pixels = to_rgb(make_file(large), target_size=120)

    height, width, _ = pixels.shape
    assert (height, width) == (80, 120)
    expected = np.asarray(large.resize((width, height), Image.Resampling.BOX))
    assert np.abs(pixels.astype(int) - expected.astype(int)).mean() < 3


@pytest.mark.parametrize(
    "size,shape",
    [((1200, 1600), (400, 300)), ((1600, 1200), (300, 400)), ((800, 800), (400, 400)), ((799, 799), (799, 799)),
     ((100, 1000), (500, 50)), ((1000, 1000), (500, 500))],
)  # fmt: skip
def test_a_jpeg_is_decoded_smaller_by_a_whole_number(size, shape):
    pixels = to_rgb(make.jpeg(Image.new("RGB", size, "white")), target_size=400)

    assert pixels.shape == (*shape, 3)
    assert (pixels == 255).all()


def test_target_size_never_enlarges():
    assert to_rgb(make.png(), target_size=224).shape == (32, 48, 3)


def test_large_picture_is_the_same_in_bands_as_in_one_piece():
    rows = np.arange(700 * 20 * 3, dtype=np.uint32).reshape(700, 20, 3)
    picture = (rows % 251).astype(np.uint8)

    pixels = to_rgb(make.png(Image.fromarray(picture).resize((40, 700), Image.Resampling.NEAREST)))

    assert np.array_equal(pixels, np.repeat(picture, 2, axis=1))


def test_pixels_belong_to_the_caller():
    pixels = to_rgb(make.png())

    pixels[0, 0] = 7

    assert pixels.flags.c_contiguous
    assert pixels[0, 0].tolist() == [7, 7, 7]


def test_error_survives_pickling_and_tells_what_was_expected():
    with pytest.raises(PictureError) as raised:
        to_rgb(make.png(Image.new("L", (10, 40))))

    copied = type(raised.value)(*raised.value.__reduce__()[1])
    assert (copied.code, str(copied)) == ("too_small", "expected at least 16 pixels a side, got 10 x 40")


@pytest.mark.parametrize("target_size", [None, 20])
def test_format_and_size_are_those_of_the_file(target_size):
    decoded = decode_picture(make.oriented_jpeg(6), target_size=target_size)

    assert (decoded.picture_format, decoded.width, decoded.height) == ("JPEG", 32, 48)
    assert np.array_equal(decoded.pixels, to_rgb(make.oriented_jpeg(6), target_size=target_size))


def test_pillow_never_completes_truncated_files():
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False
    assert Image.MAX_IMAGE_PIXELS == 40_000_000


def test_time_limit_is_not_taken_for_a_bad_picture(monkeypatch):
    class TimeLimitError(Exception):
        pass

    def run_out_of_time(_self):
        raise TimeLimitError

    monkeypatch.setattr(ImageFile.ImageFile, "load", run_out_of_time)

    with pytest.raises(TimeLimitError):
        to_rgb(make.jpeg())


STARVED = """
import os, resource, sys
from catalog.pictures.decoding import PictureError, decode_picture

pictures = [open(path, "rb").read() for path in sys.argv[1:]]
for data in pictures:
    if os.fork() == 0:
        with open("/proc/self/statm") as file:
            most = int(file.read().split()[0]) * resource.getpagesize() + 4_000_000
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        try:
            decode_picture(data)
        except (MemoryError, PictureError) as error:
            print(type(error).__name__, flush=True)
        os._exit(0)
    os.wait()
"""


def test_a_machine_without_memory_says_nothing_of_a_picture(tmp_path):
    large = Image.new("RGB", (3_000, 2_500), "white")
    files = {
        "1.jpg": make.encode(large, "JPEG"),
        "2.jpg": make.encode(large, "JPEG", progressive=True),
        "3.png": make.encode(large, "PNG", compress_level=1),
        "4.webp": make.encode(large, "WEBP", method=0),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    command = [sys.executable, "-c", STARVED, *(str(tmp_path / name) for name in files)]

    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert said.split() == ["MemoryError"] * 4
