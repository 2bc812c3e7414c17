"""How a request by token is signed in, and a new password ends the tokens of its user."""

from django.contrib.auth.models import AbstractBaseUser, User
from rest_framework.authentication import TokenAuthentication
from rest_framework.exceptions import AuthenticationFailed

from config.accounts.models import Token
from config.accounts.services import find_token, note_use, revoke_tokens


class HashedTokenAuthentication(TokenAuthentication):
    """`Authorization: Token KEY`, at the cost of one query."""

    def authenticate_credentials(self, key: str) -> tuple[User, Token]:
        """Return the token and its user; raise `AuthenticationFailed`."""
        token = find_token(key)
        if token is None:
            raise AuthenticationFailed("Expected the key of a token; received none that is known.")
        if token.is_expired:
            raise AuthenticationFailed(f"The token expired on {token.expires_at:%Y-%m-%d}.")
        if not token.user.is_active:
            raise AuthenticationFailed("The user of this token is not active.")
        note_use(token)
        return token.user, token


class TokensEndWithPassword:
    """Among the validators of passwords, which Django tells of every new one, wherever it was set."""

    def validate(self, password: str, user: AbstractBaseUser | None = None) -> None:
        """Accept any password."""

    def get_help_text(self) -> str:
        """Say what a new password does."""
        return "A new password ends all API tokens of the account."

    def password_changed(self, password: str, user: AbstractBaseUser) -> None:
        """End the user's tokens."""
        revoke_tokens(user)
