"""An image's row becomes bytes: out of media storage, out of what we hold, or from its host."""

from collections.abc import Sequence
from dataclasses import dataclass

from catalog.fetching import fetcher
from catalog.fetching.policy import FetchError
from catalog.fetching.responses import FetchRequest, FetchResult
from catalog.models import Image
from catalog.pictures import storage
from catalog.pictures.decoding import PictureError

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


def read_pictures(images: Sequence[Image], *, refetch: Sequence[bool]) -> list[PictureContent | FetchError]:
    """Return each image's bytes, or why there are none, in order.

    A name without a scheme lies in media storage. A picture at a URL is fetched once and read from storage afterwards;
    where `refetch` is true its host is asked whether it has changed.
    """
    held = [_read_held(image, refetch=again) for image, again in zip(images, refetch, strict=True)]
    wanted = [image for image, content in zip(images, held, strict=True) if content is None]
    answers = fetcher.fetch_pictures([_build_request(image) for image in wanted]) if wanted else []
    fetched = iter([_read_answer(image, answer) for image, answer in zip(wanted, answers, strict=True)])
    return [next(fetched) if content is None else content for content in held]


def _read_held(image: Image, *, refetch: bool) -> PictureContent | FetchError | None:
    """Return what needs no fetch: a picture in media storage, or one we hold and need not ask for; else None."""
    if storage.is_media_name(image.url):
        try:
            return PictureContent(storage.read_media_picture(image.url), storage_name=image.url)
        except PictureError as error:
            return FetchError(error.code, error.message)
    return None if refetch else _read_stored(image)


def _read_stored(image: Image) -> PictureContent | None:
    data = storage.find_picture_bytes(image)
    if data is None:
        return None
    row = image.stored_picture
    return PictureContent(data, storage_name=row.storage_name, etag=row.etag, last_modified=row.last_modified)


def _build_request(image: Image) -> FetchRequest:
    """Return the request for an image; conditional only if we still hold what an unchanged picture would be."""
    stored = _read_stored(image)
    return FetchRequest(
        image.url, etag=stored.etag if stored else "", last_modified=stored.last_modified if stored else ""
    )


def _read_answer(image: Image, answer: FetchResult | FetchError) -> PictureContent | FetchError:
    if isinstance(answer, FetchError):
        return answer
    if answer.data is None:  # not modified since we stored it
        return _read_stored(image) or FetchError(
            "not_found", "the picture that has not changed is not held", retryable=True
        )
    return PictureContent(answer.data, etag=answer.etag, last_modified=answer.last_modified)
