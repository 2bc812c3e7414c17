"""Exports over HTTP: what is sent, to whom, and how many at once."""

import io
import json
import zipfile
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from catalog.interchange.views import EXPORTS_AT_ONCE
from tests.support.factories import create_product
from tests.support.fakes import create_model_version, create_painted_image
from tests.support.importing import Importer, counts
from tests.support.labels import create_labelled_product, label_everything
from tests.support.members import build_token_header, create_member, sign_in

pytestmark = pytest.mark.django_db


def read(response: Any) -> bytes:
    """Read a streamed answer to its end; the test client closes it then, as a server does."""
    return b"".join(response.streaming_content)


@pytest.mark.parametrize("prefix", ["/products", "/api/v1/products"])
def test_a_member_downloads_what_the_filters_choose(client: Client, tmp_path: Any, prefix: str) -> None:
    sign_in(client, "view_productlabel")
    bag = create_labelled_product("Red bag", group="Bags", garment="Bag")
    create_labelled_product("Red boot", group="Footwear", garment="Ankle boot")
    response = client.get(f"{prefix}/export.jsonl", {"group": "Bags", "search": "red", "min_confidence": ""})
    content = read(response)
    assert response.headers["Content-Type"] == "application/x-ndjson"
    assert response.headers["Content-Disposition"] == 'attachment; filename="products.jsonl"'
    assert response.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert response.headers["Cache-Control"] == "no-store"
    assert [json.loads(line)["id"] for line in content.splitlines()] == [bag.pk]
    csv = read(client.get(f"{prefix}/export.csv"))
    assert counts(Importer(tmp_path).run(csv, name="again.csv")) == (0, 0, 2, 0)


def test_the_archive_of_pictures_has_a_folder_for_each_group(client: Client) -> None:
    sign_in(client, "view_productlabel")
    create_model_version()
    image = create_painted_image("Sandal")
    create_product(images=[image])
    create_product(images=["https://shop.example/missing.jpg"])
    label_everything()
    response = client.get("/products/export.zip")
    with zipfile.ZipFile(io.BytesIO(read(response))) as archive:
        image.refresh_from_db()
        sha256 = image.stored_picture.sha256
        assert archive.namelist() == [f"footwear/{sha256}.png", "manifest.jsonl"]
        assert [json.loads(line)["sha256"] for line in archive.open("manifest.jsonl")] == [sha256, None]
    assert response.headers["Content-Type"] == "application/zip"


def test_an_archive_of_too_many_pictures_is_refused_with_the_way_out(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catalog.interchange.views.MAXIMUM_ARCHIVED", 2)
    sign_in(client, "view_productlabel")
    for _ in range(3):
        create_product("Boot")
    create_product("Bag")
    page, problem = client.get("/products/export.zip"), client.get("/api/v1/products/export.zip")
    assert (page.status_code, problem.status_code) == (400, 400)
    assert "manage.py export_catalog --format pictures" in page.text
    assert "manage.py export_catalog --format pictures" in problem.json()["errors"]["suffix"][0]
    for query in ("/products/export.csv", "/products/export.zip?search=bag"):
        response = client.get(query)
        assert response.status_code == 200
        read(response)


def test_a_program_downloads_by_its_token_whatever_it_accepts(client: Client) -> None:
    create_product("Bare", id=7)
    header = build_token_header(create_member("view_productlabel"))
    response = client.get("/api/v1/products/export.jsonl", headers={**header, "Accept": "text/csv"})
    assert json.loads(read(response))["id"] == 7


@pytest.mark.parametrize(
    "query", ["group=Hats", "page_size=10", "cursor=x", "colour=red", "min_confidence=nan", "ordering=title"]
)
def test_a_filter_that_is_unknown_or_not_accepted_is_refused(client: Client, query: str) -> None:
    sign_in(client, "view_productlabel")
    name = query.partition("=")[0]
    page = client.get(f"/products/export.csv?{query}")
    problem = client.get(f"/api/v1/products/export.csv?{query}")
    assert (page.status_code, problem.status_code) == (400, 400)
    assert f"{name}: " in page.text
    assert list(problem.json()["errors"]) == [name]
    assert problem.headers["Content-Type"] == "application/problem+json"


def test_only_so_many_are_sent_at_once_and_a_reader_that_leaves_makes_room(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A closed answer gives its connection back, and the test's must stay.
    monkeypatch.setattr(connection, "close_if_unusable_or_obsolete", lambda: None)
    sign_in(client, "view_productlabel")
    create_product()
    held = [client.get("/products/export.csv") for _ in range(EXPORTS_AT_ONCE)]
    page, problem = client.get("/products/export.csv"), client.get("/api/v1/products/export.zip")
    assert (page.status_code, page.headers["Retry-After"]) == (503, "60")
    assert (problem.status_code, problem.headers["Retry-After"]) == (503, "60")
    assert problem.headers["Content-Type"] == "application/problem+json"
    # One is read in part, the other is given up before its first part; closing twice makes no more room.
    next(iter(held[0].streaming_content))
    for response in [*held, *held]:
        response.close()
    again = [client.get("/products/export.csv") for _ in range(EXPORTS_AT_ONCE)]
    assert [response.status_code for response in again] == [200] * EXPORTS_AT_ONCE
    assert client.get("/products/export.csv").status_code == 503
    for response in again:
        response.close()


def test_the_grid_offers_the_export_of_what_it_shows_to_those_who_may(client: Client) -> None:
    grid = reverse("product-list")
    create_labelled_product("Red bag", group="Bags", garment="Bag")
    assert "export.csv" not in client.get(grid).text
    sign_in(client, "view_productlabel")
    assert 'href="/products/export.csv" download' in client.get(grid).text
    page = client.get(grid, {"group": "Bags", "search": "r&d bag", "page_size": "1"}).text
    assert "export.csv" not in page  # nothing matches
    page = client.get(grid, {"group": "Bags", "search": "red", "ordering": "-id", "page_size": "1"}).text
    for suffix in ("csv", "jsonl", "zip"):
        assert f'href="/products/export.{suffix}?group=Bags&amp;search=red&amp;ordering=-id" download' in page


@pytest.mark.parametrize("prefix", ["/products", "/api/v1/products"])
def test_the_head_of_an_export_reads_no_product(client: Client, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sign_in(client, "view_productlabel")
    monkeypatch.setattr("catalog.interchange.exporting.find_stored_products", lambda ids: pytest.fail("made"))
    create_product("Shirt")
    for _ in range(EXPORTS_AT_ONCE + 1):
        response = client.head(f"{prefix}/export.csv")
        assert (response.status_code, response.headers["Content-Type"]) == (200, "text/csv; charset=utf-8")
        assert read(response) == b""


@pytest.mark.parametrize("prefix", ["/products", "/api/v1/products"])
def test_an_export_has_any_of_several_groups_and_no_filter_twice(client: Client, prefix: str) -> None:
    sign_in(client, "view_productlabel")
    bag = create_labelled_product(group="Bags", garment="Bag")
    boot = create_labelled_product(group="Footwear", garment="Ankle boot")
    create_labelled_product(group="Upper part", garment="Coat")
    lines = read(client.get(f"{prefix}/export.jsonl?group=Bags&group=Footwear")).splitlines()
    assert [json.loads(line)["id"] for line in lines] == [bag.pk, boot.pk]
    refused = client.get(f"{prefix}/export.jsonl?ordering=id&ordering=-id")
    assert refused.status_code == 400
    assert b"Expected one value; received 2." in refused.content
