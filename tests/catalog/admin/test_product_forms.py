"""The form of a product as a browser posts it: its images, its texts, and what nobody changed."""

import logging
import os
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import django
import pytest
from django.test import Client

from catalog.admin.formsets import PlaceFormSet
from catalog.models import Image, Product, ProductDescription, ProductImages
from catalog.values import MAX_IMAGES
from tests.support.factories import create_description, create_image, create_product, create_product_image

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


class FormReader(HTMLParser):
    """Collects what a browser would send of a page's form if nobody typed anything."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self._area = self._select = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        name = given.get("name") or ""
        if tag == "input" and name and given.get("type") not in ("checkbox", "submit", "file"):
            self.fields[name] = given.get("value") or ""
        elif tag == "textarea":
            self._area, self.fields[name] = name, ""
        elif tag == "select" and name:
            self._select = name
            self.fields.setdefault(name, "")
        elif tag == "option" and self._select and "selected" in given:
            self.fields[self._select] = given.get("value") or ""

    def handle_data(self, data: str) -> None:
        if self._area:
            self.fields[self._area] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea" and self._area:
            # The first line end belongs to the markup; a browser sends every other as CR LF.
            text = self.fields[self._area].removeprefix("\r").removeprefix("\n")
            self.fields[self._area] = "\r\n".join(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
            self._area = ""
        elif tag == "select":
            self._select = ""


def read_form(client: Client, product: Product) -> dict[str, str]:
    fields = FormReader(client.get(f"/admin/catalog/product/{product.pk}/change/").text).fields
    return {name: value for name, value in fields.items() if "__prefix__" not in name}


def save(client: Client, product: Product, **changed: Any) -> Any:
    """Post the product's form with these fields changed."""
    body = urlencode(read_form(client, product) | changed)
    address, content_type = f"/admin/catalog/product/{product.pk}/change/", "application/x-www-form-urlencoded"
    return client.post(address, body, content_type=content_type)


def list_places(product: Product) -> list[tuple[int, str]]:
    return list(product.product_images.order_by("image_index").values_list("image_index", "image__url"))


def list_errors(response: Any) -> str:
    assert response.status_code == 200
    forms = response.context["inline_admin_formsets"]
    found = [response.context["adminform"].form.errors, *(form.formset.errors for form in forms)]
    return str([*found, *(form.formset.non_form_errors() for form in forms)])


@pytest.mark.parametrize(
    "indexes, urls",
    [
        (["1", "0", "2"], ["b", "a", "c"]),
        (["1", "2", "0"], ["c", "a", "b"]),
        (["7", "3", "2147483647"], ["b", "a", "c"]),
    ],
)
def test_images_change_their_places(admin_client: Client, indexes: list[str], urls: list[str]) -> None:
    product = create_product(images=["a", "b", "c"])
    ids = set(product.product_images.values_list("pk", flat=True))
    changed = {f"product_images-{number}-image_index": index for number, index in enumerate(indexes)}
    assert save(admin_client, product, **changed).status_code == 302
    assert list_places(product) == list(enumerate(urls))
    assert set(product.product_images.values_list("pk", flat=True)) == ids


def test_an_image_that_goes_leaves_its_place_to_the_next(admin_client: Client) -> None:
    product = create_product(images=["a", "b", "c"])
    assert save(admin_client, product, **{"product_images-0-DELETE": "on"}).status_code == 302
    assert list_places(product) == [(0, "b"), (1, "c")]
    assert product.label.image.url == "b"
    changed = {"product_images-1-DELETE": "on", "product_images-0-image_index": "1"}
    assert save(admin_client, product, **changed).status_code == 302
    assert list_places(product) == [(0, "b")]


def test_two_images_at_one_index_are_a_mistake_and_keep_what_was_typed(admin_client: Client) -> None:
    product = create_product("Old", images=["a", "b"])
    answer = save(admin_client, product, **{"product_images-1-image_index": "0", "title": "New"})
    assert "correct the duplicate" in list_errors(answer)
    assert ">New</textarea>" in answer.text.replace("\n", "")
    assert list_places(product) == [(0, "a"), (1, "b")]


def test_a_product_with_as_many_images_and_texts_as_an_import_takes_can_be_saved(admin_client: Client) -> None:
    product = create_product(images=["a.png"])
    image = Image.objects.get()
    places = [ProductImages(product=product, image=image, image_index=index) for index in range(1, 60)]
    ProductImages.objects.bulk_create(places)
    texts = {"original_text": "漢" * 60_000, "translated_text": "é" * 131_072}
    ProductDescription.objects.bulk_create(
        ProductDescription(product=product, country_code=country, **texts) for country in ("us", "de", "fr", "jp", "cn")
    )
    assert save(admin_client, product, title="Saved").status_code == 302
    assert Product.objects.get().title == "Saved"


def test_more_images_than_an_import_takes_are_refused(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_IMAGES == 1_000
    monkeypatch.setattr("catalog.admin.formsets.MAX_IMAGES", 2)
    product = create_product(images=["a", "b", "c"])
    answer = save(admin_client, product, **{"product_images-0-image_index": "9"})
    assert "Expected at most 2 images; received 3." in list_errors(answer)
    assert save(admin_client, product, title="Other").status_code == 302


def test_an_image_that_is_cleaned_away_while_a_form_shows_it_is_back(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def judge_too_late(formset: PlaceFormSet) -> None:
        judge(formset)
        Image.objects.filter(url="b").delete()

    judge = PlaceFormSet.clean
    monkeypatch.setattr(PlaceFormSet, "clean", judge_too_late)
    product, other = create_product(images=["a"]), create_image("b")
    changed = {
        "product_images-TOTAL_FORMS": "2",
        "product_images-1-image": str(other.pk),
        "product_images-1-image_index": "1",
        "product_images-1-product": str(product.pk),
        "product_images-1-id": "",
    }
    assert save(admin_client, product, **changed).status_code == 302
    assert list_places(product) == [(0, "a"), (1, "b")]


LEGACY_TITLES = ["line 1\nline 2", "a\r\nb", "a\rb", " spaces ", "x" * 1_001, "\u200b"]
LEGACY_COUNTRIES = ["us", "US", "Deutschland!", "en_us ", "us", "us"]
LEGACY_TEXTS = [("line 1\nline 2", None), ("a\r\nb", ""), ("", None), (None, " "), ("x", "\x07")]


@pytest.mark.parametrize("title, country", zip(LEGACY_TITLES, LEGACY_COUNTRIES, strict=True))
def test_saving_without_an_edit_changes_nothing_whatever_is_stored(
    admin_client: Client, title: str, country: str
) -> None:
    product = create_product(title, images=["javascript:alert(1)"])
    create_product_image(product, image_index=5)
    # The database takes 0.5 s to find the words of a text that long, so one product has one.
    long = [("x" * 131_073, "\x07")] if len(title) > 1_000 else []
    for original, translated in [*LEGACY_TEXTS, *long]:
        create_description(product, country_code=country, original_text=original, translated_text=translated)
    before = [list(model.objects.order_by("pk").values()) for model in (Product, ProductImages, ProductDescription)]
    assert save(admin_client, product).status_code == 302
    after = [list(model.objects.order_by("pk").values()) for model in (Product, ProductImages, ProductDescription)]
    assert after == before


def test_what_is_changed_is_stored_as_an_import_stores_it(admin_client: Client) -> None:
    product = create_product("Old", descriptions={"us": ("old", "old")})
    changed = {
        "title": " New\r\ntitle ",
        "descriptions-0-country_code": "UK",
        "descriptions-0-original_text": " a\r\nb ",
    }
    assert save(admin_client, product, **changed, **{"descriptions-0-translated_text": ""}).status_code == 302
    assert Product.objects.get().title == "New\ntitle"
    assert ProductDescription.objects.values_list("country_code", "original_text", "translated_text").get() == (
        "gb",
        "a\nb",
        None,
    )


@pytest.mark.parametrize(
    "changed, error",
    [
        ({"title": "x" * 1_001}, "Expected at most 1,000 characters in title, received 1,001."),
        ({"title": "\u200b"}, "Expected a title, received characters that cannot be seen."),
        ({"title": "a\0b"}, "Null characters are not allowed."),
        ({"descriptions-0-country_code": "Deutschland!"}, "Expected a country code of ISO 3166 such as"),
        ({"descriptions-0-country_code": "DE"}, "Expected every country once in a product; received de twice."),
        ({"descriptions-0-original_text": "x" * 131_073}, "Expected at most 131,072 characters in original_text"),
    ],
)
def test_what_an_import_refuses_is_refused(admin_client: Client, changed: dict[str, str], error: str) -> None:
    product = create_product("Old", descriptions={"us": ("a", None), "de": ("b", None)})
    assert error in list_errors(save(admin_client, product, **changed)).replace("\\'", "'")
    assert Product.objects.get().title == "Old"


@pytest.mark.parametrize(
    "url", ["//cdn.example/x.jpg", "https://a.example/my pic.jpg", "../../etc/passwd", "javascript:alert(1)", "\u200b"]
)
def test_an_image_that_an_import_refuses_is_refused(admin_client: Client, url: str) -> None:
    answer = admin_client.post("/admin/catalog/image/add/", {"url": url})
    assert "Expected a" in str(answer.context["adminform"].form.errors)
    assert not Image.objects.exists()
    assert admin_client.post("/admin/catalog/image/add/", {"url": " https://a.example/1.jpg "}).status_code == 302
    assert Image.objects.get().url == "https://a.example/1.jpg"


@pytest.mark.skipif("CASES_DIR" not in os.environ, reason="needs the folder of cases that CASES_DIR names")
def test_forms_that_other_admins_failed_on(
    settings: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    # It would bind the log to this test's own standard error, which is closed afterwards.
    monkeypatch.setattr(django, "setup", lambda: None)
    # Reviews are recorded somewhere else by now.
    script = Path(os.environ["CASES_DIR"], "catalogue/08-admin-forms.py").read_text()
    try:
        exec(script.replace("classifier.services", "classifier.reviews.services"), {})
    finally:
        logging.disable(logging.NOTSET)
    lines = [line.partition(": expected ")[2].partition(", got ") for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 7
    for expected, _, received in lines:
        # The address of an image that is there cannot be typed any more, so nothing is wrong with what came.
        assert received == expected or (expected, received) == ("200 with an error", "302")
    assert not Image.objects.filter(url__startswith="javascript:").exists()
