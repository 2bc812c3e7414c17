"""Addresses of our own copies of pictures."""

from pathlib import PurePosixPath

from django.urls import reverse

from catalog.pictures.storage import thumbnail_name


def get_thumbnail_path(sha256: str) -> str:
    """Return the path of the thumbnail of the picture with this content hash."""
    extension = PurePosixPath(thumbnail_name(sha256)).suffix.removeprefix(".")
    return reverse("thumbnail", kwargs={"sha256": sha256, "extension": extension})
