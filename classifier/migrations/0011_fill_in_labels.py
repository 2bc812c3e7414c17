"""What was there before gets what the new columns hold, and every product its label; in batches, beside people who work.

Each batch is a transaction of its own and asks for what is not done yet: after an interruption it goes on. Labels that
the new rules decide otherwise are brought up to date by the workers' walk.
"""

import json

from django.db import migrations, transaction

BATCH = 5_000

# Each for the rows of one range of ids: the table, its id, and what becomes of them.
UPDATES = [
    (
        "catalog_storedpicture",
        "id",
        "UPDATE catalog_storedpicture SET url = (SELECT url FROM image WHERE image.id = image_id) "
        "WHERE url = '' AND id > %s AND id <= %s",
    ),
    (
        "classifier_review",
        "id",
        "UPDATE classifier_review SET url = (SELECT url FROM image WHERE image.id = image_id), appearance = COALESCE("
        "(SELECT sha256 FROM catalog_storedpicture AS held WHERE held.image_id = classifier_review.image_id), '') "
        "WHERE url = '' AND image_id IS NOT NULL AND id > %s AND id <= %s",
    ),
    (
        "classifier_modelversion",
        "id",
        "UPDATE classifier_modelversion SET first_activated_at = activated_at "
        "WHERE first_activated_at IS NULL AND id > %s AND id <= %s",
    ),
    (
        "classifier_productlabel",
        "product_id",
        "UPDATE classifier_productlabel SET reason = 'unsure' "
        "WHERE status = 'needs_review' AND reason = '' AND product_id > %s AND product_id <= %s",
    ),
    (
        "classifier_productlabel",
        "product_id",
        "UPDATE classifier_productlabel SET source = '', reason = COALESCE((SELECT error_code FROM classifier_labeltask "
        "AS task WHERE task.image_id = classifier_productlabel.image_id AND error_code <> '' AND state IN ('retry', "
        "'failed', 'ignored') ORDER BY last_failed_at DESC, id DESC LIMIT 1), '') "
        "WHERE status = 'failed' AND source <> '' AND product_id > %s AND product_id <= %s",
    ),
    (
        "product",
        "id",
        'INSERT INTO classifier_productlabel (product_id, image_id, "group", garment, status, source, reason) '
        "SELECT product.id, first.imageid, '', '', CASE WHEN first.imageid IS NULL THEN 'no_image' ELSE 'pending' END, "
        "'', '' FROM product LEFT JOIN productimages AS first ON first.productid = product.id AND first.imageindex = 0 "
        "WHERE product.id > %s AND product.id <= %s AND NOT EXISTS "
        "(SELECT 1 FROM classifier_productlabel AS label WHERE label.product_id = product.id) "
        "ON CONFLICT (product_id) DO NOTHING",
    ),
]

STATUS_TABLE = """
DROP FUNCTION IF EXISTS classifier_follow_product() CASCADE;
DROP FUNCTION IF EXISTS classifier_follow_image() CASCADE;
DROP FUNCTION IF EXISTS classifier_follow_label() CASCADE;
DROP FUNCTION IF EXISTS classifier_refresh_unlabelled(bigint[]);
"""


def fill_in(apps, schema_editor):
    connection = schema_editor.connection
    with connection.cursor() as cursor:
        for table, key, statement in UPDATES:
            after = 0
            while True:
                cursor.execute(
                    f"SELECT max({key}) FROM (SELECT {key} FROM {table} WHERE {key} > %s ORDER BY {key} LIMIT %s) AS ids",
                    [after, BATCH],
                )
                (until,) = cursor.fetchone()
                if until is None:
                    break
                cursor.execute(statement, [after, until])
                after = until
        move_selections(connection, cursor)
        if connection.vendor == "postgresql":
            cursor.execute(STATUS_TABLE)
        cursor.execute("DROP TABLE IF EXISTS classifier_unlabelledstatus")


def move_selections(connection, cursor):
    """Lists of ids in one cell become rows; each list goes in the transaction that writes its rows."""
    for table, key, target, rest in (
        ("classifier_runselection", "run_id", "classifier_selectedimage", "taken_until"),
        ("classifier_reviewpart", "id", "classifier_imagetoreview", None),
    ):
        cursor.execute(f"SELECT {key} FROM {table} ORDER BY {key}")
        for (pk,) in cursor.fetchall():
            with transaction.atomic(using=connection.alias):
                cursor.execute(f"SELECT run_id, image_ids FROM {table} WHERE {key} = %s", [pk])
                run_id, image_ids = cursor.fetchone()
                image_ids = json.loads(image_ids) if isinstance(image_ids, str) else image_ids
                if rest:
                    cursor.execute("UPDATE classifier_labellingrun SET selected = %s WHERE id = %s", [True, run_id])
                    cursor.execute("SELECT taken_until FROM classifier_labellingrun WHERE id = %s", [run_id])
                    (taken_until,) = cursor.fetchone()
                    image_ids = [image_id for image_id in image_ids if image_id > taken_until]
                cursor.executemany(
                    f"INSERT INTO {target} (run_id, image_id) VALUES (%s, %s) ON CONFLICT (run_id, image_id) DO NOTHING",
                    [(run_id, image_id) for image_id in image_ids],
                )
                cursor.execute(f"DELETE FROM {table} WHERE {key} = %s", [pk])


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("classifier", "0010_runs_reviews_and_history")]

    operations = [migrations.RunPython(fill_in, migrations.RunPython.noop)]
