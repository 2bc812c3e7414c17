from django.db import migrations, models

# A statement of the labels' table adds what it changed, kind by kind: rows of others are never touched.
CREATE = """
CREATE FUNCTION catalog_tally_labels() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO catalog_labeltally (status, "group", day, number)
        SELECT status, "group", (labelled_at AT TIME ZONE 'UTC')::date, count(*) FROM changed GROUP BY 1, 2, 3;
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO catalog_labeltally (status, "group", day, number)
        SELECT status, "group", day, sum(number) FROM (
            SELECT status, "group", (labelled_at AT TIME ZONE 'UTC')::date AS day, 1 AS number FROM changed
            UNION ALL SELECT status, "group", (labelled_at AT TIME ZONE 'UTC')::date, -1 FROM former
        ) AS moved GROUP BY 1, 2, 3 HAVING sum(number) <> 0;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO catalog_labeltally (status, "group", day, number)
        SELECT status, "group", (labelled_at AT TIME ZONE 'UTC')::date, -count(*) FROM former GROUP BY 1, 2, 3;
    ELSE
        DELETE FROM catalog_labeltally;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER catalog_tally_inserted AFTER INSERT ON classifier_productlabel
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION catalog_tally_labels();
CREATE TRIGGER catalog_tally_updated AFTER UPDATE ON classifier_productlabel
    REFERENCING OLD TABLE AS former NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION catalog_tally_labels();
CREATE TRIGGER catalog_tally_deleted AFTER DELETE ON classifier_productlabel
    REFERENCING OLD TABLE AS former FOR EACH STATEMENT EXECUTE FUNCTION catalog_tally_labels();
CREATE TRIGGER catalog_tally_emptied AFTER TRUNCATE ON classifier_productlabel
    FOR EACH STATEMENT EXECUTE FUNCTION catalog_tally_labels();
"""
DROP = """
DROP TRIGGER catalog_tally_emptied ON classifier_productlabel;
DROP TRIGGER catalog_tally_deleted ON classifier_productlabel;
DROP TRIGGER catalog_tally_updated ON classifier_productlabel;
DROP TRIGGER catalog_tally_inserted ON classifier_productlabel;
DROP FUNCTION catalog_tally_labels();
"""


def create_triggers(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(CREATE)


def drop_triggers(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(DROP)


class Migration(migrations.Migration):
    dependencies = [("catalog", "0016_search_without_markup")]

    operations = [
        migrations.CreateModel(
            name="LabelTally",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("status", models.CharField(max_length=16)),
                ("group", models.CharField(blank=True, max_length=32)),
                (
                    "day",
                    models.DateField(help_text="Of the label, in UTC; empty where there is none.", null=True),
                ),
                ("number", models.BigIntegerField()),
            ],
            options={"default_permissions": ()},
        ),
        migrations.RunPython(create_triggers, drop_triggers),
    ]
