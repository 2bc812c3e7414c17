"""People who sign in, for tests of what they may do."""

from django.contrib.auth.models import Permission, User
from django.test import Client

from config.accounts.services import create_token


def create_member(*permissions: str, staff: bool = False) -> User:
    """Create a user who has these permissions of the two apps, such as `add_review`, and no others."""
    user = User.objects.create_user(f"member-{User.objects.count() + 1}", is_staff=staff)
    known = Permission.objects.filter(content_type__app_label__in=["catalog", "classifier"], codename__in=permissions)
    assert len(known) == len(permissions), f"expected permissions of the two apps, received {permissions}"
    user.user_permissions.set(known)
    return user


def sign_in(client: Client, *permissions: str, staff: bool = False) -> User:
    """Sign a new user in who has these permissions, and return them."""
    user = create_member(*permissions, staff=staff)
    client.force_login(user)
    return user


def build_token_header(user: User) -> dict[str, str]:
    """Return a header that signs the user in, by a new token."""
    _, key = create_token(user, name=f"Token {user.tokens.count() + 1}", days=1)
    return {"Authorization": f"Token {key}"}
