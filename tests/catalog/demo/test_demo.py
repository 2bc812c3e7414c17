"""The demo catalogue: its sample, its pictures, and what it must not give away."""

import io
import json
import re
from collections import Counter

import numpy as np
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from PIL import Image as Picture

from catalog.demo.catalogue import load_demo_catalogue
from catalog.demo.rendering import CANVAS, render_demo_pictures, render_picture
from catalog.demo.sample import (
    CATALOGUE_FILE,
    SAMPLE_FOLDER,
    build_sample,
    read_pictures,
    read_true_garments,
    write_sample,
)
from catalog.models import Image, Product
from classifier.ml.labels import GROUP_OF_GARMENT
from classifier.ml.text.reading import TITLE, Text, choose_languages, read_texts

GARMENTS = ("Bag", "Coat", "Sandal", "Shirt")


@pytest.fixture(scope="module")
def products():
    lines = (SAMPLE_FOLDER / CATALOGUE_FILE).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def make_sample(*, seed=1, garments=GARMENTS):
    """A sample of random pictures, 300 of each garment, and the garments given to `build_sample`."""
    labels = [garments[number % len(garments)] for number in range(300 * len(garments))]
    pictures = np.random.default_rng(0).integers(0, 256, (len(labels), 28, 28), dtype=np.uint8)
    return build_sample(pictures, garments=labels, seed=seed), pictures, labels


def test_shipped_sample_is_small_and_carries_the_licence_of_its_pictures():
    sizes = {path.name: path.stat().st_size for path in SAMPLE_FOLDER.iterdir()}

    assert set(sizes) == {"LICENSE", "catalogue.jsonl", "pictures.png", "true_garments.json"}
    assert sum(sizes.values()) < 700_000
    notice = (SAMPLE_FOLDER / "LICENSE").read_text()
    assert "Copyright (c) 2017 Zalando SE" in notice
    assert "Permission is hereby granted, free of charge" in notice


def test_shipped_products_have_up_to_three_images_and_every_gap_a_catalogue_has(products):
    countries = [{text["country_code"]: text for text in product["descriptions"]} for product in products]

    assert len(products) == 652
    assert {len(product["images"]) for product in products} == {0, 1, 2, 3}
    assert len({product["title"] for product in products}) == 652
    assert {country for texts in countries for country in texts} == {"us", "gb", "de", "es", "fr", "it"}
    assert sum(len(product["images"]) == 0 for product in products) == 12
    assert sum("us" not in texts for texts in countries) > 20
    assert sum("us" in texts and texts["us"]["translated_text"] is None for texts in countries) > 20
    assert sum("us" in texts and texts["us"]["translated_text"] is not None for texts in countries) > 100


def test_every_shipped_picture_of_a_garment_names_it_truly_and_one_product_shows_one_garment(products):
    true_garments = read_true_garments()
    names = [name for product in products for name in product["images"]]

    assert list(read_pictures()) == names
    # The others are things that are none of the groups.
    assert [name for name in names if name in true_garments] == sorted(true_garments)
    assert len(names) == len(true_garments) + 12
    assert len(set(true_garments.values())) == 10
    for product in products:
        assert len({true_garments.get(name) for name in product["images"]}) <= 1


def test_a_third_of_the_titles_name_what_is_shown_some_of_them_wrongly(products):
    true_garments = read_true_garments()
    said = Counter()
    for product in products:
        reading = read_texts(
            [Text(TITLE, product["title"], choose_languages([of["country_code"] for of in product["descriptions"]]))]
        )
        garment = true_garments.get(product["images"][0]) if product["images"] else None
        is_right = reading.group == GROUP_OF_GARMENT.get(garment, "")
        said[reading.verdict if reading.verdict != "group" else ("wrong", "right")[is_right]] += 1

    assert said["none_of_these"] == 12
    assert 170 <= said["right"] <= 230
    assert 2 <= said["wrong"] <= 6
    assert said["ambiguous"] == 0


def test_no_description_or_name_tells_a_garment(products):
    telling = re.compile(
        r"shirt|top\b|trouser|hose|pant|pullover|sweater|dress|kleid|coat|mantel|jack|sandal|shoe|schuh|sneaker|bag\b"
        r"|tasche|boot|stiefel|robe|manteau|chauss|sac\b|bolso|zapat|vestid|camis|abrigo|scarp|borsa|abito|maglia",
        re.IGNORECASE,
    )

    told = [(product["images"], product["descriptions"]) for product in products]
    assert telling.findall(json.dumps(told, ensure_ascii=False)) == []


def test_descriptions_stay_the_same_whatever_the_pictures_show():
    usual, _, _ = make_sample()
    other, _, _ = make_sample(garments=GARMENTS[::-1])

    assert [product["descriptions"] for product in usual.products] == [
        product["descriptions"] for product in other.products
    ]


def test_sample_takes_every_picture_once_and_names_it_truly():
    sample, pictures, labels = make_sample()

    names = [name for product in sample.products for name in product["images"]]
    of_garments = [number for number, name in enumerate(names) if name in sample.true_garments]
    assert len(of_garments) == len(names) - 12
    names = [names[number] for number in of_garments]
    shown = sample.pictures[of_garments]
    places = [int(np.flatnonzero((pictures == picture).all(axis=(1, 2)))[0]) for picture in shown]
    assert len(set(places)) == len(places)
    assert [sample.true_garments[name] for name in names] == [labels[place] for place in places]


def test_too_few_pictures_of_a_garment_are_refused():
    pictures = np.random.default_rng(0).integers(0, 256, (200, 28, 28), dtype=np.uint8)

    with pytest.raises(ValueError, match=r"expected \d unused pictures of a garment, received \d"):
        build_sample(pictures, garments=["Bag", "Shirt"] * 100, seed=1)


def test_sample_of_one_seed_is_always_the_same_and_reads_back(tmp_path):
    sample, _, _ = make_sample()
    write_sample(sample, folder=tmp_path / "first")
    write_sample(make_sample()[0], folder=tmp_path / "second")

    for path in (tmp_path / "first").iterdir():
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes()
    assert make_sample(seed=2)[0].products != sample.products
    read = read_pictures(tmp_path / "first")
    assert np.array_equal(np.stack(list(read.values())), sample.pictures)
    assert read_true_garments(tmp_path / "first") == sample.true_garments


@pytest.mark.parametrize("name, kind", [("demo/1-1.jpg", "JPEG"), ("demo/1-1.png", "PNG"), ("demo/1-1.webp", "WEBP")])
def test_rendered_picture_is_a_dark_object_on_white_of_the_kind_its_name_says(name, kind):
    small = np.zeros((28, 28), dtype=np.uint8)
    small[8:20, 8:20] = 200

    picture = Picture.open(io.BytesIO(render_picture(small, name=name)))

    assert (picture.format, picture.mode, picture.size) == (kind, "RGB", CANVAS)
    pixels = np.asarray(picture)
    assert pixels[:20].min() >= 250
    assert pixels[:, :10].min() >= 250
    assert abs(float(np.asarray(picture.convert("L"))[200, 160]) - 55) <= 4


@pytest.mark.parametrize("value", [20, 128, 200])
def test_tint_changes_the_colour_and_not_the_lightness(value):
    small = np.full((28, 28), value, dtype=np.uint8)

    centres = [
        Picture.open(io.BytesIO(render_picture(small, name=f"demo/{product}-1.png"))).crop((160, 200, 161, 201))
        for product in range(20)
    ]

    assert len({centre.getpixel((0, 0)) for centre in centres}) > 5
    assert all(abs(centre.convert("L").getpixel((0, 0)) - (255 - value)) <= 1 for centre in centres)


def test_pictures_of_one_product_share_a_tint_and_not_a_frame():
    small = np.zeros((28, 28), dtype=np.uint8)
    small[4:24, 4:24] = 128

    first, second = (
        np.asarray(Picture.open(io.BytesIO(render_picture(small, name=f"demo/7-{n}.png")))) for n in (1, 2)
    )

    assert first[200, 160].tolist() == second[200, 160].tolist()
    assert not np.array_equal(first, second)


def test_rendering_again_writes_nothing_and_mends_what_an_interrupted_run_left(monkeypatch):
    pictures = dict(list(read_pictures().items())[:8])
    monkeypatch.setattr("catalog.demo.rendering.read_pictures", lambda: pictures)
    names = list(pictures)
    default_storage.save(names[0], ContentFile(b"cut off"))

    assert render_demo_pictures() == len(names)
    assert render_demo_pictures() == 0
    default_storage.delete(names[5])
    assert render_demo_pictures() == 1
    with default_storage.open(names[0]) as file:
        assert Picture.open(file).size == CANVAS


@pytest.mark.django_db
def test_demo_catalogue_is_loaded_once(monkeypatch):
    monkeypatch.setattr("catalog.demo.catalogue.render_demo_pictures", lambda: 0)

    first = load_demo_catalogue()
    second = load_demo_catalogue()

    assert (first.created, first.changed, first.refused) == (652, 0, 0)
    assert (second.created, second.changed, second.unchanged, second.refused) == (0, 0, 652, 0)
    assert Product.objects.count() == 652
    assert set(Image.objects.values_list("url", flat=True)) == set(read_pictures())
