"""SECRET_KEY is exchanged without ending a sign-in: the recipe of docs/upgrades.md."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from config.db.paging import NEWEST_FIRST, InvalidCursorError, _read_cursor, write_cursor

pytestmark = pytest.mark.django_db


def test_sign_ins_and_cursors_of_the_former_key_hold_while_it_is_named(settings: Any) -> None:
    settings.SECRET_KEY = "first" * 12
    client = Client()
    client.force_login(User.objects.create_user("ann"))
    place = write_cursor(NEWEST_FIRST, [7])
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "second" * 12, ["first" * 12]
    assert client.get("/password/").status_code == 200
    assert _read_cursor(place, ordering=NEWEST_FIRST) == (False, [7])
    # Whoever came meanwhile has a sign-in of the new key.
    settings.SECRET_KEY_FALLBACKS = []
    assert client.get("/password/").status_code == 200
    stranger = Client()
    stranger.cookies = client.cookies
    settings.SECRET_KEY = "third" * 12
    assert stranger.get("/password/").status_code == 302
    with pytest.raises(InvalidCursorError):
        _read_cursor(place, ordering=NEWEST_FIRST)
