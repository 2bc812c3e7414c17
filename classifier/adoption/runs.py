"""The adoption of a version in production: labels are decided anew, product by product, from what was said before.

Nothing is fetched and nothing is inferred. A step is one transaction over STEP_SIZE products, which also writes how far
the run has come, so one that was killed is done again. What the version has not classified goes on a labelling run.
"""

from django.db import transaction
from django.db.models import Count, Exists, F, OuterRef
from django.db.models.functions import Now

from catalog.models import Image, Product, ProductImages, ProductLabel
from classifier.labelling.starting import start_labelling_run
from classifier.labels.facts import find_held_hashes
from classifier.labels.services import Why, refresh_product_range, refresh_statistics
from classifier.models import AdoptionRun, Classification, LabelChange, LabellingRun
from classifier.registry.selectors import find_active_model_version
from config.db.arrays import AnyOf

State = AdoptionRun.State
# Products of one step; whoever labels one of them waits for about a third of a second.
STEP_SIZE = 1000


def adopt_next_step(run_id: int) -> bool:
    """Bring the labels of the run's next products to its version; return whether there is more to do here.

    There is nothing to do in a run that has ended, or that another process is at.
    """
    with transaction.atomic():
        running = AdoptionRun.objects.filter(pk=run_id, state=State.RUNNING)
        run = running.select_for_update(skip_locked=True, no_key=True).first()
        if run is None:
            return False
        if run.taken_until >= run.takes_until:
            _end(run)
            return False
        ahead = Product.objects.filter(pk__gt=run.taken_until, pk__lte=run.takes_until).order_by("pk")
        before = run.changed
        product_ids = list(ahead.values_list("pk", flat=True)[:STEP_SIZE])
        until = product_ids[-1] if len(product_ids) == STEP_SIZE else run.takes_until
        # Looks first, without a lock: where the version said nothing yet every label stays as it is.
        _, changed = refresh_product_range(run.taken_until, until, why=Why.ACTIVATED)
        run.changed += changed
        run.moved += _count_moved(run, until=until) if changed else 0
        run.missing += count_missing(run, product_ids)
        run.done += len(product_ids)
        run.taken_until = until
        run.started_at = run.started_at or Now()
        run.sent_at = Now()
        run.save()
    refresh_statistics(before=before, changed=run.changed)
    return True


def _count_moved(run: AdoptionRun, *, until: int) -> int:
    """Return how many products of this step came to another group or status by it."""
    step = LabelChange.objects.filter(product_id__gt=run.taken_until, product_id__lte=until)
    own = step.filter(why=Why.ACTIVATED, at__gte=run.created_at)
    return own.exclude(old_status=F("new_status"), old_group=F("new_group")).count()


def _end(run: AdoptionRun) -> None:
    """End a run that has looked at every product; what is missing is on a labelling run in the same transaction."""
    run.labelling_run = label_what_is_missing(run)
    run.state, run.total, run.finished_at = State.DONE, run.done, Now()
    run.started_at = run.started_at or Now()
    run.save()


def cancel_adoption_run(run: AdoptionRun) -> bool:
    """Cancel the run: labels that follow its version already stay; return False if the run had ended already."""
    return bool(AdoptionRun.objects.filter(pk=run.pk).cancel())


def count_missing(run: AdoptionRun, product_ids: list[int]) -> int:
    """Return how many pictures of the products other versions classified, and the run's has not as we hold them."""
    places = ProductImages.objects.filter(AnyOf("product", product_ids)).order_by()
    images = set(places.values_list("image_id", flat=True))
    held = find_held_hashes(images)
    # Not by a join of places and classifications: PostgreSQL may read all of these for it.
    rows = Classification.objects.filter(AnyOf("image", images)).order_by()
    said = list(rows.values_list("image_id", "model_version_id", "sha256"))
    own = {pk for pk, version_id, sha256 in said if version_id == run.model_version_id and sha256 == held.get(pk)}
    return len({pk for pk, version_id, _ in said if version_id != run.model_version_id} - own)


def label_what_is_missing(run: AdoptionRun) -> LabellingRun | None:
    """Start a labelling run for pictures that other versions classified and this one has not; return it, or None.

    Where open runs of other versions were cancelled it takes whatever is missing, and so their pictures. None is
    started where another version was activated meanwhile, nor where there was no label before.
    """
    version = find_active_model_version()
    if version is None or version.pk != run.model_version_id or not (run.missing or run.closed_runs):
        return None
    said = Classification.objects.filter(image=OuterRef("pk")).order_by()
    shown = Image.objects.filter(Exists(ProductImages.objects.filter(image=OuterRef("pk")).order_by()))
    images = None if run.closed_runs else shown.filter(Exists(said.exclude(model_version=version)))
    return start_labelling_run(images=images, user=run.requested_by)


def list_version_counts() -> list[tuple[str, int]]:
    """Return (version, number of products that have their label from it) of the catalogue, the largest first."""
    labels = ProductLabel.objects.filter(source=ProductLabel.Source.MACHINE).order_by()
    counts = labels.values_list("model_version__name").annotate(number=Count("pk")).order_by("-number")
    return list(counts)
