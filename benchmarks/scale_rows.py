"""A catalogue of ten million products with an image and a short text each, written by SQL alone."""

from collections.abc import Callable
from typing import Any, Final

from benchmarks.catalogue_rows import (
    CAPPED_GROUP,
    COLOURS,
    FABRICS,
    GROUP_SHARES,
    HIGHEST_CONFIDENCE,
    HOUSES,
    PENDING_SHARE,
    PIECES,
    RARE_WORD,
    SENTENCES,
)

#: The share of the products whose pictures a version classified that nobody needs any more.
FORMER_SHARE: Final = 0.1
#: The share, of the first products, whose images no product shows.
UNSHOWN_SHARE: Final = 0.001

#: Ids of what there is one of: the base, the version in production, a candidate, the run that is over and the open one.
_FEW: Final = (
    "INSERT INTO classifier_base (id, digest, name) VALUES (1, decode(repeat('0', 64), 'hex'), 'benchmark')",
    """INSERT INTO classifier_modelversion
           (id, base_id, name, folder, manifest_sha256, recipe, seed, metrics, stage, activated_at, first_activated_at)
       SELECT n, 1, 'default-20260101-' || repeat(n::text, 8), 'v' || n, repeat(n::text, 64), 'default', 0, '{}', stage,
              activated_at, activated_at
       FROM (VALUES (1, 'production', now()), (2, 'candidate', NULL)) AS version (n, stage, activated_at)""",
    """INSERT INTO classifier_labellingrun (id, model_version_id, state, relabel, total, created_at)
       SELECT n, 1, state, false, 0, now() FROM (VALUES (1, 'done'), (2, 'running')) AS run (n, state)""",
)

#: What depends on the number of products, by table. Some numbers from 0 to 1 that look independent are taken from the
#: digits of a hash.
_MANY: Final = {
    "product": """
        INSERT INTO product (id, title)
        SELECT n, (%(houses)s)[1 + (h & 255) %% cardinality(%(houses)s)] || ' '
                  || (%(fabrics)s)[1 + (h >> 8 & 255) %% cardinality(%(fabrics)s)] || ' '
                  || (%(pieces)s)[1 + (h >> 16 & 255) %% cardinality(%(pieces)s)] || ', '
                  || (%(colours)s)[1 + (h >> 24 & 255) %% cardinality(%(colours)s)]
                  || CASE WHEN n %% 1000 = 7 THEN %(rare)s ELSE '' END || lpad(n::text, 9, ' 0000000')
        FROM generate_series(1, %(products)s) AS n
        CROSS JOIN LATERAL (SELECT hashint8extended(n, 0) & 4294967295 AS h) AS hash""",
    "productdescription": """
        INSERT INTO productdescription (id, productid, countrycode, originaltext)
        SELECT n, n, (%(countries)s)[c], (%(sentences)s)[5 * (c - 1) + 1 + (h >> 8 & 255) %% 5]
        FROM generate_series(1, %(products)s) AS n
        CROSS JOIN LATERAL (SELECT hashint8extended(n, 1) & 4294967295 AS h) AS hash
        CROSS JOIN LATERAL (SELECT 1 + ((h & 255) %% cardinality(%(countries)s))::int AS c) AS country""",
    "image": """
        INSERT INTO image (id, url)
        SELECT n, 'https://cdn.example/p/' || lpad(n::text, 8, '0') || '.jpg'
        FROM generate_series(1, %(products)s) AS n""",
    "productimages": """
        INSERT INTO productimages (productid, imageid, imageindex) SELECT n, n, 0
        FROM generate_series(%(unshown)s + 1, %(products)s) AS n""",
    "catalog_storedpicture": """
        INSERT INTO catalog_storedpicture
            (image_id, url, sha256, storage_name, etag, last_modified, width, height, fetched_at)
        SELECT id, url, hash, 'pictures/' || left(hash, 2) || '/' || substr(hash, 3, 2) || '/' || hash || '.jpg', '',
               '', 60, 80, timestamptz '2026-01-01' + id * interval '1 second'
        FROM image CROSS JOIN LATERAL (SELECT encode(sha256(id::text::bytea), 'hex') AS hash) AS hash
        WHERE id <= %(labelled)s""",
    "classifier_labeltask": """
        INSERT INTO classifier_labeltask
            (image_id, model_version_id, run_id, state, attempts, crashes, next_try_at, error_code, first_failed_at,
             last_failed_at)
        SELECT n, 1, CASE WHEN n <= %(labelled)s THEN 1 ELSE 2 END, state, 1, 0, now(),
               CASE state WHEN 'failed' THEN 'not_found' ELSE '' END, CASE state WHEN 'failed' THEN now() END,
               CASE state WHEN 'failed' THEN now() END
        FROM generate_series(1, %(products)s) AS n
        CROSS JOIN LATERAL (SELECT CASE WHEN n > %(labelled)s THEN 'new' WHEN n %% 200 = 0 THEN 'failed' ELSE 'done' END
                                   AS state) AS state""",
    "classifier_classification": """
        INSERT INTO classifier_classification
            (image_id, model_version_id, run_id, sha256, "group", garment, confidence, abstained, garment_probabilities,
             created_at)
        SELECT n, 2, 1, encode(sha256(n::text::bytea), 'hex'), 'Bags', 'Bag', 0.9, false, '[0,0,0,0,0,0,0,0,1,0]', now()
        FROM generate_series(1, %(former)s) AS n""",
    "classifier_productlabel": """
        INSERT INTO classifier_productlabel
            (product_id, image_id, "group", garment, confidence, status, source, reason, model_version_id, labelled_at)
        SELECT n, CASE WHEN n > %(unshown)s THEN n END, CASE WHEN has_label THEN name ELSE '' END,
               CASE WHEN has_label THEN garments[1 + floor(second * cardinality(garments))::int] ELSE '' END,
               CASE WHEN NOT has_label THEN NULL WHEN status = 'reviewed' THEN 1 ELSE confidence END, status,
               CASE WHEN NOT has_label THEN '' WHEN status = 'reviewed' THEN 'person' ELSE 'machine' END,
               CASE status WHEN 'failed' THEN 'not_found' WHEN 'needs_review' THEN 'unsure' ELSE '' END,
               CASE WHEN has_label THEN 1 END,
               CASE WHEN has_label THEN timestamptz '2026-01-01' + n * interval '1 second' END
        FROM generate_series(1, %(products)s) AS n
        CROSS JOIN LATERAL (SELECT (hashint8extended(n, 2) & 16777215) / 16777216.0 AS first,
                                   (hashint8extended(n, 3) & 16777215) / 16777216.0 AS second,
                                   (hashint8extended(n, 4) & 16777215) / 16777216.0 AS third) AS hash
        JOIN unnest(%(groups)s, %(starts)s, %(ends)s, %(caps)s) AS share (name, share_start, share_end, cap)
             ON first >= share_start AND first < share_end
        JOIN (VALUES ('Upper part', ARRAY['T-shirt/top', 'Pullover', 'Coat', 'Shirt']),
                     ('Footwear', ARRAY['Sandal', 'Sneaker', 'Ankle boot']), ('Bottom part', ARRAY['Trouser']),
                     ('One piece', ARRAY['Dress']), ('Bags', ARRAY['Bag'])) AS garment (group_name, garments)
             ON group_name = name
        CROSS JOIN LATERAL (SELECT LEAST(1 - 0.65 * power(1 - second, 4), cap) AS confidence) AS sure
        CROSS JOIN LATERAL (SELECT CASE WHEN n <= %(unshown)s THEN 'no_image' WHEN n > %(labelled)s THEN 'pending'
                                        WHEN n %% 200 = 0 THEN 'failed'
                                        WHEN third >= 0.99 AND name <> %(capped)s THEN 'reviewed'
                                        WHEN confidence < 0.6 THEN 'needs_review' ELSE 'labelled' END AS status)
             AS became
        CROSS JOIN LATERAL (SELECT status IN ('reviewed', 'needs_review', 'labelled') AS has_label) AS named
        ORDER BY n""",
    "catalog_searchdocument": """
        INSERT INTO catalog_searchdocument (product_id, words)
        SELECT product.id, catalog_search_words(title || ' ' || originaltext)
        FROM product JOIN productdescription ON productid = product.id""",
    "catalog_searchword": """
        INSERT INTO catalog_searchword (word)
        SELECT lpad(n::text, 8, '0') FROM generate_series(1, %(products)s) AS n
        UNION ALL
        SELECT DISTINCT lexeme FROM (SELECT words FROM catalog_searchdocument WHERE product_id <= 20000) AS early
        CROSS JOIN unnest(words) WHERE lexeme !~ '^[0-9]{8}$'""",
}

#: Indexes that no constraint stands on: they are made when the rows are there.
_INDEXES: Final = """
    SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
    WHERE indrelid = %s::regclass AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)"""


def fill_catalogue(*, products: int, report: Callable[[str], None]) -> None:
    """Write so many products into empty tables, in one transaction; then analyse."""
    # Django is set up by now.
    from django.db import connection, transaction

    with transaction.atomic():
        insert_catalogue(products=products, report=report)
    report("analysing")
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def insert_catalogue(*, products: int, report: Callable[[str], None]) -> None:
    """Write so many products into empty tables, within a transaction.

    The database's role must be a superuser: triggers and foreign keys are not asked, until the transaction ends. What
    triggers would have counted is counted in the end. Pictures have rows and no files.
    """
    from django.db import connection

    from catalog.labels import recount_tallies

    ends = [sum(list(GROUP_SHARES.values())[: place + 1]) for place in range(len(GROUP_SHARES))]
    values: dict[str, Any] = {
        "products": products,
        "labelled": int(products * (1 - PENDING_SHARE)),
        "former": int(products * FORMER_SHARE),
        "unshown": int(products * UNSHOWN_SHARE),
        "groups": list(GROUP_SHARES),
        "starts": [0.0, *ends[:-1]],
        "ends": [*ends[:-1], 1.0],
        "caps": [HIGHEST_CONFIDENCE if group == CAPPED_GROUP else 1.0 for group in GROUP_SHARES],
        "capped": CAPPED_GROUP,
        "houses": list(HOUSES),
        "fabrics": list(FABRICS),
        "pieces": list(PIECES),
        "colours": list(COLOURS),
        "countries": list(SENTENCES),
        "sentences": [sentence for sentences in SENTENCES.values() for sentence in sentences],
        "rare": f" {RARE_WORD}",
    }
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("SET LOCAL maintenance_work_mem = '768MB'")
        for statement in _FEW:
            cursor.execute(statement)
        # A server that neither archives nor replicates writes no log for tables that are new in the transaction.
        cursor.execute(f"TRUNCATE {', '.join(_MANY)} CASCADE")
        for table, statement in _MANY.items():
            report(f"writing {table}")
            cursor.execute(_INDEXES, [table])
            indexes = cursor.fetchall()
            for name, _ in indexes:
                cursor.execute(f"DROP INDEX {name}")
            cursor.execute(statement, values)
            for name, definition in indexes:
                report(f"making {name}")
                cursor.execute(definition)
        cursor.execute(
            """SELECT setval(pg_get_serial_sequence(name, 'id'), 2) FROM
               unnest(ARRAY['classifier_base', 'classifier_modelversion', 'classifier_labellingrun']) AS name"""
        )
        for table in ("product", "image", "productdescription"):
            cursor.execute("SELECT setval(pg_get_serial_sequence(%s, 'id'), %s)", [table, products])
    report("counting labels")
    recount_tallies()
