"""Which products wait for their first label and which have no image; on PostgreSQL, elsewhere tables are compared."""

import django.db.models.deletion
from django.db import migrations, models

from catalog.migrations._frozen import build_unlabelled_statuses

TABLE = """
CREATE TABLE IF NOT EXISTS classifier_unlabelledstatus (
    product_id bigint NOT NULL PRIMARY KEY, status varchar(16) NOT NULL);"""

COMMENT = """
COMMENT ON TABLE classifier_unlabelledstatus IS
    'The status of each product without a label, empty for those with one; kept by triggers';
"""

FUNCTIONS = r"""
-- Each row is looked up by itself, by subqueries that give a value: plans live as long as a connection, and one that
-- was made while the tables were empty would join whole tables.
CREATE OR REPLACE FUNCTION classifier_refresh_unlabelled(ids bigint[]) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off SET search_path FROM CURRENT AS $$
BEGIN
    -- Whoever comes second waits here, and then reads what the first one wrote; all in one order.
    PERFORM FROM (SELECT DISTINCT unnest(ids) AS wanted ORDER BY wanted) AS listed
    CROSS JOIN LATERAL (SELECT FROM classifier_unlabelledstatus WHERE product_id = wanted FOR UPDATE) AS locked;
    INSERT INTO classifier_unlabelledstatus AS known (product_id, status)
    SELECT existing.id, COALESCE(
        (SELECT '' FROM classifier_productlabel WHERE product_id = existing.id),
        (SELECT 'pending' FROM productimages WHERE productid = existing.id AND imageindex = 0 LIMIT 1),
        'no_image')
    FROM (SELECT DISTINCT unnest(ids) AS wanted ORDER BY wanted) AS listed
    CROSS JOIN LATERAL (SELECT id FROM product WHERE id = wanted LIMIT 1) AS existing
    ON CONFLICT (product_id) DO UPDATE SET status = EXCLUDED.status WHERE known.status <> EXCLUDED.status;
END
$$;

CREATE OR REPLACE FUNCTION classifier_follow_product() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM classifier_refresh_unlabelled(array_agg(id)) FROM changed HAVING count(*) > 0;
    ELSIF TG_OP = 'DELETE' THEN
        DELETE FROM classifier_unlabelledstatus USING changed WHERE product_id = changed.id;
    ELSE
        TRUNCATE classifier_unlabelledstatus;
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION classifier_follow_image() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        PERFORM classifier_refresh_unlabelled(array_agg(productid))
        FROM (SELECT productid, imageindex FROM changed UNION ALL SELECT productid, imageindex FROM former) AS touched
        WHERE imageindex = 0 HAVING count(*) > 0;
    ELSIF TG_OP = 'TRUNCATE' THEN
        PERFORM classifier_refresh_unlabelled(array_agg(id)) FROM product HAVING count(*) > 0;
    ELSE
        PERFORM classifier_refresh_unlabelled(array_agg(productid)) FROM changed
        WHERE imageindex = 0 HAVING count(*) > 0;
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION classifier_follow_label() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        PERFORM classifier_refresh_unlabelled(array_agg(product_id))
        FROM (
            (SELECT product_id FROM changed EXCEPT SELECT product_id FROM former)
            UNION ALL (SELECT product_id FROM former EXCEPT SELECT product_id FROM changed)
        ) AS moved HAVING count(*) > 0;
    ELSIF TG_OP = 'TRUNCATE' THEN
        PERFORM classifier_refresh_unlabelled(array_agg(id)) FROM product HAVING count(*) > 0;
    ELSE
        PERFORM classifier_refresh_unlabelled(array_agg(product_id)) FROM changed HAVING count(*) > 0;
    END IF;
    RETURN NULL;
END
$$;
"""


def build_triggers() -> str:
    """Return the statements that create the triggers; each runs once for a statement, with all the rows it touched."""
    statements = []
    for table, function, updates in (
        ("product", "product", False),
        ("productimages", "image", True),
        ("classifier_productlabel", "label", True),
    ):
        for event, tables in (
            ("insert", "REFERENCING NEW TABLE AS changed"),
            ("update", "REFERENCING NEW TABLE AS changed OLD TABLE AS former"),
            ("delete", "REFERENCING OLD TABLE AS changed"),
            ("truncate", ""),
        ):
            if event != "update" or updates:
                statements.append(
                    f"CREATE OR REPLACE TRIGGER classifier_unlabelled_{event} AFTER {event} ON {table} {tables} "
                    f"FOR EACH STATEMENT EXECUTE FUNCTION classifier_follow_{function}();"
                )
    return "\n".join(statements)


FUNCTIONS_REMOVAL = """
DROP FUNCTION IF EXISTS classifier_follow_product() CASCADE;
DROP FUNCTION IF EXISTS classifier_follow_image() CASCADE;
DROP FUNCTION IF EXISTS classifier_follow_label() CASCADE;
DROP FUNCTION IF EXISTS classifier_refresh_unlabelled(bigint[]);
"""


def create_table(apps, schema_editor):
    """Create table and triggers, then write what is there; after an interruption it starts again."""
    connection = schema_editor.connection
    with connection.cursor() as cursor:
        # Everywhere, for whatever walks all models (a dump of the database) reads it; it stays empty elsewhere.
        cursor.execute(TABLE)
        if connection.vendor != "postgresql":
            return
        cursor.execute(COMMENT + FUNCTIONS + build_triggers())
    build_unlabelled_statuses(connection)


def remove_table(apps, schema_editor):
    with schema_editor.connection.cursor() as cursor:
        if schema_editor.connection.vendor == "postgresql":
            cursor.execute(FUNCTIONS_REMOVAL)
        cursor.execute("DROP TABLE IF EXISTS classifier_unlabelledstatus")


class Migration(migrations.Migration):
    # A million rows are written in many transactions, beside people who work.
    atomic = False

    dependencies = [("catalog", "0003_search_by_parts"), ("classifier", "0006_review_runs")]

    operations = [
        migrations.CreateModel(
            name="UnlabelledStatus",
            fields=[
                (
                    "product",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        primary_key=True,
                        related_name="unlabelled",
                        serialize=False,
                        to="catalog.product",
                    ),
                ),
                ("status", models.CharField(max_length=16)),
            ],
            options={"managed": False},
        ),
        migrations.RunPython(create_table, remove_table),
    ]
