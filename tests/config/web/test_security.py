"""What the responses tell browsers to refuse."""

import re

import pytest
from django.contrib.staticfiles import finders
from django.test import Client

from config.web.security import ADMIN_POLICY, API_DOCUMENTATION_POLICY, PAGE_POLICY
from tests.support.factories import create_product

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("address", ["/", "/products/", "/products/1/", "/api/v1/products/", "/nothing/"])
def test_every_response_has_the_strict_policy(client: Client, address: str) -> None:
    create_product(id=1)
    policy = client.get(address).headers["Content-Security-Policy"]
    assert policy == PAGE_POLICY
    assert "unsafe" not in policy
    assert "http" not in policy


def test_the_admin_may_write_style_attributes_and_nothing_else(client: Client) -> None:
    for address in ("/admin/login/", "/admin/"):
        assert client.get(address).headers["Content-Security-Policy"] == ADMIN_POLICY
    assert f"{PAGE_POLICY}; style-src-attr 'unsafe-inline'" == ADMIN_POLICY


def test_the_page_of_the_api_may_write_styles_but_no_scripts(client: Client) -> None:
    response = client.get("/api/v1/docs/")
    assert response.headers["Content-Security-Policy"] == API_DOCUMENTATION_POLICY
    assert "script-src 'self';" in API_DOCUMENTATION_POLICY
    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son[a-z]+=|https?://", response.text)
    script = re.search(r'<script src="(/api/v1/docs/\?[^"]*)"', response.text)
    assert script is not None
    assert client.get(script[1].replace("&amp;", "&")).headers["Content-Type"] == "application/javascript"


@pytest.mark.parametrize(
    "address", ["/", "/products/", "/products/1/", "/products/?search=nothing", "/products/?status=lost", "/nothing/"]
)
def test_pages_have_nothing_inline_and_nothing_from_elsewhere(client: Client, address: str) -> None:
    create_product(id=1, images=["demo/1.png"], descriptions={"us": ("a", "b")})
    page = client.get(address).text
    assert not re.search(r"<script(?![^>]*\ssrc=\"/static/)|<style|\sstyle=|\son[a-z]+=|https?://", page)


def test_the_stylesheet_is_small() -> None:
    path = finders.find("catalog/site.css")
    assert path is not None
    with open(path, "rb") as stylesheet:
        assert len(stylesheet.read()) < 30_000
