"""What the shipped artefact says of what shops show beside one garment on one ground, drawn: it may stay silent."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFont

from classifier.ml.types import Picture
from tests.ml.test_rendered_pictures import load_classifier, render_pages

COUNT = 40


def _write(draw: ImageDraw.ImageDraw, place: tuple[float, float], text: str, *, height: int, colour: object) -> None:
    draw.text(place, text, fill=colour, font=ImageFont.load_default(height))


def _pick_colour(generator: Generator, low: int = 20, high: int = 180) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in generator.integers(low, high, 3))
    return red, green, blue


def draw_size_chart(generator: Generator) -> Picture:
    rows, columns = int(generator.integers(5, 9)), int(generator.integers(3, 6))
    image = Image.new("RGB", (300, int(generator.integers(180, 360))), "white")
    draw = ImageDraw.Draw(image)
    high, wide = (image.height - 20) // rows, 280 // columns
    for row in range(rows):
        for column in range(columns):
            left, top = 10 + column * wide, 10 + row * high
            draw.rectangle((left, top, left + wide, top + high), outline="grey", fill=None if row else (225, 230, 240))
            word = str(generator.integers(30, 110)) if row else ("Size", "S", "M", "L", "XL")[column]
            _write(draw, (left + 6, top + 4), word, height=14, colour="black")
    return np.asarray(image)


def draw_logo(generator: Generator) -> Picture:
    image = Image.new("RGB", (240, 240), "white")
    draw, colour = ImageDraw.Draw(image), _pick_colour(generator)
    kind = generator.integers(3)
    if kind == 0:
        draw.ellipse((30, 30, 210, 210), outline=colour, width=10)
        _write(draw, (60, 90), "NORD", height=50, colour=colour)
    elif kind == 1:
        _write(draw, (20, 80), "Linden", height=64, colour=colour)
        draw.line((20, 160, 220, 160), fill=colour, width=6)
    else:
        draw.polygon(((120, 20), (220, 200), (20, 200)), fill=colour)
        _write(draw, (80, 205), "PEAK", height=28, colour=colour)
    return np.asarray(image)


def draw_banner(generator: Generator) -> Picture:
    image = Image.new("RGB", (640, 200), _pick_colour(generator, 60, 255))
    draw = ImageDraw.Draw(image)
    word = str(generator.choice(["SUMMER SALE", "New Season", "FREE SHIPPING", "-50 % TODAY"]))
    _write(draw, (40, 50), word, height=70, colour=str(generator.choice(["white", "black"])))
    draw.rounded_rectangle((440, 135, 600, 180), 12, fill=_pick_colour(generator, 0, 255))
    return np.asarray(image)


def draw_placeholder(generator: Generator) -> Picture:
    ground, tone = int(generator.integers(200, 256)), (int(generator.integers(90, 180)),) * 3
    image = Image.new("RGB", (300, 300), (ground,) * 3)
    draw = ImageDraw.Draw(image)
    draw.rectangle((90, 90, 210, 180), outline=tone, width=6)
    draw.ellipse((110, 105, 135, 130), fill=tone)
    draw.polygon(((95, 175), (140, 130), (205, 175)), fill=tone)
    _write(draw, (60, 215), "IMAGE NOT AVAILABLE", height=17, colour=tone)
    return np.asarray(image)


def draw_plain_swatch(generator: Generator) -> Picture:
    page = np.full((200, 200, 3), 255, dtype=np.uint8)
    page[20:180, 20:180] = _pick_colour(generator)
    return page


def draw_checked_swatch(generator: Generator) -> Picture:
    page, step = draw_plain_swatch(generator), int(generator.integers(8, 20))
    rows, columns = np.mgrid[20:180, 20:180]
    page[20:180, 20:180][(rows // step + columns // step) % 2 == 0] = _pick_colour(generator, 120, 240)
    return page


def draw_cloth(generator: Generator) -> Picture:
    rows, columns = np.mgrid[:200, :200]
    page = np.empty((200, 200, 3), dtype=np.uint8)
    page[:] = _pick_colour(generator)
    page[(rows + columns) // int(generator.integers(6, 20)) % 2 == 0] = _pick_colour(generator, 120, 240)
    return page


@pytest.mark.parametrize(
    "draw",
    [draw_size_chart, draw_logo, draw_banner, draw_placeholder, draw_plain_swatch, draw_checked_swatch, draw_cloth],
)
def test_what_shows_no_garment_is_not_answered(draw: Callable[[Generator], Picture]) -> None:
    generator = np.random.default_rng(5)
    said = load_classifier().classify([draw(generator) for _ in range(COUNT)])
    assert sum(not one.abstained for one in said) <= 0.05 * COUNT


def _on_two_tones(page: Picture) -> Picture:
    """The same on a white wall and a grey floor."""
    changed = page.copy()
    floor = changed[round(0.7 * len(page)) :]
    floor[floor.min(axis=2) > 250] = 200
    return changed


def _above_swatches(page: Picture) -> Picture:
    changed = np.full((len(page) + 24, len(page), 3), 255, dtype=np.uint8)
    changed[: len(page)] = page
    for number in range(5):
        left = 10 + 22 * number
        changed[-20:-6, left : left + 14] = _pick_colour(np.random.default_rng(number))
    return changed


def _cut_out_in_white(page: Picture) -> Picture:
    """The object's outline as opacities, in plain white."""
    outline = np.where(page[..., :1] < 243, 255, 0).astype(np.uint8)
    return np.concatenate([np.full_like(page, 255), outline], axis=2)


def _from_both_sides(page: Picture) -> Picture:
    return np.hstack([page, page[:, ::-1]])


@pytest.mark.parametrize(
    "change, least",
    [(_on_two_tones, 0.5), (_above_swatches, 0.8), (_cut_out_in_white, 0.05), (_from_both_sides, 0.1)],
)
def test_a_garment_in_another_setting_is_seldom_answered_wrongly(
    change: Callable[[Picture], Picture], least: float
) -> None:
    pages, groups = (part[: 2 * COUNT] for part in render_pages())
    said = load_classifier().classify([change(page) for page in pages])
    right = [one.group == group for one, group in zip(said, groups, strict=True) if not one.abstained]
    assert right.count(False) <= 0.05 * len(pages)
    assert right.count(True) >= least * len(pages)


@pytest.mark.parametrize("count", [2, 4])
def test_a_collage_is_answered_by_what_is_in_it_or_not_at_all(count: int) -> None:
    pages, groups = render_pages()
    rows = [np.hstack([pages[place], pages[(place + 7) % len(pages)]]) for place in range(2 * COUNT)]
    shown = [{groups[place], groups[(place + 7) % len(pages)]} for place in range(2 * COUNT)]
    if count == 4:
        rows = [np.vstack([rows[place], rows[place - 1]]) for place in range(2 * COUNT)]
        shown = [shown[place] | shown[place - 1] for place in range(2 * COUNT)]
    said = load_classifier().classify(rows)
    wrong = [one for one, of in zip(said, shown, strict=True) if not one.abstained and one.group not in of]
    assert len(wrong) <= 0.05 * len(rows)


def _draw_shoe(colour: tuple[int, int, int], *, kind: str, width: int) -> Image.Image:
    """A shoe from above, toes up, its inner side on the right; four times as large as it is shown."""
    image, heel = Image.new("RGBA", (4 * width, 1000)), np.linspace(0, 1, 60)
    half = np.interp(heel, [0, 0.04, 0.12, 0.3, 0.55, 0.8, 0.95, 1], [0, 0.28, 0.42, 0.5, 0.38, 0.36, 0.3, 0])
    middle = 0.5 + np.interp(heel, [0, 0.3, 0.6, 1], [0.06, 0, -0.03, 0])
    edge = np.concatenate([np.stack([middle - half, heel], 1), np.stack([middle + half, heel], 1)[::-1]])
    draw = ImageDraw.Draw(image)

    def scale(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
        return [(4 * width * across, 1000 * down) for across, down in points]

    draw.polygon(scale(edge.tolist()), fill=colour)
    if kind == "sandal":
        draw.polygon(scale((0.5 + (edge - 0.5) * [0.86, 0.95]).tolist()), fill=(205, 180, 145))
        draw.line(scale([(0.05, 0.36), (0.95, 0.28)]), fill=colour, width=110)
        draw.line(scale([(0.1, 0.7), (0.9, 0.7)]), fill=colour, width=60)
        return image
    draw.ellipse(scale([(0.22, 0.58 if kind == "trainer" else 0.42), (0.78, 0.95)]), fill=(60, 55, 50))
    for row in np.arange(0.3, 0.55, 0.055) if kind == "trainer" else ():
        draw.line(scale([(0.32, row), (0.68, row)]), fill=(245, 245, 245), width=14)
    return image


def draw_pair_of_shoes(generator: Generator) -> Picture:
    width, gap = int(generator.integers(90, 106)), int(generator.integers(2, 20))
    kind = str(generator.choice(["slipper", "trainer", "sandal"]))
    shoe = _draw_shoe(_pick_colour(generator), kind=kind, width=width).resize((width, 250))
    page = Image.new("RGB", (2 * width + gap + 60, 310), "white")
    page.paste(shoe, (30, 30), shoe)
    other = shoe.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    page.paste(other, (30 + width + gap, 30), other)
    return np.asarray(page)


def draw_backpack(generator: Generator) -> Picture:
    page, colour = Image.new("RGB", (260, 320), "white"), _pick_colour(generator, 20, 150)
    draw, dark = ImageDraw.Draw(page), tuple(round(0.6 * value) for value in colour)
    draw.arc((105, 8, 155, 60), 180, 360, fill=dark, width=8)
    draw.rounded_rectangle((45, 35, 215, 300), 50, fill=colour)
    pocket = tuple(round(1.3 * value + 20) for value in colour)
    draw.rounded_rectangle((65, 170, 195, 285), 22, fill=pocket, outline=dark, width=4)
    draw.line((70, 195, 190, 195), fill=dark, width=4)
    draw.arc((60, 50, 200, 190), 190, 350, fill=dark, width=4)
    return np.asarray(page)


@pytest.mark.parametrize("draw, group", [(draw_pair_of_shoes, "Footwear"), (draw_backpack, "Bags")])
def test_kinds_that_the_training_set_has_not_are_seldom_answered_wrongly(
    draw: Callable[[Generator], Picture], group: str
) -> None:
    generator = np.random.default_rng(7)
    said = load_classifier().classify([draw(generator) for _ in range(COUNT)])
    assert sum(not one.abstained and one.group != group for one in said) <= 0.2 * COUNT
