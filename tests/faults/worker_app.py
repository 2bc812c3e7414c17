"""The worker's Celery application with a fast classifier and pictures that do harm; for the fault tests alone.

To be imported by worker processes only, once Django is set up: it replaces parts of the product. What FAULT_...
variables say is looked up when it is needed, so that one imported copy serves workers of every kind.
"""

import ctypes
import logging
import os
import secrets
import signal
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from celery import shared_task

from catalog.models import Image
from catalog.pictures import decoding, storage
from catalog.pictures.decoding import DecodedPicture
from classifier.adoption import gate
from classifier.labelling import batches, ledger, tasks
from classifier.labelling.ledger import ClaimedBatch, Outcome
from classifier.ml import artefacts, pipeline
from classifier.ml.artefacts import load_manifest
from classifier.ml.types import ImageClassifier, Picture, Prediction, TrainingProgress
from classifier.models import Classification, ModelVersion
from classifier.registry.runtime import get_classifier as load_classifier
from config import files
from config.celery import app
from tests.faults.harm import HANG, HUNGRY, KILLED, PID_SHIFT, SEGFAULT, STUBBORN
from tests.support.artefacts import OWN_NETWORKS
from tests.support.fakes import FakeClassifier

__all__ = ["app", "label_without_ledger_task"]

logger = logging.getLogger(__name__)
decode = decoding.decode_picture


def decode_picture(data: bytes, **options: Any) -> DecodedPicture:
    """Decode a picture, or do the harm that stands behind its pixels."""
    if data.endswith(SEGFAULT):
        ctypes.string_at(0)
    if data.endswith(STUBBORN):
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    if data.endswith((HANG, STUBBORN)):
        time.sleep(3600)
    if data.endswith(KILLED):
        os.kill(os.getpid(), signal.SIGKILL)  # as the system does where memory runs out
    if data.endswith(HUNGRY):
        raise MemoryError
    return decode(data, **options)


class SlowClassifier(FakeClassifier):
    """The fake classifier, at a pace that a test chooses: FAULT_WORK_SECONDS for each call."""

    def classify(self, pictures: Sequence[Picture]) -> list[Prediction]:
        """One prediction for each picture, in the same order."""
        if pause := float(os.environ.get("FAULT_WORK_SECONDS", "0")):
            logger.info("at work on %s pictures", len(pictures))
            time.sleep(pause)
        return super().classify(pictures)


fake = SlowClassifier()


def get_classifier(version: ModelVersion) -> ImageClassifier:
    """Return the fake classifier, or with FAULT_CLASSIFIER=real the version's own."""
    return load_classifier(version) if os.environ.get("FAULT_CLASSIFIER") == "real" else fake


def build_token() -> uuid.UUID:
    """Return a fresh lease token of this process."""
    return uuid.UUID(int=os.getpid() << PID_SHIFT | secrets.randbits(PID_SHIFT))


def finish_tasks(batch: ClaimedBatch, outcomes: Sequence[Outcome]) -> int:
    """Finish as the product does, and log how many outcomes the fence let through."""
    written = ledger.finish_tasks(batch, outcomes)
    logger.info("wrote %s of %s outcomes", written, len(outcomes))
    return written


def shorten(delay: Callable[..., float | None]) -> Callable[..., float | None]:
    """Return the product's delay of a task's next try, FAULT_WAIT_SECONDS at most."""

    def find_delay(*arguments: Any) -> float | None:
        seconds = delay(*arguments)
        return None if seconds is None else min(seconds, float(os.environ.get("FAULT_WAIT_SECONDS", "inf")))

    return find_delay


def train(
    request: pipeline.TrainingRequest,
    *,
    output_dir: Path,
    progress: Callable[[TrainingProgress], None],
    **_rest: object,
) -> SimpleNamespace:
    """Instead of training, report FAULT_STEPS steps of 0.2 s and save the shipped artefact.

    With FAULT_SAVING=hang it never ends once the first file lies on the disk.
    """
    steps = int(os.environ.get("FAULT_STEPS", "1"))
    for step in range(1, steps + 1):
        progress(TrainingProgress("train", 1, 1, step, steps, {"loss": 1.0}))
        time.sleep(0.2)
    shipped = artefacts.verify_artefact(OWN_NETWORKS)
    if os.environ.get("FAULT_SAVING") == "hang":
        files._flush = lambda *_arguments, **_options: time.sleep(3600)
    folder = output_dir / "trained"
    manifest = replace(shipped.manifest, created_at=datetime.now(UTC).isoformat())  # no two trainings are the same
    artefacts.save_artefact(folder, manifest=manifest, contents=shipped.contents)
    return SimpleNamespace(folder=folder, manifest=load_manifest(folder))


@shared_task(name="tests.faults.label_without_ledger")
def label_without_ledger_task(image_ids: list[int], *, run_id: int, model_version_id: int) -> None:
    """Label straight from the message: no claim, no lease, no fence. What a task queue alone would do."""
    for image in Image.objects.filter(pk__in=image_ids).order_by("pk"):
        (prediction,) = fake.classify([decode_picture(storage.read_media_picture(image.url)).pixels])
        Classification.objects.create(
            image=image,
            model_version_id=model_version_id,
            run_id=run_id,
            sha256="0" * 64,
            group=prediction.group,
            garment=prediction.garment,
            confidence=prediction.confidence,
            abstained=prediction.abstained,
            garment_probabilities=[],
        )


batches.decode_picture = decode_picture
tasks.get_classifier = get_classifier
batches.finish_tasks = finish_tasks
for name in ("_retry_delay", "_wait_seconds", "_loss_delay"):
    setattr(ledger, name, shorten(getattr(ledger, name)))
batches.uuid = SimpleNamespace(uuid4=build_token)
pipeline.train = train
# To ask a trained version the 10,000 test pictures takes longer than all else.
gate.find_fashion_mnist = lambda: None
