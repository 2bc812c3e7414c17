"""What the migrations of the trigger tables do, as it was when they were released: it never changes again."""

import logging

from django.db import DatabaseError

logger = logging.getLogger(__name__)

BATCH_PRODUCTS = 20_000
INDEXES = {
    "catalog_searchdocument_parts": "catalog_searchdocument USING gin (words, (ARRAY[product_id >> 14]))",
    "catalog_searchword_trigrams": "catalog_searchword USING gin (word gin_trgm_ops)",
}


def build_search_index(connection):
    with connection.cursor() as cursor:
        rewrite_product_rows(cursor, table="catalog_searchdocument", function="catalog_refresh_search")
    create_search_indexes(connection)


def create_search_indexes(connection):
    with connection.cursor() as cursor:
        has_trigrams = create_trigram_extension(cursor)
        for name, definition in INDEXES.items():
            if has_trigrams or "trgm" not in definition:
                create_index(cursor, name=name, definition=definition)
        cursor.execute("ANALYZE catalog_searchdocument, catalog_searchword")


def build_unlabelled_statuses(connection):
    with connection.cursor() as cursor:
        rewrite_product_rows(
            cursor, table="classifier_unlabelledstatus", function="classifier_refresh_unlabelled"
        )
        create_index(
            cursor,
            name="classifier_unlabelledstatus_status",
            definition="classifier_unlabelledstatus (status, product_id) WHERE status <> ''",
        )
        cursor.execute("ANALYZE classifier_unlabelledstatus")


def rewrite_product_rows(cursor, *, table, function):
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


def create_index(cursor, *, name, definition):
    """Create the index if it is missing, or unfinished because its creation was interrupted; outside a transaction."""
    cursor.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", [name])
    found = cursor.fetchone()
    if found == (True,):
        return
    if found is not None:
        cursor.execute(f"DROP INDEX CONCURRENTLY {name}")
    cursor.execute(f"CREATE INDEX CONCURRENTLY {name} ON {definition}")


def create_trigram_extension(cursor):
    """Return whether pg_trgm is there, or could be created; search works without it, and is slower for rare words."""
    cursor.execute("SELECT FROM pg_extension WHERE extname = 'pg_trgm'")
    if cursor.fetchone() is not None:
        return True
    try:
        cursor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    except DatabaseError as error:
        logger.warning(
            "PostgreSQL's extension pg_trgm cannot be created here: %s. Text search reads the list of all words "
            "instead. To change that, run CREATE EXTENSION pg_trgm as a superuser, then: manage.py rebuild_search",
            str(error).strip(),
        )
        return False
    return True
