"""From a file's bytes to an answer: what browsers show is read, and a cut-out garment is known whatever its colour."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from catalog.pictures.decoding import to_rgb
from classifier.evidence.picture_answers import PictureAnswer, classify_picture
from classifier.ml.artefacts import DEFAULT_ARTEFACT
from classifier.ml.inference import Classifier
from classifier.ml.labels import UPPER_PART
from tests.support import make_images as make

ANY = "any answer, or none"
UNSURE = "abstained"
#: Height and width of each file, and what is said of it.
CASES: dict[str, tuple[tuple[int, int], str]] = {
    "bad-crc-ancillary.png": ((400, 300), UPPER_PART),
    "bad-crc-phys.png": ((400, 300), UPPER_PART),
    "black-shirt-black-bg.jpg": ((400, 300), UNSURE),
    "blue-shirt-cutout.png": ((400, 300), UPPER_PART),
    "camera-placeholder.png": ((400, 400), ANY),
    "cardboard-box.png": ((400, 400), ANY),
    "care-label-text.png": ((400, 400), ANY),
    "fabric-swatch-check.png": ((200, 400), ANY),
    "fabric-swatch-plain.png": ((400, 400), ANY),
    "icc-AdobeRGB.jpg": ((64, 64), UNSURE),
    "icc-DisplayP3.jpg": ((64, 64), UNSURE),
    "icc-ProPhoto.jpg": ((64, 64), UNSURE),
    "iccp-2mb.png": ((400, 300), UPPER_PART),
    "image-not-available.png": ((400, 400), ANY),
    "logo.png": ((400, 400), ANY),
    "nearwhite-shirt-cutout.png": ((400, 300), UPPER_PART),
    "qr-code.png": ((400, 400), ANY),
    "ring.png": ((400, 400), ANY),
    "size-chart.png": ((500, 500), ANY),
    "spin-170-frames-500px.gif": ((500, 500), ANY),
    "spin-70-frames-800px.webp": ((800, 800), ANY),
    "white-shirt-cutout.png": ((400, 300), UPPER_PART),
    "white-shirt-cutout.webp": ((400, 300), UPPER_PART),
    "white-shirt-white-bg.jpg": ((400, 300), UNSURE),
    "xmp-itxt-compressed-1500k.png": ((400, 300), UPPER_PART),
}
SRGB_COLOURS = {
    "icc-AdobeRGB.jpg": (0, 141, 86),
    "icc-ProPhoto.jpg": (0, 169, 99),
    "icc-DisplayP3.jpg": (27, 143, 84),
}


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.load(DEFAULT_ARTEFACT)


@pytest.fixture
def cases() -> Path:
    """The folder of pictures that other programs met."""
    if "CASES_DIR" not in os.environ:
        pytest.skip("needs the folder of cases that CASES_DIR names")
    return Path(os.environ["CASES_DIR"]) / "pictures"


def describe(answer: PictureAnswer) -> str | None:
    if answer.prediction is None:
        return answer.error
    return UNSURE if answer.prediction.abstained else answer.prediction.group


@pytest.mark.parametrize("name", CASES)
def test_each_case_is_read_and_has_its_answer(name, cases, classifier):
    data = (cases / name).read_bytes()
    size, expected = CASES[name]

    answer = classify_picture(name, data, classifier=classifier)

    assert to_rgb(data).shape == (*size, 3)
    assert answer.prediction is not None
    assert expected in (ANY, describe(answer))
    if name in SRGB_COLOURS:
        assert np.abs(to_rgb(data).astype(int) - SRGB_COLOURS[name]).max() <= 3


def test_each_picture_of_the_folder_is_a_case(cases):
    names = {path.name for path in cases.iterdir() if path.is_file() and path.suffix not in (".py", ".json")}

    assert names == set(CASES)


@pytest.mark.parametrize("shade", [255, 250, 240, 200, 120, 0])
@pytest.mark.parametrize("picture_format", ["PNG", "WEBP", "GIF"])
def test_a_cut_out_shirt_is_known_whatever_its_colour(shade, picture_format, classifier):
    shirt = make.cut_out_shirt((shade, shade, shade))

    answer = classify_picture("shirt", make.encode(shirt, picture_format), classifier=classifier)

    assert answer.prediction is not None
    assert answer.prediction.group == UPPER_PART
    # A flat drawing is unlike photographs; that in a grey next to white may be left to a person.
    assert describe(answer) == UPPER_PART or shade == 240


@pytest.mark.parametrize("bits", [8, 16])
def test_a_white_shirt_on_a_transparent_shade_of_grey_is_known(bits, classifier):
    opacity = np.asarray(make.cut_out_shirt((255, 255, 255)).getchannel("A"))
    samples = np.where(opacity > 127, (1 << bits) - 1, 7).astype(f">u{bits // 8}")
    rows = b"".join(b"\0" + row.tobytes() for row in samples)
    key = make.png_chunk(b"tRNS", b"\0\x07")
    height, width = samples.shape
    data = make.raw_png(width, height, bits=bits, colour_type=0, rows=rows, before=key)

    assert describe(classify_picture("shirt", data, classifier=classifier)) == UPPER_PART


def test_a_photograph_with_round_corners_is_read_as_without(classifier):
    page = Image.new("RGB", (300, 400), "white")
    shirt = make.cut_out_shirt((30, 60, 140), size=(240, 320))
    page.paste(shirt, (30, 40), shirt)
    rounded = page.copy()
    corners = Image.new("L", page.size, 255)
    for corner in ((0, 0), (290, 0), (0, 390), (290, 390)):
        corners.paste(0, (*corner, corner[0] + 10, corner[1] + 10))
    rounded.putalpha(corners)

    plain, odd = (classify_picture("page", make.png(image), classifier=classifier) for image in (page, rounded))

    assert plain == odd
    assert describe(plain) == UPPER_PART
