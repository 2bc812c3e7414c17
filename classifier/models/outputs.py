"""Updates of the outputs by class."""

from django.db import models
from django.db.models import Q

from classifier.models.runs import Run


class OutputRun(Run):
    """An update of the pictures by group in a storage: of which products, and what it did there.

    Of one storage at most one is running. One that is cancelled or killed leaves whole files and the manifest of the
    update before; the next goes on from there.
    """

    storage = models.CharField(max_length=64, help_text="Its name in STORAGES.")
    filters = models.CharField(
        max_length=1000, blank=True, help_text="As the list of products has them in its address. Empty: every product."
    )
    figures = models.JSONField(default=dict, help_text="Pictures added, moved, removed, as they were, and missing.")

    class Meta(Run.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["storage"], condition=Q(state="running"), name="outputrun_one_running_of_storage"
            ),
        ]

    def __str__(self) -> str:
        return f"output run {self.pk} ({self.state})"
