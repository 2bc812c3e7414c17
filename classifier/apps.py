"""The classifier application."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_migrate


class ClassifierConfig(AppConfig):
    """Model versions, labelling and training runs, and the labels they gave to the catalogue."""

    name = "classifier"

    def ready(self) -> None:
        """Register the system checks, and with the catalogue how labels follow and what they were."""
        from catalog.labels import register_decision
        from classifier import checks  # noqa: F401  (the import registers them)
        from classifier.labels.history import find_labels_as_of
        from classifier.labels.services import refresh_product_labels, remove_product_labels
        from classifier.labels.sql_views import create_views, drop_views

        register_decision(refresh=refresh_product_labels, remove=remove_product_labels, history=find_labels_as_of)
        # Not a rule of the data: what migrations cannot do with views in their way.
        pre_migrate.connect(drop_views, sender=self)
        post_migrate.connect(create_views, sender=self)
