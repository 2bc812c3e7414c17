"""Tokens are made, found by their key, and revoked."""

import hashlib
import secrets
from datetime import timedelta

from django.contrib.auth.models import AbstractBaseUser, User
from django.db import IntegrityError, transaction

from config.accounts.models import Token
from config.db.clock import get_database_time

LONGEST_DAYS = 366
USUAL_DAYS = 90


class TokenNameError(ValueError):
    """The user has a token of this name already."""


def create_token(user: User, *, name: str, days: int) -> tuple[Token, str]:
    """Make a token that expires after so many days; return it, saved, and its key, which nobody can read again.

    Those of the user that have expired go. Raises `TokenNameError`.
    """
    key = secrets.token_urlsafe(32)
    now = get_database_time()
    user_tokens = Token.objects.filter(user=user)
    user_tokens.filter(expires_at__lte=now).delete()
    token = Token(user=user, name=name, sha256=hash_key(key), created_at=now, expires_at=now + timedelta(days=days))
    token.read_at = now
    try:
        with transaction.atomic():
            token.save()
    except IntegrityError as error:
        raise TokenNameError(f"Expected a new name; there is a token {name!r} of {user} already.") from error
    return token, key


def hash_key(key: str) -> str:
    """Return what is kept of a key: its SHA-256 in hexadecimal digits."""
    return hashlib.sha256(key.encode()).hexdigest()


def find_token(key: str) -> Token | None:
    """Return the token of this key with its user, whether or not it may still be used, or None; one query."""
    return Token.objects.select_related("user").filter(sha256=hash_key(key)).first()


def note_use(token: Token) -> None:
    """Keep the day on which a token, just read, was last used; one write a day."""
    today = token.read_at.date()
    if token.last_used_on != today:
        Token.objects.filter(pk=token.pk).update(last_used_on=today)


def revoke_tokens(user: AbstractBaseUser) -> None:
    """End all tokens of a user."""
    Token.objects.filter(user_id=user.pk).delete()
