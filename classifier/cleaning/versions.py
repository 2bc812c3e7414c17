"""What old model versions said of pictures."""

from typing import Final

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now

from classifier.cleaning.rules import Figures, Terms, find_gone_images, list_removable_versions
from classifier.labels.services import lock_images
from classifier.models import Classification, ModelVersion

#: Classifications of one step; whoever labels one of their pictures waits for it.
STEP_SIZE: Final = 1000


def clean_versions(after: int, terms: Terms, figures: Figures) -> int | None:
    """Remove what the first removable version from this id on said, as far as it is old enough, in one transaction.

    Return the id to go on from, None at the end. The history of labels stays.
    """
    version_id = list_removable_versions().filter(pk__gte=after).order_by("pk").values_list("pk", flat=True).first()
    if version_id is None:
        return None
    said = Classification.objects.filter(model_version=version_id, created_at__lt=Now() - terms.age).order_by("pk")
    if terms.dry_run:
        figures.classifications += said.exclude(Exists(find_gone_images(terms).filter(pk=OuterRef("image_id")))).count()
        return version_id + 1
    with transaction.atomic():
        # Neither does the version come into production meanwhile, nor does one of the pictures get a label.
        ModelVersion.objects.select_for_update(no_key=True).get(pk=version_id)
        images = dict(said.values_list("pk", "image_id")[:STEP_SIZE])
        lock_images(set(images.values()))
        if not images or not list_removable_versions().filter(pk=version_id).exists():
            return version_id + 1
        figures.classifications += len(images)
        # Probabilities are not read for that.
        Classification.objects.filter(pk__in=images).only("pk").delete()
    return version_id
