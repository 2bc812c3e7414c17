"""Tables in which PostgreSQL's triggers keep a row for every product: written anew, and their indexes created."""

from typing import Any, Final

#: Products whose rows are written in one transaction.
BATCH_PRODUCTS: Final = 20_000


def rewrite_product_rows(cursor: Any, *, table: str, function: str) -> int:
    """Write the table's row of every product, by the function that its triggers call; return the number of products.

    For a database that existed before the table, and for repair after something wrote past the triggers. Rows of
    products that are gone are removed. Each batch is a transaction, so that nobody has to wait but writers of the same
    products: call it outside a transaction.
    """
    products, after = 0, 0
    while True:
        cursor.execute(
            "SELECT array_agg(id) FROM (SELECT id FROM product WHERE id > %s ORDER BY id LIMIT %s) AS batch",
            [after, BATCH_PRODUCTS],
        )
        (ids,) = cursor.fetchone()
        if not ids:
            break
        cursor.execute(f"SELECT {function}(%s)", [ids])
        products += len(ids)
        after = ids[-1]
    cursor.execute(f"DELETE FROM {table} WHERE NOT EXISTS (SELECT FROM product WHERE id = product_id)")  # noqa: S608
    return products


def create_index(cursor: Any, *, name: str, definition: str) -> None:
    """Create the index if it is missing, or unfinished because its creation was interrupted; outside a transaction."""
    cursor.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", [name])
    found = cursor.fetchone()
    if found == (True,):
        return
    if found is not None:
        cursor.execute(f"DROP INDEX CONCURRENTLY {name}")
    cursor.execute(f"CREATE INDEX CONCURRENTLY {name} ON {definition}")
