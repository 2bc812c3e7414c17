"""What rows are called that are about other rows: by the names of those, as long as that costs no query."""

from typing import Any

from django.db import models


def name_related(row: models.Model, field_name: str) -> str:
    """Return the name of what a foreign key leads to; where that was not read with the row, what it is and its id."""
    field: Any = row._meta.get_field(field_name)
    if field.is_cached(row):
        return str(getattr(row, field_name) or f"no {field.verbose_name}")
    return f"{field.verbose_name} {row.serializable_value(field_name)}"
