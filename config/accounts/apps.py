"""The application of accounts."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Tokens, and what ends them."""

    name = "config.accounts"
    label = "accounts"
