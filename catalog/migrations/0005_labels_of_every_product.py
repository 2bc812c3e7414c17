"""Labels may lack an image, and say why they are not sure; pictures say where they came from, and how they look."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('catalog', '0004_product_label_moves'),
    ]

    operations = [
        migrations.AddField(
            model_name='productlabel',
            name='reason',
            field=models.CharField(blank=True, db_default='', default='', max_length=32),
        ),
        migrations.AddField(
            model_name='storedpicture',
            name='former_appearance',
            field=models.CharField(blank=True, db_default='', default='', help_text='Empty: the bytes are the first of their look.', max_length=64),
        ),
        migrations.AddField(
            model_name='storedpicture',
            name='look_hash',
            field=models.BigIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='storedpicture',
            name='look_shape',
            field=models.FloatField(blank=True, help_text='Width by height.', null=True),
        ),
        migrations.AddField(
            model_name='storedpicture',
            name='url',
            field=models.CharField(db_default='', default='', help_text='The address the bytes were got at.', max_length=2048),
        ),
        migrations.AlterField(
            model_name='productlabel',
            name='image',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='catalog.image'),
        ),
        migrations.AlterField(
            model_name='productlabel',
            name='source',
            field=models.CharField(blank=True, choices=[('machine', 'Machine'), ('person', 'Person')], default='', max_length=16),
        ),
        migrations.AddIndex(
            model_name='storedpicture',
            index=models.Index(condition=models.Q(('former_appearance', ''), _negated=True), fields=['former_appearance'], name='storedpicture_appearance'),
        ),
        migrations.DeleteModel(
            name='UnlabelledStatus',
        ),
    ]
