"""A picture's bytes as pixels in sRGB: the one way in which pictures are read, by training and catalogue alike.

Only JPEG, PNG, WebP and GIF decoders are ever called, each with no more than the pixels of the file's first frame: a
phone's multi-picture JPEG (MPO) is a JPEG, an animation is its first frame.
"""

import logging
import struct
import warnings
import zlib
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image, ImageChops, ImageCms, ImageOps

from catalog.pictures import formats
from catalog.pictures.colours import find_transform
from catalog.pictures.containers import ContainerError, open_container

logger = logging.getLogger(__name__)

MIN_SIDE = 16
MAX_SIDE = 20_000
# Pixels on the longer side down to which workers decode a larger picture: enough for the thumbnail, and two and a half
# times what the canonical form looks at.
DECODED_SIZE = 400
MAX_ASPECT_RATIO = 20
MAX_PIXELS = 40_000_000
# Pixels times scans of a JPEG. A scan costs about 1 ms a megapixel even when it changes nothing (measured with
# libjpeg-turbo 3.2): 1,000 scans of 40 megapixels would take 40 s. The largest picture allowed may have 15 scans;
# progressive files usually have 10.
MAX_SCANNED_PIXELS = 600_000_000
# A progressive JPEG's coefficients, its pixels and a copy in another mode; a WebP's canvas, twice, and its frame.
MOST_BYTES_A_PIXEL = 16
# Rows converted at a time, so that a picture of 40 megapixels never exists in two colour modes at once.
BAND_ROWS = 256
# A picture of at most this many pixels is converted in one piece.
ONE_BAND_PIXELS = 500_000
# Transparent pictures are shown on white, as shops do, unless more than this share of what is to be seen would vanish
# there. Then on a middle grey, against which white stands by 3.9 to 1 and black by 5.3: WCAG asks 3 to 1 of graphics.
NEARLY_WHITE = 225
VANISHING_SHARE = 0.2
GREY = (128, 128, 128)
# An opacity from which on a pixel is more of the object than of the ground.
MOSTLY_OPAQUE = 128

Image.MAX_IMAGE_PIXELS = MAX_PIXELS
warnings.simplefilter("error", Image.DecompressionBombWarning)

# What Pillow's decoders raise for hostile bytes. Not Exception: a task's time limit arrives as one and must pass. Nor
# MemoryError: what a picture may need is bounded above, and a machine that has less says nothing of the picture.
_DECODER_ERRORS = (
    ArithmeticError, AssertionError, AttributeError, BufferError, EOFError, LookupError, OSError, RuntimeError,
    SyntaxError, TypeError, ValueError, struct.error, zlib.error,
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
    """A picture that was read: its pixels, upright and in sRGB, and what its file said.

    `pixels` are uint8 of shape (height, width, 3), or (height, width, 4) with their opacity where not all are opaque.
    `width` and `height` are the file's own in pixels, before turning and shrinking.
    """

    pixels: np.ndarray
    picture_format: str
    width: int
    height: int


def to_rgb(data: bytes, *, target_size: int | None = None) -> np.ndarray:
    """Return what `decode_picture` reads, as it is shown: uint8 of shape (height, width, 3)."""
    return lay_on_ground(decode_picture(data, target_size=target_size).pixels)


def decode_picture(data: bytes, *, target_size: int | None = None) -> DecodedPicture:
    """Return the picture in these bytes.

    With `target_size` (pixels) a larger picture is decoded smaller, which saves time and memory: its longer side stays
    at least that long, and a smaller picture is returned as it is. Raises PictureError with the code `not_image`,
    `format_not_allowed`, `truncated`, `decode_error`, `too_small` or `too_many_pixels`, and MemoryError where the
    machine has no room for a picture of an allowed size.
    """
    picture_format = get_picture_format(data)
    width = height = 0
    if picture_format == formats.PNG and (header := formats.get_png_header(data)):
        # Pillow does not open a picture of 0 x 0, and would not say why.
        _check_size(header[0], header[1])
    try:
        container = open_container(data, picture_format)
        with Image.open(BytesIO(container.pixels), formats=(picture_format,)) as image:
            width, height = image.size
            _check_size(width, height)
            if picture_format == formats.JPEG:
                _check_jpeg_scans(width, height, data=container.pixels)
            if target_size is not None:
                longer = max(width, height)
                image.draft(None, (max(1, width * target_size // longer), max(1, height * target_size // longer)))
            image.load()
            _turn_upright(image, container.exif)
            if picture_format == formats.PNG:
                _scale_transparent_colour(image, data)
            transform = find_transform(container.profile, mode=image.mode)
            pixels = _convert_in_bands(image, transform=transform, target_size=target_size)
    except ContainerError as error:
        raise PictureError("decode_error", f"the {picture_format} file is damaged: {error}") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PictureError("too_many_pixels", f"expected at most {MAX_PIXELS:,} pixels") from error
    except _DECODER_ERRORS as error:
        _check_memory(width * height)
        if "truncated" in str(error).lower() or formats.is_cut_short(data, picture_format):
            raise PictureError("truncated", f"the {picture_format} file ends before its pixels do") from error
        raise PictureError("decode_error", f"the {picture_format} file is damaged") from error
    if pixels.shape[2] == 4 and pixels[..., 3].min() == 255:
        pixels = np.ascontiguousarray(pixels[..., :3])
    return DecodedPicture(pixels=pixels, picture_format=picture_format, width=width, height=height)


def lay_on_ground(pixels: np.ndarray) -> np.ndarray:
    """Return a picture's pixels as they are shown, uint8 of shape (height, width, 3).

    What is transparent lies on white, or on grey if it would not be seen on white.
    """
    if pixels.shape[2] == 3:
        return pixels
    visible = pixels[pixels[..., 3] >= MOSTLY_OPAQUE, :3]
    vanishes = len(visible) > 0 and (visible.min(axis=1) >= NEARLY_WHITE).mean() > VANISHING_SHARE
    layer = Image.fromarray(pixels)
    canvas = Image.new("RGB", layer.size, GREY if vanishes else "white")
    canvas.paste(layer, mask=layer.getchannel("A"))
    return np.array(canvas)


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


def _check_size(width: int, height: int) -> None:
    size = f"{width:,} x {height:,}"
    if min(width, height) < MIN_SIDE:
        raise PictureError("too_small", f"expected at least {MIN_SIDE} pixels a side, got {size}")
    if width * height > MAX_PIXELS:
        raise PictureError("too_many_pixels", f"expected at most {MAX_PIXELS:,} pixels, got {size}")
    if max(width, height) > MAX_SIDE:
        raise PictureError("too_many_pixels", f"expected at most {MAX_SIDE:,} pixels a side, got {size}")
    if max(width, height) > MAX_ASPECT_RATIO * min(width, height):
        raise PictureError("too_small", f"expected sides of at most {MAX_ASPECT_RATIO} to 1, got {size}")


def _check_memory(pixels: int) -> None:
    """Raise MemoryError if there is no room for what so many pixels may need, or the most that are allowed for none.

    Decoders that get no memory say, most of them, that the file is damaged.
    """
    np.empty((pixels or MAX_PIXELS) * MOST_BYTES_A_PIXEL, dtype=np.uint8)


def _check_jpeg_scans(width: int, height: int, *, data: bytes) -> None:
    scans = formats.count_jpeg_scans(data)
    if width * height * scans > MAX_SCANNED_PIXELS:
        raise PictureError(
            "decode_error", f"expected at most {MAX_SCANNED_PIXELS:,} pixels times scans, got {scans:,} scans"
        )


def _turn_upright(image: Image.Image, exif: bytes) -> None:
    image.info["exif"] = exif
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


def _convert_in_bands(
    image: Image.Image, *, transform: ImageCms.ImageCmsTransform | None, target_size: int | None
) -> np.ndarray:
    """Return the pixels in sRGB, shrunk: uint8 of shape (height, width, 3), or 4 where the picture has opacities."""
    factor = max(1, max(image.size) // target_size) if target_size else 1
    if image.width * image.height <= ONE_BAND_PIXELS:
        return np.array(_convert(image, factor=factor, transform=transform))
    band_rows = -(-BAND_ROWS // factor) * factor
    channels = 4 if image.has_transparency_data else 3
    pixels = np.empty((-(-image.height // factor), -(-image.width // factor), channels), dtype=np.uint8)
    for top in range(0, image.height, band_rows):
        bottom = min(top + band_rows, image.height)
        band = image.crop((0, top, image.width, bottom))
        pixels[top // factor : -(-bottom // factor)] = np.asarray(_convert(band, factor=factor, transform=transform))
    return pixels


def _convert(image: Image.Image, *, factor: int, transform: ImageCms.ImageCmsTransform | None) -> Image.Image:
    """Return the picture in mode RGB or RGBA, each side divided by the factor before its colours are transformed."""
    if image.mode.startswith("I;16"):
        image = _convert_16_bit(image)
    elif image.mode == "CMYK":
        # Pillow takes every CMYK JPEG for one of Adobe's, which store the inks inverted.
        inks = image if "adobe" in image.info else ImageChops.invert(image)
        image = inks if transform else inks.convert("RGB")
    else:
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    if factor > 1:
        image = image.reduce(factor)
    if transform is None:
        return image
    colours = image.getchannel(0) if transform.input_mode == "L" else image.convert(transform.input_mode)
    converted = transform.apply(colours)
    if image.mode == "RGBA":
        converted.putalpha(image.getchannel("A"))
    return converted


def _convert_16_bit(image: Image.Image) -> Image.Image:
    # Pillow's own conversion clips at 255, which turns nearly every 16-bit picture white.
    samples = np.asarray(image)
    grey = Image.fromarray(((samples.astype(np.uint32) + 128) // 257).astype(np.uint8))
    transparent = image.info.get("transparency")
    if not isinstance(transparent, int):
        return grey.convert("RGB")
    grey.putalpha(Image.fromarray(np.where(samples == transparent, 0, 255).astype(np.uint8)))
    return grey.convert("RGBA")
