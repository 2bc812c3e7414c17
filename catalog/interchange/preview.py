"""An import that a person sees before it happens: the file is kept, what it would change is shown, then exactly that
is done.

Uploaded files wait where every machine of the site finds them (`uploads`). The ticket that names them is signed,
belongs to one person and expires; it carries a digest of the files, how they are read, and a digest of what they would
change.
"""

import hashlib
import io
import json
import logging
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any, Final, cast

from django.core import signing
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction

from catalog.interchange.changes import ProductChange
from catalog.interchange.importing import ImportReport, import_catalog
from catalog.interchange.observing import Observations
from catalog.interchange.picture_archive import PictureArchive
from catalog.interchange.reading import CatalogueFile, RefusedRows, read_records
from catalog.interchange.uploads import (
    claim_upload,
    open_upload,
    read_upload,
    remove_old_uploads,
    remove_upload,
    write_upload,
)
from catalog.pictures.storage import StorageError, is_stored, reaching_storage
from config.db.statements import allow_long_statements

logger = logging.getLogger(__name__)

#: A file of this size takes some 5 s to import; a longer one is for the command.
MAX_UPLOAD_BYTES: Final = 5 * 1024 * 1024
#: How long a person has for looking at a preview.
TICKET_SECONDS: Final = 3600
#: Changes and refused rows that a preview shows one by one; all are counted.
SHOWN_CHANGES: Final = 100
SHOWN_ERRORS: Final = 100
_SALT: Final = "catalog.interchange.preview"


class TicketError(Exception):
    """There is no such upload for this person: it is done, it is too old, or it was never theirs."""


class OutdatedPreviewError(Exception):
    """The catalogue changed since the preview, so the file would do something else now; nothing was written."""


@dataclass(frozen=True, slots=True)
class ReadingChoice:
    """How a person wants a file to be read; empty is what the file itself says. See `reading.read_records`."""

    format: str = ""
    encoding: str = ""
    country: str = "us"


@dataclass(frozen=True, slots=True)
class PreviewedChange:
    """What one product of the file would do: `what` is created or changed, `details` name what differs."""

    line: int
    what: str
    product_id: int | None
    title: str
    details: list[str]


@dataclass
class ImportPreview:
    """What a file would do: the counts and row errors of a dry run, and the first changes one by one.

    `words` and `notes` say how it is read, `seen` what is in it, and `warnings` what looks wrong.
    """

    file_name: str
    words: str
    notes: list[str]
    seen: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    report: ImportReport = field(default_factory=ImportReport)
    changes: list[PreviewedChange] = field(default_factory=list)
    digest: str = ""
    refused_rows: bytes = b""


@dataclass(frozen=True, slots=True)
class DoneImport:
    """What an import did, in products; `errors` are the first refused rows as (line, why), `key` is its own alone."""

    file_name: str
    created: int
    changed: int
    unchanged: int
    refused: int
    errors: list[tuple[int, str]]
    key: str = ""


def keep_upload(file: UploadedFile, *, archive: UploadedFile | None, user_id: int) -> str:
    """Keep the catalogue file, and the archive of its pictures, and return their ticket; old files are removed.

    Raises `StorageError`.
    """
    remove_old_uploads(timedelta(seconds=TICKET_SECONDS))
    facts: dict[str, Any] = {
        "name": secrets.token_hex(16),
        "file": file.name,
        "user": user_id,
        "digest": "",
        "choice": {},
    }
    for suffix, content in (("", file), (".zip", archive)):
        facts[f"sha256{suffix}"] = _keep(content, _build_name(facts, suffix)) if content else ""
    return _sign(facts)


def choose_reading(ticket: str, choice: ReadingChoice, *, user_id: int) -> str:
    """Return a ticket for the same files, read as the person chooses. Raises `TicketError`."""
    return _sign(_read_ticket(ticket, user_id=user_id) | {"choice": asdict(choice)})


def find_reading(ticket: str, *, user_id: int) -> ReadingChoice:
    """Return how the person chose that the ticket's file is read. Raises `TicketError`."""
    return ReadingChoice(**_read_ticket(ticket, user_id=user_id)["choice"])


def preview_upload(ticket: str, *, user_id: int) -> tuple[ImportPreview, str]:
    """Return what the file would do, and the ticket for exactly that; nothing is written to the catalogue.

    Raises `TicketError`, `SourceError` for a file that cannot be read as a whole, `ArchiveError` and `StorageError`.
    """
    facts = _read_ticket(ticket, user_id=user_id)
    content = _read_catalogue(facts)
    with _open_archive(facts) as archive:
        preview = _run(content, facts=facts, archive=archive, dry_run=True)
    write_upload(_build_name(facts, ".refused"), ContentFile(preview.refused_rows))
    return preview, _sign(facts | {"digest": preview.digest})


def import_upload(ticket: str, *, user_id: int) -> DoneImport:
    """Do what the ticket's preview showed, in one transaction, and return what was done; the ticket finds that later.

    The pictures of the archive that rows use are in the media storage before. Raises `OutdatedPreviewError` when that
    would be something else by now; nothing is written to the catalogue, and the files stay. Raises `StorageError` and
    `TicketError`; of several calls with one ticket one gets through.
    """
    facts = _read_ticket(ticket, user_id=user_id)
    claim = _build_name(facts, ".claimed")
    if not claim_upload(claim):
        raise TicketError
    try:
        content = _read_catalogue(facts)
        with _open_archive(facts) as archive:
            if archive:
                for _ in archive.rename(_read(content, facts=facts)):
                    pass
                archive.store()
            with allow_long_statements(), transaction.atomic():
                done = _run(content, facts=facts, archive=archive, dry_run=False)
                if done.digest != facts["digest"]:
                    raise OutdatedPreviewError
    except BaseException:
        remove_upload(claim)
        raise
    report = done.report
    result = DoneImport(
        facts["file"],
        report.created,
        report.changed,
        report.unchanged,
        report.refused,
        [(error.line, error.message) for error in report.errors[:SHOWN_ERRORS]],
        facts["name"],
    )
    try:
        write_upload(_build_name(facts, ".refused"), ContentFile(done.refused_rows))
        write_upload(_build_name(facts, ".done"), ContentFile(json.dumps(asdict(result)).encode()))
        for suffix in ("", ".zip", ".claimed"):
            remove_upload(_build_name(facts, suffix))
    except StorageError as error:
        # What is imported is imported; the files go when they are old.
        logger.warning("what an import did cannot be shown: %s", error)
    return result


def find_done(ticket: str, *, user_id: int) -> DoneImport:
    """Return what the import of this ticket did. Raises `TicketError` and `StorageError`."""
    facts = _read_ticket(ticket, user_id=user_id)
    return DoneImport(**json.loads(_read_kept(_build_name(facts, ".done"))))


def find_refused_rows(ticket: str, *, user_id: int) -> tuple[str, bytes]:
    """Return the name of the ticket's file, and the rows of it that are refused as a file of the same form.

    Raises `TicketError` and `StorageError`.
    """
    facts = _read_ticket(ticket, user_id=user_id)
    return facts["file"], _read_kept(_build_name(facts, ".refused"))


def _read(content: bytes, *, facts: dict[str, Any]) -> CatalogueFile:
    stream = cast(io.BufferedReader, io.BufferedReader(io.BytesIO(content)))
    return read_records(stream, name=facts["file"], **facts["choice"])


def _run(content: bytes, *, facts: dict[str, Any], archive: PictureArchive | None, dry_run: bool) -> ImportPreview:
    """Import the content, or only look what that would do, and describe it."""
    source = _read(content, facts=facts)
    preview = ImportPreview(facts["file"], source.words, list(source.notes))
    digest = hashlib.sha256()

    def observe(changes: list[ProductChange]) -> None:
        for change in changes:
            digest.update(repr(_describe(change)).encode("utf-8", "surrogatepass"))
            if len(preview.changes) < SHOWN_CHANGES:
                preview.changes.append(_build_previewed(change))

    kept = io.BytesIO()
    refused = RefusedRows(kept, source=source)
    observations = Observations(is_there=lambda name: (archive is not None and name in archive.used) or is_stored(name))
    rows = archive.rename(source) if archive else source
    preview.report = import_catalog(
        observations.watch(rows) if dry_run else rows, dry_run=dry_run, observe=observe, refuse=refused.add
    )
    refused.close()
    preview.refused_rows = kept.getvalue()
    digest.update(repr([(error.line, error.message) for error in preview.report.errors]).encode())
    preview.digest = digest.hexdigest()
    preview.seen, preview.warnings = observations.describe(), observations.warn()
    if archive:
        preview.seen.append(archive.describe())
        preview.warnings += [f"Not taken from the ZIP: {reason}." for reason in archive.refused[:SHOWN_ERRORS]]
    return preview


def _describe(change: ProductChange) -> tuple[Any, ...]:
    """Return everything that the change would do, and to what."""
    stored = change.stored
    return (
        change.record.line,
        (stored.id, stored.title, stored.images, sorted(stored.descriptions.items(), key=str)) if stored else None,
        change.record.title,
        change.record.images if change.changes_images else None,
        change.new_texts,
        sorted(change.other_texts.items()),
    )


def _build_previewed(change: ProductChange) -> PreviewedChange:
    record, stored = change.record, change.stored
    details = []
    if stored and change.changes_title:
        details.append(f"title was {stored.title}")
    if change.changes_images:
        before, after = len(stored.images) if stored else 0, len(record.images or ())
        details.append(f"other images, {before} before and {after} now" if stored else f"images: {after}")
    countries = [f"new text for {country}" for country, _, _ in change.new_texts]
    countries += [f"other text for {country}" for country, _, _ in change.other_texts.values()]
    return PreviewedChange(
        line=record.line,
        what="changed" if stored else "created",
        product_id=stored.id if stored else record.id,
        title=record.title,
        details=[*details, *countries],
    )


# --- files and tickets ----------------------------------------------------------------------------------------------


def _build_name(facts: dict[str, Any], suffix: str = "") -> str:
    return f"{facts['name']}{suffix}"


def _keep(content: UploadedFile, name: str) -> str:
    """Keep the content under the name and return its SHA-256 in hexadecimal digits."""
    digest = hashlib.sha256()
    for chunk in content.chunks():
        digest.update(chunk)
    content.seek(0)
    write_upload(name, content)
    return digest.hexdigest()


def _read_kept(name: str) -> bytes:
    content = read_upload(name)
    if content is None:
        raise TicketError
    return content


def _read_catalogue(facts: dict[str, Any]) -> bytes:
    content = _read_kept(_build_name(facts))
    if hashlib.sha256(content).hexdigest() != facts["sha256"]:
        raise TicketError
    return content


@contextmanager
def _open_archive(facts: dict[str, Any]) -> Iterator[PictureArchive | None]:
    """Give the ticket's archive of pictures, or None where there is none.

    Raises `TicketError`, `ArchiveError` and `StorageError`.
    """
    if not facts["sha256.zip"]:
        yield None
        return
    kept = open_upload(_build_name(facts, ".zip"))
    if kept is None:
        raise TicketError
    # What a bucket sends comes once from beginning to end, and an archive is read from its end.
    with tempfile.TemporaryFile() as file:
        with reaching_storage(), kept:
            shutil.copyfileobj(kept, file)
        file.seek(0)
        if hashlib.file_digest(file, "sha256").hexdigest() != facts["sha256.zip"]:
            raise TicketError
        yield PictureArchive(file)


def _sign(facts: dict[str, Any]) -> str:
    return signing.dumps(facts, salt=_SALT)


def _read_ticket(ticket: str, *, user_id: int) -> dict[str, Any]:
    try:
        facts: dict[str, Any] = signing.loads(ticket, salt=_SALT, max_age=TICKET_SECONDS)
    except signing.BadSignature as error:
        raise TicketError from error
    if facts["user"] != user_id:
        raise TicketError
    return facts
