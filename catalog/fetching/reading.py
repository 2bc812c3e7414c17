"""An image's row becomes bytes: out of media storage, out of what we hold, or from its host."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from catalog.fetching import fetcher
from catalog.fetching.policy import FetchError
from catalog.fetching.responses import FetchRequest, FetchResult
from catalog.models import Image
from catalog.pictures import storage
from catalog.pictures.decoding import PictureError
from catalog.values import is_media_name

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PictureContent:
    """A picture's bytes, what its host said about them, and the name under which media storage has them already."""

    data: bytes
    storage_name: str = ""
    etag: str = ""
    last_modified: str = ""


def read_pictures(images: Sequence[Image], *, refetch: Sequence[bool]) -> list[PictureContent | FetchError]:
    """Return each image's bytes, or why there are none, in order.

    A name without a scheme lies in media storage. A picture at a URL is fetched once and read from storage afterwards;
    where `refetch` is true its host is asked whether it has changed. A file that the storage cannot read though it
    works otherwise is a `storage_error`. Raises StorageError if it does not work; nothing is fetched then.
    """
    held = [_read_held(image, refetch=again) for image, again in zip(images, refetch, strict=True)]
    requests = [found for found in held if isinstance(found, FetchRequest)]
    if requests:
        storage.check_storage()
    answers = iter(fetcher.fetch_pictures(requests))
    return [
        _read_answer(image, next(answers)) if isinstance(found, FetchRequest) else found
        for image, found in zip(images, held, strict=True)
    ]


def _read_held(image: Image, *, refetch: bool) -> PictureContent | FetchError | FetchRequest:
    """Return a picture in media storage, or one we hold and need not ask for; else the request for it.

    The request is conditional only if we still hold what an unchanged picture would be.
    """
    if is_media_name(image.url):
        return _read_file(lambda: PictureContent(storage.read_media_picture(image.url), storage_name=image.url))
    stored = _read_file(lambda: _read_stored(image))
    if isinstance(stored, FetchError) or (stored is not None and not refetch):
        return stored
    return FetchRequest(
        image.url, etag=stored.etag if stored else "", last_modified=stored.last_modified if stored else ""
    )


Found = TypeVar("Found", bound=PictureContent | None)


def _read_file(read: Callable[[], Found]) -> Found | FetchError:
    """Return what `read` returns, or its error; raises StorageError if the fault is the whole storage's."""
    try:
        return read()
    except PictureError as error:
        return FetchError(error.code, error.message)
    except storage.StorageError as error:
        storage.raise_if_away(error)
        logger.warning("a file of the media storage cannot be read: %s", error)
        return FetchError("storage_error", "the media storage cannot read this file", retryable=True)


def _read_stored(image: Image) -> PictureContent | None:
    data = storage.find_picture_bytes(image)
    if data is None:
        return None
    row = image.stored_picture
    return PictureContent(data, storage_name=row.storage_name, etag=row.etag, last_modified=row.last_modified)


def _read_answer(image: Image, answer: FetchResult | FetchError) -> PictureContent | FetchError:
    if isinstance(answer, FetchError):
        return answer
    if answer.data is None:  # not modified since we stored it
        return _read_file(lambda: _read_stored(image)) or FetchError(
            "not_found", "the picture that has not changed is not held", retryable=True
        )
    return PictureContent(answer.data, etag=answer.etag, last_modified=answer.last_modified)
