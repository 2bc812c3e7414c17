"""A database that a newer release has migrated is not migrated by this one, which does not know its tables."""

from typing import Any

from django.apps import apps
from django.core.management.base import CommandError
from django.db import connections
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

#: The packages whose migrations are the product's own.
OURS = ("catalog", "classifier", "config")


def list_known_migrations() -> set[str]:
    """Return the names of the migrations that this code has, `app.name`, those of other packages among them."""
    return {f"{label}.{name}" for label, name in MigrationLoader(None).disk_migrations or ()}


def refuse_newer_schema(using: str, **_signal: Any) -> None:
    """Raise `CommandError`, before anything is written, if the database has migrations that this code lacks."""
    labels = {app.label for app in apps.get_app_configs() if app.name.partition(".")[0] in OURS}
    applied = MigrationRecorder(connections[using]).applied_migrations()
    unknown = sorted({f"{label}.{name}" for label, name in applied if label in labels} - list_known_migrations())
    if unknown:
        raise CommandError(
            f"expected a database of this release or an older one; it has {', '.join(unknown)}, which this release "
            "does not know. Run the newer release, or restore the backup from before it."
        )
