"""The table of labels becomes the catalogue's: it keeps its name, and its permissions and log entries go with it."""

import django.core.validators
import django.db.models.deletion
from django.db import migrations, models


def move_content_type(apps, schema_editor):
    """Let permissions and log entries follow the model, before Django makes new ones for it."""
    content_types = apps.get_model("contenttypes", "ContentType").objects.using(schema_editor.connection.alias)
    content_types.filter(app_label="classifier", model="unlabelledstatus").delete()
    former = content_types.filter(app_label="classifier", model="productlabel").first()
    if former is not None:
        content_types.filter(app_label="catalog", model="productlabel").delete()
        former.app_label = "catalog"
        former.save()


def move_content_type_back(apps, schema_editor):
    content_types = apps.get_model("contenttypes", "ContentType").objects.using(schema_editor.connection.alias)
    content_types.filter(app_label="catalog", model="productlabel").update(app_label="classifier")


class Migration(migrations.Migration):

    dependencies = [
        ("catalog", "0003_search_by_parts"),
        ("classifier", "0008_run_steps"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.CreateModel(
                    name='UnlabelledStatus',
                    fields=[
                        ('product', models.OneToOneField(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, primary_key=True, related_name='unlabelled', serialize=False, to='catalog.product')),
                        ('status', models.CharField(max_length=16)),
                    ],
                    options={
                        'db_table': 'classifier_unlabelledstatus',
                        'managed': False,
                    },
                ),
                migrations.CreateModel(
                    name='ProductLabel',
                    fields=[
                        ('product', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='label', serialize=False, to='catalog.product')),
                        ('group', models.CharField(blank=True, choices=[('Upper part', 'Upper part'), ('Bottom part', 'Bottom part'), ('One piece', 'One piece'), ('Footwear', 'Footwear'), ('Bags', 'Bags')], default='', max_length=32)),
                        ('garment', models.CharField(blank=True, choices=[('T-shirt/top', 'T-shirt/top'), ('Trouser', 'Trouser'), ('Pullover', 'Pullover'), ('Dress', 'Dress'), ('Coat', 'Coat'), ('Sandal', 'Sandal'), ('Shirt', 'Shirt'), ('Sneaker', 'Sneaker'), ('Bag', 'Bag'), ('Ankle boot', 'Ankle boot')], default='', max_length=32)),
                        ('confidence', models.FloatField(blank=True, null=True, validators=[django.core.validators.MinValueValidator(0.0), django.core.validators.MaxValueValidator(1.0)])),
                        ('status', models.CharField(choices=[('labelled', 'Labelled'), ('needs_review', 'Needs Review'), ('reviewed', 'Reviewed'), ('failed', 'Failed'), ('pending', 'Pending'), ('no_image', 'No Image')], max_length=16)),
                        ('source', models.CharField(choices=[('machine', 'Machine'), ('person', 'Person')], default='machine', max_length=16)),
                        ('labelled_at', models.DateTimeField(blank=True, null=True)),
                        ('classification', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, to='classifier.classification')),
                        ('image', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='catalog.image')),
                        ('model_version', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='classifier.modelversion')),
                        ('review', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, to='classifier.review')),
                    ],
                    options={
                        'db_table': 'classifier_productlabel',
                        'indexes': [models.Index(fields=['group', 'product', 'status', 'confidence'], name='productlabel_group_product'), models.Index(fields=['group', 'confidence', 'product', 'status'], name='productlabel_group_conf'), models.Index(fields=['garment', 'product', 'status', 'confidence'], name='productlabel_garment_product'), models.Index(fields=['garment', 'confidence', 'product', 'status'], name='productlabel_garment_conf'), models.Index(fields=['status', 'product', 'confidence'], name='productlabel_status_product'), models.Index(fields=['status', 'confidence', 'product'], name='productlabel_status_conf'), models.Index(fields=['confidence', 'product'], name='productlabel_confidence')],
                    },
                ),
            ],
            database_operations=[migrations.RunPython(move_content_type, move_content_type_back)],
        ),
    ]
