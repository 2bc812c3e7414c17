"""The word index of titles and descriptions on PostgreSQL, kept by triggers; other databases search without one."""

from django.db import migrations

from catalog.migrations._frozen import build_search_index

TABLES = """
CREATE TABLE IF NOT EXISTS catalog_searchdocument (product_id bigint PRIMARY KEY, words tsvector NOT NULL);
CREATE TABLE IF NOT EXISTS catalog_searchword (word text COLLATE "C" NOT NULL);
CREATE INDEX IF NOT EXISTS catalog_searchword_word ON catalog_searchword (word);
COMMENT ON TABLE catalog_searchdocument IS 'The words of each product''s title and descriptions; kept by triggers';
COMMENT ON TABLE catalog_searchword IS 'Every word that a product had; a word may stand here twice';
"""

# Only what both Python and this call a space separates words here. `strpos`-like replacements cost a third of what
# `translate` and a fourth of what a regular expression cost.
#
# A lexeme has 2,046 bytes at most. Words that are longer are met by an error, which costs nothing while there are none;
# then they are cut twice, at different places, so that whatever up to 200 characters one looks for lies whole in one
# of the pieces.
FUNCTIONS = r"""
CREATE OR REPLACE FUNCTION catalog_search_words(texts text) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT array_to_tsvector(array_remove(string_to_array(replace(replace(replace(replace(replace(
        lower(texts), E'\n', ' '), E'\t', ' '), E'\r', ' '), E'\f', ' '), E'\x0b', ' '), ' '), ''))
$$;

CREATE OR REPLACE FUNCTION catalog_cut_words(texts text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT regexp_replace(texts, '(\S{200}\S{200})', '\1 ', 'g') || ' ' || regexp_replace(
        regexp_replace(texts, '(\S{200})(\S{200})', '\1 \2', 'g'), '(\S{200}\S{200})', '\1 ', 'g')
$$;

-- Plans live as long as a connection and may have been made while the tables were empty: a join would then read whole
-- tables for each product, 94 s for 60,000 of them. So this function and the next look everything up one by one, by
-- subqueries that cannot become joins (LIMIT, FOR UPDATE, a value), and keep to indexes.
CREATE OR REPLACE FUNCTION catalog_write_search(ids bigint[], cut boolean) RETURNS void
LANGUAGE sql SET enable_seqscan = off SET search_path FROM CURRENT AS $$
    WITH written AS (
        INSERT INTO catalog_searchdocument AS document (product_id, words)
        SELECT id, catalog_search_words(CASE WHEN cut THEN catalog_cut_words(left(texts, 120000)) ELSE left(texts, 250000) END)
        FROM (
            SELECT id, concat_ws(' ', title, (
                SELECT string_agg(concat_ws(' ', originaltext, translatedtext), ' ')
                FROM productdescription WHERE productid = product.id
            )) AS texts
            FROM (SELECT DISTINCT unnest(ids) AS wanted) AS listed
            CROSS JOIN LATERAL (SELECT id, title FROM product WHERE id = wanted LIMIT 1) AS product
        ) AS described
        ON CONFLICT (product_id) DO UPDATE SET words = EXCLUDED.words WHERE document.words <> EXCLUDED.words
        RETURNING words
    )
    INSERT INTO catalog_searchword (word)
    SELECT DISTINCT lexeme FROM written CROSS JOIN unnest(written.words)
    WHERE (SELECT true FROM catalog_searchword AS known WHERE known.word = lexeme LIMIT 1) IS NULL;
$$;

CREATE OR REPLACE FUNCTION catalog_refresh_search(ids bigint[]) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off SET search_path FROM CURRENT AS $$
BEGIN
    -- Whoever comes second waits here, and then reads what the first one wrote; all in one order.
    PERFORM FROM (SELECT DISTINCT unnest(ids) AS wanted ORDER BY wanted) AS listed
    CROSS JOIN LATERAL (SELECT FROM catalog_searchdocument WHERE product_id = wanted FOR UPDATE) AS locked;
    BEGIN
        PERFORM catalog_write_search(ids, false);
    EXCEPTION WHEN program_limit_exceeded THEN
        PERFORM catalog_write_search(ids, true);
    END;
END
$$;

-- The products that have, for each of the terms, one of its words; at most so many, or all of them. A term is full-text
-- queries, one a line. PostgreSQL cannot know how rare rare words are; what it guesses of thousands of them together
-- would have it read every document.
CREATE OR REPLACE FUNCTION catalog_find_products(terms text[], maximum bigint) RETURNS SETOF bigint
LANGUAGE plpgsql STABLE ROWS 5000 SET enable_seqscan = off SET search_path FROM CURRENT AS $$
DECLARE
    condition text;
BEGIN
    SELECT string_agg('(' || alternatives || ')', ' AND ') INTO condition
    FROM unnest(terms) AS term CROSS JOIN LATERAL (
        SELECT string_agg(format('words @@ %L::tsquery', query), ' OR ') AS alternatives
        FROM string_to_table(term, E'\n') AS query
    ) AS alternative;
    RETURN QUERY EXECUTE format('SELECT product_id FROM catalog_searchdocument WHERE %s LIMIT %L', condition, maximum);
END
$$;

CREATE OR REPLACE FUNCTION catalog_search_product() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM catalog_refresh_search(array_agg(id)) FROM changed HAVING count(*) > 0;
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
    ELSE
        PERFORM catalog_refresh_search(array_agg(DISTINCT productid)) FROM changed HAVING count(*) > 0;
    END IF;
    RETURN NULL;
END
$$;
"""

TRIGGERS = """
CREATE OR REPLACE TRIGGER catalog_search_insert AFTER INSERT ON product
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION catalog_search_product();
CREATE OR REPLACE TRIGGER catalog_search_update AFTER UPDATE ON product
    REFERENCING NEW TABLE AS changed OLD TABLE AS former FOR EACH STATEMENT EXECUTE FUNCTION catalog_search_product();
CREATE OR REPLACE TRIGGER catalog_search_delete AFTER DELETE ON product
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION catalog_search_product();
CREATE OR REPLACE TRIGGER catalog_search_truncate AFTER TRUNCATE ON product
    FOR EACH STATEMENT EXECUTE FUNCTION catalog_search_product();
CREATE OR REPLACE TRIGGER catalog_search_insert AFTER INSERT ON productdescription
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION catalog_search_description();
CREATE OR REPLACE TRIGGER catalog_search_update AFTER UPDATE ON productdescription
    REFERENCING NEW TABLE AS changed OLD TABLE AS former FOR EACH STATEMENT
    EXECUTE FUNCTION catalog_search_description();
CREATE OR REPLACE TRIGGER catalog_search_delete AFTER DELETE ON productdescription
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION catalog_search_description();
CREATE OR REPLACE TRIGGER catalog_search_truncate AFTER TRUNCATE ON productdescription
    FOR EACH STATEMENT EXECUTE FUNCTION catalog_search_description();
"""

REMOVAL = """
DROP FUNCTION IF EXISTS catalog_search_product() CASCADE;
DROP FUNCTION IF EXISTS catalog_search_description() CASCADE;
DROP FUNCTION IF EXISTS catalog_refresh_search(bigint[]);
DROP FUNCTION IF EXISTS catalog_find_products(text[], bigint);
DROP FUNCTION IF EXISTS catalog_write_search(bigint[], boolean);
DROP FUNCTION IF EXISTS catalog_search_words(text);
DROP FUNCTION IF EXISTS catalog_cut_words(text);
DROP TABLE IF EXISTS catalog_searchdocument, catalog_searchword;
"""


def create_index(apps, schema_editor):
    """Create tables and triggers, then index what is there; after an interruption it starts again."""
    connection = schema_editor.connection
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute(TABLES + FUNCTIONS + TRIGGERS)
    build_search_index(connection)


def remove_index(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        with schema_editor.connection.cursor() as cursor:
            cursor.execute(REMOVAL)


class Migration(migrations.Migration):
    # A million products are written in many transactions, and indexes are created beside people who work.
    atomic = False

    dependencies = [("catalog", "0001_initial")]

    operations = [migrations.RunPython(create_index, remove_index)]
