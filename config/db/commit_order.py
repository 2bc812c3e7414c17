"""Rows that are read in the order of their ids by whoever comes back for more: none may appear behind a reader.

PostgreSQL gives ids out in order, but transactions end in any: a row with a smaller id may appear after one with a
larger id was read. So whoever inserts such rows announces it, and readers go only as far as nobody may still come.
"""

from zlib import crc32

from django.db import connection, models
from django.db.models import Max

# Of an advisory lock's 63 bits those below say after which id rows may come, the others of which table.
_ID_BITS = 48


def announce_rows(model: type[models.Model]) -> None:
    """Say that this transaction inserts rows of a table of which `get_settled_id` is asked; call it before it does.

    Once a transaction is enough. It makes nobody wait.
    """
    if connection.vendor != "postgresql":
        return
    place, parameters = _get_place(model)
    announced = f"catalogue.announced_{model._meta.db_table}"
    with connection.cursor() as cursor:
        # The lock says which id was the last one given before: any that this transaction draws is behind it. Lock and
        # setting both go with the transaction, or with the savepoint that is rolled back.
        cursor.execute(
            f"SELECT pg_advisory_xact_lock_shared(%s + {place}), set_config(%s, 'yes', true)"  # noqa: S608
            " WHERE current_setting(%s, true) IS DISTINCT FROM 'yes'",
            [_get_class(model) << _ID_BITS, *parameters, announced, announced],
        )


def get_settled_id(model: type[models.Model]) -> int:
    """Return an id up to which no row will appear any more that the caller's next statement does not find.

    0 where no row was ever inserted. Not inside a transaction with one snapshot for all its statements.
    """
    if connection.vendor != "postgresql":
        # One writer at a time: ids and commits have one order.
        return model._default_manager.aggregate(last=Max("pk"))["last"] or 0
    place, parameters = _get_place(model)
    with connection.cursor() as cursor:
        # In this order. Who draws ids after the first statement draws larger ones. Of the others those who have not
        # ended hold their locks at the second; a lock is released after its rows can be seen.
        cursor.execute(f"SELECT {place}", parameters)
        (last,) = cursor.fetchone()
        cursor.execute(
            "SELECT min((classid::bigint << 32 | objid::bigint) & %s) FROM pg_locks"
            " WHERE locktype = 'advisory' AND objsubid = 1 AND classid::bigint >> 16 = %s AND pid <> pg_backend_pid()"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            [(1 << _ID_BITS) - 1, _get_class(model)],
        )
        (open_after,) = cursor.fetchone()
    return int(last) if open_after is None else min(int(last), int(open_after))


def _get_place(model: type[models.Model]) -> tuple[str, list[str]]:
    """Return the SQL of the last id that was given, and its parameters."""
    table = connection.ops.quote_name(model._meta.db_table)
    return "COALESCE(pg_sequence_last_value(pg_get_serial_sequence(%s, %s)::regclass), 0)", [
        table,
        str(model._meta.pk.column),
    ]


def _get_class(model: type[models.Model]) -> int:
    """Return the number of a table among locks, 1 to 32,767."""
    return crc32(model._meta.db_table.encode()) % 32_767 + 1
