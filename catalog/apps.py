"""The catalogue application."""

from django.apps import AppConfig
from django.db.backends.signals import connection_created


class CatalogConfig(AppConfig):
    """Products, their pictures and descriptions; knows nothing of machine learning."""

    name = "catalog"

    def ready(self) -> None:
        """Register the system checks, and what SQLite's statements may call."""
        from catalog import checks  # noqa: F401  (the import registers them)
        from catalog.search.folding import add_to_sqlite
        from config import checks as site_checks  # noqa: F401

        connection_created.connect(add_to_sqlite)
