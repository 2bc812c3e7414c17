"""What is compressed for whoever accepts it, what is not, and what else the headers of an answer say."""

import gzip
import json

import pytest
from django.test import Client

from tests.support.factories import create_product

pytestmark = pytest.mark.django_db

GZIP = {"Accept-Encoding": "gzip"}
PRODUCTS = "/api/v1/products/"


def test_json_and_pages_are_compressed_for_whoever_accepts_it(client: Client) -> None:
    for _ in range(20):
        create_product("Linen shirt")
    plain = client.get(PRODUCTS)
    assert "Content-Encoding" not in plain.headers
    response = client.get(PRODUCTS, headers=GZIP)
    assert (response.headers["Content-Encoding"], "Accept-Encoding" in response.headers["Vary"]) == ("gzip", True)
    assert len(response.content) < len(plain.content) / 4
    assert json.loads(gzip.decompress(response.content)) == plain.json()
    assert client.get("/products/", headers=GZIP).headers["Content-Encoding"] == "gzip"
    refused = client.get(f"{PRODUCTS}?{'&'.join(f'x{n}=1' for n in range(20))}", headers=GZIP)
    assert (refused.status_code, refused.headers["Content-Encoding"]) == (400, "gzip")


def test_a_compressed_product_is_not_sent_again(client: Client) -> None:
    address = f"{PRODUCTS}{create_product('x' * 500).pk}/"
    tag = client.get(address, headers=GZIP).headers["ETag"]
    assert tag.startswith('W/"')
    response = client.get(address, headers=GZIP | {"If-None-Match": tag})
    assert (response.status_code, response.content) == (304, b"")


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_no_other_site_may_read_an_answer(client: Client, method: str) -> None:
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": method}
    response = client.generic(method, PRODUCTS, headers=headers)
    assert not [name for name in response.headers if name.startswith("Access-Control-")]
