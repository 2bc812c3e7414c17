"""The catalogue application."""

from django.apps import AppConfig


class CatalogConfig(AppConfig):
    """Products, their pictures and descriptions; knows nothing of machine learning."""

    name = "catalog"

    def ready(self) -> None:
        """Register the system checks."""
        from catalog import checks  # noqa: F401  (the import registers them)
        from config import checks as site_checks  # noqa: F401
