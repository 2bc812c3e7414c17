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

from classifier.ml.stored_documents import StoredDocument, StoredDocumentError
from classifier.ml.stored_exploration import COMMITTED_EXPLORATION, DOCUMENT_NAME, load_exploration

logger = logging.getLogger(__name__)

ONE_YEAR_SECONDS = 31_536_000
CONTENT_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}
# Plots carry their colours in style attributes; nothing else in them may do anything.
PLOT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"


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
    path = stored.files[name]
    headers = {
        "Cache-Control": f"public, max-age={ONE_YEAR_SECONDS}, immutable",
        "Content-Security-Policy": PLOT_POLICY,
    }
    return HttpResponse(path.read_bytes(), content_type=CONTENT_TYPES[path.suffix], headers=headers)


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
        return reverse("data-file", args=[stored.document["files"][name][:16], name])

    def place(cell: Any) -> Any:
        if not isinstance(cell, dict):
            return cell
        return cell | {"url": address(cell["sheet"]), "sheet_size": stored.document["sheets"][cell["sheet"]]}

    result = dict(section)
    if plot := section.get("plot"):
        result["plot"] = plot | {"light": address(plot["light"]), "dark": address(plot["dark"])}
    columns = section["table"]["columns"]
    rows = [
        [(column, place(cell)) for column, cell in zip(columns, row, strict=True)] for row in section["table"]["rows"]
    ]
    result["table"] = section["table"] | {"rows": rows}
    result["galleries"] = [
        gallery | {"entries": [item | {"tiles": [place(tile) for tile in item["tiles"]]} for item in gallery["items"]]}
        for gallery in section.get("galleries", [])
    ]
    return result
