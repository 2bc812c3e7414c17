"""A catalogue that versions classified, written by SQL: what benchmarks of labels, heads and queues begin with."""

from typing import Final

_FILL: Final = (
    "INSERT INTO classifier_base (digest, name) VALUES (decode(repeat('0', 64), 'hex'), 'benchmark')",
    """INSERT INTO classifier_modelversion
           (base_id, name, folder, manifest_sha256, recipe, seed, metrics, stage, created_at, activated_at,
            first_activated_at)
       SELECT 1, 'default-20260101-' || repeat(n::text, 8), 'v' || n, repeat(n::text, 64), 'default', 0, '{}', stage,
              now(), activated_at, activated_at
       FROM (SELECT n, stage, CASE stage WHEN 'candidate' THEN NULL ELSE now() - (3 - n) * interval '1 day' END
             FROM (VALUES (1, %(first)s), (2, %(second)s)) AS staged (n, stage)) AS version (n, stage, activated_at)""",
    """INSERT INTO classifier_labellingrun (model_version_id, state, relabel, created_at)
       SELECT id, 'done', false, now() FROM classifier_modelversion WHERE stage <> 'candidate' ORDER BY id""",
    "INSERT INTO product (id, title) SELECT n, 'Product ' || n FROM generate_series(1, %(products)s) AS n",
    "INSERT INTO image (id, url) SELECT n, 'benchmark/' || n || '.png' FROM generate_series(1, %(products)s) AS n",
    "INSERT INTO productimages (productid, imageid, imageindex) SELECT id, id, 0 FROM product",
    """INSERT INTO catalog_storedpicture
           (image_id, url, sha256, storage_name, etag, last_modified, width, height, fetched_at)
       SELECT id, url, encode(sha256(id::text::bytea), 'hex'), url, '', '', 60, 80, now() FROM image""",
    """INSERT INTO classifier_classification
           (image_id, model_version_id, run_id, sha256, "group", garment, confidence, abstained,
            garment_probabilities, created_at)
       SELECT picture.image_id, run.model_version_id, run.id, sha256,
              CASE run.model_version_id WHEN 1 THEN 'Bags' ELSE 'Footwear' END,
              CASE run.model_version_id WHEN 1 THEN 'Bag' ELSE 'Sandal' END, 0.5 + (picture.image_id %% 500) / 1000.0,
              picture.image_id %% 20 = 0, '[0,0,0,0,0,0,0,0,1,0]', now()
       FROM catalog_storedpicture AS picture CROSS JOIN classifier_labellingrun AS run""",
    """INSERT INTO classifier_productlabel
           (product_id, image_id, "group", garment, confidence, status, source, reason, model_version_id,
            classification_id, labelled_at)
       SELECT image_id, image_id, "group", garment, confidence, CASE WHEN abstained THEN 'needs_review' ELSE 'labelled'
              END, 'machine', CASE WHEN abstained THEN 'unsure' ELSE '' END, said.model_version_id, said.id,
              said.created_at
       FROM classifier_classification AS said JOIN classifier_modelversion AS version
       ON version.id = said.model_version_id AND version.stage = 'production'""",
)


def fill_classified(products: int, *, stages: tuple[str, str]) -> None:
    """Write so many products with a picture each, and two versions in these stages on one base.

    What is no candidate classified every picture, the first version as bags and the second as footwear, a twentieth of
    them unsurely; labels are those of the active one. The SHA-256 of a picture is that of its id in decimal.
    """
    from django.db import connection

    first, second = stages
    values: dict[str, int | str] = {"products": products, "first": first, "second": second}
    with connection.cursor() as cursor:
        for statement in _FILL:
            cursor.execute(statement, values if "%(" in statement or "%%" in statement else None)


def count_labels_unlike(version: int) -> int:
    """Return how many labels are not what this version said."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT count(*) FROM classifier_productlabel AS label LEFT JOIN classifier_classification AS said
               ON said.image_id = label.image_id AND said.model_version_id = %s
               WHERE said.id IS NULL OR (label."group", label.garment, label.confidence, label.classification_id)
                     IS DISTINCT FROM (said."group", said.garment, said.confidence, said.id)""",
            [version],
        )
        number: int = cursor.fetchone()[0]
    return number
