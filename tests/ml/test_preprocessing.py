"""Any picture becomes the canonical form."""

from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from classifier.ml.config import PreprocessingSpec
from classifier.ml.preprocessing import canonical_pictures, canonical_view, is_blank, take_looks
from tests.support.drawings import draw_dataset, render_for_shop

SPEC = PreprocessingSpec()


def draw_shirt() -> NDArray[np.uint8]:
    """Something like a shirt that touches the frame at top and bottom, uint8[28, 28]."""
    picture = np.zeros((28, 28), dtype=np.uint8)
    picture[:, 8:20] = 220
    picture[2:9, 3:25] = 220
    picture[12:14, 8:20] = 120
    picture[0:2, 12:16] = 0
    picture[27, 10] = 255
    return picture


def to_page(height: int, width: int, *, colour: tuple[int, int, int]) -> NDArray[np.uint8]:
    page = np.empty((height, width, 3), dtype=np.uint8)
    page[:] = colour
    return page


def mean_difference(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    return float(np.abs(first.astype(int) - second.astype(int)).mean())


def test_a_canonical_picture_comes_back_unchanged_alone_and_in_a_stack() -> None:
    shirt = draw_shirt()
    stack = np.stack([shirt, shirt[:, ::-1]])
    np.testing.assert_array_equal(canonical_pictures([shirt], spec=SPEC)[0, :, :, 0], shirt)
    np.testing.assert_array_equal(canonical_pictures(stack, spec=SPEC)[..., 0], stack)


@pytest.mark.parametrize("side, margin", [(224, 16), (224, 100), (392, 40)])
def test_a_picture_as_shops_show_it_comes_back_to_the_same_form(side: int, margin: int) -> None:
    shirt = draw_shirt()
    page = render_for_shop(shirt, side=side, margin=margin)
    form = canonical_pictures([page], spec=SPEC)[0, :, :, 0]
    assert mean_difference(form, shirt) < 16.0
    assert np.corrcoef(form.ravel(), shirt.ravel())[0, 1] > 0.95


def test_a_picture_of_another_shape_and_an_off_centre_object_give_the_same_form() -> None:
    page = render_for_shop(draw_shirt(), side=224, margin=20)
    wide = to_page(300, 700, colour=(255, 255, 255))
    wide[20:284, 400:664] = page
    first, second = canonical_pictures([page, wide], spec=SPEC)
    assert mean_difference(first, second) < 12.0


@pytest.mark.parametrize(
    "background, garment",
    [((255, 255, 255), (20, 20, 20)), ((10, 10, 10), (240, 240, 240)), ((200, 200, 210), (180, 30, 30))],
)
def test_the_object_is_bright_on_black_whatever_the_picture(
    background: tuple[int, int, int], garment: tuple[int, int, int]
) -> None:
    page = to_page(240, 240, colour=background)
    page[60:180, 90:150] = garment
    form = canonical_pictures([page], spec=SPEC)[0, :, :, 0]
    assert form[:, 10:18].min() >= 200
    assert form[:, :6].max() == 0
    assert form[:, 22:].max() == 0


def test_a_garment_that_differs_in_colour_alone_is_seen() -> None:
    # Both colours have the same lightness, 120.
    page = to_page(240, 240, colour=(120, 120, 120))
    page[60:180, 90:150] = (255, 61, 70)
    form = canonical_pictures([page], spec=SPEC)[0, :, :, 0]
    assert form[:, 10:18].min() >= 200
    assert form[:, :6].max() == 0


def test_a_slow_change_of_light_is_no_object() -> None:
    ramp = np.linspace(235, 195, 240).astype(np.uint8)
    page = np.repeat(np.repeat(ramp[:, None, None], 240, axis=1), 3, axis=2)
    page[80:160, 100:140] = 30
    form = canonical_pictures([page], spec=SPEC)[0, :, :, 0]
    assert form[:, :5].max() == 0
    assert form[:, 10:18].min() > 200


@pytest.mark.parametrize("value", [0, 128, 255])
@pytest.mark.parametrize("shape", [(1, 1, 3), (16, 16), (28, 28), (300, 20, 3)])
def test_blank_pictures_are_black_and_known_as_blank(value: int, shape: tuple[int, ...]) -> None:
    forms = canonical_pictures([np.full(shape, value, dtype=np.uint8)], spec=SPEC)
    assert not forms.any()
    assert is_blank(forms).tolist() == [True]


def test_a_speck_is_no_object_but_a_small_object_is() -> None:
    speck, small = (to_page(400, 400, colour=(255, 255, 255)) for _ in range(2))
    speck[200:203, 200:203] = 0
    small[200:240, 200:240] = 0
    assert is_blank(canonical_pictures([speck, small], spec=SPEC)).tolist() == [True, False]


def test_an_object_that_fills_the_frame_is_not_lost() -> None:
    page = to_page(200, 200, colour=(255, 255, 255))
    page[:, 30:] = (40, 60, 90)
    forms = canonical_pictures([page], spec=SPEC)
    assert is_blank(forms).tolist() == [False]


def test_noise_does_not_fail_and_is_the_same_each_time() -> None:
    noise = np.random.default_rng(5).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    first, second = (canonical_pictures([noise], spec=SPEC) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_mixed_sizes_keep_their_order() -> None:
    shirt = draw_shirt()
    page = render_for_shop(shirt, side=224, margin=10)
    forms = canonical_pictures([page, shirt, np.full((50, 40), 9, dtype=np.uint8)], spec=SPEC)
    assert forms.shape == (3, 28, 28, 1)
    np.testing.assert_array_equal(forms[1, :, :, 0], shirt)
    assert is_blank(forms).tolist() == [False, False, True]


def test_the_form_does_not_depend_on_the_neighbours() -> None:
    pictures = [*draw_dataset(train_per_label=1).train_images, render_for_shop(draw_shirt(), side=224, margin=9)]
    together = canonical_pictures(pictures, spec=SPEC)
    alone = np.concatenate([canonical_pictures([picture], spec=SPEC) for picture in pictures])
    np.testing.assert_array_equal(together, alone)


def test_the_pictures_given_are_not_changed() -> None:
    page = render_for_shop(draw_shirt(), side=224, margin=9)
    before = page.copy()
    page.setflags(write=False)
    canonical_pictures([page], spec=SPEC)
    np.testing.assert_array_equal(page, before)


def cut_out(page: NDArray[np.uint8], opacity: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A page, uint8[H, W, 3], with opacities."""
    return np.dstack([page, opacity])


def shirt_opacity(*, side: int) -> NDArray[np.uint8]:
    """Where the drawn shirt is, in the middle of a square."""
    shirt = np.kron((draw_shirt() > 0).astype(np.uint8) * 255, np.ones((side // 56, side // 56), dtype=np.uint8))
    return np.pad(shirt, (side - len(shirt)) // 2)


@pytest.mark.parametrize("shade", [255, 250, 128, 20, 0])
def test_opacities_are_the_outline_whatever_the_colour(shade: int) -> None:
    opacity = shirt_opacity(side=224)
    page = to_page(224, 224, colour=(shade, shade, shade))
    form = canonical_pictures([cut_out(page, opacity)], spec=SPEC)[0, :, :, 0]
    np.testing.assert_array_equal(form > 127, draw_shirt() > 0)


def test_the_shading_of_a_pale_object_is_kept() -> None:
    page = to_page(224, 224, colour=(240, 240, 240))
    page[:112] = 200
    form = canonical_pictures([cut_out(page, shirt_opacity(side=224))], spec=SPEC)[0, :, :, 0]
    assert form[5, 14] == 255
    assert 0 < form[24, 14] < 100


def test_hidden_colours_and_a_shadow_are_no_object() -> None:
    opacity = shirt_opacity(side=224)
    page = to_page(224, 224, colour=(255, 255, 255))
    page[:, :112][opacity[:, :112] == 0] = (0, 90, 0)
    shadow = np.where(opacity == 0, 80, opacity).astype(np.uint8)
    shadow[:60] = opacity[:60]
    plain, odd = canonical_pictures([cut_out(page, opacity), cut_out(page, shadow)], spec=SPEC)[..., 0]
    np.testing.assert_array_equal(plain > 127, draw_shirt() > 0)
    np.testing.assert_array_equal(odd > 127, draw_shirt() > 0)


def test_a_small_cut_out_object_is_looked_at_again() -> None:
    opacity = np.zeros((800, 600), dtype=np.uint8)
    opacity[100:156, 300:356] = shirt_opacity(side=112)[28:84, 28:84]
    view = canonical_view(cut_out(to_page(800, 600, colour=(255, 255, 255)), opacity), spec=SPEC)
    np.testing.assert_array_equal(view.pixels > 127, draw_shirt() > 0)
    np.testing.assert_allclose((view.left, view.top, view.side), (300, 100, 56), atol=2)


@pytest.mark.parametrize("corner", [0, 1, 20])
def test_opacities_that_are_no_outline_are_those_of_a_picture_on_white(corner: int) -> None:
    page = render_for_shop(draw_shirt(), side=224, margin=16)
    opacity = np.full(page.shape[:2], 255, dtype=np.uint8)
    for rows in (slice(None, corner), slice(len(opacity) - corner, None)):
        for columns in (slice(None, corner), slice(len(opacity) - corner, None)):
            opacity[rows, columns] = 0
    first, second = canonical_pictures([page, cut_out(page, opacity)], spec=SPEC)
    np.testing.assert_array_equal(first, second)


def test_a_picture_of_which_nothing_is_to_be_seen_is_blank() -> None:
    nothing = np.zeros((60, 60, 4), dtype=np.uint8)
    assert is_blank(canonical_pictures([nothing], spec=SPEC)).tolist() == [True]


@pytest.mark.parametrize(
    "picture, received",
    [
        (np.zeros((28, 28), dtype=np.float32), "float32"),
        (np.zeros((28, 28, 5), dtype=np.uint8), r"\(28, 28, 5\)"),
        (np.zeros((0, 28), dtype=np.uint8), r"\(0, 28\)"),
        (np.zeros(28, dtype=np.uint8), r"\(28,\)"),
    ],
)
def test_another_type_or_shape_is_refused(picture: NDArray[np.generic], received: str) -> None:
    with pytest.raises(ValueError, match=rf"\(H, W, 3\), \(H, W, 4\) or \(H, W\).*{received}"):
        canonical_pictures([picture], spec=SPEC)  # type: ignore[list-item]


def test_no_pictures_give_no_forms() -> None:
    assert canonical_pictures([], spec=SPEC).shape == (0, 28, 28, 1)


@pytest.mark.parametrize(
    "box, square",
    [
        ((100, 300, 80, 160), (20, 100, 200)),  # tall: the square reaches beyond its sides
        ((200, 240, 40, 200), (40, 140, 160)),  # wide, and small enough for a second look
        ((300, 330, 150, 160), (140, 300, 30)),  # very small
    ],
)
def test_a_view_knows_which_square_of_the_picture_it_shows(
    box: tuple[int, int, int, int], square: tuple[int, int, int]
) -> None:
    top, bottom, left, right = box
    picture = to_page(400, 300, colour=(250, 250, 250))
    picture[top:bottom, left:right] = (30, 60, 90)
    view = canonical_view(picture, spec=SPEC)
    np.testing.assert_array_equal(view.pixels, canonical_pictures([picture], spec=SPEC)[0, :, :, 0])
    # A pixel of the reduced picture is 2.5 of the picture's.
    np.testing.assert_allclose((view.left, view.top, view.side), square, atol=2.5)


def test_the_view_of_a_canonical_picture_is_all_of_it_and_that_of_a_blank_one_nothing() -> None:
    shirt = draw_shirt()
    view = canonical_view(shirt, spec=SPEC)
    np.testing.assert_array_equal(view.pixels, shirt)
    assert (view.left, view.top, view.side) == (0.0, 0.0, 28.0)
    blank = canonical_view(to_page(90, 60, colour=(200, 200, 200)), spec=SPEC)
    assert (blank.pixels.any(), blank.side) == (False, 0.0)


def test_a_tall_object_is_looked_at_again_without_its_ends_and_another_one_is_not() -> None:
    # Given a tall object that is dark at its top, a wide one, nothing, and a canonical picture,
    tall, wide, nothing = (to_page(200, 200, colour=(255, 255, 255)) for _ in range(3))
    tall[20:180, 70:130] = 200
    tall[20:50, 70:130] = 0
    wide[70:130, 20:180] = 100
    pictures = [draw_shirt(), wide, tall, nothing]
    # when looks are taken,
    looks = take_looks(pictures, spec=SPEC)
    # then only the tall one has more of them, and they are wider for being shorter,
    assert looks.photograph.tolist() == [False, True, True, True]
    assert looks.owners.tolist() == [2, 2]
    np.testing.assert_array_equal(looks.forms, canonical_pictures(pictures, spec=SPEC))
    forms = [looks.forms[2, :, :, 0], *looks.take_further(np.array([True, True]))[..., 0]]
    widths = [int((form > 0).any(axis=0).sum()) for form in forms]
    assert widths[0] < widths[1] < widths[2]
    # and the dark top is gone from them.
    assert [int(form[1, 14]) - int(form[26, 14]) > 100 for form in forms] == [True, False, False]


def test_no_pictures_give_no_looks() -> None:
    looks = take_looks([], spec=SPEC)
    assert (len(looks.forms), len(looks.photograph), len(looks.cuts), len(looks.owners)) == (0, 0, 0, 0)


def draw_worn(*, ground: int = 255) -> NDArray[np.uint8]:
    """Something like a coat that touches the picture's lower edge, uint8[160, 120, 3]."""
    page = to_page(160, 120, colour=(ground, ground, ground))
    page[30:160, 35:85] = (40, 60, 90)
    page[40:100, 20:100] = (40, 60, 90)
    page[20:30, 50:70] = (200, 160, 140)
    return page


def put_in_frame(
    picture: NDArray[np.uint8], *, rows: int, columns: int, colour: tuple[int, int, int]
) -> NDArray[np.uint8]:
    """The picture with so many more rows above and below, and columns at both sides."""
    height, width = picture.shape[:2]
    framed = to_page(height + 2 * rows, width + 2 * columns, colour=colour)
    framed[rows : rows + height, columns : columns + width] = picture
    return framed


@pytest.mark.parametrize("colour", [(0, 0, 0), (128, 128, 128), (222, 205, 180), (40, 60, 90), (170, 30, 40)])
@pytest.mark.parametrize("rows, columns", [(1, 1), (6, 6), (0, 20), (24, 0), (0, 1)])
def test_a_frame_or_bars_around_a_picture_change_nothing(rows: int, columns: int, colour: tuple[int, int, int]) -> None:
    page = draw_worn()
    framed = put_in_frame(page, rows=rows, columns=columns, colour=colour)
    plain, bare = (canonical_view(picture, spec=SPEC) for picture in (page, framed))
    assert mean_difference(plain.pixels, bare.pixels) < 12.0
    # The place is that in the whole picture.
    assert (bare.left - columns, bare.top - rows) == pytest.approx((plain.left, plain.top), abs=3)
    assert bare.side == pytest.approx(plain.side, abs=3)
    # What looks at the whole picture is not shown the frame either.
    shown, given = take_looks([framed, page], spec=SPEC).inner
    assert given is page
    assert np.abs(np.subtract(shown.shape, page.shape)).max() <= 4


def test_a_frame_may_have_a_line_in_it() -> None:
    page = draw_worn()
    line = put_in_frame(page, rows=1, columns=1, colour=(90, 90, 90))
    lined = put_in_frame(line, rows=5, columns=5, colour=(255, 255, 255))
    first, second = canonical_pictures([page, lined], spec=SPEC)
    assert mean_difference(first, second) < 12.0


def test_a_frame_that_a_jpeg_has_blurred_is_still_one() -> None:
    framed = put_in_frame(draw_worn(), rows=8, columns=8, colour=(0, 0, 0))
    buffer = BytesIO()
    Image.fromarray(np.kron(framed, np.ones((3, 3, 1), dtype=np.uint8))).save(buffer, "JPEG", quality=75)
    first, second = canonical_pictures([draw_worn(), np.asarray(Image.open(buffer))], spec=SPEC)
    assert mean_difference(first, second) < 12.0


@pytest.mark.parametrize("is_wide", [False, True])
def test_a_frame_leaves_something_of_a_thin_picture(is_wide: bool) -> None:
    # Reduced, the picture within the frame is two pixels wide.
    page = to_page(320, 16, colour=(255, 255, 255))
    page[:, 2:14] = 150
    page[:160, 6:10] = 30
    picture = np.ascontiguousarray(page.transpose(1, 0, 2)) if is_wide else page
    assert canonical_pictures([picture], spec=SPEC).max() > 0


@pytest.mark.parametrize("box", [(10, 150, 10, 110), (60, 100, 10, 110), (30, 130, 30, 90)])
def test_an_object_that_fills_its_box_is_no_picture_in_a_frame(box: tuple[int, int, int, int]) -> None:
    page = to_page(160, 120, colour=(255, 255, 255))
    top, bottom, left, right = box
    page[top:bottom, left:right] = (50, 40, 40)
    page[top + 8 : top + 14, left + 20 : right - 20] = (160, 140, 90)
    form = canonical_pictures([page], spec=SPEC)[0, :, :, 0]
    height, width = bottom - top, right - left
    assert (form > 60).mean() == pytest.approx(min(height, width) / max(height, width), abs=0.1)
