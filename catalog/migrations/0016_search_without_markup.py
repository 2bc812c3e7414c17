"""PostgreSQL's word index has the texts of descriptions as people read them, without HTML."""

import json
from html.entities import html5
from importlib import import_module

from django.db import migrations

#: Descriptions whose products' words are written in one transaction.
BATCH_DESCRIPTIONS = 1_000

BLOCKS = (
    "address article aside blockquote body br caption center dd details dir div dl dt fieldset figcaption figure "
    "footer form h[1-6] head header hr html legend li main menu nav ol option p pre section summary table tbody "
    "td tfoot th thead tr ul"
).replace(" ", "|")
ELEMENTS = (
    "a abbr acronym b bdi bdo big button cite code col colgroup del dfn em font i iframe img input ins kbd label "
    "link mark meta picture q s samp script select small source span strike strong style sub sup svg template "
    "time tt u var video wbr"
).replace(" ", "|")
ENTITIES = json.dumps({name[:-1]: text for name, text in html5.items() if name.endswith(";")})

# The same as `config.web.texts.extract_text`, but for how much white space there is. Numbers that stand for no letter
# stand for what browsers take them for.
FUNCTIONS = f"""
CREATE OR REPLACE FUNCTION catalog_entity(name text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    code integer;
BEGIN
    IF left(name, 1) <> '#' THEN
        RETURN $entities${ENTITIES}$entities$::jsonb ->> name;
    END IF;
    code := CASE WHEN lower(substr(name, 2, 1)) = 'x' THEN ('x' || lpad(substr(name, 3), 8, '0'))::bit(32)::integer
        ELSE substr(name, 2)::integer END;
    RETURN CASE
        WHEN code = 0 OR code > 1114111 OR code BETWEEN 55296 AND 57343 THEN chr(65533)
        WHEN code BETWEEN 128 AND 159 THEN chr((ARRAY[8364, 129, 8218, 402, 8222, 8230, 8224, 8225, 710, 8240, 352,
            8249, 338, 141, 381, 143, 144, 8216, 8217, 8220, 8221, 8226, 8211, 8212, 732, 8482, 353, 8250, 339, 157,
            382, 376])[code - 127])
        WHEN code < 9 OR code = 11 OR code BETWEEN 14 AND 31 OR code = 127 OR code BETWEEN 64976 AND 65007
            OR code & 65534 = 65534 THEN ''
        ELSE chr(code) END;
END
$$;

CREATE OR REPLACE FUNCTION catalog_text(markup text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    plain text := markup;
BEGIN
    IF strpos(plain, '<') > 0 THEN
        plain := regexp_replace(plain, '</?(?:{BLOCKS})(?:[\\s/][^<>]*)?>', ' ', 'gi');
        plain := regexp_replace(plain, '</?(?:{ELEMENTS})(?:[\\s/][^<>]*)?>|<!--[^<>]*-->', '', 'gi');
    END IF;
    IF strpos(plain, '&') = 0 THEN
        RETURN plain;
    END IF;
    RETURN (
        SELECT string_agg(CASE WHEN number = 1 THEN part
            ELSE coalesce(catalog_entity(name) || substr(part, length(name) + 2), '&' || part) END, '' ORDER BY number)
        FROM (
            SELECT number, part, substring(
                part FROM '^([A-Za-z][A-Za-z0-9]{{1,30}}|#[0-9]{{1,7}}|#[xX][0-9A-Fa-f]{{1,6}});') AS name
            FROM unnest(string_to_array(plain, '&')) WITH ORDINALITY AS parts (part, number)
        ) AS named
    );
END
$$;
"""
WITH_MARKUP = "concat_ws(' ', originaltext, translatedtext)"
WITHOUT_MARKUP = "concat_ws(' ', catalog_text(originaltext), catalog_text(translatedtext))"


def get_writing_function():
    """Return the statement that creates the function as it was before."""
    former = import_module("catalog.migrations.0007_folded_search").FUNCTIONS
    return former[former.index("CREATE OR REPLACE FUNCTION catalog_write_search") :]


def index_texts(apps, schema_editor):
    """Replace the function that triggers write words by, then write those of products whose texts have HTML."""
    connection = schema_editor.connection
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute(FUNCTIONS)
        cursor.execute(get_writing_function().replace(WITH_MARKUP, WITHOUT_MARKUP))
    write_documents(connection)


def index_markup(apps, schema_editor):
    connection = schema_editor.connection
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute(get_writing_function())
        cursor.execute("DROP FUNCTION catalog_text(text)")
        cursor.execute("DROP FUNCTION catalog_entity(text)")
    write_documents(connection)


def write_documents(connection):
    """Write the words of products with HTML anew, while others read and write."""
    after = 0
    with connection.cursor() as cursor:
        while True:
            cursor.execute(
                "SELECT array_agg(DISTINCT productid) FROM (SELECT productid FROM productdescription WHERE productid > %s "
                "AND concat(originaltext, translatedtext) ~ '[<&]' ORDER BY productid LIMIT %s) AS batch",
                [after, BATCH_DESCRIPTIONS],
            )
            (ids,) = cursor.fetchone()
            if not ids:
                return
            cursor.execute("SELECT catalog_refresh_search(%s)", [ids])
            after = ids[-1]


class Migration(migrations.Migration):
    # A million products are written in many transactions.
    atomic = False

    dependencies = [("catalog", "0015_reasons_and_evidence")]

    operations = [migrations.RunPython(index_texts, index_markup)]
