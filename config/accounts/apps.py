"""The application of accounts."""

from django.apps import AppConfig
from django.db.models.signals import pre_migrate


class AccountsConfig(AppConfig):
    """Tokens, and what ends them."""

    name = "config.accounts"
    label = "accounts"

    def ready(self) -> None:
        """Have `migrate` look at the database before anything is changed: this application is the first."""
        from config.db.newer import refuse_newer_schema

        pre_migrate.connect(refuse_newer_schema, sender=self)
