"""The import on the site: files come, what they would do is shown, exactly that is done, and labelling is offered."""

from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.decorators import login_required, permission_required
from django.contrib.contenttypes.models import ContentType
from django.core.files.uploadedfile import UploadedFile
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import content_disposition_header
from django.utils.text import Truncator
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from catalog.interchange.picture_archive import MAX_ARCHIVE_BYTES, MAX_PICTURES, ArchiveError
from catalog.interchange.preview import (
    MAX_UPLOAD_BYTES,
    SHOWN_ERRORS,
    DoneImport,
    ImportPreview,
    OutdatedPreviewError,
    ReadingChoice,
    TicketError,
    choose_reading,
    find_done,
    find_reading,
    find_refused_rows,
    import_upload,
    keep_upload,
    preview_upload,
)
from catalog.interchange.reading import FORMATS, USUAL_COUNTRY
from catalog.interchange.text_source import ENCODINGS, SourceError
from catalog.models import Product
from catalog.pictures.storage import StorageError
from catalog.values import RecordError, clean_country
from config.db.troubles import find_trouble
from config.web.bodies import takes_body
from config.web.permissions import get_member
from config.web.security import FILE_POLICY
from config.web.texts import remove_bidi_controls

# The files, and what a form adds to them.
BODY_BYTES: Final = MAX_UPLOAD_BYTES + MAX_ARCHIVE_BYTES + 65_536
TOO_LARGE: Final = (
    f"Expected a catalogue file of at most {MAX_UPLOAD_BYTES // 1_048_576} MB and a ZIP of at most "
    f"{MAX_ARCHIVE_BYTES // 1_048_576} MB; import a larger file by import_catalog."
)
ONE_OF_EACH: Final = "Expected one catalogue file, and one ZIP of its pictures if they are not on the web."
GONE: Final = (
    "Expected a preview that is waiting; this one is older than an hour, somebody else's, or just done. Upload again."
)
OUTDATED: Final = (
    "The catalogue changed since this was shown, so nothing was imported. This is what the file would do now."
)
NO_STORAGE: Final = "The storage of pictures does not answer at the moment, so nothing was imported. Please try again."
NOT_SHOWN: Final = "The storage of files does not answer at the moment. Please try again."
NAMES_OF_FORMATS: Final = {"jsonl": "JSON", "csv": "CSV", "shopify": "Shopify's products (CSV)"}

PERMISSIONS: Final = ("catalog.add_product", "catalog.change_product")


@takes_body(BODY_BYTES, expected=TOO_LARGE)
@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@permission_required(PERMISSIONS, raise_exception=True)
def product_import(request: HttpRequest) -> HttpResponse:
    """Answer with the form, or with the preview of a ticket; by POST keep files, or choose how a ticket's are read.

    Whoever comes back to a preview sees it again, or what became of it: its address has the ticket.
    """
    if request.method != "POST":
        return _show(request, request.GET["ticket"]) if "ticket" in request.GET else _render(request, "import")
    user_id = get_member(request).pk
    ticket = request.POST.get("ticket", "")
    if ticket:
        try:
            country = clean_country(request.POST.get("country", "") or USUAL_COUNTRY)
            choice = ReadingChoice(
                format=_pick(request, "format", FORMATS),
                encoding=_pick(request, "encoding", ENCODINGS),
                country=country,
            )
            return _redirect("product-import", choose_reading(ticket, choice, user_id=user_id))
        except TicketError:
            return _answer_gone(request, ticket)
        except RecordError as error:
            return _show(request, ticket, refusal=f"Country: {error}.")
    catalogues, archives = _sort(request.FILES.getlist("files"))
    if len(catalogues) != 1 or len(archives) > 1:
        return _render(request, "import", status=400, refusal=ONE_OF_EACH)
    if (catalogues[0].size or 0) > MAX_UPLOAD_BYTES:
        return _render(request, "import", status=400, refusal=TOO_LARGE)
    try:
        ticket = keep_upload(catalogues[0], archive=archives[0] if archives else None, user_id=user_id)
    except StorageError:
        return _render(request, "import", status=503, refusal=NO_STORAGE)
    return _redirect("product-import", ticket)


@require_POST
@login_required
@permission_required(PERMISSIONS, raise_exception=True)
def product_import_run(request: HttpRequest) -> HttpResponse:
    """Do what the preview showed, and answer with the way to what was done."""
    ticket = request.POST.get("ticket", "")
    try:
        done = import_upload(ticket, user_id=get_member(request).pk)
    except TicketError:
        return _answer_gone(request, ticket)
    except OutdatedPreviewError:
        return _show(request, ticket, refusal=OUTDATED)
    except (SourceError, ArchiveError):
        return _show(request, ticket)  # which says why
    except StorageError:
        return _show(request, ticket, refusal=NO_STORAGE)
    except DatabaseError as error:
        trouble = find_trouble(error)
        reason = f"the database {trouble.words}" if trouble else str(error).partition("\n")[0]
        return _show(request, ticket, refusal=f"The database refused the file, nothing was imported: {reason}.")
    LogEntry.objects.create(
        user=get_member(request),
        content_type=ContentType.objects.get_for_model(Product),
        object_repr=Truncator(done.file_name).chars(200),
        action_flag=CHANGE,
        change_message=f"Imported: {_describe(done)}.",
    )
    return _redirect("product-import-done", ticket)


@require_safe
@login_required
@permission_required(PERMISSIONS, raise_exception=True)
def product_import_done(request: HttpRequest) -> HttpResponse:
    """Answer with what an import did, the rows that it refused, and the button that labels what came."""
    ticket = request.GET.get("ticket", "")
    try:
        done = find_done(ticket, user_id=get_member(request).pk)
    except TicketError:
        return _answer_gone(request, "")
    except StorageError:
        return _render(request, "import", status=503, refusal=NOT_SHOWN)
    return _render(
        request,
        "import_done",
        done=done,
        ticket=ticket,
        summary=f"{done.file_name} is imported: {_describe(done)}.",
        # One form starts one run, however often it is sent.
        key=f"import-{done.key}",
        hidden_errors=max(done.refused - len(done.errors), 0),
    )


@require_safe
@login_required
@permission_required(PERMISSIONS, raise_exception=True)
def product_import_refused(request: HttpRequest) -> HttpResponse:
    """Answer with the rows that were refused, or would be, as a file to correct and import."""
    try:
        name, content = find_refused_rows(request.GET.get("ticket", ""), user_id=get_member(request).pk)
    except TicketError:
        return _answer_gone(request, "")
    except StorageError:
        return _render(request, "import", status=503, refusal=NOT_SHOWN)
    headers = {
        "Content-Disposition": content_disposition_header(True, f"refused-{name}"),
        "Content-Security-Policy": FILE_POLICY,
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    return HttpResponse(content, content_type="application/octet-stream", headers=headers)


def _sort(files: list[UploadedFile]) -> tuple[list[UploadedFile], list[UploadedFile]]:
    """Return the catalogue files and the archives, by name: a workbook begins as an archive does."""
    catalogues: list[UploadedFile] = []
    archives: list[UploadedFile] = []
    for file in files:
        (archives if (file.name or "").lower().endswith(".zip") else catalogues).append(file)
    return catalogues, archives


def _pick(request: HttpRequest, name: str, known: Any) -> str:
    value = request.POST.get(name, "")
    return value if value in known else ""


def _show(request: HttpRequest, ticket: str, *, refusal: str = "") -> HttpResponse:
    """Answer with what the file would do, or why it cannot be read, and how it may be read otherwise."""
    user_id = get_member(request).pk
    controls: dict[str, Any] = {"formats": NAMES_OF_FORMATS.items(), "encodings": ENCODINGS.items(), "ticket": ticket}
    try:
        controls["choice"] = find_reading(ticket, user_id=user_id)
        preview, ticket = preview_upload(ticket, user_id=user_id)
    except TicketError:
        return _answer_gone(request, ticket)
    except (SourceError, ArchiveError) as error:
        return _render(request, "import", status=400, refusal=f"This file cannot be read: {error}.", **controls)
    except StorageError:
        return _render(request, "import", status=503, refusal=NO_STORAGE, **controls)
    return _render(request, "import_preview", refusal=refusal, **controls | _describe_preview(preview, ticket=ticket))


def _describe_preview(preview: ImportPreview, *, ticket: str) -> dict[str, Any]:
    report = preview.report
    changes = [
        replace(
            change,
            title=remove_bidi_controls(change.title),
            details=[remove_bidi_controls(detail) for detail in change.details],
        )
        for change in preview.changes
    ]
    numbers = [
        ("Products created", report.created),
        ("Products changed", report.changed),
        ("Products unchanged", report.unchanged),
        ("Rows refused", report.refused),
    ]
    return {
        "preview": preview,
        "sentences": [remove_bidi_controls(sentence) for sentence in (*preview.notes, *preview.seen)],
        "warnings": [remove_bidi_controls(sentence) for sentence in preview.warnings],
        "changes": changes,
        "report": report,
        "numbers": numbers,
        "ticket": ticket,
        "is_needed": report.created or report.changed,
        "hidden_changes": report.created + report.changed - len(preview.changes),
        "errors": [(error.line, error.message) for error in report.errors[:SHOWN_ERRORS]],
        "hidden_errors": max(report.refused - SHOWN_ERRORS, 0),
    }


def _redirect(name: str, ticket: str) -> HttpResponse:
    return redirect(f"{reverse(name)}?{urlencode({'ticket': ticket})}")


def _answer_gone(request: HttpRequest, ticket: str) -> HttpResponse:
    """Answer with what became of the ticket's import, if it is done; else with the form, and why."""
    try:
        find_done(ticket, user_id=get_member(request).pk)
    except TicketError:
        messages.error(request, GONE)
        return redirect("product-import")
    except StorageError:
        return _render(request, "import", status=503, refusal=NOT_SHOWN)
    return _redirect("product-import-done", ticket)


def _render(request: HttpRequest, template: str, *, status: int = 200, **context: Any) -> HttpResponse:
    limits = {
        "file_limit": f"{MAX_UPLOAD_BYTES // 1_048_576} MB",
        "archive_limit": f"{MAX_ARCHIVE_BYTES // 1_048_576} MB and {MAX_PICTURES:,} pictures",
    }
    return render(request, f"catalog/{template}.html", limits | context, status=status)


def _describe(done: DoneImport) -> str:
    counts = (("created", done.created), ("changed", done.changed), ("unchanged", done.unchanged))
    rows = "row" if done.refused == 1 else "rows"
    return ", ".join(f"{number:,} {name}" for name, number in counts) + f", {done.refused:,} {rows} refused"
