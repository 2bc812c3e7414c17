"""PostgreSQL's word index has words without accents, case in any script, and typography."""

from importlib import import_module

from django.db import migrations

#: Products whose words are written in one transaction, which whoever writes the same ones waits for.
BATCH_PRODUCTS = 1_000

# The same as `catalog.search.folding`.
FUNCTIONS = r"""
CREATE OR REPLACE FUNCTION catalog_fold(texts text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    plain text;
BEGIN
    plain := lower(regexp_replace(
        normalize(replace(replace(replace(texts, '´', ''''), '″', '"'), '‶', '"'), NFKD) COLLATE "C",
        '[\u00ad\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u061c'
        '\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u180b-\u180f\u1ab0-\u1aff\u1dc0-\u1dff'
        '\u200b-\u200f\u202a-\u202e\u2060-\u206f\u20d0-\u20ff\ufe00-\ufe0f\ufe20-\ufe2f\ufeff\U000e0000-\U000e0fff]+',
        '', 'g') COLLATE LETTERS);
    IF octet_length(plain) = char_length(plain) THEN
        RETURN plain;
    END IF;
    RETURN normalize(replace(replace(replace(replace(translate(plain,
        '‘’‚‛‹›′‵ʹʻʼʽ“”„‟«»〝〞‐‑‒–—―−øđðłħıŧς', repeat('''', 12) || repeat('"', 8) || '-------oddlhitσ'),
        'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe'), 'þ', 'th'), NFC);
END
$$;

-- Only the words that are not ASCII are folded, all at once: that costs a fifth of folding the whole text.
CREATE OR REPLACE FUNCTION catalog_search_words(texts text) RETURNS tsvector
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    words text[] := string_to_array(replace(replace(replace(replace(replace(
        lower(texts COLLATE "C"), E'\n', ' '), E'\t', ' '), E'\r', ' '), E'\f', ' '), E'\x0b', ' '), ' ');
    others text;
BEGIN
    IF octet_length(texts) <> char_length(texts) THEN
        SELECT array_agg(word) FILTER (WHERE octet_length(word) = char_length(word)),
            string_agg(word, ' ') FILTER (WHERE octet_length(word) <> char_length(word))
        INTO words, others FROM unnest(words) AS word;
        words := words || string_to_array(catalog_fold(others), ' ');
    END IF;
    RETURN array_to_tsvector(array_remove(words, ''));
END
$$;

-- One sign may become eighteen letters: what has to be cut is folded before.
CREATE OR REPLACE FUNCTION catalog_write_search(ids bigint[], cut boolean) RETURNS void
LANGUAGE sql SET enable_seqscan = off SET search_path FROM CURRENT AS $$
    WITH written AS (
        INSERT INTO catalog_searchdocument AS document (product_id, words)
        SELECT id, catalog_search_words(CASE WHEN cut
            THEN catalog_cut_words(left(catalog_fold(left(texts, 120000)), 120000)) ELSE left(texts, 250000) END)
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
"""


def fold_index(apps, schema_editor):
    """Replace the functions, by which all that is written from now on is folded, then write every product's words."""
    connection = schema_editor.connection
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        # Which letters have which case must not depend on how the database was made. The first is there from PostgreSQL
        # 17 on, the second on servers that know ICU.
        cursor.execute(
            "SELECT quote_ident(collname) FROM pg_collation WHERE collname IN ('pg_c_utf8', 'und-x-icu') "
            "ORDER BY collname LIMIT 1"
        )
        (letters,) = cursor.fetchone() or ('"default"',)
        cursor.execute(FUNCTIONS.replace("LETTERS", letters))
    write_documents(connection)


def unfold_index(apps, schema_editor):
    connection = schema_editor.connection
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute(import_module("catalog.migrations.0002_text_search").FUNCTIONS)
        cursor.execute("DROP FUNCTION catalog_fold(text)")
    write_documents(connection)


def write_documents(connection):
    """Write the words of every product anew, while others read and write; those that stay the same are left alone."""
    after = 0
    with connection.cursor() as cursor:
        while True:
            cursor.execute(
                "SELECT array_agg(id) FROM (SELECT id FROM product WHERE id > %s ORDER BY id LIMIT %s) AS batch",
                [after, BATCH_PRODUCTS],
            )
            (ids,) = cursor.fetchone()
            if not ids:
                return
            cursor.execute("SELECT catalog_refresh_search(%s)", [ids])
            after = ids[-1]


class Migration(migrations.Migration):
    # A million products are written in many transactions.
    atomic = False

    dependencies = [("catalog", "0006_long_storage_names")]

    operations = [migrations.RunPython(fold_index, unfold_index)]
