"""An import that a person sees before it happens: the file is kept, what it would change is shown, then exactly that
is done.

Uploaded files wait in a private folder of this machine under a name that nobody can guess. The ticket that names them
is signed, belongs to one person and expires; it carries a digest of the files, how they are read, and a digest of what
they would change.
"""

import hashlib
import io
import json
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from django.conf import settings
from django.core import signing
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction

from catalog.interchange.changes import ProductChange
from catalog.interchange.importing import ImportReport, import_catalog
from catalog.interchange.observing import Observations
from catalog.interchange.picture_archive import PictureArchive
from catalog.interchange.reading import CatalogueFile, RefusedRows, read_records
from catalog.pictures.storage import is_stored
from config.db.statements import allow_long_statements
from config.files import new_file, write_file

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
    """Keep the catalogue file, and the archive of its pictures, and return their ticket; old files are removed."""
    folder = _make_folder()
    for path in folder.iterdir():
        if time.time() - path.stat().st_mtime > TICKET_SECONDS:
            path.unlink(missing_ok=True)
    facts: dict[str, Any] = {
        "name": secrets.token_hex(16),
        "file": file.name,
        "user": user_id,
        "digest": "",
        "choice": {},
    }
    for suffix, content in (("", file), (".zip", archive)):
        facts[f"sha256{suffix}"] = _copy(content, _find_path(facts, suffix)) if content else ""
    return _sign(facts)


def choose_reading(ticket: str, choice: ReadingChoice, *, user_id: int) -> str:
    """Return a ticket for the same files, read as the person chooses. Raises `TicketError`."""
    return _sign(_read_ticket(ticket, user_id=user_id) | {"choice": asdict(choice)})


def find_reading(ticket: str, *, user_id: int) -> ReadingChoice:
    """Return how the person chose that the ticket's file is read. Raises `TicketError`."""
    return ReadingChoice(**_read_ticket(ticket, user_id=user_id)["choice"])


def preview_upload(ticket: str, *, user_id: int) -> tuple[ImportPreview, str]:
    """Return what the file would do, and the ticket for exactly that; nothing is written to the catalogue.

    Raises `TicketError`, `SourceError` for a file that cannot be read as a whole, and `ArchiveError`.
    """
    facts = _read_ticket(ticket, user_id=user_id)
    content = _read_upload(_find_path(facts), facts=facts)
    with _open_archive(facts) as archive:
        preview = _run(content, facts=facts, archive=archive, dry_run=True)
    write_file(_find_path(facts, ".refused"), preview.refused_rows, mode=0o600)
    return preview, _sign(facts | {"digest": preview.digest})


def import_upload(ticket: str, *, user_id: int) -> DoneImport:
    """Do what the ticket's preview showed, in one transaction, and return what was done; the ticket finds that later.

    The pictures of the archive that rows use are in the media storage before. Raises `OutdatedPreviewError` when that
    would be something else by now; nothing is written to the catalogue, and the files stay. Raises `StorageError` and
    `TicketError`; of several calls with one ticket one gets through.
    """
    facts = _read_ticket(ticket, user_id=user_id)
    path, claimed = _find_path(facts), _find_path(facts, ".claimed")
    try:
        path.rename(claimed)
    except FileNotFoundError as error:
        raise TicketError from error
    try:
        content = _read_upload(claimed, facts=facts)
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
        claimed.rename(path)
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
    write_file(_find_path(facts, ".refused"), done.refused_rows, mode=0o600)
    write_file(_find_path(facts, ".done"), json.dumps(asdict(result)).encode(), mode=0o600)
    claimed.unlink()
    _find_path(facts, ".zip").unlink(missing_ok=True)
    return result


def find_done(ticket: str, *, user_id: int) -> DoneImport:
    """Return what the import of this ticket did. Raises `TicketError`."""
    facts = _read_ticket(ticket, user_id=user_id)
    return DoneImport(**json.loads(_read_kept(_find_path(facts, ".done"))))


def find_refused_rows(ticket: str, *, user_id: int) -> tuple[str, bytes]:
    """Return the name of the ticket's file, and the rows of it that are refused as a file of the same form.

    Raises `TicketError`.
    """
    facts = _read_ticket(ticket, user_id=user_id)
    return facts["file"], _read_kept(_find_path(facts, ".refused"))


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


def _make_folder() -> Path:
    folder = Path(settings.VAR_DIR) / "imports"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _find_path(facts: dict[str, Any], suffix: str = "") -> Path:
    return _make_folder() / f"{facts['name']}{suffix}"


def _copy(content: UploadedFile, path: Path) -> str:
    """Write the content below the path and return its SHA-256 in hexadecimal digits."""
    digest = hashlib.sha256()
    with new_file(path, mode=0o600) as file:
        for chunk in content.chunks():
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()


def _read_kept(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise TicketError from error


def _read_upload(path: Path, *, facts: dict[str, Any]) -> bytes:
    content = _read_kept(path)
    if hashlib.sha256(content).hexdigest() != facts["sha256"]:
        raise TicketError
    return content


@contextmanager
def _open_archive(facts: dict[str, Any]) -> Iterator[PictureArchive | None]:
    """Give the ticket's archive of pictures, or None where there is none. Raises `TicketError` and `ArchiveError`."""
    if not facts["sha256.zip"]:
        yield None
        return
    with ExitStack() as stack:
        try:
            file = stack.enter_context(_find_path(facts, ".zip").open("rb"))
        except FileNotFoundError as error:
            raise TicketError from error
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
