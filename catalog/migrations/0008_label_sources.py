"""An index for the source of labels: what a person said is rare, and at first what a machine said as well."""

from django.db import migrations, models

from catalog.migrations._frozen import create_index

INDEX = models.Index(
    fields=["source", "product"], condition=~models.Q(source=""), name="productlabel_source_product"
)


def add_index(apps, schema_editor):
    """Create the index beside people who work, where the database can."""
    if schema_editor.connection.vendor != "postgresql":
        schema_editor.add_index(apps.get_model("catalog", "ProductLabel"), INDEX)
        return
    with schema_editor.connection.cursor() as cursor:
        create_index(
            cursor, name=INDEX.name, definition="classifier_productlabel (source, product_id) WHERE NOT source = ''"
        )


def remove_index(apps, schema_editor):
    schema_editor.remove_index(apps.get_model("catalog", "ProductLabel"), INDEX)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("catalog", "0007_folded_search")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(add_index, remove_index)],
            state_operations=[migrations.AddIndex("productlabel", INDEX)],
        )
    ]
