"""The pages Data, Experiments and Evaluations: stored reports, laid out alike, and the pictures that they name."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required, permission_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from classifier.ml.reports import evaluation_report
from classifier.ml.reports.documents import (
    EXPLORATION_NAME,
    StoredDocumentError,
    list_records,
    load_document,
    load_tried,
)
from classifier.ml.reports.experiments_report import build_sections
from classifier.reports.evaluations import list_evaluations
from classifier.splits.reports import build_parts_section
from config.web.security import PICTURE_POLICY

ONE_YEAR_SECONDS = 31_536_000
CONTENT_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}
# As much of a picture's hash as its address carries, so that a browser may keep it for ever.
HASH_LENGTH = 16
# Where plots and tiles name a picture.
PICTURE_KEYS = {"light", "dark", "sheet"}

# Of those on the page of evaluations.
SHOWN_EVALUATIONS = 20

logger = logging.getLogger(__name__)


@require_safe
def data_understanding(request: HttpRequest) -> HttpResponse:
    """Answer with what the last exploration of the data set found, or with the command that makes one."""
    _, report = next(load_documents(list_explorations()), (None, None))
    context: dict[str, Any] = {"report": report}
    if report is not None:
        context["sections"] = place_pictures(report["sections"], report=report)
        if request.user.has_perm("classifier.view_splitassignment"):
            context["sections"].append(build_parts_section())
        context["created_at"] = datetime.fromisoformat(report["created_at"])
    return render(request, "classifier/data_understanding.html", context)


@require_safe
def experiments(request: HttpRequest) -> HttpResponse:
    """Answer with the stored experiments, or with the command that makes one."""
    folder = Path(settings.EXPERIMENTS_DIR)
    records = {record["recipe"]["name"]: record for _, record in load_documents(list_records(folder))}
    tried = []
    try:
        tried = load_tried(folder)
    except StoredDocumentError as error:
        logger.warning("what was tried is left out: %s", error)
    sections = [
        place_pictures(section, report=records[section["recipe"]], recipe=section["recipe"])
        if "recipe" in section
        else section
        for section in build_sections(list(records.values()), tried=tried)
    ]
    return render(request, "classifier/experiments.html", {"sections": sections})


@require_safe
@login_required
@permission_required("classifier.view_modelversion", raise_exception=True)
def evaluations(request: HttpRequest) -> HttpResponse:
    """Answer with the newest evaluations of labelled catalogues, or with the command that makes one."""
    documents = [document for _, document in load_documents(list_evaluations())]
    documents.sort(key=lambda document: document["created_at"], reverse=True)
    sections = evaluation_report.build_sections(documents[:SHOWN_EVALUATIONS])
    return render(request, "classifier/evaluations.html", {"sections": sections})


@require_safe
def report_picture(request: HttpRequest, version: str, name: str, recipe: str = "") -> HttpResponse:
    """Answer with a plot or a sheet of pictures that an exploration or the recipe's record names, and no other file.

    `version` is the beginning of its hash, so that it may be kept for ever.
    """
    paths = [Path(settings.EXPERIMENTS_DIR) / f"{recipe}.json"] if recipe else list_explorations()
    for folder, report in load_documents(paths):
        if report["files"].get(name, "").startswith(version):
            headers = {
                "Cache-Control": f"public, max-age={ONE_YEAR_SECONDS}, immutable",
                "Content-Security-Policy": PICTURE_POLICY,
            }
            content_type = CONTENT_TYPES[Path(name).suffix]
            return HttpResponse((folder / name).read_bytes(), content_type=content_type, headers=headers)
    raise Http404


def list_explorations() -> list[Path]:
    """Return where an exploration may be: what `explore_dataset` wrote here goes before what comes with the product."""
    return [Path(folder) / EXPLORATION_NAME for folder in settings.EXPLORATION_DIRS]


def load_documents(paths: Iterable[Path]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Return the folder and the content of each complete document; one that is damaged is left out."""
    for path in paths:
        try:
            yield path.parent, load_document(path)
        except StoredDocumentError as error:
            if path.exists():
                logger.warning("the report %s is left out: %s", path, error)


def place_pictures(value: Any, *, report: Mapping[str, Any], recipe: str = "") -> Any:
    """Return the same sections with addresses in place of names of pictures, and each tile with its sheet's size."""
    if isinstance(value, list):
        return [place_pictures(inner, report=report, recipe=recipe) for inner in value]
    if not isinstance(value, dict):
        return value
    placed = {key: place_pictures(inner, report=report, recipe=recipe) for key, inner in value.items()}
    for key in PICTURE_KEYS & value.keys():
        address = [report["files"][value[key]][:HASH_LENGTH], value[key]]
        placed[key] = (
            reverse("experiment-file", args=[recipe, *address]) if recipe else reverse("data-file", args=address)
        )
    return placed | {"sheet_size": report["sheets"][value["sheet"]]} if "sheet" in value else placed
