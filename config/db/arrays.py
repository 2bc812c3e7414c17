"""Conditions over many values, as one parameter where the database knows arrays."""

from collections.abc import Collection
from typing import Any

from django.db.models import BooleanField, F, Func


class AnyOf(Func):
    """Whether a field has one of the values, which are ids, numbers or texts: what `in` does, at less cost for many.

    Of a thousand ids `in` makes a thousand parameters, each prepared by itself. No values are no rows.
    """

    output_field = BooleanField()

    def __init__(self, field: str, values: Collection[Any]) -> None:
        super().__init__(F(field))
        self.values = list(values)

    def as_sql(self, compiler: Any, connection: Any, **_: Any) -> tuple[str, list[Any]]:  # type: ignore[override]
        """Return the condition for a database without arrays."""
        sql, parameters = compiler.compile(self.source_expressions[0])
        marks = ", ".join(["%s"] * len(self.values)) or "NULL"
        return f"{sql} IN ({marks})", [*parameters, *self.values]

    def as_postgresql(self, compiler: Any, connection: Any, **_: Any) -> tuple[str, list[Any]]:
        """Return the condition for PostgreSQL."""
        sql, parameters = compiler.compile(self.source_expressions[0])
        column = self.source_expressions[0].output_field.cast_db_type(connection)
        return f"{sql} = ANY(%s::{column}[])", [*parameters, self.values]
