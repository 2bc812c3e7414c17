"""Signing in and out on a page of the site, which is for everybody who has a name."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.support.members import sign_in

pytestmark = pytest.mark.django_db

SIGN_IN = "/sign-in/"
ERRORS = "/errors/?code=not_found"


@pytest.fixture
def ann() -> User:
    return User.objects.create_user("ann", password="right")


def test_somebody_who_is_not_of_the_staff_comes_to_where_they_were_going(client: Client, ann: User) -> None:
    page = client.get("/tokens/", follow=True)
    assert page.redirect_chain == [(f"{SIGN_IN}?next=/tokens/", 302)]
    assert 'name="next" value="/tokens/"' in page.text
    answer = client.post(SIGN_IN, {"username": "ann", "password": "right", "next": "/tokens/"}, follow=True)
    assert answer.redirect_chain == [("/tokens/", 302)]
    assert '<a class="name" href="/password/">ann<' in answer.text


def test_a_wrong_password_keeps_the_name_and_the_way(client: Client, ann: User) -> None:
    page = client.post(SIGN_IN, {"username": "ann", "password": "wrong", "next": "/tokens/"}).text
    assert "Please enter a correct username and password." in page
    assert 'value="ann"' in page
    assert 'name="next" value="/tokens/"' in page
    assert "wrong" not in page


@pytest.mark.parametrize("address", ["https://evil.example/", "//evil.example/", "javascript:alert(1)"])
def test_nobody_is_sent_to_another_site(client: Client, ann: User, address: str) -> None:
    answer = client.post(SIGN_IN, {"username": "ann", "password": "right", "next": address})
    assert answer.headers["Location"] == "/"


def test_a_visitor_finds_the_way_in_and_back(client: Client) -> None:
    page = client.get("/products/?group=Bags&search=a+b").text
    assert 'href="/sign-in/?next=%2Fproducts%2F%3Fgroup%3DBags%26search%3Da%2Bb"' in page
    assert "/admin/" not in page
    assert "?next=%2Fsign-in" not in client.get(SIGN_IN).text


def test_a_member_signs_out(client: Client) -> None:
    user = sign_in(client)
    page = client.get("/products/").text
    assert f'<a class="name" href="/password/">{user.username}<' in page
    assert 'action="/sign-out/"' in page
    assert client.get("/sign-out/").status_code == 405
    assert client.post("/sign-out/").headers["Location"] == "/"
    assert "Sign in" in client.get("/products/").text


@pytest.mark.parametrize("staff", [True, False])
def test_the_admin_is_in_the_menu_of_its_staff(client: Client, staff: bool) -> None:
    sign_in(client, staff=staff)
    assert ('href="/admin/"' in client.get("/products/").text) == staff
