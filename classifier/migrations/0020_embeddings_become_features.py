"""What versions saw in the pictures that we still hold becomes features; in batches, beside people who work.

Each version of before is its own base. Its logits are not known: `Classification` held what followed from them. Each
batch is a statement of its own; after an interruption all are looked at again, and what is there is passed over.
"""

import numpy as np
from django.db import migrations

BATCH = 5_000

# What versions saw in pictures that we hold as they were then.
ROWS = """
    SELECT version.base_id, said.sha256, said.embedding
    FROM classifier_classification AS said
    JOIN classifier_modelversion AS version ON version.id = said.model_version_id
    JOIN catalog_storedpicture AS held ON held.image_id = said.image_id AND held.sha256 = said.sha256
    WHERE said.id > %s AND said.id <= %s AND length(said.embedding) = 256 ORDER BY said.id
"""
INSERT = """INSERT INTO classifier_picturefeatures (base_id, sha256, features, blank, canonical, views) {values}
            ON CONFLICT (base_id, sha256) DO NOTHING"""


def give_bases(apps, schema_editor):
    database = schema_editor.connection.alias
    bases = apps.get_model("classifier", "Base").objects.using(database)
    versions = apps.get_model("classifier", "ModelVersion").objects.using(database)
    for version in versions.filter(base=None).order_by("pk"):
        digest = bytes.fromhex(version.manifest_sha256)
        version.base, _ = bases.get_or_create(digest=digest, defaults={"name": version.name})
        version.save(update_fields=["base"])


def move_embeddings(apps, schema_editor):
    connection = schema_editor.connection
    after = 0
    with connection.cursor() as cursor:
        while True:
            cursor.execute(
                "SELECT max(id) FROM (SELECT id FROM classifier_classification WHERE id > %s ORDER BY id LIMIT %s) AS ids",
                [after, BATCH],
            )
            (until,) = cursor.fetchone()
            if until is None:
                break
            cursor.execute(ROWS, [after, until])
            seen = {
                (base_id, bytes.fromhex(sha256)): np.frombuffer(bytes(embedding), "<f4").astype("<f2").tobytes()
                for base_id, sha256, embedding in cursor.fetchall()
            }
            rows = [(*key, seen[key]) for key in sorted(seen)]
            if connection.vendor == "postgresql":
                values = "SELECT *, false, false, 0 FROM unnest(%s::bigint[], %s::bytea[], %s::bytea[])"
                cursor.execute(INSERT.format(values=values), [list(column) for column in zip(*rows)] or [[], [], []])
            else:
                cursor.executemany(INSERT.format(values="VALUES (%s, %s, %s, false, false, 0)"), rows)
            after = until


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("classifier", "0019_picture_features")]

    operations = [
        migrations.RunPython(give_bases, migrations.RunPython.noop),
        migrations.RunPython(move_embeddings, migrations.RunPython.noop),
    ]
