"""Who signs in by a token, and until when."""

from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from config.accounts.models import Token
from config.accounts.services import TokenNameError, create_token
from config.db.clock import get_database_time
from tests.support.hostile import read_tables
from tests.support.members import create_member

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

ERRORS = "/api/v1/errors/"
FIRST, SECOND = "first-Passw0rd", "second-Passw0rd"


@pytest.fixture
def user() -> User:
    user = create_member("view_labeltask")
    user.set_password(FIRST)
    user.save()
    return user


@pytest.fixture
def key(user: User) -> str:
    return create_token(user, name="import", days=30)[1]


def call(key: str) -> int:
    return Client().get(ERRORS, headers={"Authorization": f"Token {key}"}).status_code


def test_a_key_signs_in_and_is_kept_nowhere(user: User, key: str) -> None:
    assert call(key) == 200
    assert len(key) >= 40
    assert key not in str(read_tables())
    assert call(key[:-1]) == call(Token.objects.get().sha256) == call("") == 401


def test_a_token_costs_one_query_and_one_write_a_day(user: User, key: str) -> None:
    assert call(key) == 200
    assert Token.objects.get().last_used_on == timezone.now().date()
    with CaptureQueriesContext(connection) as queries:
        assert call(key) == 200
    about_tokens = [query["sql"] for query in queries if "accounts_token" in query["sql"]]
    assert [sql.split()[0] for sql in about_tokens] == ["SELECT"]
    assert "auth_user" in about_tokens[0]


def test_an_expired_token_says_so_and_gives_its_name_free(user: User, key: str) -> None:
    Token.objects.update(expires_at=timezone.now() - timedelta(days=1))
    response = Client().get(ERRORS, headers={"Authorization": f"Token {key}"})
    yesterday = timezone.now() - timedelta(days=1)
    assert (response.status_code, response.json()["detail"]) == (401, f"The token expired on {yesterday:%Y-%m-%d}.")
    assert call(create_token(user, name="import", days=1)[1]) == 200
    assert Token.objects.count() == 1


def test_the_databases_clock_says_when_a_token_is_made_used_and_over(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = get_database_time()
    with monkeypatch.context() as patch:
        # A machine whose clock is a year ahead. On SQLite there is no other clock than the machine's.
        if connection.vendor == "postgresql":
            patch.setattr(timezone, "now", lambda: datetime.now(UTC) + timedelta(days=365))
        key = create_token(user, name="import", days=30)[1]
        assert call(key) == 200
        token = Token.objects.get()
    assert not token.is_expired
    assert timedelta(0) <= token.created_at - began < timedelta(minutes=1)
    assert token.expires_at == token.created_at + timedelta(days=30)
    assert token.last_used_on == token.created_at.date()
    Token.objects.update(expires_at=Now())
    assert Token.objects.get().is_expired
    assert call(key) == 401


def test_a_name_is_one_token_of_a_user(user: User, key: str) -> None:
    with pytest.raises(TokenNameError, match="a token 'import' of member-1"):
        create_token(user, name="import", days=1)
    create_token(create_member(), name="import", days=1)
    assert call(key) == 200


def test_a_token_may_no_more_than_its_user(user: User, key: str) -> None:
    user.user_permissions.clear()
    assert call(key) == 403


def set_in_code(user: User, admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    user.set_password(SECOND)
    user.save()


def set_by_command(user: User, admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getpass", lambda prompt: SECOND)
    call_command("changepassword", user.username, stdout=StringIO())


def set_by_admin(user: User, admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    passwords = {"usable_password": "true", "password1": SECOND, "password2": SECOND}
    assert admin_client.post(f"/admin/auth/user/{user.pk}/password/", passwords).status_code == 302


def taken_away_by_admin(user: User, admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    choice = {"usable_password": "false", "unset-password": "1"}
    assert admin_client.post(f"/admin/auth/user/{user.pk}/password/", choice).status_code == 302


def set_by_themselves(user: User, admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    User.objects.filter(pk=user.pk).update(is_staff=True)
    client = Client()
    client.force_login(user)
    passwords = {"old_password": FIRST, "new_password1": SECOND, "new_password2": SECOND}
    page = client.get("/admin/password_change/")
    assert "A new password ends all API tokens of the account." in page.text
    assert client.post("/admin/password_change/", passwords).status_code == 302


@pytest.mark.parametrize(
    "change",
    [set_in_code, set_by_command, set_by_admin, taken_away_by_admin, set_by_themselves],
    ids=lambda change: change.__name__,
)
def test_tokens_are_gone_with_the_password(
    change: Any, user: User, key: str, admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = create_token(create_member("view_labeltask"), name="other", days=1)[1]
    change(user, admin_client, monkeypatch)
    user.refresh_from_db()
    assert not user.check_password(FIRST)
    assert call(key) == 401
    assert not user.tokens.exists()
    assert call(other) == 200


def test_a_stronger_hash_of_the_same_password_ends_nothing(user: User, key: str, settings: Any) -> None:
    before = user.password
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.PBKDF2PasswordHasher", *settings.PASSWORD_HASHERS]
    assert user.check_password(FIRST)
    user.refresh_from_db()
    assert user.password != before
    assert call(key) == 200


def save_in_admin(client: Client, user: User, **changes: str) -> None:
    fields = {"username": user.username, "date_joined_0": "2026-01-01", "date_joined_1": "10:00:00", **changes}
    assert client.post(f"/admin/auth/user/{user.pk}/change/", fields).status_code == 302


def test_tokens_are_gone_when_a_user_is_deactivated(user: User, key: str, admin_client: Client) -> None:
    save_in_admin(admin_client, user, is_active="on", first_name="Ada")
    assert user.tokens.count() == 1
    save_in_admin(admin_client, user)
    assert call(key) == 401
    assert user.tokens.count() == 0


def test_tokens_of_a_user_deactivated_elsewhere_are_refused_and_do_not_come_back(
    user: User, key: str, admin_client: Client
) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)
    response = Client().get(ERRORS, headers={"Authorization": f"Token {key}"})
    assert (response.status_code, response.json()["detail"]) == (401, "The user of this token is not active.")
    save_in_admin(admin_client, user, is_active="on")
    assert call(key) == 401
