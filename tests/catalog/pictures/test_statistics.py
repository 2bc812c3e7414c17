"""What is measured of a picture's pixels."""

import numpy as np
import pytest
from scipy import ndimage

from catalog.pictures.statistics import STATISTICS, measure_picture


def measure(pixels: np.ndarray, *, scale: int = 1) -> dict[str, float]:
    values = measure_picture(pixels, width=scale * pixels.shape[1], height=scale * pixels.shape[0])
    return dict(zip(STATISTICS, values.tolist(), strict=True))


@pytest.fixture
def photograph() -> np.ndarray:
    """A textured thing in the middle of a white ground."""
    pixels = np.full((120, 80, 3), 255, dtype=np.uint8)
    pixels[30:90, 20:60] = np.random.default_rng(1).integers(0, 128, (60, 40, 1))
    return pixels


def test_size_and_shape_are_those_of_the_file(photograph: np.ndarray) -> None:
    plain, larger = measure(photograph), measure(photograph, scale=4)

    assert larger["size"] - plain["size"] == pytest.approx(4)
    assert plain["shape"] == larger["shape"] == pytest.approx(np.log2(1.5))


def test_light_ground_and_contrast_follow_the_pixels(photograph: np.ndarray) -> None:
    plain, inverted, pale = measure(photograph), measure(255 - photograph), measure(photograph // 2 + 128)

    assert plain["background"] == 1.0
    assert inverted["background"] == 0.0
    assert plain["brightness"] == pytest.approx(1 - inverted["brightness"], abs=1e-5)
    assert pale["contrast"] == pytest.approx(plain["contrast"] / 2, rel=0.02)


def test_a_blurred_picture_is_less_sharp(photograph: np.ndarray) -> None:
    blurred = ndimage.gaussian_filter(photograph, (1.5, 1.5, 0))

    assert measure(blurred)["sharpness"] < 0.6 * measure(photograph)["sharpness"]


def test_plain_narrow_and_transparent_pictures_are_measured_too() -> None:
    for shape in ((16, 16, 3), (4000, 16, 3), (16, 4000, 4)):
        assert np.isfinite(list(measure(np.full(shape, 7, dtype=np.uint8)).values())).all()
