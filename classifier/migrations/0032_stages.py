"""What was *active* is in *production*; further stages."""

from django.db import migrations, models


def rename(apps, schema_editor):
    versions = apps.get_model("classifier", "ModelVersion").objects.using(schema_editor.connection.alias)
    versions.filter(stage="active").update(stage="production")


def rename_back(apps, schema_editor):
    versions = apps.get_model("classifier", "ModelVersion").objects.using(schema_editor.connection.alias)
    versions.filter(stage="production").update(stage="active")
    versions.filter(stage__in=["preproduction", "rejected"]).update(stage="candidate")


class Migration(migrations.Migration):

    dependencies = [
        ("classifier", "0031_reviewed"),
    ]

    operations = [
        migrations.RemoveConstraint(model_name="modelversion", name="modelversion_one_active"),
        migrations.AlterField(
            model_name="modelversion",
            name="stage",
            field=models.CharField(
                choices=[
                    ("candidate", "Candidate"),
                    ("preproduction", "Preproduction"),
                    ("production", "In production"),
                    ("retired", "Retired"),
                    ("rejected", "Rejected"),
                ],
                default="candidate",
                max_length=16,
            ),
        ),
        migrations.RunPython(rename, rename_back),
        migrations.AddConstraint(
            model_name="modelversion",
            constraint=models.UniqueConstraint(
                condition=models.Q(("stage", "production")),
                fields=("stage",),
                name="modelversion_one_in_production",
            ),
        ),
    ]
