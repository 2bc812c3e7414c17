"""Start a labelling run: create its rows, and put them on the queue once they are committed."""

from functools import partial

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from catalog.models import Image, Product, ProductImages
from classifier.labelling import ledger
from classifier.labelling.runs import find_last_image_id, find_next_step, take_step
from classifier.labelling.tasks import send_due_batches, send_taking_runs
from classifier.models import LabellingRun, ModelVersion, SampledProduct, SelectedImage
from classifier.registry.selectors import get_active_model_version
from config.db.bulk import insert_chosen
from config.db.statements import allow_long_statements

MANY_BATCHES = 1000
#: Pictures of a run's first batch: those of one host come ten a second, and who started the run waits for labels.
FIRST_BATCH_SIZE = 4


class IdempotencyKeyError(ValueError):
    """A key that came with another request before."""


class ShadowError(ValueError):
    """A shadow run of a version that labels follow anyway."""


@allow_long_statements()
def start_labelling_run(
    *,
    images: QuerySet[Image] | None = None,
    relabel: bool = False,
    features_only: bool = False,
    shadow: ModelVersion | None = None,
    sample: int | None = None,
    limit: int | None = None,
    user: User | None = None,
    idempotency_key: str | None = None,
) -> LabellingRun:
    """Start a run over `images` (None: all of them) with the active model version; saved, and sent on commit.

    With `shadow` that version is asked instead of the active one, and no label moves; it looks at the first pictures of
    `sample` products drawn at random, or at every picture. What it says counts once the version is in production.

    It takes the pictures this version has not labelled yet, and those that wait for another try; with `relabel` those
    it has labelled too, with `features_only` instead those that we hold and that have no features, and labels none.
    Pictures that an open run holds are left to that run, and pictures it gave up to the error
    queue. The first pictures are taken here; a run over more than `CHUNK_SIZE` takes the others in steps, which workers
    do. A run that finds nothing to do is done when it has looked at the last one. The same `idempotency_key` returns
    the same run; with another wish or user it raises `IdempotencyKeyError`. Raises
    `NoActiveModelVersionError`, and `ShadowError` for a shadow of the active version.
    """
    run = LabellingRun(
        model_version=shadow or get_active_model_version(),
        relabel=relabel,
        features_only=features_only,
        shadow=shadow is not None,
        sample=sample,
        limit=limit,
        requested_by=user,
        idempotency_key=idempotency_key,
    )
    if (known := _find_run_of_same_key(run)) is not None:
        return known
    if shadow is not None and shadow.is_in_production:
        raise ShadowError(f"Expected a version that is not in production; labels follow {shadow.name}.")
    run.selected = images is not None or sample is not None
    run.takes_until = find_last_image_id()
    with transaction.atomic():
        try:
            with transaction.atomic():
                run.save()
        except IntegrityError:  # the same request came twice at once, and the other one was first
            if (known := _find_run_of_same_key(run)) is None:
                raise
            return known
        if sample is not None:
            images = _draw_sample(run)
        if images is not None:
            insert_chosen(SelectedImage, "image_id", run_id=run.pk, rows=images.order_by())
            last = run.selection.order_by("image_id").last()
            run.takes_until = last.image_id if last else 0
        take_step(run, find_next_step(run))
        transaction.on_commit(partial(_send_run, run))
    return run


def _draw_sample(run: LabellingRun) -> QuerySet[Image]:
    """Draw the run's products at random; return the images that they show first."""
    insert_chosen(SampledProduct, "product_id", run_id=run.pk, rows=Product.objects.order_by("?")[: run.sample])
    drawn = SampledProduct.objects.filter(run=run.pk).order_by().values("product_id")
    first = ProductImages.objects.filter(product__in=drawn, image_index=0).order_by()
    return Image.objects.filter(pk__in=first.values("image"))


def _find_run_of_same_key(wish: LabellingRun) -> LabellingRun | None:
    """Return the run that this request started before, or None; raise `IdempotencyKeyError` if another one did."""
    if wish.idempotency_key is None:
        return None
    run = LabellingRun.objects.filter(idempotency_key=wish.idempotency_key).first()
    if run is None:
        return None
    if _get_wish(run) != _get_wish(wish):
        raise IdempotencyKeyError("Expected a new Idempotency-Key; this one came with another request before.")
    return run


def _get_wish(run: LabellingRun) -> tuple[object, ...]:
    """Return what was asked for; the version alone where it was named, since another one may be active by now."""
    version_id = run.model_version_id if run.shadow else None
    return version_id, run.relabel, run.features_only, run.sample, run.limit, run.requested_by_id


def _send_run(run: LabellingRun) -> None:
    ledger.close_finished_runs({run.pk})
    send_due_batches(maximum=MANY_BATCHES, first_batch_size=FIRST_BATCH_SIZE)
    send_taking_runs()
