"""A picture's bytes as RGB pixels: the one way in which pictures are read, for training and for the catalogue alike.

Only JPEG, PNG, WebP and GIF decoders are ever called. A phone's multi-picture JPEG (MPO) is a JPEG whose further
pictures are not looked at; of an animation the first frame is read. Colour profiles are ignored.
"""

import logging
import struct
import warnings
import zlib
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image, ImageChops, ImageOps

from catalog.pictures import formats

logger = logging.getLogger(__name__)

MIN_SIDE = 16
MAX_SIDE = 20_000
MAX_ASPECT_RATIO = 20
# Counted over all frames of an animation.
MAX_PIXELS = 40_000_000
# Pixels times scans of a JPEG. A scan costs about 1 ms a megapixel even when it changes nothing (measured with
# libjpeg-turbo 3.2): 1,000 scans of 40 megapixels would take 40 s. The largest picture allowed may have 15 scans;
# progressive files usually have 10.
MAX_SCANNED_PIXELS = 600_000_000
# Rows converted at a time, so that a picture of 40 megapixels never exists in two colour modes at once.
BAND_ROWS = 256
# A picture of at most this many pixels is converted in one piece.
ONE_BAND_PIXELS = 500_000

Image.MAX_IMAGE_PIXELS = MAX_PIXELS
warnings.simplefilter("error", Image.DecompressionBombWarning)

# What Pillow's decoders raise for hostile bytes. Not Exception: a task's time limit arrives as one and must pass.
_DECODER_ERRORS = (
    ArithmeticError, AssertionError, AttributeError, BufferError, EOFError, LookupError, MemoryError, OSError,
    RuntimeError, SyntaxError, TypeError, ValueError, struct.error, zlib.error,
)  # fmt: skip


class PictureError(Exception):
    """A picture that cannot be used; `code` is one of the product's error codes, `message` is fit for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def __reduce__(self) -> tuple[type["PictureError"], tuple[str, str]]:
        return type(self), (self.code, self.message)


@dataclass(frozen=True, slots=True)
class DecodedPicture:
    """A picture that was read: its pixels as `to_rgb` returns them, and what its file said.

    `width` and `height` are the file's own in pixels, before turning and shrinking.
    """

    pixels: np.ndarray
    picture_format: str
    width: int
    height: int


def to_rgb(data: bytes, *, target_size: int | None = None) -> np.ndarray:
    """Return the picture upright, on white, as uint8 of shape (height, width, 3).

    With `target_size` (pixels) a larger picture is decoded smaller, which saves time and memory: its longer side stays
    at least that long, and a smaller picture is returned as it is. Raises PictureError with the code `not_image`,
    `format_not_allowed`, `truncated`, `decode_error`, `too_small` or `too_many_pixels`.
    """
    return decode_picture(data, target_size=target_size).pixels


def decode_picture(data: bytes, *, target_size: int | None = None) -> DecodedPicture:
    """Return the picture with its format and size; arguments and errors are those of `to_rgb`."""
    picture_format = get_picture_format(data)
    if picture_format == formats.PNG:
        _check_png_structure(data)
    try:
        with Image.open(BytesIO(data), formats=(picture_format,)) as image:
            width, height = image.size
            _check_size(width, height, frames=_count_frames(image, data, picture_format))
            if picture_format == formats.JPEG:
                _check_jpeg_scans(width, height, data=data)
            if target_size is not None:
                longer = max(width, height)
                image.draft(None, (max(1, width * target_size // longer), max(1, height * target_size // longer)))
            image.load()
            _turn_upright(image)
            if picture_format == formats.PNG:
                _scale_transparent_colour(image, data)
            pixels = _convert_in_bands(image, target_size=target_size)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PictureError("too_many_pixels", f"expected at most {MAX_PIXELS:,} pixels") from error
    except _DECODER_ERRORS as error:
        if "truncated" in str(error).lower() or formats.is_cut_short(data, picture_format):
            raise PictureError("truncated", f"the {picture_format} file ends before its pixels do") from error
        raise PictureError("decode_error", f"the {picture_format} file is damaged") from error
    return DecodedPicture(pixels=pixels, picture_format=picture_format, width=width, height=height)


def get_picture_format(data: bytes) -> str:
    """Return JPEG, PNG, WEBP or GIF, or raise PictureError `format_not_allowed` or `not_image`."""
    picture_format = formats.find_format(data)
    if picture_format is not None:
        return picture_format
    if formats.is_refused_format(data):
        raise PictureError("format_not_allowed", "expected JPEG, PNG, WebP or GIF, got another picture format")
    raise PictureError(
        "not_image", f"expected a JPEG, PNG, WebP or GIF file, got {len(data):,} bytes of something else"
    )


def _check_png_structure(data: bytes) -> None:
    header = formats.get_png_header(data)
    if header is not None:
        # Pillow does not open a picture of 0 x 0, and would not say why.
        _check_size(header[0], header[1], frames=1)
    broken_chunk = formats.find_broken_png_chunk(data)
    if broken_chunk is not None:
        raise PictureError("decode_error", f"the PNG file is damaged: wrong checksum of {broken_chunk}")


def _check_size(width: int, height: int, *, frames: int) -> None:
    size = f"{width:,} x {height:,}"
    if min(width, height) < MIN_SIDE:
        raise PictureError("too_small", f"expected at least {MIN_SIDE} pixels a side, got {size}")
    if width * height * frames > MAX_PIXELS:
        raise PictureError(
            "too_many_pixels", f"expected at most {MAX_PIXELS:,} pixels, got {size} in {frames:,} frames"
        )
    if max(width, height) > MAX_SIDE:
        raise PictureError("too_many_pixels", f"expected at most {MAX_SIDE:,} pixels a side, got {size}")
    if max(width, height) > MAX_ASPECT_RATIO * min(width, height):
        raise PictureError("too_small", f"expected sides of at most {MAX_ASPECT_RATIO} to 1, got {size}")


def _check_jpeg_scans(width: int, height: int, *, data: bytes) -> None:
    scans = formats.count_jpeg_scans(data)
    if width * height * scans > MAX_SCANNED_PIXELS:
        raise PictureError(
            "decode_error", f"expected at most {MAX_SCANNED_PIXELS:,} pixels times scans, got {scans:,} scans"
        )


def _count_frames(image: Image.Image, data: bytes, picture_format: str) -> int:
    if picture_format == formats.GIF:
        return max(1, formats.count_gif_frames(data, most=MAX_PIXELS // (MIN_SIDE * MIN_SIDE)))
    if picture_format == formats.JPEG:
        # The further pictures of a multi-picture JPEG are never decoded.
        return 1
    return max(1, getattr(image, "n_frames", 1))


def _turn_upright(image: Image.Image) -> None:
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except _DECODER_ERRORS:
        logger.debug("unreadable EXIF data: the picture is taken as it lies", exc_info=True)


def _scale_transparent_colour(image: Image.Image, data: bytes) -> None:
    """Bring a PNG's transparent colour to the 8 bits of the decoded samples; Pillow leaves it as the file has it."""
    colour = image.info.get("transparency")
    header = formats.get_png_header(data)
    if colour is None or header is None:
        return
    bits = header[2]
    if image.mode == "L" and isinstance(colour, int) and bits < 8:
        image.info["transparency"] = colour * 255 // ((1 << bits) - 1)
    elif image.mode == "1" and isinstance(colour, int):
        image.info["transparency"] = 255 if colour else 0
    elif image.mode == "RGB" and isinstance(colour, tuple) and bits == 16:
        image.info["transparency"] = tuple(value >> 8 for value in colour)


def _convert_in_bands(image: Image.Image, *, target_size: int | None) -> np.ndarray:
    factor = max(1, max(image.size) // target_size) if target_size else 1
    if image.width * image.height <= ONE_BAND_PIXELS:
        flat = _flatten(image)
        return np.array(flat.reduce(factor) if factor > 1 else flat)
    band_rows = -(-BAND_ROWS // factor) * factor
    pixels = np.empty((-(-image.height // factor), -(-image.width // factor), 3), dtype=np.uint8)
    for top in range(0, image.height, band_rows):
        bottom = min(top + band_rows, image.height)
        band = _flatten(image.crop((0, top, image.width, bottom)))
        pixels[top // factor : -(-bottom // factor)] = np.asarray(band.reduce(factor) if factor > 1 else band)
    return pixels


def _flatten(image: Image.Image) -> Image.Image:
    """Return the picture in mode RGB, transparency laid on white."""
    if image.mode.startswith("I;16"):
        return _flatten_16_bit(image)
    if image.mode == "CMYK":
        # Pillow takes every CMYK JPEG for one of Adobe's, which store the inks inverted.
        return (image if "adobe" in image.info else ImageChops.invert(image)).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        canvas = Image.new("RGB", image.size, "white")
        canvas.paste(layer, mask=layer.getchannel("A"))
        return canvas
    return image.convert("RGB")


def _flatten_16_bit(image: Image.Image) -> Image.Image:
    # Pillow's own conversion clips at 255, which turns nearly every 16-bit picture white.
    samples = np.asarray(image)
    grey = ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[samples == transparent] = 255
    return Image.fromarray(grey).convert("RGB")
