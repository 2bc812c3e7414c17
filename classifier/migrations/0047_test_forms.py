from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('classifier', '0046_output_runs'),
    ]

    operations = [
        migrations.AddField(
            model_name='picturefeatures',
            name='test_form',
            field=models.BooleanField(help_text='Whether its form is that of a test picture of Fashion-MNIST; null where that is not known.', null=True),
        ),
    ]
