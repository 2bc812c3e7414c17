from django.db import migrations

# Django makes a second index of a text column for LIKE, which nobody asks of a hash: 0.9 GB at ten million pictures.
FIND = """
SELECT indexname FROM pg_indexes
WHERE schemaname = current_schema() AND tablename = 'catalog_storedpicture' AND indexdef LIKE '%(sha256 varchar_pattern_ops)'
"""


def drop_index(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        with schema_editor.connection.cursor() as cursor:
            cursor.execute(FIND)
            for (name,) in cursor.fetchall():
                cursor.execute(f"DROP INDEX CONCURRENTLY {name}")


def create_index(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        with schema_editor.connection.cursor() as cursor:
            cursor.execute(
                "CREATE INDEX CONCURRENTLY IF NOT EXISTS catalog_storedpicture_sha256_3155d75b_like "
                "ON catalog_storedpicture (sha256 varchar_pattern_ops)"
            )


class Migration(migrations.Migration):
    # Whoever reads and writes goes on meanwhile.
    atomic = False
    dependencies = [("catalog", "0018_tallies_of_labels")]

    operations = [migrations.RunPython(drop_index, create_index)]
