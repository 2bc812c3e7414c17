"""The import in the admin: a small file is uploaded, what it would do is shown, and exactly that is then done."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import UploadedFile
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.text import Truncator

from catalog.interchange.preview import (
    MAX_UPLOAD_BYTES,
    ImportPreview,
    OutdatedPreviewError,
    TicketError,
    import_upload,
    keep_upload,
    preview_upload,
)
from catalog.interchange.reading import SourceError
from catalog.models import Product
from config.db.troubles import find_trouble
from config.web.bodies import takes_body
from config.web.permissions import get_member
from config.web.texts import remove_bidi_controls

# What a form adds to the file that it carries.
FORM_BYTES = 65_536
# Row errors that a preview shows; all are counted.
SHOWN_ERRORS = 100
TOO_LARGE = f"Expected a file of at most {MAX_UPLOAD_BYTES // 1_048_576} MB; import a larger one by import_catalog."
GONE = (
    "Expected a preview that is waiting; this one is done, is older than an hour or is somebody else's. Upload again."
)
OUTDATED = "The catalogue changed since this was shown, so nothing was imported. This is what the file would do now."


class UploadForm(forms.Form):
    """The file."""

    file = forms.FileField(
        label="Catalogue file",
        help_text="JSON Lines or CSV, 5 MB at most. Nothing is written before you have seen what it would do.",
        widget=forms.ClearableFileInput(attrs={"accept": ".jsonl,.ndjson,.csv"}),
    )

    def clean_file(self) -> UploadedFile:
        """Refuse a file that is too large."""
        file: UploadedFile = self.cleaned_data["file"]
        if (file.size or 0) > MAX_UPLOAD_BYTES:
            raise forms.ValidationError(TOO_LARGE)
        return file


class ImportPages:
    """The two pages, for those who may add products and change them."""

    def __init__(self, model_admin: admin.ModelAdmin, *, has_permission: Callable[[HttpRequest], bool]) -> None:
        self.model_admin, self.has_permission = model_admin, has_permission

    @takes_body(MAX_UPLOAD_BYTES + FORM_BYTES, expected=TOO_LARGE)
    def upload(self, request: HttpRequest) -> HttpResponse:
        """Answer with the form; by POST keep the file and answer with its preview."""
        self._check(request)
        form = UploadForm(request.POST or None, request.FILES or None)
        if request.method == "POST" and form.is_valid():
            file = form.cleaned_data["file"]
            ticket = keep_upload(file.read(), file_name=file.name, user_id=get_member(request).pk)
            return self._show(request, ticket=ticket)
        return self._render(
            request,
            "import_upload",
            status=400 if request.method == "POST" else 200,
            title="Import products",
            form=form,
        )

    def preview(self, request: HttpRequest) -> HttpResponse:
        """Do what the preview showed, by POST, and answer with the list of products."""
        self._check(request)
        if request.method != "POST":
            return redirect("admin:catalog_product_import")
        ticket = request.POST.get("ticket", "")
        try:
            done = import_upload(ticket, user_id=get_member(request).pk)
        except OutdatedPreviewError:
            messages.warning(request, OUTDATED)
            return self._show(request, ticket=ticket)
        except TicketError:
            messages.error(request, GONE)
            return redirect("admin:catalog_product_import")
        except DatabaseError as error:
            trouble = find_trouble(error)
            reason = f"the database {trouble.words}" if trouble else str(error).partition("\n")[0]
            messages.error(request, f"The database refused the file, nothing was imported: {reason}")
            return self._show(request, ticket=ticket)
        text = _describe(done)
        LogEntry.objects.create(
            user=get_member(request),
            content_type=ContentType.objects.get_for_model(Product),
            object_repr=Truncator(done.file_name).chars(200),
            action_flag=CHANGE,
            change_message=f"Imported: {text}.",
        )
        messages.success(request, f"{done.file_name} is imported: {text}.")
        return redirect("admin:catalog_product_changelist")

    def _show(self, request: HttpRequest, *, ticket: str) -> HttpResponse:
        """Answer with what the file would do, or why it cannot be read."""
        try:
            preview, ticket = preview_upload(ticket, user_id=get_member(request).pk)
        except TicketError:
            messages.error(request, GONE)
            return redirect("admin:catalog_product_import")
        except SourceError as error:
            messages.error(request, f"This file cannot be read: {error}.")
            return self._render(request, "import_upload", status=400, title="Import products", form=UploadForm())
        changes = [
            replace(
                change,
                title=remove_bidi_controls(change.title),
                details=[remove_bidi_controls(detail) for detail in change.details],
            )
            for change in preview.changes
        ]
        report = preview.report
        return self._render(
            request,
            "import_preview",
            title=f"Import {preview.file_name}?",
            preview=preview,
            changes=changes,
            report=report,
            ticket=ticket,
            is_needed=report.created or report.changed,
            hidden_changes=report.created + report.changed - len(preview.changes),
            errors=report.errors[:SHOWN_ERRORS],
            hidden_errors=max(report.refused - SHOWN_ERRORS, 0),
        )

    def _check(self, request: HttpRequest) -> None:
        if not self.has_permission(request):
            raise PermissionDenied

    def _render(self, request: HttpRequest, template: str, *, status: int = 200, **context: Any) -> HttpResponse:
        context = {**self.model_admin.admin_site.each_context(request), "opts": self.model_admin.opts, **context}
        return TemplateResponse(request, f"admin/catalog/{template}.html", context, status=status)


def _describe(preview: ImportPreview) -> str:
    report = preview.report
    counts = (("created", report.created), ("changed", report.changed), ("unchanged", report.unchanged))
    return ", ".join(f"{number:,} {name}" for name, number in counts) + f", {report.refused:,} rows refused"
