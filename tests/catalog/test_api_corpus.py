"""Hostile requests for products: each has one documented answer, none is a 500, none writes anything."""

import json

import pytest
from django.core import signing
from django.test import Client

from catalog.models import Product
from catalog.paging import CURSOR_SALT
from tests.factories import create_product

pytestmark = pytest.mark.django_db

PRODUCTS = "/api/v1/products/"
SEARCH_OF_1200_WORDS = "+".join(["shirt"] * 1200)


@pytest.fixture
def hostile_client() -> Client:
    """A client that shows a 500 instead of raising what caused it, as a server would."""
    create_product("Shirt")
    return Client(raise_request_exception=False)


def sign_cursor(*content: object) -> str:
    return signing.Signer(salt=CURSOR_SALT).sign_object(list(content))


def assert_problem(response, status: int) -> None:
    """The response is the problem document of this status."""
    assert (response.status_code, response.headers["Content-Type"]) == (status, "application/problem+json")
    assert json.loads(response.content)["status"] == status


@pytest.mark.parametrize(
    "query",
    [
        "search=%00",
        f"search={SEARCH_OF_1200_WORDS}",
        "search=" + "x" * 100_000,
        "search=a+b+c+d+e+f+g+h+i",
        "id=abc",
        "id=1e30",
        "_connector=OR+1=1",
        "title__regex=(a%2B)%2B$",
        "user__password__startswith=a",
        "limit=1e30",
        "offset=-1",
        "offset=%D9%A1%D9%A2",
        "token=0123456789",
        "group=Hats",
        "garment=Hat",
        "status=lost",
        "ordering=title",
        "min_confidence=nan",
        "min_confidence=inf",
        "min_confidence=-0.1",
        "min_confidence=high",
        "country=us%00",
        "country=%27%20OR%201=1",
        "page_size=0",
        "page_size=101",
        "page_size=1e30",
        "page_size=" + "9" * 5000,
        "cursor=" + "x" * 5000,
        "&".join(f"x{number}=1" for number in range(2000)),
    ],
    ids=lambda query: query[:24],
)
def test_what_is_no_filter_or_no_value_of_one_is_a_400(hostile_client: Client, query: str) -> None:
    assert_problem(hostile_client.get(f"{PRODUCTS}?{query}"), 400)


@pytest.mark.parametrize(
    "cursor",
    [
        "garbage",
        "cD1hYmM=",
        "cD0lMDA=",
        "bz0xZTk=",
        "%ff%fe",
        sign_cursor("-id", False, [1]),
        signing.dumps(["id", False, [1]]),
    ],
    ids=["garbage", "p=abc", "p=NUL", "o=1e9", "bytes", "another ordering", "another purpose"],
)
def test_a_forged_cursor_is_not_found(hostile_client: Client, cursor: str) -> None:
    assert_problem(hostile_client.get(f"{PRODUCTS}?cursor={cursor}"), 404)


@pytest.mark.parametrize("key", ["abc", "1" + "0" * 30, "9" * 5000, "%00", "-1", "%D9%A1", "1.0"])
def test_what_is_no_product_is_not_found(hostile_client: Client, key: str) -> None:
    assert_problem(hostile_client.get(f"{PRODUCTS}{key}/"), 404)


@pytest.mark.parametrize(
    "title",
    [
        "<script>alert(1)</script>",
        "\u202egnp.exe\u200d\U0001f600",
        "Z" + "\u0301" * 10_000,
        '=HYPERLINK("https://evil.example")',
        "x" * 1_000_000,
    ],
    ids=["script", "direction", "combining", "formula", "long"],
)
def test_a_title_comes_back_as_it_is_and_as_json_only(client: Client, title: str) -> None:
    create_product(title)
    response = client.get(PRODUCTS)
    assert response.json()["results"][0]["title"] == title
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_a_foreign_host_is_refused(hostile_client: Client) -> None:
    response = hostile_client.get(PRODUCTS, headers={"Host": "evil.example", "X-Forwarded-Host": "localhost"})
    assert_problem(response, 400)
    response = hostile_client.get(PRODUCTS, {"page_size": 1}, headers={"X-Forwarded-Host": "evil.example"})
    assert b"evil.example" not in response.content


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"])
def test_a_header_does_not_change_the_method(hostile_client: Client, header: str) -> None:
    address = f"{PRODUCTS}{Product.objects.get().pk}/"
    assert hostile_client.get(address, headers={header: "DELETE"}).status_code == 200
    assert_problem(hostile_client.post(address, headers={header: "DELETE"}), 405)
    assert Product.objects.count() == 1


def test_a_token_that_does_not_exist_is_refused_with_a_challenge(hostile_client: Client) -> None:
    response = hostile_client.get(PRODUCTS, headers={"Authorization": "Token 0123456789"})
    assert_problem(response, 401)
    assert response.headers["WWW-Authenticate"] == "Token"


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "multipart/form-data"])
def test_products_are_read_only_whatever_the_body(hostile_client: Client, method: str, content_type: str) -> None:
    body = b"[" * 100_000
    for address in (PRODUCTS, f"{PRODUCTS}{Product.objects.get().pk}/"):
        assert_problem(getattr(hostile_client, method)(address, data=body, content_type=content_type), 405)
    assert list(Product.objects.values_list("title", flat=True)) == ["Shirt"]


def test_what_cannot_be_answered_in_json_is_a_406(hostile_client: Client) -> None:
    assert_problem(hostile_client.get(PRODUCTS, headers={"Accept": "text/html"}), 406)
    browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    assert hostile_client.get(PRODUCTS, headers={"Accept": browser}).headers["Content-Type"] == "application/json"
