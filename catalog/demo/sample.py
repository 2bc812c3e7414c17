"""The demo's sample: which pictures it takes, which products they belong to, and the files that hold them."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from catalog.demo.texts import write_texts
from catalog.demo.things import THINGS, draw_thing
from config.files import new_file, write_file

SAMPLE_FOLDER: Final = Path(__file__).resolve().parent / "sample"
PICTURES_FILE: Final = "pictures.png"
CATALOGUE_FILE: Final = "catalogue.jsonl"
TRUE_GARMENTS_FILE: Final = "true_garments.json"
#: Side of one picture in pixels, and pictures in one row of the file that holds them all.
PICTURE_SIDE: Final = 28
PICTURES_PER_ROW: Final = 32

_PRODUCTS: Final = 640
_PRODUCTS_WITHOUT_IMAGE: Final = 12
#: Beside those.
_PRODUCTS_OF_NO_GROUP: Final = 12
#: How often a product has one picture, two or three: all together fewer than the reserved part of the data set holds.
_PICTURES: Final = (75, 20, 5)
_SUFFIXES: Final = ("jpg", "jpg", "jpg", "jpg", "jpg", "jpg", "png", "webp")


@dataclass(frozen=True)
class DemoSample:
    """Products as in a catalogue file, their pictures uint8[N, 28, 28] in the order in which the products name them,
    and the garment that each picture's name truly shows; a thing that is none of the groups has none."""

    products: list[dict[str, Any]]
    pictures: NDArray[np.uint8]
    true_garments: dict[str, str]


def build_sample(pictures: NDArray[np.uint8], *, garments: Sequence[str], seed: int) -> DemoSample:
    """Choose pictures uint8[N, 28, 28], each showing the garment at its place in `garments`, and make products of them.

    Every garment has the same number of products, in a random order. The pictures of a product show one garment: a
    random one, and those most like it. Names and kinds of files and most texts are drawn without looking at a garment;
    some titles name it. A few products among them show things that are none of the groups. Raises `ValueError` for
    too few pictures of a garment: none is shown twice.
    """
    stream = random.Random(f"demo pictures {seed}")  # noqa: S311 - nothing secret
    kinds = sorted(set(garments))
    pictured = [kinds[number % len(kinds)] for number in range(_PRODUCTS - _PRODUCTS_WITHOUT_IMAGE)]
    shown: list[str | None] = [*pictured, *[None] * _PRODUCTS_WITHOUT_IMAGE]
    stream.shuffle(shown)
    for number in range(_PRODUCTS_OF_NO_GROUP):
        shown.insert((number + 1) * _PRODUCTS // _PRODUCTS_OF_NO_GROUP - 10, THINGS[number % len(THINGS)])
    unused = {kind: [index for index, garment in enumerate(garments) if garment == kind] for kind in kinds}
    products = []
    shown_pictures: list[NDArray[np.uint8]] = []
    true_garments: dict[str, str] = {}
    texts_of = write_texts(shown, seed=seed)
    for number, (garment, texts) in enumerate(zip(shown, texts_of, strict=True), start=1):
        count = 1 if garment in THINGS else stream.choices([1, 2, 3], weights=_PICTURES)[0]
        suffixes = stream.choices(_SUFFIXES, k=count)
        names = []
        if garment is not None:
            names = [f"demo/{number:04d}-{index}.{suffix}" for index, suffix in enumerate(suffixes, start=1)]
            if garment in THINGS:
                shown_pictures.append(draw_thing(garment, stream=stream))
            else:
                shown_pictures.extend(
                    pictures[_take_alike(unused[garment], pictures=pictures, count=count, stream=stream)]
                )
                true_garments.update(dict.fromkeys(names, garment))
        products.append({"title": texts["title"], "images": names, "descriptions": texts["descriptions"]})
    return DemoSample(products=products, pictures=np.stack(shown_pictures), true_garments=true_garments)


def write_sample(sample: DemoSample, *, folder: Path) -> None:
    """Write the three files of a sample into the folder, which is created."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = -(-len(sample.pictures) // PICTURES_PER_ROW)
    sheet = np.zeros((rows * PICTURES_PER_ROW, PICTURE_SIDE, PICTURE_SIDE), dtype=np.uint8)
    sheet[: len(sample.pictures)] = sample.pictures
    in_rows = sheet.reshape(rows, PICTURES_PER_ROW, PICTURE_SIDE, PICTURE_SIDE).transpose(0, 2, 1, 3)
    image = Image.fromarray(in_rows.reshape(rows * PICTURE_SIDE, PICTURES_PER_ROW * PICTURE_SIDE))
    with new_file(folder / PICTURES_FILE) as file:
        image.save(file, "PNG", optimize=True)
    lines = [json.dumps(product, ensure_ascii=False, separators=(",", ":")) + "\n" for product in sample.products]
    write_file(folder / CATALOGUE_FILE, "".join(lines).encode())
    by_garment: dict[str, list[str]] = {}
    for name, garment in sorted(sample.true_garments.items()):
        by_garment.setdefault(garment, []).append(name)
    write_file(folder / TRUE_GARMENTS_FILE, (json.dumps(by_garment, indent=1, sort_keys=True) + "\n").encode())


def read_pictures(folder: Path = SAMPLE_FOLDER) -> dict[str, NDArray[np.uint8]]:
    """Return the sample's pictures, uint8[28, 28] each, bright on black, by the media name that products give them."""
    with Image.open(folder / PICTURES_FILE) as image:
        sheet = np.asarray(image)
    lines = (folder / CATALOGUE_FILE).read_text(encoding="utf-8").splitlines()
    names = [name for line in lines for name in json.loads(line)["images"]]
    pictures = {}
    for place, name in enumerate(names):
        top, left = (PICTURE_SIDE * number for number in divmod(place, PICTURES_PER_ROW))
        pictures[name] = sheet[top : top + PICTURE_SIDE, left : left + PICTURE_SIDE]
    return pictures


def read_true_garments(folder: Path = SAMPLE_FOLDER) -> dict[str, str]:
    """Return the garment that each picture of the demo truly shows, by media name. For the demo's summary alone."""
    by_garment = json.loads((folder / TRUE_GARMENTS_FILE).read_text(encoding="utf-8"))
    return {name: garment for garment, names in by_garment.items() for name in names}


def _take_alike(unused: list[int], *, pictures: NDArray[np.uint8], count: int, stream: random.Random) -> list[int]:
    """Take a random index out of `unused`, and those of the `count` - 1 pictures most like it, and return them."""
    if len(unused) < count:
        raise ValueError(f"expected {count} unused pictures of a garment, received {len(unused)}")
    first = unused.pop(stream.randrange(len(unused)))
    # Other by at least a little: the data set holds some pictures twice.
    distances = np.abs(pictures[unused].astype(np.int16) - pictures[first]).mean(axis=(1, 2))
    order = [place for place in np.argsort(distances, kind="stable") if distances[place] > 1.0]
    alike = [unused[place] for place in order[: count - 1]]
    for index in alike:
        unused.remove(index)
    return [first, *alike]
