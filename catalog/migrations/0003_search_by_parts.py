"""On PostgreSQL a word can be looked for in one part of the catalogue, so that a list need not find all who have it."""

from django.db import migrations

from catalog.migrations._frozen import create_search_indexes

# As `catalog_find_products`, for the products of one part of the catalogue, all of them.
FUNCTION = r"""
CREATE OR REPLACE FUNCTION catalog_find_products_of(terms text[], part bigint) RETURNS SETOF bigint
LANGUAGE plpgsql STABLE ROWS 1000 SET enable_seqscan = off SET search_path FROM CURRENT AS $$
DECLARE
    condition text;
BEGIN
    SELECT string_agg('(' || alternatives || ')', ' AND ') INTO condition
    FROM unnest(terms) AS term CROSS JOIN LATERAL (
        SELECT string_agg(format('words @@ %L::tsquery', query), ' OR ') AS alternatives
        FROM string_to_table(term, E'\n') AS query
    ) AS alternative;
    RETURN QUERY EXECUTE format(
        'SELECT product_id FROM catalog_searchdocument WHERE ARRAY[product_id >> 14] @> ARRAY[%s]::bigint[] AND %s',
        part, condition);
END
$$;
"""


def create_index(apps, schema_editor):
    """Create the index of words and parts beside people who work, then drop that of words alone."""
    connection = schema_editor.connection
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute(FUNCTION)
    create_search_indexes(connection)
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX CONCURRENTLY IF EXISTS catalog_searchdocument_words")


def remove_index(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        with schema_editor.connection.cursor() as cursor:
            cursor.execute(
                "CREATE INDEX CONCURRENTLY IF NOT EXISTS catalog_searchdocument_words "
                "ON catalog_searchdocument USING gin (words)"
            )
            cursor.execute("DROP INDEX CONCURRENTLY IF EXISTS catalog_searchdocument_parts")
            cursor.execute("DROP FUNCTION IF EXISTS catalog_find_products_of(text[], bigint)")


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("catalog", "0002_text_search")]

    operations = [migrations.RunPython(create_index, remove_index)]
