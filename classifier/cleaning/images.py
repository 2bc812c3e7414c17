"""Images that no product shows: marked when that is first seen, removed at an age with all that hangs on them."""

from contextlib import nullcontext
from typing import Final

from django.db import transaction
from django.db.models import QuerySet

from catalog.models import Image, ProductImages, StoredPicture, UnshownImage
from catalog.pictures.storage import list_folder
from classifier.cleaning.files import PICTURES, list_picture_names, remove_unnamed
from classifier.cleaning.rules import Figures, Terms, find_gone_images, list_removable_images
from classifier.models import Classification, LabelTask

#: Images of one step; fewer in a store that cannot list its files: these go in the step's transaction then.
STEP_SIZE: Final = 1000
SMALL_STEP_SIZE: Final = 50


def clean_images(after: int, terms: Terms, figures: Figures) -> int | None:
    """Look at the next images behind this id, in one transaction; return the last one's id, None at the end.

    What people said of their pictures stays: for other images that show them, and for the day when they come again.
    """
    can_list = list_folder(PICTURES) is not None
    images = Image.objects.filter(pk__gt=after).order_by("pk")
    ids = list(images.values_list("pk", flat=True)[: STEP_SIZE if can_list else SMALL_STEP_SIZE])
    if not ids:
        return None
    places = ProductImages.objects.filter(image_id__gt=after, image_id__lte=ids[-1]).order_by()
    unshown = set(ids) - set(places.values_list("image_id", flat=True).distinct())
    removable = list_removable_images(terms.age).filter(pk__in=unshown)
    with nullcontext() if terms.dry_run else transaction.atomic():
        if not terms.dry_run:
            _mark(unshown, after=after, until=ids[-1])
            # Asked once more when they are locked: from then on nobody can show one of them.
            removable = removable.filter(pk__in=_lock(removable))
        gone = list(removable.values_list("pk", flat=True))
        figures.unshown += len(unshown)
        if not gone:
            return ids[-1]
        pictures = StoredPicture.objects.filter(image__in=gone)
        names = [] if can_list else list_picture_names(pictures)
        figures.images += len(gone)
        figures.pictures += pictures.count()
        figures.tasks += LabelTask.objects.filter(image__in=gone).count()
        figures.classifications += Classification.objects.filter(image__in=gone).count()
        if not terms.dry_run:
            Image.objects.filter(pk__in=gone).delete()
        remove_unnamed(names, terms, figures, gone=find_gone_images(terms).filter(pk__lte=ids[-1]))
    return ids[-1]


def _mark(unshown: set[int], *, after: int, until: int) -> None:
    """Note which images of this range are shown by nothing, and forget those that are shown again."""
    marks = UnshownImage.objects.filter(image__gt=after, image__lte=until)
    marks.exclude(image__in=unshown).delete()
    new = unshown - set(marks.values_list("image_id", flat=True))
    # One that somebody deletes is passed over: its mark would be refused.
    there = Image.objects.select_for_update(skip_locked=True).filter(pk__in=new).values_list("pk", flat=True)
    UnshownImage.objects.bulk_create([UnshownImage(image_id=pk) for pk in there], ignore_conflicts=True)


def _lock(images: QuerySet[Image]) -> list[int]:
    """Lock those of the images that nobody else holds, after their tasks, as workers do; return their ids."""
    ids = set(images.values_list("pk", flat=True))
    tasks = LabelTask.objects.filter(image__in=ids)
    free = set(tasks.select_for_update(skip_locked=True).values_list("pk", flat=True))
    held = {image_id for pk, image_id in tasks.values_list("pk", "image_id") if pk not in free}
    locked = Image.objects.select_for_update(skip_locked=True).filter(pk__in=ids - held)
    return list(locked.values_list("pk", flat=True))
