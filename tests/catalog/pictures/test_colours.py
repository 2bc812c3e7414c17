"""Colour profiles: what a picture shows is brought to sRGB; what cannot be understood changes nothing."""

import numpy as np
import pytest
from PIL import Image, ImageCms

from catalog.pictures import colours
from catalog.pictures.decoding import decode_picture, to_rgb
from tests.support import colour_profiles as profiles
from tests.support import make_images as make

COLOUR = (70, 140, 90)
ADOBE_RGB = profiles.build_rgb_profile(profiles.ADOBE_RGB)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def flat(mode: str, colour: int | tuple[int, ...]) -> Image.Image:
    return Image.new(mode, (40, 30), colour)


@pytest.mark.parametrize(
    "space,expected",
    [(profiles.ADOBE_RGB, (0, 141, 86)), (profiles.PROPHOTO, (0, 169, 99)), (profiles.DISPLAY_P3, (34, 142, 85))],
    ids=["Adobe RGB", "ProPhoto", "Display P3"],
)
@pytest.mark.parametrize("picture_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("target_size", [None, 20])
def test_colours_of_a_wide_space_are_those_that_browsers_show(space, expected, picture_format, target_size):
    options = {"lossless": True} if picture_format == "WEBP" else {}
    data = make.encode(flat("RGB", COLOUR), picture_format, icc_profile=profiles.build_rgb_profile(space), **options)

    pixels = to_rgb(data, target_size=target_size)

    assert np.abs(pixels.astype(int) - expected).max() <= 3


def test_opacities_stay_and_colours_below_them_are_converted():
    data = make.png(flat("RGBA", (*COLOUR, 200)), icc_profile=ADOBE_RGB)

    pixels = decode_picture(data).pixels

    assert (pixels[..., 3] == 200).all()
    assert np.abs(pixels[..., :3].astype(int) - (0, 141, 86)).max() <= 3


def test_palette_is_converted():
    data = make.png(flat("RGB", COLOUR).quantize(4), icc_profile=ADOBE_RGB)

    assert np.abs(to_rgb(data).astype(int) - (0, 141, 86)).max() <= 3


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_grey_scale_is_converted(mode):
    data = make.png(flat("L", 64).convert(mode), icc_profile=profiles.build_grey_profile(1.0))

    assert np.abs(to_rgb(data).astype(int) - 137).max() <= 1  # a quarter of white's light


def test_inks_are_converted():
    profile = profiles.build_ink_profile(cyan=(50, -40, 20))
    data = make.jpeg(flat("CMYK", (255, 0, 0, 0)), subsampling=-1, icc_profile=profile)

    assert np.abs(to_rgb(data).astype(int) - (25, 135, 81)).max() <= 3  # that colour in sRGB


@pytest.mark.parametrize(
    "mode,profile",
    [
        ("RGB", b"garbage"),
        ("RGB", ADOBE_RGB[:200]),
        ("RGB", ADOBE_RGB[:132] + b"\xff" * 200),
        ("RGB", ADOBE_RGB.replace(b"acsp", b"xxxx")),
        ("RGB", profiles.build_grey_profile(1.0)),
        ("RGB", profiles.build_ink_profile(cyan=(50, -40, 20))),
        ("RGB", SRGB),
        ("L", profiles.build_ink_profile(cyan=(50, -40, 20))),
        ("L", SRGB),
        ("CMYK", ADOBE_RGB),
        ("CMYK", b"garbage"),
    ],
    ids=["garbage", "cut", "damaged table", "no profile", "grey for RGB", "inks for RGB", "sRGB", "inks for grey",
         "sRGB for grey", "RGB for inks", "garbage for inks"],
)  # fmt: skip
def test_profile_that_is_damaged_or_of_other_colours_or_srgb_itself_changes_nothing(mode, profile):
    image = make.scene().convert(mode)
    plain, marked = (make.encode(image, "JPEG", quality=90, **options) for options in ({}, {"icc_profile": profile}))

    assert len(marked) > len(plain)
    np.testing.assert_array_equal(to_rgb(marked), to_rgb(plain))


def test_profile_larger_than_any_in_use_is_left_alone():
    assert colours.find_transform(ADOBE_RGB + bytes(4 * 1024 * 1024), mode="RGB") is None
    assert colours.find_transform(ADOBE_RGB, mode="RGB") is not None


def test_transform_is_built_once_for_a_profile():
    profile = profiles.build_rgb_profile((profiles.ADOBE_RGB[0], 1.9))
    before = colours._build_transform.cache_info().misses

    for _ in range(3):
        to_rgb(make.jpeg(icc_profile=profile))

    assert colours._build_transform.cache_info().misses == before + 1
