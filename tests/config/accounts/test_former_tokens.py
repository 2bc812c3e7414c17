"""A client with a token of the release before, in whose tables it stood readable, is answered after the migration."""

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.test import Client
from django.utils import timezone

from config.accounts.models import Token
from tests.site.test_migrations import FORMER_TOKENS
from tests.support.members import create_member

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]

KEY = "401f7ac837da42b97f613d789819ff93537bee6a"


def migrate(name: str | None) -> None:
    MigrationExecutor(connection).migrate([("accounts", name)])


@pytest.fixture
def user() -> Iterator[User]:
    """Somebody with a token in a database as the release before left it."""
    migrate(None)
    user = create_member("view_labeltask")
    with connection.cursor() as cursor:
        cursor.execute(FORMER_TOKENS)
        cursor.execute("INSERT INTO authtoken_token VALUES (%s, %s, %s)", [KEY, timezone.now(), user.pk])
    yield user
    migrate("0003_times_of_the_database")


def test_a_client_with_a_former_token_is_answered(user: User) -> None:
    migrate("0002_former_tokens")
    response = Client().get("/api/v1/errors/", headers={"Authorization": f"Token {KEY}"})
    assert response.status_code == 200
    (token,) = Token.objects.all()
    assert (token.user, token.end, token.last_used_on) == (user, "never", timezone.now().date())
    assert "authtoken_token" not in connection.introspection.table_names()
    # Back and forth again, as after an upgrade that was taken back: tokens are made anew then.
    migrate(None)
    assert "accounts_token" not in connection.introspection.table_names()
    migrate("0002_former_tokens")
    assert not Token.objects.exists()
