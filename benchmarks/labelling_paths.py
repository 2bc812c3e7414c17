"""Both ways of labelling pictures at URLs: end to end through worker and ledger, and the bare loop beside it.

Django must be set up before this module is imported.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from django.conf import settings
from django.core.management import call_command
from django.db import transaction

from benchmarks.environment import Site
from catalog.fetching import fetcher as fetching
from catalog.fetching.policy import FetchError
from catalog.fetching.responses import FetchRequest, FetchResult
from catalog.models import Image, Product, ProductImages
from catalog.pictures.decoding import DECODED_SIZE, decode_picture
from classifier.labelling.selectors import get_run_progress, list_error_counts
from classifier.labelling.starting import start_labelling_run
from classifier.ml.artefacts import DEFAULT_ARTEFACT
from classifier.ml.labels import GARMENTS
from classifier.models import Classification, LabellingRun, ModelVersion
from classifier.registry.runtime import get_classifier
from classifier.registry.services import register_model_version
from tests.support.artefacts import bring_into_production

_POLL_SECONDS: Final = 0.05
_SHOW_SECONDS: Final = 2.0
#: Nothing is measured that takes longer; something is broken then.
_PATIENCE_SECONDS: Final = 900.0


class LabellingBenchmarkError(Exception):
    """The pictures did not all get their label, so that a rate would say nothing."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """How many pictures were labelled in how many seconds."""

    images: int
    seconds: float

    @property
    def images_per_second(self) -> float:
        """Pictures labelled in a second."""
        return self.images / self.seconds


def prepare_database() -> ModelVersion:
    """Make the tables, and register the shipped artefact as the active version."""
    call_command("migrate", verbosity=0, interactive=False)
    return bring_into_production(register_model_version(DEFAULT_ARTEFACT))


def create_products(site: Site, *, size: str, numbers: range) -> list[int]:
    """Create a product with one picture for each number, and return the ids of the images."""
    urls = [site.origin.url(size, number) for number in numbers]
    with transaction.atomic():
        images = Image.objects.bulk_create(Image(url=url) for url in urls)
        products = Product.objects.bulk_create(Product(title=f"Product {url}") for url in urls)
        ProductImages.objects.bulk_create(
            ProductImages(product=product, image=image, image_index=0)
            for product, image in zip(products, images, strict=True)
        )
    return [image.pk for image in images]


def label_end_to_end(image_ids: Sequence[int], *, progress: Callable[[int, int], None]) -> Labelled:
    """Start a run over these images and return once the worker has labelled every one.

    The clock runs from the start of the run to its end. Raises `LabellingBenchmarkError` when a picture got no label.
    """
    started = time.perf_counter()
    run = start_labelling_run(images=Image.objects.filter(pk__in=image_ids))
    shown_at = started
    while run.state == LabellingRun.State.RUNNING and time.perf_counter() - started < _PATIENCE_SECONDS:
        time.sleep(_POLL_SECONDS)
        run.refresh_from_db(fields=["state"])
        if time.perf_counter() - shown_at >= _SHOW_SECONDS:
            shown_at = time.perf_counter()
            progress(get_run_progress(run).finished, len(image_ids))
    seconds = time.perf_counter() - started
    reached = get_run_progress(run)
    if reached.done != len(image_ids):
        raise LabellingBenchmarkError(
            f"expected {len(image_ids)} labels, {reached.done} came in {seconds:.0f} s: {dict(list_error_counts(run))}"
        )
    return Labelled(images=reached.done, seconds=seconds)


def label_in_bare_loop(image_ids: Sequence[int], *, version: ModelVersion) -> Labelled:
    """Label these images in this process and nothing else: no ledger, no Celery, no copies, no product labels.

    For each batch of the size that a message has: the product's fetcher, `decode_picture` at the worker's size,
    `classify`, and one INSERT of the classifications.
    """
    run = LabellingRun.objects.create(model_version=version, state=LabellingRun.State.DONE)
    classifier = get_classifier(version)
    started = time.perf_counter()
    for ids in _batches(image_ids, size=settings.LABELLING_BATCH_SIZE):
        urls = dict(Image.objects.filter(pk__in=ids).values_list("pk", "url"))
        answers = fetching.fetch_pictures([FetchRequest(urls[pk]) for pk in ids])
        bodies = [_body(answer) for answer in answers]
        predictions = classifier.classify([decode_picture(body, target_size=DECODED_SIZE).pixels for body in bodies])
        Classification.objects.bulk_create(
            Classification(
                image_id=pk,
                model_version=version,
                run=run,
                group=prediction.group,
                garment=prediction.garment,
                confidence=prediction.confidence,
                abstained=prediction.abstained,
                garment_probabilities=[prediction.garment_probabilities[name] for name in GARMENTS],
            )
            for pk, prediction in zip(ids, predictions, strict=True)
        )
    return Labelled(images=len(image_ids), seconds=time.perf_counter() - started)


def _body(answer: FetchResult | FetchError) -> bytes:
    if isinstance(answer, FetchError) or answer.data is None:
        raise LabellingBenchmarkError(f"expected a picture from the origin, received {answer!r}")
    return answer.data


def _batches(ids: Sequence[int], *, size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), size):
        yield ids[start : start + size]
