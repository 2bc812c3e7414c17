"""What networks saw in pictures that we no longer hold, or for versions that need it no longer."""

from typing import Final

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from catalog.models import StoredPicture
from classifier.cleaning.rules import Figures, Terms, find_gone_images, list_removable_versions
from classifier.models import Classification, ModelVersion, PictureFeatures

#: Rows that one step looks at.
STEP_SIZE: Final = 5000


def clean_features(after: int, terms: Terms, figures: Figures) -> int | None:
    """Look at the next features behind this id, in one transaction; return the last one's id, None at the end."""
    ahead = PictureFeatures.objects.filter(pk__gt=after).order_by("pk")
    rows = list(ahead.values_list("pk", "base_id", "sha256")[:STEP_SIZE])
    if not rows:
        return None
    with transaction.atomic():
        needed = set(_list_needed_bases(terms))
        hashes = [bytes(sha256).hex() for _, _, sha256 in rows]
        pictures = StoredPicture.objects.filter(~Exists(find_gone_images(terms).filter(pk=OuterRef("image_id"))))
        held = set(pictures.filter(sha256__in=hashes).values_list("sha256", flat=True))
        gone = [
            pk
            for (pk, base_id, _), sha256 in zip(rows, hashes, strict=True)
            if base_id not in needed or sha256 not in held
        ]
        figures.features += len(gone)
        if gone and not terms.dry_run:
            PictureFeatures.objects.filter(pk__in=gone).delete()
    return rows[-1][0]


def _list_needed_bases(terms: Terms) -> QuerySet[ModelVersion, int]:
    """Return the bases of versions that are needed, or said something that is not old enough to go."""
    said = Classification.objects.filter(model_version=OuterRef("pk"), created_at__gte=Now() - terms.age).order_by()
    needed = ~Q(pk__in=list_removable_versions().values("pk")) | Q(Exists(said))
    return ModelVersion.objects.filter(needed).order_by().values_list("base_id", flat=True)
