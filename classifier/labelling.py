"""The work on a claimed batch: fetch, decode, infer. No transaction is open meanwhile."""

import logging
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from catalog import fetching, pictures
from catalog.models import Image, StoredPicture
from classifier.ledger import (
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
from classifier.reconnecting import is_unreachable, retry_while_unreachable

logger = logging.getLogger(__name__)

GetClassifier = Callable[[ModelVersion], ImageClassifier]

# Pixels on the longer side down to which a larger picture is decoded: enough for the thumbnail, and two and a half
# times what the canonical form looks at.
DECODED_SIZE = 400


@dataclass(frozen=True, slots=True)
class PictureContent:
    """A picture's bytes, what its host said about them, and the name under which media storage has them already."""

    data: bytes
    storage_name: str = ""
    etag: str = ""
    last_modified: str = ""


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
    stored: list[StoredPicture] = []
    readable: dict[ModelVersion, list[tuple[LabelTask, str, NDArray[np.uint8]]]] = {}
    for task, content in zip(tasks, contents, strict=True):
        try:
            if isinstance(content, Failed):
                outcomes[task.pk] = content
                continue
            decoded = pictures.decode_picture(content.data, target_size=DECODED_SIZE)
            row = _build_stored_picture(task.image, content, decoded=decoded)
        except pictures.PictureError as error:
            outcomes[task.pk] = Failed(error.code)
        else:
            stored.append(row)
            readable.setdefault(task.model_version, []).append((task, row.sha256, decoded.pixels))
    pictures.record_stored_pictures(stored)
    for version, entries in readable.items():
        predictions = get_classifier(version).classify([pixels for _, _, pixels in entries])
        for (task, sha256, _), prediction in zip(entries, predictions, strict=True):
            outcomes[task.pk] = Labelled(sha256=sha256, prediction=prediction)
    return [outcomes[task.pk] for task in tasks]


def _build_stored_picture(image: Image, content: PictureContent, *, decoded: pictures.DecodedPicture) -> StoredPicture:
    return pictures.build_stored_picture(
        image,
        content.data,
        decoded=decoded,
        storage_name=content.storage_name,
        etag=content.etag,
        last_modified=content.last_modified,
    )


def read_pictures(images: Sequence[Image], *, refetch: Sequence[bool]) -> list[PictureContent | Failed]:
    """Return each image's bytes, or why there are none, in order.

    A name without a scheme lies in media storage. A picture at a URL is fetched once and read from storage afterwards;
    where `refetch` is true its host is asked whether it has changed.
    """
    held = [_read_held(image, refetch=again) for image, again in zip(images, refetch, strict=True)]
    wanted = [image for image, content in zip(images, held, strict=True) if content is None]
    answers = fetching.fetch_pictures([_build_request(image) for image in wanted]) if wanted else []
    fetched = iter([_read_answer(image, answer) for image, answer in zip(wanted, answers, strict=True)])
    return [next(fetched) if content is None else content for content in held]


def _read_held(image: Image, *, refetch: bool) -> PictureContent | Failed | None:
    """Return what needs no fetch: a picture in media storage, or one we hold and need not ask for; else None."""
    if pictures.is_media_name(image.url):
        try:
            return PictureContent(pictures.read_media_picture(image.url), storage_name=image.url)
        except pictures.PictureError as error:
            return Failed(error.code)
    return None if refetch else _read_stored(image)


def _read_stored(image: Image) -> PictureContent | None:
    data = pictures.find_picture_bytes(image)
    if data is None:
        return None
    row = image.stored_picture
    return PictureContent(data, storage_name=row.storage_name, etag=row.etag, last_modified=row.last_modified)


def _build_request(image: Image) -> fetching.FetchRequest:
    """Return the request for an image; conditional only if we still hold what an unchanged picture would be."""
    stored = _read_stored(image)
    if stored is None:
        return fetching.FetchRequest(image.url)
    return fetching.FetchRequest(image.url, etag=stored.etag, last_modified=stored.last_modified)


def _read_answer(image: Image, answer: fetching.FetchResult | fetching.FetchError) -> PictureContent | Failed:
    if isinstance(answer, fetching.FetchError):
        return Failed(answer.code, retryable=answer.retryable, retry_after_seconds=answer.retry_after_seconds)
    if answer.data is None:  # not modified since we stored it
        return _read_stored(image) or Failed("not_found", retryable=True)
    return PictureContent(answer.data, etag=answer.etag, last_modified=answer.last_modified)
