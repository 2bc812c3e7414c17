"""Reads of labelling runs, their tasks and the error queue."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Exists, F, Min, OuterRef, QuerySet, Subquery

from catalog.browse.filters import ProductCriteria
from catalog.browse.listing import list_labelled_products
from catalog.models import Image, Product, ProductImages, StoredPicture
from classifier.labels.decision import PLACEHOLDER
from classifier.labels.placeholders import list_showing
from classifier.models import Classification, LabellingRun, LabelTask, SuspectedPicture
from config.db.paging import KeysetOrdering

#: The error queue, the latest failure first; there is an index for it. A suspected picture stands where it was found.
LATEST_FAILURE_FIRST = KeysetOrdering("-last_failed_at", ("last_failed_at", "pk"), descending=True)


@dataclass(frozen=True, slots=True)
class RunProgress:
    """How far a labelling run has come: its tasks by state. `waiting` ones failed and will be tried again later.

    Pictures that were labelled from features have no task, and are `done`. `total` grows while the run takes its
    pictures. What a cancelled run had not begun is `cancelled` from then on, whether its tasks are closed already or
    not.
    """

    total: int
    new: int
    running: int
    done: int
    waiting: int
    failed: int
    cancelled: int

    @property
    def finished(self) -> int:
        """Tasks that need nothing more from this run."""
        return self.total - self.new - self.running


def get_run_progress(run: LabellingRun) -> RunProgress:
    """Return the figures of a run that has ended, else count its tasks by state; one query."""
    if run.figures is not None:
        return RunProgress(**run.figures["progress"])
    counts = dict(LabelTask.objects.filter(run=run).values_list("state").annotate(Count("pk")))
    state = LabelTask.State
    if run.state == run.State.CANCELLED:
        # What it had not begun is cancelled, whether its tasks are closed already, or are another run's again, or not.
        begun = sum(counts.get(name, 0) for name in (state.RUNNING, state.DONE, state.FAILED, state.IGNORED))
        begun += run.from_features
        counts = {**counts, state.NEW: 0, state.RETRY: 0, state.CANCELLED: run.total - begun}
    return RunProgress(
        total=sum(counts.values()) + run.from_features,
        new=counts.get(state.NEW, 0),
        running=counts.get(state.RUNNING, 0),
        done=counts.get(state.DONE, 0) + run.from_features,
        waiting=counts.get(state.RETRY, 0),
        failed=counts.get(state.FAILED, 0) + counts.get(state.IGNORED, 0),
        cancelled=counts.get(state.CANCELLED, 0),
    )


def count_unsure(run: LabellingRun) -> int:
    """Return how many pictures the run's version was not sure of."""
    return Classification.objects.filter(run=run, abstained=True).count()


def list_error_counts(run: LabellingRun) -> list[tuple[str, int]]:
    """Return (error code, number of tasks) of the run's failures, most frequent first."""
    errors = LabelTask.objects.filter(run=run).errors()
    return list(errors.values_list("error_code").annotate(number=Count("pk")).order_by("-number", "error_code"))


def list_waits(run: LabellingRun) -> list[tuple[str, int, datetime]]:
    """Return (code, number of tasks, since when) of what keeps tasks waiting through no fault of their pictures."""
    state = LabelTask.State
    waiting = LabelTask.objects.filter(run=run, state__in=[state.NEW, state.RUNNING, state.RETRY]).exclude(waits_for="")
    since = waiting.values_list("waits_for").annotate(number=Count("pk"), since=Min("waits_since"))
    return list(since.order_by("-number", "waits_for"))


def list_errors(**criteria: str | int) -> QuerySet[LabelTask]:
    """Return the part of the error queue whose columns have these values, with image and version loaded; not ordered.

    The columns are `error_code`, `state`, `run`, `model_version` and `image`.
    """
    errors = LabelTask.objects.errors().filter(last_failed_at__isnull=False, **criteria)
    return errors.select_related("image", "model_version")


#: The state of a suspected picture in the error queue.
SUSPECTED = "suspected"


def list_suspects(**criteria: Any) -> QuerySet[SuspectedPicture]:
    """Return the suspected pictures that nobody answered, as far as the criteria of `list_errors` meet them.

    No run and no version is behind them, whoever asks for one of these. Not ordered; see `with_suspects_places`.
    """
    suspects = SuspectedPicture.objects.filter(answer="").annotate(last_failed_at=F("found_at"))
    if image := criteria.pop("image", None):
        suspects = suspects.filter(sha256__in=StoredPicture.objects.filter(image=image).values("sha256"))
    meets = criteria.items() <= {"error_code": PLACEHOLDER, "state": SUSPECTED}.items()
    return with_suspects_places(suspects) if meets else suspects.none()


def with_suspects_places(suspects: QuerySet[SuspectedPicture]) -> QuerySet[SuspectedPicture]:
    """Annotate `image` and `image_url` of a suspected picture, and `product_id` and `product_title`; None without any.

    They are those of any place where it is shown first: there may be a million, which no page can put in order.
    """
    showing = list_showing(OuterRef("sha256"))
    places = suspects.annotate(
        image=Subquery(showing.values("image_id")[:1]), product_id=Subquery(showing.values("product_id")[:1])
    )
    return places.annotate(
        image_url=Subquery(Image.objects.filter(pk=OuterRef("image")).values("url")),
        product_title=Subquery(Product.objects.filter(pk=OuterRef("product_id")).values("title")),
    )


def list_newest_products(run: LabellingRun, *, count: int) -> list[Product]:
    """Return products, newest first, that show one of the newest images that the run labelled as their first."""
    labelled = Classification.objects.filter(run=run).order_by("-image")
    places = ProductImages.objects.filter(
        image__in=list(labelled.values_list("image", flat=True)[:count]), image_index=0
    )
    product_ids = list(places.order_by("-product").values_list("product", flat=True)[:count])
    return list(list_labelled_products(ProductCriteria()).filter(pk__in=product_ids).order_by("-pk"))


def with_first_product(tasks: QuerySet[LabelTask]) -> QuerySet[LabelTask]:
    """Annotate `product_id` and `product_title` of the oldest product with the task's image, or None.

    `has_other_products` says whether there are more.
    """
    placements = ProductImages.objects.filter(image=OuterRef("image"))
    first = placements.order_by("product_id")
    return tasks.annotate(
        product_id=Subquery(first.values("product_id")[:1]),
        product_title=Subquery(first.values("product__title")[:1]),
        has_other_products=Exists(placements.exclude(product=OuterRef("product_id"))),
    )
