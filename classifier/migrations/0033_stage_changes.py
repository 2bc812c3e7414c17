"""Changes of stage, in a table that the database keeps from being written over.

On SQLite a later migration that alters a column of the table makes it anew, without its triggers: it has to add them
again, by `add_triggers` of a copy of this file.
"""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models


# What was asked, which no decision changes.
ASKED = (
    "id", "model_version_id", "from_stage", "to_stage", "way", "requested_by_id", "requested_at", "reason", "forced",
    "evidence", "evidence_sha256",
)
KEPT = "rows of classifier_stagechange are added and decided once, and never deleted"

POSTGRESQL = f"""
CREATE FUNCTION classifier_keep_stagechange() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.decision = 'open' AND ({", ".join(f"OLD.{name}" for name in ASKED)})
        IS NOT DISTINCT FROM ({", ".join(f"NEW.{name}" for name in ASKED)}) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION '{KEPT}' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER classifier_stagechange_kept BEFORE UPDATE OR DELETE ON classifier_stagechange
    FOR EACH ROW EXECUTE FUNCTION classifier_keep_stagechange();
"""
# INSERT OR REPLACE deletes without a trigger of deletions; that of insertions comes before it.
SQLITE = {
    "updated": "BEFORE UPDATE ON classifier_stagechange WHEN OLD.decision <> 'open' OR "
    + " OR ".join(f"OLD.{name} IS NOT NEW.{name}" for name in ASKED),
    "deleted": "BEFORE DELETE ON classifier_stagechange",
    "inserted": "BEFORE INSERT ON classifier_stagechange "
    "WHEN EXISTS (SELECT 1 FROM classifier_stagechange WHERE id = NEW.id)",
}


def add_triggers(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(POSTGRESQL)
        return
    for name, when in SQLITE.items():
        schema_editor.execute(
            f"CREATE TRIGGER classifier_stagechange_{name} {when} BEGIN SELECT RAISE(ABORT, '{KEPT}'); END"
        )


def remove_triggers(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP TRIGGER IF EXISTS classifier_stagechange_kept ON classifier_stagechange")
        schema_editor.execute("DROP FUNCTION IF EXISTS classifier_keep_stagechange")
        return
    for name in SQLITE:
        schema_editor.execute(f"DROP TRIGGER IF EXISTS classifier_stagechange_{name}")


class Migration(migrations.Migration):

    dependencies = [
        ('classifier', '0032_stages'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='StageChange',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('from_stage', models.CharField(choices=[('candidate', 'Candidate'), ('preproduction', 'Preproduction'), ('production', 'In production'), ('retired', 'Retired'), ('rejected', 'Rejected')], max_length=16)),
                ('to_stage', models.CharField(choices=[('candidate', 'Candidate'), ('preproduction', 'Preproduction'), ('production', 'In production'), ('retired', 'Retired'), ('rejected', 'Rejected')], max_length=16)),
                ('way', models.CharField(choices=[('page', 'on a page'), ('api', 'by the API'), ('admin', 'in the admin'), ('command', 'by a command'), ('training', 'by a training')], help_text='How it was asked for.', max_length=16)),
                ('requested_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('reason', models.TextField(blank=True)),
                ('forced', models.BooleanField(default=False, help_text='Asked for although the gate is not met.')),
                ('evidence', models.JSONField(default=dict)),
                ('evidence_sha256', models.CharField(max_length=64)),
                ('decision', models.CharField(choices=[('open', 'Waits for a decision'), ('approved', 'Approved'), ('rejected', 'Rejected'), ('withdrawn', 'Withdrawn'), ('expired', 'Expired')], default='open', max_length=16)),
                ('rule', models.CharField(blank=True, choices=[('two', 'approved by another person'), ('one', 'in single-person mode'), ('free', 'which takes no approval: no label depends on it'), ('first', 'which takes no approval: nothing was ever in production'), ('rollback', 'going back to what was replaced')], help_text='Why it could be approved.', max_length=16)),
                ('decided_at', models.DateTimeField(blank=True, null=True)),
                ('decision_reason', models.TextField(blank=True)),
                ('without_catalogue', models.BooleanField(default=False, help_text="Approved by somebody who knew that the catalogue's own pictures gave no evidence.")),
                ('decided_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('model_version', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='stage_changes', to='classifier.modelversion')),
                ('replaced', models.ForeignKey(blank=True, help_text='The version that was in production before, and is retired by it.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='classifier.modelversion')),
                ('requested_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['-id'],
                'default_permissions': ('view',),
                'constraints': [models.UniqueConstraint(condition=models.Q(('decision', 'open')), fields=('model_version',), name='stagechange_one_open_of_version'), models.UniqueConstraint(condition=models.Q(('rule', 'first')), fields=('rule',), name='stagechange_one_first'), models.CheckConstraint(condition=models.Q(models.Q(('rule', 'two'), _negated=True), models.Q(('decided_by__isnull', False), ('requested_by__isnull', False), models.Q(('decided_by', models.F('requested_by')), _negated=True)), _connector='OR'), name='stagechange_approved_by_another'), models.CheckConstraint(condition=models.Q(models.Q(('decision', 'approved'), ('rule__in', ['two', 'one', 'free', 'first', 'rollback'])), models.Q(models.Q(('decision', 'approved'), _negated=True), ('rule', '')), _connector='OR'), name='stagechange_rule_of_approved'), models.CheckConstraint(condition=models.Q(('rule__in', ['', 'two', 'one']), models.Q(('rule', 'free'), models.Q(('to_stage', 'production'), _negated=True)), models.Q(('rule__in', ['first', 'rollback']), ('to_stage', 'production')), _connector='OR'), name='stagechange_production_is_approved'), models.CheckConstraint(condition=models.Q(models.Q(('decided_at__isnull', True), ('decided_by__isnull', True), ('decision', 'open')), models.Q(models.Q(('decision', 'open'), _negated=True), ('decided_at__isnull', False)), _connector='OR'), name='stagechange_decided_at')],
            },
        ),
        migrations.RunPython(add_triggers, remove_triggers),
    ]
