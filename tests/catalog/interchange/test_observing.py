"""What a preview and a dry run say of a file: how many pictures, from where, what looks wrong."""

from typing import Any

import pytest

from catalog.interchange.observing import Observations
from catalog.interchange.records import ProductRecord, RowError
from catalog.pictures.storage import StorageError


def look_at(*products: tuple[str, ...], **options: Any) -> Observations:
    observations = Observations(is_there=options.pop("is_there", lambda name: name == "there.png"))
    rows = [
        ProductRecord(line, None, "T", images or None, {"us": ("x", None)}) for line, images in enumerate(products, 2)
    ]
    assert list(observations.watch([*rows, RowError(9, "refused")])) == [*rows, RowError(9, "refused")]
    return observations


def test_products_pictures_hosts_and_repeats_are_counted() -> None:
    observations = look_at(
        ("https://a.example/1.jpg", "https://a.example/2.jpg"),
        ("https://b.example/1.jpg", "https://a.example/1.jpg"),
        (),
    )
    assert observations.describe() == [
        "3 products, 4 pictures: 1.3 a product, 2 at most; 1 without one.",
        "Hosts: a.example (2), b.example (1).",
        "1 picture in more than one product.",
        "Texts: us (3).",
    ]
    assert observations.warn() == []
    assert look_at().describe() == []


@pytest.mark.parametrize(
    "url, warning",
    [
        ("http://127.0.0.1/1.jpg", "has a host that is not public, so it will not be fetched"),
        ("http://shop/1.jpg", "has a host that is not public, so it will not be fetched"),
        ("http://[::1]:80/1.jpg", "has a host that is not public, so it will not be fetched"),
        ("www.shop.example/1.jpg", "looks like a web address without https://, and is taken for a name in the storage"),
        ("shop.com/1.jpg", "looks like a web address without https://, and is taken for a name in the storage"),
        ("gone.png", "is neither in the ZIP nor in the storage of pictures"),
    ],
)
def test_an_address_that_will_fail_is_said(url: str, warning: str) -> None:
    assert look_at((url,), ("there.png", "https://a.example/1.jpg")).warn() == [f"{url} (line 2) {warning}."]
    assert look_at((url,), (url.replace("1.jpg", "2.jpg").replace("gone", "lost"),)).warn() == [
        f"{url} (line 2) {warning}. So it is with 1 more."
    ]


def test_a_picture_of_many_products_is_said() -> None:
    assert look_at(*[("https://a.example/none.jpg",)] * 20).warn() == [
        "20 products show the same picture, https://a.example/none.jpg."
    ]


def test_a_storage_that_is_away_is_not_asked_again() -> None:
    asked = []

    def is_there(name: str) -> bool:
        asked.append(name)
        raise StorageError("away")

    assert look_at(("a.png", "b.png"), is_there=is_there).warn() == []
    assert asked == ["a.png"]


def test_networks_that_are_opened_are_nobody_s_surprise(settings: Any) -> None:
    settings.FETCH_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    assert look_at(("http://127.0.0.1/1.jpg",)).warn() == []
