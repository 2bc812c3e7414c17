"""The page on which people change their password, whether or not they are of the staff."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from config.accounts.models import Token
from config.accounts.services import create_token

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

PASSWORD = "/password/"
FIRST, SECOND = "first-Passw0rd", "second-Passw0rd"


@pytest.fixture
def ann(client: Client) -> User:
    user = User.objects.create_user("ann", password=FIRST)
    client.force_login(user)
    return user


def build_form(old: str, new: str, again: str) -> dict[str, str]:
    return {"old_password": old, "new_password1": new, "new_password2": again}


def test_a_new_password_ends_tokens_and_other_sign_ins_and_keeps_this_one(client: Client, ann: User) -> None:
    elsewhere = Client()
    elsewhere.force_login(ann)
    create_token(ann, name="import", days=1)
    assert f'<a class="name" href="{PASSWORD}">ann<' in client.get("/products/").text
    answer = client.post(PASSWORD, build_form(FIRST, SECOND, SECOND), follow=True)
    assert answer.redirect_chain == [(PASSWORD, 302)]
    assert "Your password is changed. Your tokens have ended" in answer.text
    ann.refresh_from_db()
    assert ann.check_password(SECOND)
    assert not Token.objects.exists()
    assert client.get("/tokens/").status_code == 200
    assert elsewhere.get("/tokens/").status_code == 302


@pytest.mark.parametrize(
    "form, said",
    [
        (build_form("wrong", SECOND, SECOND), "Old password: Your old password was entered incorrectly."),
        (build_form(FIRST, SECOND, "other"), "New password confirmation: The two password fields"),
        (build_form(FIRST, "12345678", "12345678"), "New password confirmation: This password is too common."),
    ],
)
def test_what_is_refused_says_why_and_ends_nothing(client: Client, ann: User, form: dict[str, str], said: str) -> None:
    create_token(ann, name="import", days=1)
    page = client.post(PASSWORD, form)
    assert said in page.text.replace("&#x27;", "'")
    assert SECOND not in page.text
    ann.refresh_from_db()
    assert ann.check_password(FIRST)
    assert Token.objects.exists()
