"""Tokens in the admin, where no key can be read, and what is done to a user that ends tokens."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import AdminPasswordChangeForm
from django.contrib.auth.models import User
from django.db.models import Model
from django.http import HttpRequest

from config.accounts.models import Token
from config.accounts.services import revoke_tokens
from config.web.admin import ReadOnlyAdmin


@admin.register(Token)
class TokenAdmin(ReadOnlyAdmin):
    """Tokens of all users, to be revoked. Each makes their own; operators make them by a command."""

    list_display = ("name", "user", "created_at", "expires_at", "last_used_on")
    list_select_related = ("user",)
    search_fields = ("name", "user__username")

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return whether the user may revoke tokens."""
        return admin.ModelAdmin.has_delete_permission(self, request, obj)


class PasswordForm(AdminPasswordChangeForm):
    """The admin's form for the password of a user, which can take it away as well."""

    def save(self, commit: bool = True) -> User:
        """End the user's tokens, also where no password is set."""
        user: User = super().save(commit)
        revoke_tokens(user)
        return user


admin.site.unregister(User)


@admin.register(User)
class MemberAdmin(UserAdmin):
    """Users, as Django has them."""

    change_password_form = PasswordForm

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """End the tokens of a user who is deactivated, or was and comes back."""
        super().save_model(request, obj, form, change)
        if "is_active" in form.changed_data:
            revoke_tokens(obj)
