"""What may be removed, and since when: the conditions that every part of a cleaning asks."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Now
from django.template.defaultfilters import filesizeformat
from django.utils import timezone

from catalog.models import Image, ProductImages, ProductLabel
from catalog.pictures.storage import UNNAMED_AGE
from classifier.models import OPEN_STATES, AdoptionRun, LabellingRun, LabelTask, ModelVersion, StageChange

State = LabelTask.State
# Versions before the one in production whose words are kept, for going back.
KEPT_VERSIONS = 2
# More than the steps in which a file system tells the time.
MOMENT = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Terms:
    """How old what is removed must be, and whether it is only counted."""

    age: timedelta
    dry_run: bool = False


@dataclass(slots=True)
class Figures:
    """What a cleaning found and removed, or would: rows, and files with their bytes.

    `unshown` are the images that no product shows, removed or not; `images` those of them that were old enough.
    """

    unshown: int = 0
    images: int = 0
    pictures: int = 0
    tasks: int = 0
    classifications: int = 0
    features: int = 0
    files: int = 0
    bytes: int = 0
    sessions: int = 0

    @property
    def words(self) -> str:
        """What was removed, or would be."""
        return (
            f"images {self.images:,}, pictures {self.pictures:,}, label tasks {self.tasks:,}, classifications "
            f"{self.classifications:,}, features {self.features:,}, files {self.files:,} "
            f"({filesizeformat(self.bytes)}), ended sessions {self.sessions:,}"
        )


def list_removable_images(age: timedelta) -> QuerySet[Image]:
    """Return the images that nothing has shown for so long, that no label names and no worker is about to read."""
    shown = ProductImages.objects.filter(image=OuterRef("pk")).order_by()
    labels = ProductLabel.objects.filter(image=OuterRef("pk"))
    at_work = LabelTask.objects.filter(image=OuterRef("pk"), state__in=[State.NEW, State.RUNNING])
    images = Image.objects.filter(~Exists(shown), ~Exists(labels), ~Exists(at_work))
    return images.filter(unshown__since__lte=Now() - age) if age else images


def find_gone_images(terms: Terms) -> QuerySet[Image]:
    """Return the images that count as removed though they are there: with a dry run those that would be."""
    return list_removable_images(terms.age) if terms.dry_run else Image.objects.none()


def list_removable_versions() -> QuerySet[ModelVersion]:
    """Return the versions of which nothing is needed; none while no version is in production.

    Kept are that one; the two that came into production before it, and the two that were in production last: both are
    what somebody may go back to; those in preproduction and those of which a request is open; those with an open run;
    and those that a product's label names.
    """
    active = ModelVersion.objects.filter(stage=ModelVersion.Stage.PRODUCTION).first()
    if active is None:
        return ModelVersion.objects.none()
    others = ModelVersion.objects.exclude(pk=active.pk).filter(first_activated_at__isnull=False)
    before = others.filter(first_activated_at__lt=active.first_activated_at).order_by("-first_activated_at", "-pk")
    last = others.order_by(F("activated_at").desc(nulls_last=True), "-pk")
    kept = {pk for versions in (before, last) for pk in versions.values_list("pk", flat=True)[:KEPT_VERSIONS]}
    of_version = {"model_version": OuterRef("pk")}
    unused = ModelVersion.objects.exclude(pk__in={active.pk, *kept}).exclude(stage=ModelVersion.Stage.PREPRODUCTION)
    unused = unused.exclude(
        Exists(StageChange.objects.filter(decision=StageChange.Decision.OPEN, **of_version).order_by())
        | Exists(LabellingRun.objects.filter(Q(state__in=OPEN_STATES) | Q(closing=True), **of_version).order_by())
        | Exists(AdoptionRun.objects.filter(state__in=OPEN_STATES, **of_version).order_by())
    )
    # Asked of each by itself: together PostgreSQL reads every label, 40 s of ten million.
    ids = unused.values_list("pk", flat=True)
    named = {pk for pk in ids if ProductLabel.objects.filter(model_version=pk).exists()}
    return unused.exclude(pk__in=named)


def find_newest(age: timedelta) -> datetime:
    """Return the time after which files stay, whoever names them: while a batch is in hand, what it may rely on."""
    is_in_hand = LabelTask.objects.filter(lease_token__isnull=False).exists()
    return timezone.now() - max(age, UNNAMED_AGE if is_in_hand else MOMENT)
