"""One life for every kind of run, reviews of looks, the history of labels; the next migration fills in what is there."""

import django.db.models.deletion
import django.db.models.functions.datetime
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('catalog', '0005_labels_of_every_product'),
        ('classifier', '0009_product_label_moves'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='AdoptionRun',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('state', models.CharField(choices=[('queued', 'Queued'), ('running', 'Running'), ('done', 'Done'), ('failed', 'Failed'), ('cancelled', 'Cancelled'), ('abandoned', 'Abandoned')], default='running', max_length=16)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('started_at', models.DateTimeField(blank=True, null=True)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('total', models.PositiveIntegerField(db_default=0, default=0)),
                ('done', models.PositiveIntegerField(db_default=0, default=0)),
                ('failed', models.PositiveIntegerField(db_default=0, default=0)),
                ('cancel_requested', models.BooleanField(db_default=False, default=False)),
                ('heartbeat_at', models.DateTimeField(blank=True, null=True)),
                ('sent_at', models.DateTimeField(blank=True, help_text='When it was last put on the queue.', null=True)),
                ('error', models.TextField(blank=True, db_default='', default='')),
                ('taken_until', models.BigIntegerField(default=0, help_text='The last product that it looked at.')),
                ('takes_until', models.BigIntegerField(default=0, help_text='The last product that it looks at.')),
                ('changed', models.PositiveIntegerField(default=0)),
                ('missing', models.PositiveIntegerField(default=0)),
                ('closed_runs', models.PositiveIntegerField(default=0, help_text='Labelling runs of other versions that it ended.')),
            ],
            options={
                'ordering': ['-id'],
                'abstract': False,
                'default_permissions': ('view',),
            },
        ),
        migrations.CreateModel(
            name='ImageToReview',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('image_id', models.BigIntegerField()),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='LabelChange',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('product_id', models.BigIntegerField()),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('old_confidence', models.FloatField(null=True)),
                ('new_confidence', models.FloatField(null=True)),
                ('review_id', models.BigIntegerField(null=True)),
                ('old_version_id', models.IntegerField(null=True)),
                ('new_version_id', models.IntegerField(null=True)),
                ('why', models.CharField(choices=[('classified', 'a version classified the picture'), ('reviewed', 'a person gave a label'), ('withdrawn', 'a person withdrew a label'), ('catalogue', 'the catalogue changed'), ('picture', 'the picture changed'), ('activated', 'another version came into production'), ('cancelled', 'a run was cancelled'), ('found', 'the catalogue had changed past the product'), ('deleted', 'the product was deleted')], max_length=12)),
                ('old_group', models.CharField(blank=True, max_length=32)),
                ('old_garment', models.CharField(blank=True, max_length=32)),
                ('old_status', models.CharField(max_length=16)),
                ('old_source', models.CharField(blank=True, max_length=16)),
                ('old_reason', models.CharField(blank=True, max_length=32)),
                ('new_group', models.CharField(blank=True, max_length=32)),
                ('new_garment', models.CharField(blank=True, max_length=32)),
                ('new_status', models.CharField(blank=True, max_length=16)),
                ('new_source', models.CharField(blank=True, max_length=16)),
                ('new_reason', models.CharField(blank=True, max_length=32)),
                ('version_name', models.CharField(blank=True, help_text="The new label's model version.", max_length=100)),
                ('sha256', models.BinaryField(help_text='Of the picture that the new label is about.', max_length=32, null=True)),
                ('texts_sha256', models.BinaryField(help_text='Of the texts, where they counted.', max_length=32, null=True)),
            ],
            options={
                'ordering': ['-id'],
                'default_permissions': ('view',),
            },
        ),
        migrations.CreateModel(
            name='LabelWalk',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('after', models.BigIntegerField(default=0, help_text='The last product that was looked at.')),
                ('rounds', models.PositiveIntegerField(default=0)),
                ('next_step_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('round_started_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='SelectedImage',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('image_id', models.BigIntegerField()),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.AddField(
            model_name='labellingrun',
            name='cancel_requested',
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name='labellingrun',
            name='done',
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name='labellingrun',
            name='error',
            field=models.TextField(blank=True, db_default='', default=''),
        ),
        migrations.AddField(
            model_name='labellingrun',
            name='failed',
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name='labellingrun',
            name='figures',
            field=models.JSONField(blank=True, help_text='Of an ended run: its tasks by state, and its errors.', null=True),
        ),
        migrations.AddField(
            model_name='labellingrun',
            name='heartbeat_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='labellingrun',
            name='selected',
            field=models.BooleanField(db_default=False, default=False, help_text='Takes the images of its selection only.'),
        ),
        migrations.AddField(
            model_name='labellingrun',
            name='sent_at',
            field=models.DateTimeField(blank=True, help_text='When it was last put on the queue.', null=True),
        ),
        migrations.AddField(
            model_name='labellingrun',
            name='started_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='labeltask',
            name='former',
            field=models.JSONField(blank=True, help_text='What it was in an earlier run, until it has a new result in this one.', null=True),
        ),
        migrations.AddField(
            model_name='modelversion',
            name='first_activated_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='modelversion',
            name='left_at',
            field=models.DateTimeField(blank=True, help_text='When somebody went back to a version before it; it decides no label then.', null=True),
        ),
        migrations.AddField(
            model_name='review',
            name='appearance',
            field=models.CharField(blank=True, db_default='', default='', max_length=64),
        ),
        migrations.AddField(
            model_name='review',
            name='run',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='reviews', to='classifier.reviewrun'),
        ),
        migrations.AddField(
            model_name='review',
            name='url',
            field=models.CharField(blank=True, db_default='', default='', max_length=2048),
        ),
        migrations.AddField(
            model_name='review',
            name='withdrawn_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='reviewrun',
            name='cancel_requested',
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name='reviewrun',
            name='error',
            field=models.TextField(blank=True, db_default='', default=''),
        ),
        migrations.AddField(
            model_name='reviewrun',
            name='failed',
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name='reviewrun',
            name='heartbeat_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='reviewrun',
            name='started_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='reviewrun',
            name='withdrawn_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='trainingrun',
            name='done',
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name='trainingrun',
            name='failed',
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name='trainingrun',
            name='total',
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AlterField(
            model_name='labellingrun',
            name='state',
            field=models.CharField(choices=[('queued', 'Queued'), ('running', 'Running'), ('done', 'Done'), ('failed', 'Failed'), ('cancelled', 'Cancelled'), ('abandoned', 'Abandoned')], default='running', max_length=16),
        ),
        migrations.AlterField(
            model_name='labellingrun',
            name='total',
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AlterField(
            model_name='modelversion',
            name='activated_at',
            field=models.DateTimeField(blank=True, help_text='Since when it is active, or was last.', null=True),
        ),
        migrations.AlterField(
            model_name='review',
            name='image',
            field=models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='reviews', to='catalog.image'),
        ),
        migrations.AlterField(
            model_name='reviewrun',
            name='done',
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AlterField(
            model_name='reviewrun',
            name='sent_at',
            field=models.DateTimeField(blank=True, help_text='When it was last put on the queue.', null=True),
        ),
        migrations.AlterField(
            model_name='reviewrun',
            name='state',
            field=models.CharField(choices=[('queued', 'Queued'), ('running', 'Running'), ('done', 'Done'), ('failed', 'Failed'), ('cancelled', 'Cancelled'), ('abandoned', 'Abandoned')], default='running', max_length=16),
        ),
        migrations.AlterField(
            model_name='reviewrun',
            name='total',
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AlterField(
            model_name='trainingrun',
            name='cancel_requested',
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AlterField(
            model_name='trainingrun',
            name='error',
            field=models.TextField(blank=True, db_default='', default=''),
        ),
        migrations.AddIndex(
            model_name='review',
            index=models.Index(fields=['appearance', '-id'], name='review_appearance_latest'),
        ),
        migrations.AddField(
            model_name='adoptionrun',
            name='labelling_run',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='classifier.labellingrun'),
        ),
        migrations.AddField(
            model_name='adoptionrun',
            name='model_version',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='adoption_runs', to='classifier.modelversion'),
        ),
        migrations.AddField(
            model_name='adoptionrun',
            name='requested_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='imagetoreview',
            name='run',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='selection', to='classifier.reviewrun'),
        ),
        migrations.AddIndex(
            model_name='labelchange',
            index=models.Index(fields=['product_id', '-id'], name='labelchange_product'),
        ),
        migrations.AddField(
            model_name='selectedimage',
            name='run',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='selection', to='classifier.labellingrun'),
        ),
        migrations.AddConstraint(
            model_name='imagetoreview',
            constraint=models.UniqueConstraint(fields=('run', 'image_id'), name='imagetoreview_run_image_unique'),
        ),
        migrations.AddConstraint(
            model_name='selectedimage',
            constraint=models.UniqueConstraint(fields=('run', 'image_id'), name='selectedimage_run_image_unique'),
        ),
    ]
