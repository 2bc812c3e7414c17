"""The work on a claimed batch: fetch, decode, infer. No transaction is open meanwhile."""

import logging
import uuid
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
from celery.exceptions import SoftTimeLimitExceeded
from numpy.typing import NDArray

from catalog.fetching.policy import FetchError
from catalog.fetching.reading import PictureContent, read_pictures
from catalog.models import StoredPicture
from catalog.pictures.decoding import DECODED_SIZE, PictureError, decode_picture
from catalog.pictures.statistics import measure_picture
from catalog.pictures.storage import StorageError, build_stored_picture, raise_if_away
from classifier.labelling.ledger import (
    ClaimedBatch,
    Failed,
    Labelled,
    Outcome,
    PutOff,
    Suspected,
    claim_tasks,
    finish_tasks,
    release_tasks,
)
from classifier.ml.artefacts import ArtefactError
from classifier.ml.types import FEATURE_TYPE, ImageClassifier
from classifier.models import LabelTask, ModelVersion
from config.db.reconnecting import is_unreachable, retry_while_unreachable
from config.logs import log_fields

logger = logging.getLogger(__name__)

GetClassifier = Callable[[ModelVersion], ImageClassifier]


# What a picture waits for that could not be labelled through no fault of its own; see `errors.ERROR_WORDS`.
STORAGE, ARTEFACT, WORKER = "storage_error", "artefact_error", "worker_error"
# A picture that any version can classify: whether a machine can is asked with it before a picture is suspected.
_BLANK = np.zeros((32, 32, 3), dtype=np.uint8)

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class _Readable:
    """A picture that was decoded, and its row, not saved yet."""

    task: LabelTask
    picture: StoredPicture
    pixels: NDArray[np.uint8]
    statistics: bytes


def label_batch(task_ids: Sequence[int], *, get_classifier: GetClassifier) -> int:
    """Claim, label and finish these tasks; return how many were labelled, have failed, or are suspects.

    Tasks that somebody else holds or has finished are left alone, so it may be called twice for the same ids. When the
    worker is stopped gracefully the tasks go back, and so they do when the database went away meanwhile. What nobody
    expected is logged, and the tasks are put off. A database that is away while they are claimed, finished or given
    back is waited for; if that takes too long the lease runs out.
    """
    # The token is known before anything is claimed: a stop that comes in the middle of the claim gives back as well.
    batch = ClaimedBatch(token=uuid.uuid4(), tasks=[])
    try:
        batch = retry_while_unreachable(partial(claim_tasks, task_ids, token=batch.token))
        if not batch.tasks:
            return 0
        log_fields.set({**log_fields.get(), "run_ids": sorted({task.run_id for task in batch.tasks})})
        return _finish(batch, label_tasks(batch.tasks, get_classifier=get_classifier))
    except BaseException as error:
        is_stop = not isinstance(error, Exception) or is_unreachable(error)
        released = retry_while_unreachable(partial(release_tasks, batch, code="" if is_stop else WORKER))
        if is_stop:
            logger.warning("gave %s tasks back at %r", released, error)
            raise
        logger.exception("a batch met what nobody expected; put %s tasks off", released)
        return 0


def label_tasks(tasks: Sequence[LabelTask], *, get_classifier: GetClassifier) -> list[Outcome]:
    """Return one outcome for each task, in order. One bad picture is a code of its own, never another's label.

    Nobody is a suspect but for his own decoding and inference; what else goes wrong puts pictures off. What was read
    before the storage went away, or the time was up, is labelled.
    """
    outcomes: dict[int, Outcome] = {}
    starved: list[int] = []
    readable: dict[ModelVersion, list[_Readable]] = defaultdict(list)
    rest, decoded = PutOff(WORKER), None
    try:
        for task, content in zip(tasks, _read(tasks), strict=True):
            decoded = task
            try:
                found = _decode(task, content)
            except MemoryError:
                logger.warning("there is no memory for the picture of image %s", task.image_id)
                starved.append(task.pk)
                continue
            if isinstance(found, _Readable):
                readable[task.model_version].append(found)
            else:
                outcomes[task.pk] = found
    except StorageError as error:
        rest = PutOff(STORAGE)
        logger.error("this machine cannot label: %s", error)
    except SoftTimeLimitExceeded:
        logger.warning("the time limit struck, at %s", decoded or "reading")
        if decoded is not None:
            outcomes[decoded.pk], rest = Suspected(), PutOff()
    except Exception:
        logger.exception("this machine cannot label")
    # Where others find room, or there is no other, the large one waits for its next try and holds no run up.
    is_machine_full = len(starved) > 1 and not readable
    outcomes.update(dict.fromkeys(starved, PutOff(WORKER) if is_machine_full else Failed(WORKER, retryable=True)))
    for version, entries in readable.items():
        said = _classify(entries, version=version, get_classifier=get_classifier)
        outcomes.update(zip([entry.task.pk for entry in entries], said, strict=True))
    return [outcomes.get(task.pk, rest) for task in tasks]


def _read(tasks: Sequence[LabelTask]) -> list[PictureContent | FetchError]:
    """Return each picture's bytes, or why there are none."""
    return _try_alone(
        lambda part: read_pictures([task.image for task in part], refetch=[task.run.relabel for task in part]),
        tasks,
        refuse=lambda *_: FetchError(WORKER, "reading this picture failed as it should not", retryable=True),
    )


def _decode(task: LabelTask, content: PictureContent | FetchError) -> Outcome | _Readable:
    """Return the picture, decoded and stored, or why there is none; raises StorageError if nothing can be stored."""
    if isinstance(content, FetchError):
        return Failed(content.code, content.retryable, content.retry_after_seconds)
    try:
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
        return Failed(error.code)
    except (SoftTimeLimitExceeded, MemoryError):
        raise
    except StorageError as error:
        raise_if_away(error)
        logger.warning("the picture of image %s cannot be stored: %s", task.image_id, error)
        return Failed(STORAGE, retryable=True)
    except Exception:
        logger.exception("the picture of image %s is tried alone", task.image_id)
        return Suspected()
    statistics = measure_picture(decoded.pixels, width=decoded.width, height=decoded.height)
    return _Readable(task, picture, decoded.pixels, statistics.astype(FEATURE_TYPE).tobytes())


def _classify(
    entries: Sequence[_Readable], *, version: ModelVersion, get_classifier: GetClassifier
) -> Sequence[Outcome]:
    """Return what the version says of each picture."""
    try:
        classifier = get_classifier(version)
    except Exception as error:
        logger.error("this machine cannot label: %s", error)
        return [PutOff(ARTEFACT if isinstance(error, ArtefactError) else WORKER)] * len(entries)

    def classify(part: Sequence[_Readable]) -> list[Outcome]:
        predictions = classifier.classify([entry.pixels for entry in part])
        return [Labelled(entry.picture, said, entry.statistics) for entry, said in zip(part, predictions, strict=True)]

    try:
        return _try_alone(classify, entries, refuse=lambda _, error: _judge(error))
    except SoftTimeLimitExceeded:
        logger.warning("the time limit struck while %s pictures were classified", len(entries))
        return [Suspected()] * len(entries)
    except Exception as error:
        is_fit = _can_classify(classifier)
        logger.error("none of %s pictures could be classified%s: %r", len(entries), "" if is_fit else " here", error)
        return [_judge(error) if is_fit else PutOff(WORKER)] * len(entries)


def _judge(error: Exception) -> Outcome:
    """Return what becomes of a picture that alone failed in a network which others went through."""
    return Failed(WORKER, retryable=True) if isinstance(error, MemoryError) else Suspected()


def _can_classify(classifier: ImageClassifier) -> bool:
    """Whether the classifier works on this machine at all."""
    try:
        classifier.classify([_BLANK])
    except Exception:
        return False
    return True


def _finish(batch: ClaimedBatch, outcomes: Sequence[Outcome]) -> int:
    """Write the outcomes; one that the database refuses alone has failed, and is tried again. Return how many."""

    def finish(part: Sequence[tuple[LabelTask, Outcome]]) -> list[int]:
        one = ClaimedBatch(token=batch.token, tasks=[task for task, _ in part])
        return [retry_while_unreachable(partial(finish_tasks, one, [outcome for _, outcome in part]))]

    return sum(
        _try_alone(
            finish,
            list(zip(batch.tasks, outcomes, strict=True)),
            refuse=lambda pair, _: finish([(pair[0], Failed(WORKER, retryable=True))])[0],
        )
    )


def _try_alone(
    call: Callable[[Sequence[Item]], list[Result]],
    items: Sequence[Item],
    *,
    refuse: Callable[[Item, Exception], Result],
) -> list[Result]:
    """Return what `call` makes of the items; if that fails, of each alone, and `refuse` of those that fail alone.

    Raises what all of them fail with, alone, and what is no item's fault: a storage or database that is away, and the
    time limit.
    """
    try:
        return call(items)
    except Exception as error:
        if len(items) == 1 or _is_no_items_fault(error):
            raise
        logger.warning("%s tasks failed together and are tried one by one: %r", len(items), error)
    results, refused = [], 0
    for item in items:
        try:
            results += call([item])
        except Exception as error:
            refused += 1
            if refused == len(items) or _is_no_items_fault(error):
                raise
            logger.warning("%s failed alone", item, exc_info=True)
            results.append(refuse(item, error))
    return results


def _is_no_items_fault(error: Exception) -> bool:
    return isinstance(error, StorageError | SoftTimeLimitExceeded) or is_unreachable(error)
