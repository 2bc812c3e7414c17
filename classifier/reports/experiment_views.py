"""The page that compares the recipes with each other and with what was published."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from classifier.ml.reports.experiments_report import build_sections
from classifier.ml.reports.stored_documents import StoredDocument, StoredDocumentError
from classifier.ml.reports.stored_experiments import list_experiment_names, load_experiment, load_tried
from classifier.reports.layout import HASH_LENGTH, PictureAddresses, answer_with_picture

logger = logging.getLogger(__name__)


@require_safe
def experiments(request: HttpRequest) -> HttpResponse:
    """Answer with the stored experiments, or with the command that makes one."""
    stored = find_experiments()
    sections = build_sections([document.document for document in stored.values()], tried=_find_tried())
    context = {"sections": [_with_addresses(section, stored=stored) for section in sections]}
    return render(request, "classifier/experiments.html", context)


@require_safe
def experiment_file(request: HttpRequest, recipe: str, version: str, name: str) -> HttpResponse:
    """Answer with a plot or a sheet of pictures that the recipe's record names, and with no other file.

    `version` is the beginning of its hash, so that it may be kept for ever.
    """
    try:
        stored = load_experiment(Path(settings.EXPERIMENTS_DIR), recipe=recipe)
    except StoredDocumentError:
        raise Http404 from None
    if name not in stored.files or not stored.document["files"][name].startswith(version):
        raise Http404
    return answer_with_picture(stored.files[name])


def find_experiments() -> dict[str, StoredDocument]:
    """Return the complete records by recipe, in the order of the report; one that is damaged is left out."""
    folder = Path(settings.EXPERIMENTS_DIR)
    found = {}
    for name in list_experiment_names(folder):
        try:
            found[name] = load_experiment(folder, recipe=name)
        except StoredDocumentError as error:
            logger.warning("the experiment %s in %s is left out: %s", name, folder, error)
    return found


def _find_tried() -> list[tuple[str, str]]:
    try:
        return load_tried(Path(settings.EXPERIMENTS_DIR))
    except StoredDocumentError as error:
        logger.warning("what was tried is left out: %s", error)
        return []


def _with_addresses(section: dict[str, Any], *, stored: Mapping[str, StoredDocument]) -> dict[str, Any]:
    """Return the section with the addresses of the pictures that lie beside its recipe's record."""
    document = stored[section["recipe"]].document if "recipe" in section else {"files": {}, "sheets": {}}

    def address(name: str) -> str:
        return reverse("experiment-file", args=[section["recipe"], document["files"][name][:HASH_LENGTH], name])

    pictures = PictureAddresses(address=address, sheets=document["sheets"])
    places = {"plot": pictures.place_plot, "table": pictures.place_table, "gallery": pictures.place_gallery}
    parts = [
        part | {key: place(part[key]) for key, place in places.items() if key in part} for part in section["parts"]
    ]
    return section | {"parts": parts}
