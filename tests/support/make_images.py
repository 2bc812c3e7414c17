"""Picture files made in memory: good ones, odd ones, and ones that try to break a decoder."""

import io
import struct
import zipfile
import zlib
from functools import cache
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageOps

WIDTH, HEIGHT = 48, 32
GREY_16_BIT = 40_000
JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"


@cache
def scene() -> Image.Image:
    """A smooth RGB picture whose four corners differ, so that a turn, a crop or a swap of channels shows."""
    across = np.linspace(0, 255, WIDTH)[None, :]
    down = np.linspace(0, 255, HEIGHT)[:, None]
    red = np.broadcast_to(across, (HEIGHT, WIDTH))
    green = np.broadcast_to(down, (HEIGHT, WIDTH))
    blue = np.full((HEIGHT, WIDTH), 60.0)
    return Image.fromarray(np.stack([red, green, blue], axis=-1).astype(np.uint8))


def scene_pixels() -> np.ndarray:
    """The scene as uint8 of shape (32, 48, 3)."""
    return np.asarray(scene())


@cache
def few_colours() -> Image.Image:
    """The scene in 64 colours of a palette, which a GIF keeps exactly."""
    return scene().quantize(64)


def encode(image: Image.Image, picture_format: str, **options: Any) -> bytes:
    """Return the picture as a file, by Pillow's own encoder."""
    buffer = io.BytesIO()
    image.save(buffer, picture_format, **options)
    return buffer.getvalue()


def jpeg(image: Image.Image | None = None, **options: Any) -> bytes:
    """Return a JPEG of nearly lossless quality."""
    return encode(image or scene(), "JPEG", **{"quality": 98, "subsampling": 0, **options})


def png(image: Image.Image | None = None, **options: Any) -> bytes:
    """Return a PNG."""
    return encode(image or scene(), "PNG", **options)


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """Return a PNG chunk with its length and checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def raw_png(
    width: int, height: int, *, bits: int, colour_type: int, rows: bytes = b"", before: bytes = b"", pixels: bytes = b""
) -> bytes:
    """Return a PNG put together by hand: `rows` are compressed here, `pixels` stand as they are."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    data = pixels or (zlib.compress(rows) if rows else b"")
    chunks = png_chunk(b"IHDR", header) + before + png_chunk(b"IDAT", data) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def flat_png(*, bits: int, colour_type: int, sample: bytes, before: bytes = b"") -> bytes:
    """Return a 20 x 20 PNG that repeats one pixel's samples."""
    return raw_png(20, 20, bits=bits, colour_type=colour_type, rows=(b"\0" + sample * 20) * 20, before=before)


def packed_png(bits: int) -> bytes:
    """Return a 24 x 20 grey PNG of 1, 2 or 4 bits whose rows count through all values."""
    levels = 1 << bits
    row = "".join(f"{column % levels:0{bits}b}" for column in range(24))
    packed = int(row, 2).to_bytes(24 * bits // 8, "big")
    return raw_png(24, 20, bits=bits, colour_type=0, rows=(b"\0" + packed) * 20)


def damaged_png() -> bytes:
    """Return a PNG of which one pixel byte is changed and the checksum is not."""
    data = bytearray(png())
    data[data.index(b"IDAT") + 20] ^= 0xFF
    return bytes(data)


def wrong_checksum_png() -> bytes:
    """Return a PNG whose pixels are whole and whose IDAT checksum is wrong."""
    data = bytearray(png())
    data[data.index(b"IEND") - 5] ^= 0xFF
    return bytes(data)


def text_bomb_png(kind: bytes) -> bytes:
    """Return a PNG with a text chunk of 20 MB when unpacked."""
    packed = zlib.compress(bytes(20_000_000))
    body = b"k\0\0" + packed if kind == b"zTXt" else b"k\0\1\0\0\0" + packed
    return flat_png(bits=8, colour_type=0, sample=b"\x80", before=png_chunk(kind, body))


def many_texts_png() -> bytes:
    """Return a PNG with 10,000 small text chunks."""
    texts = b"".join(png_chunk(b"tEXt", b"k%d\0v" % number) for number in range(10_000))
    return flat_png(bits=8, colour_type=0, sample=b"\x80", before=texts)


def cmyk_jpeg(*, adobe: bool) -> bytes:
    """Return a CMYK JPEG as Adobe writes it (inverted, with its marker), or with plain inks and no marker."""
    inks = ImageOps.invert(Image.merge("RGB", scene().split()))
    cyan, magenta, yellow = inks.split()
    image = Image.merge("CMYK", (cyan, magenta, yellow, Image.new("L", scene().size, 0)))
    if adobe:
        return encode(image, "JPEG", quality=98, subsampling=0)
    plain = encode(Image.merge("CMYK", [ImageOps.invert(band) for band in image.split()]), "JPEG", quality=98)
    start = plain.index(b"\xff\xee")
    length = int.from_bytes(plain[start + 2 : start + 4], "big")
    return plain[:start] + plain[start + 2 + length :]


def palette_png() -> bytes:
    """Return a palette PNG: left half red, right half transparent."""
    image = Image.new("P", (20, 20), 0)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.paste(1, (10, 0, 20, 20))
    return encode(image, "PNG", transparency=1)


def half_transparent(mode: str) -> Image.Image:
    """Return a picture in mode RGBA or LA: black at half opacity on the left, fully transparent on the right."""
    image = Image.new("RGBA", (20, 20), (0, 0, 0, 128))
    image.paste((10, 20, 30, 0), (10, 0, 20, 20))
    return image.convert(mode)


def oriented_jpeg(orientation: int) -> bytes:
    """Return the scene stored turned, with the EXIF tag that turns it back."""
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = scene().transpose(turns[orientation]) if orientation > 1 else scene()
    exif = Image.Exif()
    exif[0x0112] = orientation
    return jpeg(stored, exif=exif.tobytes())


def with_segment(data: bytes, marker: int, body: bytes) -> bytes:
    """Return a JPEG with one more segment right after its start."""
    return JPEG_START + bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body + data[2:]


def with_large_maker_note(data: bytes) -> bytes:
    """Return a JPEG with 1 MB of EXIF, as many segments as that takes, whose bytes look like scan markers."""
    for _ in range(16):
        data = with_segment(data, 0xE1, b"Exif\0\0MM\0*" + b"\xff\xda" * 32_000)
    return data


def located_jpeg() -> bytes:
    """Return a JPEG that says where it was taken and by whose camera."""
    exif = Image.Exif()
    exif[0x010F] = "SecretCamera"
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 36.0)})
    return jpeg(exif=exif.tobytes())


def gif_of_frames(frames: int, *, side: int = 16) -> bytes:
    """Return an animated GIF: a first frame of colour (10, 20, 30), then `frames - 1` light ones of the same size."""
    dark, light = (encode(Image.new("P", (side, side), index), "GIF", optimize=False) for index in (0, 1))
    descriptor = 13 + (3 << (dark[10] & 7) + 1)
    palette = bytes((10, 20, 30)) + bytes((250, 250, 250)) * ((descriptor - 13) // 3 - 1)
    return dark[:13] + palette + dark[descriptor:-1] + light[descriptor:-1] * (frames - 1) + b";"


def gif_that_claims(*, screen: int, frame: int) -> bytes:
    """Return a small GIF that says that its screen and its frame have so many pixels a side."""
    data = bytearray(gif_of_frames(1))
    descriptor = 13 + (3 << (data[10] & 7) + 1)
    data[6:10] = struct.pack("<HH", screen, screen)
    data[descriptor + 5 : descriptor + 9] = struct.pack("<HH", frame, frame)
    return bytes(data)


def progressive_bomb(scans: int, *, size: tuple[int, int]) -> bytes:
    """Return a progressive JPEG whose last scan is repeated; each costs time and hardly any bytes."""
    data = encode(Image.new("RGB", size, "white"), "JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * scans + JPEG_END


def jpeg_zip() -> bytes:
    """Return a JPEG that is also a ZIP archive."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("payload.html", "<script>alert(1)</script>")
    return jpeg() + archive.getvalue()


def gif_script() -> bytes:
    """Return a black GIF that is also a script: its width reads as the start of a comment."""
    return encode(Image.new("P", (int.from_bytes(b"/*", "little"), 540), 0), "GIF") + b"*/=1;alert(1)//"


def animated(picture_format: str) -> bytes:
    """Return an animation whose first frame is the scene and whose second is white."""
    first = few_colours() if picture_format == "GIF" else scene()
    white = Image.new("RGB", scene().size, "white")
    options: dict[str, Any] = {"lossless": True} if picture_format == "WEBP" else {}
    return encode(first, picture_format, save_all=True, append_images=[white], duration=50, **options)


def translucent_palette_png() -> bytes:
    """Return a palette PNG with an opacity for each colour: left blue at half, right transparent."""
    image = Image.new("P", (20, 20), 0)
    image.putpalette([0, 0, 255, 9, 9, 9])
    image.paste(1, (10, 0, 20, 20))
    return encode(image, "PNG", transparency=bytes((128, 0)))


def with_chunk(data: bytes, kind: bytes, body: bytes, *, before: bytes = b"IDAT", whole: bool = True) -> bytes:
    """Return a PNG with one more chunk, whose checksum is right or wrong."""
    chunk = png_chunk(kind, body)
    place = data.index(before) - 4
    return data[:place] + chunk[:-1] + bytes((chunk[-1] ^ (not whole),)) + data[place:]


def webp_of_frames(frames: int, *, side: int) -> bytes:
    """Return an animated WebP: a first frame of grey 40, then `frames - 1` white ones of the same size."""
    first, second = (Image.new("RGB", (side, side), colour) for colour in ((40, 40, 40), (255, 255, 255)))
    data = encode(first, "WEBP", save_all=True, append_images=[second], duration=40, lossless=True)
    content = data[8:] + data[data.rindex(b"ANMF") :] * (frames - 2)
    return b"RIFF" + len(content).to_bytes(4, "little") + content


def cut_out_shirt(colour: tuple[int, int, int], *, size: tuple[int, int] = (300, 400)) -> Image.Image:
    """A shirt of one colour on transparent ground."""
    right = [(0.6, 0.15), (0.8, 0.25), (0.92, 0.45), (0.78, 0.5), (0.72, 0.4), (0.72, 0.9)]
    outline = [*right, *((1 - across, down) for across, down in reversed(right))]
    opacity = Image.new("L", size, 0)
    ImageDraw.Draw(opacity).polygon([(across * size[0], down * size[1]) for across, down in outline], fill=255)
    picture = Image.new("RGB", size, colour)
    picture.putalpha(opacity)
    return picture
