"""Any picture becomes the network's input here: one function for training, evaluation and the catalogue.

The canonical form is that of Fashion-MNIST: one grey object, bright on black, that touches the frame with its longer
side and stands in the middle of the shorter one, its brightest pixel near 255.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

import numpy as np
import scipy
from numpy.typing import NDArray
from PIL import Image

from classifier.ml.config import PreprocessingSpec
from classifier.ml.types import Picture

#: ITU-R BT.601, the weights with which Fashion-MNIST's own pictures were made grey.
_LIGHTNESS_WEIGHTS: Final = np.array([0.299, 0.587, 0.114], dtype=np.float32)
#: How much a difference in colour alone counts beside one in lightness: a red garment on grey must not vanish. On 1,500
#: home photographs it raised balanced accuracy over four groups from 0.596 to 0.608; grey pictures are not touched.
_COLOUR_SHARE: Final = 0.7
#: A border pixel within this distance (0..255) of the background's colour belongs to the background.
_BACKGROUND_TOLERANCE: Final = 32.0
#: In the 60,000 training pictures at least 13 % of the border is black (median 88 %), the brightest pixel 254 or 255.
_CANONICAL_BLACK_SHARE: Final = 0.12
_CANONICAL_BLACK: Final = 8
_CANONICAL_WHITE: Final = 247
_CANONICAL_PEAK: Final = 200
#: Faint objects are brightened by no more than this, so that compression noise does not become an object.
_MAX_GAIN: Final = 6.0
#: An object whose longer side is below this share of the picture's is looked at again in the picture itself.
_SMALL_OBJECT: Final = 0.6
#: An opacity (0..255) above which a pixel of a cut-out picture belongs to the object; shadows stay below it.
_HALF_OPAQUE: Final = 127.0
#: Opaque pixels that fill more than this share of their box are no outline: a photograph with round corners or a frame.
_BOX_SHARE: Final = 0.95
#: Raised when this module makes another form of the same picture, or leaves out something else around it: features from
#: before are of another base then.
FORM_VERSION: Final = 2
#: A side whose outermost pixels all lie within so much of one colour (0..255), but for a fiftieth of them, may belong
#: to a frame around the picture or to bars beside it.
_FRAME_TOLERANCE: Final = 20.0
_FRAME_SHARE: Final = 0.98
#: It is as thick on the side that faces, but for so many pixels of the reduced picture.
_FRAME_SLANT: Final = 2
#: A frame ends on a straight line: so many of the pixels behind it have another colour than the frame, by more than so
#: much. Of an object on a plain ground the outermost lines show less; where the ground behind the frame is plain as
#: well, the object may have the frame's colour, and fewer are enough.
_FRAME_DIFFERENCE: Final = 12.0
_FRAME_EDGE: Final = 0.9
_FRAME_EDGE_OF_PLAIN: Final = 0.65
#: A line in which fewer differ is still the frame, blurred by a JPEG.
_FRAME_BLUR: Final = 0.3
#: There may be a line in a frame. What is framed has more than this share of each side; bars may take more.
_MOST_FRAMES: Final = 3
_FRAMED_SHARE: Final = 0.6
_BARRED_SHARE: Final = 0.3
#: An object within a frame has this share of what is framed: what looks like a frame may be a plain ground, and what it
#: frames an object that fills its box.
_FRAMED_OBJECT: Final = 0.03
#: A cut-out object of which 95 % differ by less than this from white is taken by its outline alone. Of 400 test
#: pictures cut out in plain white 93 % then have the group that they have in canonical form; on white all are blank.
#: With a twentieth of their shading, which mostly is above this, it is 99 %, and by outline alone 93 %.
_PALE: Final = 8.0
#: An object so many times as high as wide may be a person who wears it, or a garment with another one below: it is
#: looked at again with these shares of its height cut off at the top and at the bottom. Of the studio pictures that
#: chose them 0.94 are right on average over the groups, and with the whole object alone 0.86.
_TALL: Final = 1.3
_FURTHER_LOOKS: Final = ((0.22, 0.0), (0.18, 0.15))
#: It is looked at again only where the network gives no group this share of its uncalibrated probability: of the studio
#: pictures that chose it 1.7 forms are looked at in place of 2.2, and as many are right. Whoever changes it raises
#: ``FORM_VERSION``, for a base sees something else in a picture then.
SURE_AT_FIRST: Final = 0.995
#: Pixels on a side of what the second branch of a base looks at. On studio pictures 160 say little more than 128 and
#: take 1.7 times as long.
COLOUR_SIZE: Final = 128
#: Top, bottom, left and right in an array; bottom and right are exclusive.
Box = tuple[int, int, int, int]
#: A pixel hangs together with the four beside it; SciPy's default, which it would build anew for every picture.
_FOUR_NEIGHBOURS: Final = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], dtype=bool)


@dataclass(frozen=True, slots=True)
class Looks:
    """What a network may look at to label N pictures.

    ``forms`` is uint8[N, size, size, 1], the canonical form of each, and ``photograph`` bool[N] says which pictures
    did not come in it. ``inner`` are the pictures without frames and bars. ``cuts`` are M other cuts of tall objects,
    each an object's values float32[H, W] and a box in them, and ``owners`` int64[M] the pictures that they show, in
    ascending order.
    """

    forms: NDArray[np.uint8]
    photograph: NDArray[np.bool_]
    inner: list[Picture]
    cuts: list[tuple[NDArray[np.float32], Box]]
    owners: NDArray[np.int64]

    def take_further(self, chosen: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """The forms uint8[K, size, size, 1] of the K cuts that are chosen by bool[M]."""
        size = self.forms.shape[1]
        further = np.empty((int(chosen.sum()), size, size, 1), dtype=np.uint8)
        for form, index in zip(further, np.flatnonzero(chosen).tolist(), strict=True):
            value, box = self.cuts[index]
            form[..., 0] = _framed(value, box=box, size=size)
        return further


def take_looks(pictures: Sequence[Picture] | NDArray[np.uint8], *, spec: PreprocessingSpec) -> Looks:
    """What is to be looked at in pictures of any sizes, in the same order.

    A picture is uint8, H x W x 3 (RGB), H x W (grey), or H x W x 4: RGB and opacities, which are
    the object's outline. An array uint8[N, H, W] is a stack of grey ones. A grey picture that already is in
    canonical form is its own form; the form of one in which nothing stands out from the background is black. Raises
    ``ValueError`` for another type or shape.
    """
    forms = np.zeros((len(pictures), spec.size, spec.size, 1), dtype=np.uint8)
    for picture in pictures:
        _validate(picture)
    candidates = [index for index, picture in enumerate(pictures) if picture.shape == (spec.size, spec.size)]
    photograph = np.ones(len(pictures), dtype=np.bool_)
    if candidates:
        whole_stack = isinstance(pictures, np.ndarray) and len(candidates) == len(pictures)
        stack = np.asarray(pictures) if whole_stack else np.stack([pictures[index] for index in candidates])
        unchanged = _is_canonical(stack)
        kept = np.asarray(candidates, dtype=np.int64)[unchanged]
        forms[kept, :, :, 0] = stack[unchanged]
        photograph[kept] = False
    inner = list(pictures)
    cuts: list[tuple[NDArray[np.float32], Box]] = []
    owners: list[int] = []
    for index in np.flatnonzero(photograph).tolist():
        found = _find_framed_object(pictures[index], spec=spec)
        if found is None:
            continue
        forms[index, :, :, 0] = _framed(found.value, box=found.box, size=spec.size)
        inner[index] = found.inner
        boxes = _further_cuts(found.box)
        cuts += [(found.value, box) for box in boxes]
        owners += [index] * len(boxes)
    return Looks(
        forms=forms,
        photograph=photograph,
        inner=inner,
        cuts=cuts,
        owners=np.asarray(owners, dtype=np.int64),
    )


def canonical_pictures(
    pictures: Sequence[Picture] | NDArray[np.uint8], *, spec: PreprocessingSpec
) -> NDArray[np.uint8]:
    """The canonical forms of ``take_looks``, uint8[N, size, size, 1]."""
    return take_looks(pictures, spec=spec).forms


def colour_views(pictures: Sequence[Picture]) -> NDArray[np.uint8]:
    """The pictures as the second branch of a base takes them, uint8[N, 128, 128, 3], in the same order.

    A picture is stretched to a square: on studio pictures that is as good as filling one up, and the simplest. Of a
    cut-out picture its ground counts as the rest does.
    """
    views = np.empty((len(pictures), COLOUR_SIZE, COLOUR_SIZE, 3), dtype=np.uint8)
    for view, picture in zip(views, pictures, strict=True):
        pixels = np.ascontiguousarray(picture if picture.ndim == 2 else picture[..., :3])
        resized = Image.fromarray(pixels).resize((COLOUR_SIZE, COLOUR_SIZE), Image.Resampling.BILINEAR)
        view[...] = np.asarray(resized.convert("RGB"))
    return views


def is_blank(canonical: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where nothing was found in a picture, bool[N] for the uint8[N, size, size, 1] of ``canonical_pictures``."""
    return np.asarray(canonical.max(axis=(1, 2, 3), initial=0) == 0)


def _validate(picture: Picture) -> None:
    shape = getattr(picture, "shape", None)
    if (
        getattr(picture, "dtype", None) != np.uint8
        or shape is None
        or len(shape) not in (2, 3)
        or (len(shape) == 3 and shape[2] not in (3, 4))
        or 0 in shape
    ):
        raise ValueError(
            "expected a uint8 picture of shape (H, W, 3), (H, W, 4) or (H, W) with at least one pixel, "
            f"received {getattr(picture, 'dtype', type(picture).__name__)} of shape {shape}"
        )


def _border(stack: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The outermost pixels of each picture, uint8[N, pixels] for uint8[N, H, W]."""
    return np.concatenate([stack[:, 0], stack[:, -1], stack[:, 1:-1, 0], stack[:, 1:-1, -1]], axis=1)


def _is_canonical(stack: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which pictures of uint8[N, size, size] already are bright on black, bool[N]."""
    border = _border(stack)
    black = (border <= _CANONICAL_BLACK).mean(axis=1)
    white = (border >= _CANONICAL_WHITE).mean(axis=1)
    peak = stack.max(axis=(1, 2))
    return np.asarray((black >= _CANONICAL_BLACK_SHARE) & (black > white) & (peak >= _CANONICAL_PEAK))


@dataclass(frozen=True, slots=True)
class CanonicalView:
    """A picture's canonical form, uint8[size, size], and the square of the picture that it shows.

    ``left``, ``top`` and ``side`` count the picture's pixels; the square may reach beyond the picture, where the form
    is black. A side of 0 says that nothing was found, and all of the form is black. ``inner`` is the picture without
    frames and bars, ``photograph`` says that it did not come in canonical form.
    """

    pixels: NDArray[np.uint8]
    inner: Picture
    left: float
    top: float
    side: float
    photograph: bool = True


def canonical_view(picture: Picture, *, spec: PreprocessingSpec) -> CanonicalView:
    """What ``canonical_pictures`` makes of one picture, with the place it comes from. Raises ``ValueError`` alike."""
    _validate(picture)
    if picture.shape == (spec.size, spec.size) and _is_canonical(picture[None])[0]:
        return CanonicalView(picture, picture, left=0.0, top=0.0, side=float(spec.size), photograph=False)
    found = _find_framed_object(picture, spec=spec)
    if found is None:
        return CanonicalView(np.zeros((spec.size, spec.size), dtype=np.uint8), picture, left=0.0, top=0.0, side=0.0)
    top, bottom, left, right = (found.scale * edge for edge in found.box)
    side = max(bottom - top, right - left)
    return CanonicalView(
        _framed(found.value, box=found.box, size=spec.size),
        found.inner,
        left=found.left + (left + right - side) / 2,
        top=found.top + (top + bottom - side) / 2,
        side=side,
    )


@dataclass(frozen=True, slots=True)
class _FramedObject:
    """An object's values, float32[H, W], its box in them, and where they lie in the picture, in its pixels.

    ``share`` is the object's of the picture, ``inner`` the picture without what frames it.
    """

    value: NDArray[np.float32]
    box: Box
    share: float
    inner: Picture
    left: int
    top: int
    scale: float


def _find_framed_object(
    picture: Picture, *, spec: PreprocessingSpec, frames: int = _MOST_FRAMES
) -> _FramedObject | None:
    """The object of a picture, or None where nothing stands out; frames and bars around the picture are left out."""
    opacity, given = None, picture
    if picture.shape[2:] == (4,):
        opacity = picture[..., 3] if _is_outline(picture[..., 3]) else None
        picture = _on_white(picture)
    pixels = _reduced(picture, longest_side=spec.working_size)
    if opacity is None and frames and (inner := _find_inner(pixels)) is not None:
        scale = max(picture.shape[:2]) / max(pixels.shape[1:])
        top, bottom, left, right = (round(scale * edge) for edge in inner)
        found = _find_framed_object(picture[top:bottom, left:right], spec=spec, frames=frames - 1)
        if found is not None and found.share >= _FRAMED_OBJECT:
            return replace(found, left=found.left + left, top=found.top + top)
    value, mask = _find_object(pixels, opacity, spec=spec)
    share = float(mask.mean())
    if mask.sum() < max(1.0, spec.object_share * mask.size):
        return None
    box, scale = _bounding_box(mask), max(picture.shape[:2]) / max(mask.shape)
    if scale > 1 and max(box[1] - box[0], box[3] - box[2]) < _SMALL_OBJECT * max(mask.shape):
        # A small object has lost detail that the picture still has: look again, closer.
        top, bottom, left, right = _box_with_margin(box, scale=scale)
        closer = picture[top:bottom, left:right]
        closer_opacity = None if opacity is None else opacity[top:bottom, left:right]
        closer_pixels = _reduced(closer, longest_side=spec.working_size)
        closer_value, closer_mask = _find_object(closer_pixels, closer_opacity, spec=spec)
        if closer_mask.any():
            scale, box = max(closer.shape[:2]) / max(closer_mask.shape), _bounding_box(closer_mask)
            return _FramedObject(closer_value, box, share=share, inner=given, left=left, top=top, scale=scale)
    return _FramedObject(value, box, share=share, inner=given, left=0, top=0, scale=scale)


def _find_inner(pixels: NDArray[np.float32]) -> Box | None:
    """Top, bottom, left and right of what is framed in a reduced picture float32[3, H, W]; None without a frame.

    A frame has one colour and lies on all four sides, or on two that face each other.
    """
    _, height, width = pixels.shape
    sides = (pixels[:, 0], pixels[:, -1], pixels[:, :, 0], pixels[:, :, -1])
    colours = np.stack([_median(side) for side in sides])
    plain = [_is_plain(side, colour) for side, colour in zip(sides, colours, strict=True)]
    pairs = [
        all(plain[first : first + 2]) and np.abs(colours[first] - colours[first + 1]).max() <= _FRAME_TOLERANCE
        for first in (0, 2)
    ]
    if not any(pairs):
        return None
    colour = colours[0] if pairs[0] else colours[2]
    differs = _largest(pixels - colour[:, None, None]) > _FRAME_DIFFERENCE
    top, bottom, left, right = 0, height, 0, width
    # Bars at the sides are most of a line: rows are judged within them, and they within rows.
    if pairs[1] and np.abs(colours[2] - colour).max() <= _FRAME_TOLERANCE:
        left, right = _span(differs, axis=0)
    if pairs[0]:
        top, bottom = _span(differs[:, left:right], axis=1)
    least = _FRAMED_SHARE if all(pairs) else _BARRED_SHARE
    if bottom - top <= least * height or right - left <= least * width:
        return None
    if max(abs(top - (height - bottom)), abs(left - (width - right))) > _FRAME_SLANT:
        return None
    inner = differs[top:bottom, left:right]
    lines = [inner[0]] * (top > 0) + [inner[-1]] * (bottom < height)
    lines += [inner[:, 0]] * (left > 0) + [inner[:, -1]] * (right < width)
    if len(lines) < 2:
        return None
    # The next line may be a blur of both.
    top, bottom = top + (top > 0), bottom - (bottom < height)
    left, right = left + (left > 0), right - (right < width)
    if top >= bottom or left >= right:
        return None
    if min(line.mean() for line in lines) < _FRAME_EDGE:
        border = _frame_pixels(pixels[:, top:bottom, left:right], thickness=1)
        ground = _median(border)
        is_ground = _largest(border - ground[:, None]) <= _FRAME_TOLERANCE
        if np.concatenate(lines).mean() < _FRAME_EDGE_OF_PLAIN or is_ground.mean() < _FRAME_EDGE_OF_PLAIN:
            return None
    return top, bottom, left, right


def _is_plain(line: NDArray[np.float32], colour: NDArray[np.float32]) -> bool:
    return bool((_largest(line - colour[:, None]) <= _FRAME_TOLERANCE).mean() >= _FRAME_SHARE)


def _span(differs: NDArray[np.bool_], *, axis: int) -> tuple[int, int]:
    """The first line across an axis in which enough differs, and the one behind the last; nothing where none does."""
    found = np.flatnonzero(differs.mean(axis=axis) > _FRAME_BLUR) if differs.size else np.zeros(0)
    return (int(found[0]), int(found[-1]) + 1) if found.size else (0, 0)


def _further_cuts(box: Box) -> list[Box]:
    """The boxes of the further looks at an object; none where it is not tall."""
    top, bottom, left, right = box
    height = bottom - top
    if height < _TALL * (right - left):
        return []
    return [
        (top + round(above * height), bottom - round(below * height), left, right) for above, below in _FURTHER_LOOKS
    ]


def _is_outline(opacity: NDArray[np.uint8]) -> bool:
    """Whether opacities uint8[H, W] say where the object is."""
    mask = opacity > _HALF_OPAQUE
    if not mask.any():
        return False
    top, bottom, left, right = _bounding_box(mask)
    return bool(mask[top:bottom, left:right].mean() <= _BOX_SHARE)


def _on_white(picture: Picture) -> Picture:
    """RGB and opacities as they look on white, uint8[H, W, 3] for uint8[H, W, 4]."""
    layer = Image.fromarray(picture)
    canvas = Image.new("RGB", layer.size, "white")
    canvas.paste(layer, mask=layer.getchannel("A"))
    return np.asarray(canvas)


def _find_object(
    pixels: NDArray[np.float32], opacity: NDArray[np.uint8] | None, *, spec: PreprocessingSpec
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """How much each pixel differs from the background, float32[H, W], and which belong to the object, bool[H, W].

    ``pixels`` float32[3, H, W] are those of the reduced picture. The difference is 0 outside the object and the pixel
    around it. Opacities are the outline of what stands on white.
    """
    if opacity is None:
        background, noise = _estimate_background(pixels)
    else:
        background, noise = np.full((3, 1, 1), 255.0, dtype=np.float32), 0.0
    difference = pixels - background
    distance = _largest(difference)
    lightness = np.abs(_LIGHTNESS_WEIGHTS @ difference.reshape(3, -1)).reshape(distance.shape)
    value = np.maximum(lightness, _COLOUR_SHARE * distance)
    if opacity is None:
        mask = _object_mask(distance, threshold=max(float(spec.distance_floor), 4.0 * noise))
    else:
        visible = _reduced(opacity, longest_side=spec.working_size)[0]
        mask = _object_mask(visible, threshold=_HALF_OPAQUE)
        if mask.any() and np.percentile(value[mask], 95) < _PALE:
            value = visible
    return value * _grown(mask), mask


def _grown(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What is set and the four pixels beside each: as SciPy's ``binary_dilation``, which takes six times as long."""
    grown = mask.copy()
    grown[1:] |= mask[:-1]
    grown[:-1] |= mask[1:]
    grown[:, 1:] |= mask[:, :-1]
    grown[:, :-1] |= mask[:, 1:]
    return grown


def _bounding_box(mask: NDArray[np.bool_]) -> Box:
    """Top, bottom, left and right of what is set; bottom and right are exclusive."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def _box_with_margin(box: Box, *, scale: float) -> Box:
    """The part of a picture that the reduced picture's box shows, and a quarter of its longer side around it."""
    top, bottom, left, right = box
    margin = 0.25 * max(bottom - top, right - left)
    return (
        max(0, round((top - margin) * scale)),
        round((bottom + margin) * scale),
        max(0, round((left - margin) * scale)),
        round((right + margin) * scale),
    )


def _reduced(picture: Picture, *, longest_side: int) -> NDArray[np.float32]:
    """The picture as float32[3, H, W] in 0..255 with its longest side reduced to at most ``longest_side`` pixels."""
    height, width = picture.shape[:2]
    scale = longest_side / max(height, width)
    if scale < 1:
        target = (max(1, round(width * scale)), max(1, round(height * scale)))
        picture = np.asarray(Image.fromarray(np.ascontiguousarray(picture)).resize(target, Image.Resampling.BOX))
    planes = picture[None] if picture.ndim == 2 else picture.transpose(2, 0, 1)
    return np.broadcast_to(planes, (3, *picture.shape[:2])).astype(np.float32)


@dataclass(frozen=True, slots=True)
class _Frame:
    """What the background's estimate needs to know of pictures of one size, whatever they show.

    ``rows`` float32[H, 1] and ``columns`` float32[W] are positions in -0.5..0.5; ``design`` float32[3, pixels] has 1,
    row and column of each pixel within ``thickness`` of the frame.
    """

    thickness: int
    rows: NDArray[np.float32]
    columns: NDArray[np.float32]
    design: NDArray[np.float32]


@lru_cache(maxsize=256)
def _get_frame(height: int, width: int) -> _Frame:
    rows = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None]
    columns = np.linspace(-0.5, 0.5, width, dtype=np.float32)
    thickness = max(1, min(height, width) // 40)
    positions = np.stack(np.broadcast_arrays(np.float32(1.0), rows, columns))
    return _Frame(thickness, rows, columns, design=_frame_pixels(positions, thickness=thickness))


def _estimate_background(pixels: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
    """The background's colour at every pixel, float32[3, H, W], and its noise (median distance, 0..255).

    The most frequent colour of the border is taken for the background, so that an object may touch the frame on
    several sides; a plane through the border pixels of about that colour follows a slow change of light.
    """
    frame = _get_frame(*pixels.shape[1:])
    border, design = _frame_pixels(pixels, thickness=frame.thickness), frame.design

    red, green, blue = border.astype(np.uint8) >> 5
    bins = (red.astype(np.intp) << 6) + (green << 3) + blue
    colour = _median(border[:, bins == np.bincount(bins).argmax()])
    near = _largest(border - colour[:, None]) <= _BACKGROUND_TOLERANCE
    near_border = border[:, near]
    # One row of coefficients for each channel: its colour in the middle, and its change along rows and columns.
    coefficients = np.zeros((3, 3), dtype=np.float32)
    coefficients[:, 0] = _median(near_border)
    if near_border.shape[1] >= 16 and 2 * near_border.shape[1] >= border.shape[1]:
        # A plane needs pixels on more than one side; below half of the border it would be led by a corner.
        coefficients = np.linalg.lstsq(design[:, near].T, near_border.T, rcond=None)[0].T.astype(np.float32)
        residual = _largest(border - coefficients @ design)
        near = residual <= _BACKGROUND_TOLERANCE
    else:
        residual = _largest(border - coefficients @ design)
    noise = float(_median(residual[None, near])[0]) if near.any() else 0.0
    middle, along_rows, along_columns = (coefficients[:, index, None, None] for index in range(3))
    background = middle + along_rows * frame.rows + along_columns * frame.columns
    return np.clip(background, 0.0, 255.0, out=background), noise


def _largest(difference: NDArray[np.float32]) -> NDArray[np.float32]:
    """The largest difference of the three channels without its sign, float32[...] for float32[3, ...].

    As the maximum along the first axis, which takes NumPy eight times as long.
    """
    red, green, blue = np.abs(difference)
    return np.asarray(np.maximum(np.maximum(red, green), blue))


def _median(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The median of each row, float32[R] for float32[R, C]: NumPy's without its checks, which take most of its time."""
    upper = values.shape[1] // 2
    lower = (values.shape[1] - 1) // 2
    ordered = np.partition(values, (lower, upper), axis=1)
    return np.asarray((ordered[:, lower] + ordered[:, upper]) / 2, dtype=np.float32)


def _frame_pixels(planes: NDArray[np.float32], *, thickness: int) -> NDArray[np.float32]:
    """The pixels within ``thickness`` of the frame, float32[C, pixels] for float32[C, H, W]."""
    height, width = planes.shape[1:]
    if height <= 2 * thickness or width <= 2 * thickness:
        return planes.reshape(len(planes), -1)
    inner = planes[:, thickness : height - thickness]
    parts = (planes[:, :thickness], planes[:, -thickness:], inner[:, :, :thickness], inner[:, :, -thickness:])
    return np.concatenate([part.reshape(len(planes), -1) for part in parts], axis=1)


def _object_mask(evidence: NDArray[np.float32], *, threshold: float) -> NDArray[np.bool_]:
    """Where the object is, bool[H, W]: where there is more evidence of it, float32[H, W], without specks.

    Parts count when they have at least a tenth of the largest one's area, so that both shoes of a pair stay.
    """
    components, count = scipy.ndimage.label(evidence > threshold, _FOUR_NEIGHBOURS)
    if count <= 1:
        return np.asarray(components > 0)
    areas = np.bincount(components.ravel())
    areas[0] = 0
    return np.asarray((areas >= 0.1 * areas.max())[components])


def _framed(value: NDArray[np.float32], *, box: Box, size: int) -> NDArray[np.uint8]:
    """The object cut out, centred in a square and stretched to full contrast, uint8[size, size]."""
    top, bottom, left, right = box
    cut = value[top:bottom, left:right]
    height, width = cut.shape
    scale = size / max(height, width)
    target = (max(1, round(width * scale)), max(1, round(height * scale)))
    resampling = Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR
    small = np.asarray(Image.fromarray(cut).resize(target, resampling))
    gain = min(255.0 / max(float(small.max()), 1.0), _MAX_GAIN)
    framed = np.zeros((size, size), dtype=np.uint8)
    top, left = (size - target[1]) // 2, (size - target[0]) // 2
    framed[top : top + target[1], left : left + target[0]] = np.clip(np.rint(small * gain), 0, 255).astype(np.uint8)
    return framed
