"""The model of labels is the catalogue's now; see its migration."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("catalog", "0004_product_label_moves"), ("classifier", "0008_run_steps")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.DeleteModel(name="ProductLabel"),
                migrations.DeleteModel(name="UnlabelledStatus"),
            ],
        ),
    ]
