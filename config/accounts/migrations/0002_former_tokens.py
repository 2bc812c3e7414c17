"""The tokens of REST framework become hashed ones, and what belonged to them goes or moves.

Their keys stay good. They have stood readable in the table and, in the admin's log, in the names of its entries.
"""

import hashlib

from django.db import migrations, models
from django.db.migrations.recorder import MigrationRecorder

NAME = "from before tokens had names"


def take_over(apps, schema_editor):
    """Hash the former tokens, if there are any, and drop their table; permissions and log entries move."""
    connection = schema_editor.connection
    if "authtoken_token" not in connection.introspection.table_names():
        return
    token, former, content_type, permission, log_entry = (
        apps.get_model(*model).objects.using(connection.alias)
        for model in (
            ("accounts", "Token"),
            ("accounts", "FormerToken"),
            ("contenttypes", "ContentType"),
            ("auth", "Permission"),
            ("admin", "LogEntry"),
        )
    )
    token.bulk_create(
        [
            token.model(
                user_id=row.user_id,
                name=NAME,
                sha256=hashlib.sha256(row.key.encode()).hexdigest(),
                created_at=row.created,
            )
            for row in former.all()
        ]
    )
    entries = log_entry.filter(content_type__app_label="authtoken")
    entries.update(object_id=None, object_repr="Token")
    # The admin's permissions are those of its proxy. To see and to delete tokens is still somebody's; nobody adds or
    # changes those of others any more.
    shown = content_type.filter(app_label="authtoken", model="tokenproxy").first()
    if shown is not None:
        content_type.filter(app_label="accounts").delete()
        entries.update(content_type=shown)
        for verb in ("view", "delete"):
            permission.filter(content_type=shown, codename=f"{verb}_tokenproxy").update(
                codename=f"{verb}_token", name=f"Can {verb} token"
            )
        permission.filter(content_type=shown).exclude(codename__in=["view_token", "delete_token"]).delete()
        content_type.filter(pk=shown.pk).update(app_label="accounts", model="token")
    content_type.filter(app_label="authtoken").delete()
    schema_editor.execute("DROP TABLE authtoken_token")
    # A release that is gone back to makes its table anew.
    MigrationRecorder(connection).migration_qs.filter(app="authtoken").delete()


class Migration(migrations.Migration):

    dependencies = [
        ("accounts", "0001_tokens"),
        ("admin", "0003_logentry_add_action_flag_choices"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [
        # Known for this migration alone.
        migrations.CreateModel(
            name="FormerToken",
            fields=[
                ("key", models.CharField(max_length=40, primary_key=True)),
                ("user_id", models.IntegerField()),
                ("created", models.DateTimeField()),
            ],
            options={"managed": False, "db_table": "authtoken_token"},
        ),
        migrations.RunPython(take_over, migrations.RunPython.noop),
        migrations.DeleteModel(name="FormerToken"),
    ]
