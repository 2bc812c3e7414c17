"""Colours as a screen shows them: the profile that came with a picture, brought to sRGB by LittleCMS."""

from functools import lru_cache
from io import BytesIO

import numpy as np
from PIL import Image, ImageCms

# The largest profiles in use, those of printing machines, have about 3 MB.
_MAX_PROFILE_BYTES = 4 * 1024 * 1024
# A profile that moves no colour further is sRGB itself: its makers round differently.
_SAME_COLOUR = 2
_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
_MODES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}
_GREY_MODES = ("1", "L", "LA", "I;16", "I;16B")


def find_transform(profile: bytes, *, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the transform to sRGB of pictures in a mode of Pillow's, or None where there is nothing to change.

    That is so without a profile, with one that is damaged or of another kind of colours, as browsers take it, and with
    sRGB's own. Its `input_mode` is RGB, L or CMYK, its `output_mode` RGB.
    """
    transform = _build_transform(profile) if 0 < len(profile) <= _MAX_PROFILE_BYTES else None
    if transform is None or (transform.input_mode == "CMYK") != (mode == "CMYK"):
        return None
    return transform if transform.input_mode != "L" or mode in _GREY_MODES else None


@lru_cache(maxsize=16)
def _build_transform(profile: bytes) -> ImageCms.ImageCmsTransform | None:
    # A catalogue's pictures have few profiles, and building a transform takes longer than applying it.
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        transform = ImageCms.ImageCmsTransform(source, _SRGB, _MODES[source.profile.xcolor_space], "RGB")
    except (KeyError, OSError, ValueError):
        return None
    if transform.input_mode == "RGB":
        steps = np.arange(0, 256, 51, dtype=np.uint8)
        colours = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)
        moved = np.asarray(transform.apply(Image.fromarray(colours)), dtype=np.int16)
        if np.abs(moved - colours).max() <= _SAME_COLOUR:
            return None
    return transform
