"""The lists of ids that became rows are gone."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("classifier", "0011_fill_in_labels")]

    operations = [
        migrations.DeleteModel(name="ReviewPart"),
        migrations.DeleteModel(name="RunSelection"),
    ]
