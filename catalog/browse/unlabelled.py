"""Products without a label: PostgreSQL's table `classifier_unlabelledstatus`, kept by triggers, built from here.

Which products wait for their first label, and which have no image, is nowhere said by a row: one would have to compare
whole tables. So triggers on products, places of images and labels keep a row for every product, with the status that
it has as long as it has no label, and an empty one afterwards. Nothing else writes there.
"""

from typing import Any

from config.db.trigger_tables import create_index, rewrite_product_rows


def build_unlabelled_statuses(connection: Any) -> int:
    """Write the row of every product and create the index if it is missing; return the number of products.

    For the tables of a database that existed before, and for repair after something wrote past the triggers. Each
    batch is a transaction; nobody has to wait but writers of the same products. Call it outside a transaction.
    """
    with connection.cursor() as cursor:
        products = rewrite_product_rows(
            cursor, table="classifier_unlabelledstatus", function="classifier_refresh_unlabelled"
        )
        create_index(
            cursor,
            name="classifier_unlabelledstatus_status",
            definition="classifier_unlabelledstatus (status, product_id) WHERE status <> ''",
        )
        cursor.execute("ANALYZE classifier_unlabelledstatus")
    return products
