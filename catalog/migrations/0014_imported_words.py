"""An import brings the words of its new products itself: PostgreSQL's triggers leave them to it."""

from django.db import migrations

# `documents` has the words of each product, folded, a space between them, or null where the database finds them;
# `words` has all of them, each once. Returned are the products whose words the database found. Subqueries as in
# `catalog_write_search`, for the same reason.
FUNCTION = r"""
CREATE OR REPLACE FUNCTION catalog_add_search(ids bigint[], documents text[], words text[]) RETURNS bigint[]
LANGUAGE plpgsql SET enable_seqscan = off SET search_path FROM CURRENT AS $$
DECLARE
    others bigint[];
BEGIN
    WITH written AS (
        INSERT INTO catalog_searchdocument (product_id, words)
        SELECT id, array_to_tsvector(string_to_array(document, ' ')) FROM unnest(ids, documents) AS given (id, document)
        WHERE document IS NOT NULL
        ON CONFLICT (product_id) DO NOTHING
        RETURNING product_id
    )
    SELECT coalesce(array_agg(id), '{}') INTO others FROM unnest(ids) AS id WHERE id NOT IN (SELECT product_id FROM written);
    INSERT INTO catalog_searchword (word) SELECT given.word FROM unnest(words) AS given (word)
    WHERE (SELECT true FROM catalog_searchword AS known WHERE known.word = given.word LIMIT 1) IS NULL;
    IF others <> '{}' THEN
        PERFORM catalog_refresh_search(others);
    END IF;
    RETURN others;
END
$$;
"""

# As in the second migration, but for what an import brings.
TRIGGERS = r"""
CREATE OR REPLACE FUNCTION catalog_search_product() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM catalog_refresh_search(array_agg(id)) FROM changed WHERE BROUGHT IS NOT TRUE HAVING count(*) > 0;
    ELSIF TG_OP = 'UPDATE' THEN
        PERFORM catalog_refresh_search(array_agg(changed.id)) FROM changed LEFT JOIN former USING (id)
        WHERE changed.title IS DISTINCT FROM former.title HAVING count(*) > 0;
    ELSIF TG_OP = 'DELETE' THEN
        DELETE FROM catalog_searchdocument USING changed WHERE product_id = changed.id;
    ELSE
        TRUNCATE catalog_searchdocument, catalog_searchword;
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION catalog_search_description() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        PERFORM catalog_refresh_search(array_agg(DISTINCT productid))
        FROM (SELECT productid FROM changed UNION ALL SELECT productid FROM former) AS touched HAVING count(*) > 0;
    ELSIF TG_OP = 'TRUNCATE' THEN
        PERFORM catalog_refresh_search(array_agg(id)) FROM product HAVING count(*) > 0;
    ELSIF TG_OP = 'DELETE' OR BROUGHT IS NOT TRUE THEN
        PERFORM catalog_refresh_search(array_agg(DISTINCT productid)) FROM changed HAVING count(*) > 0;
    END IF;
    RETURN NULL;
END
$$;
"""


def replace_functions(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        with schema_editor.connection.cursor() as cursor:
            cursor.execute(FUNCTION)
            cursor.execute(TRIGGERS.replace("BROUGHT", "(current_setting('catalog.adds_words', true) = 'on')"))


def restore_functions(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        with schema_editor.connection.cursor() as cursor:
            cursor.execute(TRIGGERS.replace("BROUGHT", "false"))
            cursor.execute("DROP FUNCTION catalog_add_search(bigint[], text[], text[])")


class Migration(migrations.Migration):
    dependencies = [("catalog", "0013_unusable_status")]

    operations = [migrations.RunPython(replace_functions, restore_functions)]
