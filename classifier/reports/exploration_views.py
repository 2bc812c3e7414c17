"""The pages about data and models."""

import logging
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from classifier.ml.reports.stored_documents import StoredDocument, StoredDocumentError
from classifier.ml.reports.stored_exploration import COMMITTED_EXPLORATION, DOCUMENT_NAME, load_exploration
from classifier.reports.layout import HASH_LENGTH, PictureAddresses, answer_with_picture

logger = logging.getLogger(__name__)


@require_safe
def data_understanding(request: HttpRequest) -> HttpResponse:
    """Answer with what the last exploration of the data set found, or with the command that makes one."""
    stored = find_exploration()
    if stored is None:
        return render(request, "classifier/data_understanding.html", {"sections": None})
    context = {
        "sections": [_with_addresses(section, stored=stored) for section in stored.document["sections"]],
        "dataset": stored.document["dataset"],
        "created_at": datetime.fromisoformat(stored.document["created_at"]),
        "seconds": stored.document["figures"]["seconds"],
    }
    return render(request, "classifier/data_understanding.html", context)


@require_safe
def exploration_file(request: HttpRequest, version: str, name: str) -> HttpResponse:
    """Answer with a plot or a sheet of pictures that the current exploration names, and with no other file.

    `version` is the beginning of its hash, so that it may be kept for ever.
    """
    stored = find_exploration()
    if stored is None or name not in stored.files or not stored.document["files"][name].startswith(version):
        raise Http404
    return answer_with_picture(stored.files[name])


def find_exploration() -> StoredDocument | None:
    """Return what `explore_dataset` wrote here, else what comes with the product, or None without either."""
    for folder in (Path(settings.EXPLORATION_DIR), COMMITTED_EXPLORATION):
        try:
            return load_exploration(folder)
        except StoredDocumentError as error:
            if (folder / DOCUMENT_NAME).exists():
                logger.warning("the exploration in %s is left out: %s", folder, error)
    return None


def _with_addresses(section: dict[str, Any], *, stored: StoredDocument) -> dict[str, Any]:
    """Return the section with the address of each plot, and of the sheet of each tile with the sheet's size."""

    def address(name: str) -> str:
        return reverse("data-file", args=[stored.document["files"][name][:HASH_LENGTH], name])

    pictures = PictureAddresses(address=address, sheets=stored.document["sheets"])
    result = section | {
        "table": pictures.place_table(section["table"]),
        "galleries": [pictures.place_gallery(gallery) for gallery in section.get("galleries", [])],
    }
    if plot := section.get("plot"):
        result["plot"] = pictures.place_plot(plot)
    return result
