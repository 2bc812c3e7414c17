"""The page on which people make and revoke tokens of their own, and the admin's list, which shows no key."""

import re

import pytest
from django.test import Client

from config.accounts.models import Token
from config.accounts.services import create_token
from tests.support.members import create_member, sign_in

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

TOKENS = "/tokens/"


def test_a_key_is_shown_once(client: Client) -> None:
    user = sign_in(client, "view_labeltask")
    assert "You have no token" in client.get(TOKENS).text
    page = client.post(TOKENS, {"name": " Nightly <import> ", "days": "30"})
    (key,) = re.findall(r"<pre><code>([\w-]{40,})</code>", page.text)
    assert "no-store" in page.headers["Cache-Control"]
    assert Client().get("/api/v1/errors/", headers={"Authorization": f"Token {key}"}).status_code == 200
    (token,) = Token.objects.all()
    assert (token.user, token.name, (token.expires_at - token.created_at).days) == (user, "Nightly <import>", 30)
    again = client.get(TOKENS).text
    assert key not in again
    assert "Nightly &lt;import&gt;" in again
    assert token.end in again


@pytest.mark.parametrize(
    "name, days, said",
    [("", "30", "Name: This field is required."), ("x" * 101, "30", "at most 100 characters"),
     ("a\0b", "30", "Null characters"), ("new", "0", "Days: "), ("new", "367", "less than or equal to 366"),
     ("new", "soon", "Days: Enter a whole number."), ("taken", "30", "Expected a new name")],
)  # fmt: skip
def test_what_is_refused_says_why_and_keeps_what_was_typed(client: Client, name: str, days: str, said: str) -> None:
    create_token(sign_in(client), name="taken", days=1)
    page = client.post(TOKENS, {"name": name, "days": days})
    assert page.status_code == 400
    assert said in page.text
    assert f'value="{days}"' in page.text
    assert Token.objects.count() == 1


def test_one_revokes_ones_own_and_nobody_elses(client: Client) -> None:
    own, _ = create_token(sign_in(client), name="own", days=1)
    other, _ = create_token(create_member(), name="other", days=1)
    assert "other" not in re.findall(r'<th scope="row">(.*)</th>', client.get(TOKENS).text)
    assert client.post(f"{TOKENS}{other.pk}/revoke/").status_code == 404
    assert client.post(f"{TOKENS}{own.pk}/revoke/").headers["Location"] == TOKENS
    assert list(Token.objects.all()) == [other]


def test_the_page_is_found_by_whoever_is_signed_in(client: Client) -> None:
    assert TOKENS not in client.get("/products/").text
    sign_in(client)
    assert TOKENS in client.get("/products/").text


def test_the_admin_shows_and_revokes_and_knows_no_key(admin_client: Client) -> None:
    token, key = create_token(create_member(), name="shop", days=1)
    for address in (
        "/admin/accounts/token/",
        f"/admin/accounts/token/{token.pk}/change/",
        "/admin/accounts/token/?q=shop",
    ):
        page = admin_client.get(address)
        assert page.status_code == 200
        assert "shop" in page.text
        assert key not in page.text
        assert token.sha256 not in page.text
    assert admin_client.get("/admin/accounts/token/add/").status_code == 403
    response = admin_client.post(f"/admin/accounts/token/{token.pk}/delete/", {"post": "yes"})
    assert response.status_code == 302
    assert not Token.objects.exists()
