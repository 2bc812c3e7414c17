"""The classifier application."""

from django.apps import AppConfig


class ClassifierConfig(AppConfig):
    """Model versions, labelling and training runs, and the labels they gave to the catalogue."""

    name = "classifier"

    def ready(self) -> None:
        """Register the system checks."""
        from classifier import checks  # noqa: F401  (the import registers them)
