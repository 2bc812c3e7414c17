import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('classifier', '0020_embeddings_become_features'),
    ]

    operations = [
        migrations.AlterField(
            model_name='modelversion',
            name='base',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='versions', to='classifier.base'),
        ),
        migrations.RemoveField(
            model_name='classification',
            name='embedding',
        ),
    ]
