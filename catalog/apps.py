"""The catalogue application."""

from django.apps import AppConfig


class CatalogConfig(AppConfig):
    """Products, their pictures and descriptions; knows nothing of machine learning."""

    name = "catalog"
