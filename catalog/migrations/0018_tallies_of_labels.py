from django.db import migrations

# One statement sees labels and tallies of one moment, whatever is written meanwhile: nobody waits.
RECOUNT = """
INSERT INTO catalog_labeltally (status, "group", day, number)
SELECT status, "group", day, sum(number) FROM (
    SELECT status, "group", (labelled_at AT TIME ZONE 'UTC')::date AS day, count(*) AS number
    FROM classifier_productlabel GROUP BY 1, 2, 3
    UNION ALL SELECT status, "group", day, -number FROM catalog_labeltally
) AS both_ways GROUP BY 1, 2, 3 HAVING sum(number) <> 0
"""


def recount(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(RECOUNT)


class Migration(migrations.Migration):
    dependencies = [("catalog", "0017_label_tallies")]

    operations = [migrations.RunPython(recount, migrations.RunPython.noop)]
