"""The work on a claimed batch: fetch, decode, infer. No transaction is open meanwhile."""

import logging
import uuid
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from catalog.fetching.policy import FetchError
from catalog.fetching.reading import DECODED_SIZE, read_pictures
from catalog.models import StoredPicture
from catalog.pictures.decoding import PictureError, decode_picture
from catalog.pictures.storage import build_stored_picture
from classifier.labelling.ledger import (
    ClaimedBatch,
    Failed,
    Labelled,
    Outcome,
    claim_tasks,
    finish_tasks,
    postpone_tasks,
    release_tasks,
)
from classifier.ml.artefacts import ArtefactError
from classifier.ml.types import ImageClassifier
from classifier.models import LabelTask, ModelVersion
from config.db.reconnecting import is_unreachable, retry_while_unreachable
from config.logs import log_fields

logger = logging.getLogger(__name__)

GetClassifier = Callable[[ModelVersion], ImageClassifier]


class BatchMemoryError(Exception):
    """A batch needed more memory than there is. Not a `MemoryError`, which would stop Celery's main process."""


def label_batch(task_ids: Sequence[int], *, get_classifier: GetClassifier) -> int:
    """Claim, label and finish these tasks; return how many were finished.

    Tasks that somebody else holds or has finished are left alone, so it may be called twice for the same ids. When the
    worker is stopped gracefully the tasks go back, and so they do when the database went away meanwhile. They go back,
    for later, when this machine cannot label anything (its artefact is missing or damaged, its disk is full). After
    any other error, a time limit among them, they go back as suspects, which are tried one by one. A database that is
    away while they are claimed, finished or given back is waited for; if that takes too long the lease runs out.
    """
    # The token is known before anything is claimed: a stop that comes in the middle of the claim gives back as well.
    batch = ClaimedBatch(token=uuid.uuid4(), tasks=[])
    try:
        batch = retry_while_unreachable(partial(claim_tasks, task_ids, token=batch.token))
        if not batch.tasks:
            return 0
        log_fields.set({**log_fields.get(), "run_ids": sorted({task.run_id for task in batch.tasks})})
        outcomes = label_tasks(batch.tasks, get_classifier=get_classifier)
        return retry_while_unreachable(partial(finish_tasks, batch, outcomes))
    except (ArtefactError, OSError) as error:
        released = retry_while_unreachable(partial(postpone_tasks, batch))
        logger.error("this machine cannot label: %s; put %s tasks off", error, released)
        raise
    except Exception as error:
        suspects = not is_unreachable(error)
        released = retry_while_unreachable(partial(release_tasks, batch, crashed=suspects))
        logger.warning("gave %s tasks back%s: %r", released, " as suspects" if suspects else "", error)
        if isinstance(error, MemoryError):
            raise BatchMemoryError(f"not enough memory for {len(batch.tasks)} pictures") from error
        raise
    except BaseException as error:  # the worker is being stopped
        released = retry_while_unreachable(partial(release_tasks, batch, crashed=False))
        logger.warning("gave %s tasks back at %s", released, type(error).__name__)
        raise


def label_tasks(tasks: Sequence[LabelTask], *, get_classifier: GetClassifier) -> list[Outcome]:
    """Return one outcome for each task, in order. One bad picture is a code of its own, never another's label."""
    contents = read_pictures([task.image for task in tasks], refetch=[task.run.relabel for task in tasks])
    outcomes: dict[int, Outcome] = {}
    readable: dict[ModelVersion, list[tuple[LabelTask, StoredPicture, NDArray[np.uint8]]]] = {}
    for task, content in zip(tasks, contents, strict=True):
        try:
            if isinstance(content, FetchError):
                outcomes[task.pk] = Failed(content.code, content.retryable, content.retry_after_seconds)
                continue
            decoded = decode_picture(content.data, target_size=DECODED_SIZE)
            picture = build_stored_picture(
                task.image,
                content.data,
                decoded=decoded,
                storage_name=content.storage_name,
                etag=content.etag,
                last_modified=content.last_modified,
            )
        except PictureError as error:
            outcomes[task.pk] = Failed(error.code)
        else:
            readable.setdefault(task.model_version, []).append((task, picture, decoded.pixels))
    for version, entries in readable.items():
        predictions = get_classifier(version).classify([pixels for _, _, pixels in entries])
        for (task, picture, _), prediction in zip(entries, predictions, strict=True):
            outcomes[task.pk] = Labelled(picture=picture, prediction=prediction)
    return [outcomes[task.pk] for task in tasks]
