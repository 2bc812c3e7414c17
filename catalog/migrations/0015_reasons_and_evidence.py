"""Indexes for the reason and the evidence of labels, each of which may be rare."""

from django.db import migrations, models

from catalog.migrations._frozen import create_index

INDEXES = [
    (
        models.Index(fields=["reason", "product"], condition=~models.Q(reason=""), name="productlabel_reason_product"),
        "classifier_productlabel (reason, product_id) WHERE NOT reason = ''",
    ),
    (
        models.Index(
            fields=["evidence", "product"], condition=models.Q(source="machine"), name="productlabel_evidence_product"
        ),
        "classifier_productlabel (evidence, product_id) WHERE source = 'machine'",
    ),
]


def add_indexes(apps, schema_editor):
    """Create the indexes beside people who work, where the database can."""
    for index, definition in INDEXES:
        if schema_editor.connection.vendor != "postgresql":
            schema_editor.add_index(apps.get_model("catalog", "ProductLabel"), index)
            continue
        with schema_editor.connection.cursor() as cursor:
            create_index(cursor, name=index.name, definition=definition)


def remove_indexes(apps, schema_editor):
    for index, _ in INDEXES:
        schema_editor.remove_index(apps.get_model("catalog", "ProductLabel"), index)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("catalog", "0014_imported_words")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(add_indexes, remove_indexes)],
            state_operations=[migrations.AddIndex("productlabel", index) for index, _ in INDEXES],
        )
    ]
