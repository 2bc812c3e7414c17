"""An import that a person sees before it happens: the file is kept, what it would change is shown, then exactly that
is done.

An uploaded file waits in a private folder of this machine under a name that nobody can guess. The ticket that names it
is signed, belongs to one person and expires; it carries a digest of the file and one of what the file would change.
"""

import hashlib
import io
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from django.conf import settings
from django.core import signing
from django.db import transaction

from catalog.interchange.changes import ProductChange
from catalog.interchange.importing import ImportReport, import_catalog
from catalog.interchange.reading import detect_format, read_records
from config.db.statements import allow_long_statements
from config.files import write_file

#: A file of this size takes some 5 s to import; a longer one is for the command.
MAX_UPLOAD_BYTES: Final = 5 * 1024 * 1024
#: How long a person has for looking at a preview.
TICKET_SECONDS: Final = 3600
#: Changes that a preview shows one by one; all are counted.
SHOWN_CHANGES: Final = 100
_SALT: Final = "catalog.interchange.preview"


class TicketError(Exception):
    """There is no such upload for this person: it is done, it is too old, or it was never theirs."""


class OutdatedPreviewError(Exception):
    """The catalogue changed since the preview, so the file would do something else now; nothing was written."""


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
    """What a file would do: the counts and row errors of a dry run, and the first changes one by one."""

    file_name: str
    format: str
    report: ImportReport = field(default_factory=ImportReport)
    changes: list[PreviewedChange] = field(default_factory=list)
    digest: str = ""


def keep_upload(content: bytes, *, file_name: str, user_id: int) -> str:
    """Keep the file and return its ticket; files that nobody confirmed in time are removed."""
    folder = _make_folder()
    for path in folder.iterdir():
        if time.time() - path.stat().st_mtime > TICKET_SECONDS:
            path.unlink(missing_ok=True)
    name = secrets.token_hex(16)
    write_file(folder / name, content, mode=0o600)
    sha256 = hashlib.sha256(content).hexdigest()
    return _sign({"name": name, "file": file_name, "user": user_id, "sha256": sha256, "digest": ""})


def preview_upload(ticket: str, *, user_id: int) -> tuple[ImportPreview, str]:
    """Return what the file would do, and the ticket for exactly that; nothing is written.

    Raises `TicketError`, and `SourceError` for a file that cannot be read as a whole.
    """
    facts = _read_ticket(ticket, user_id=user_id)
    content = _read_upload(_make_folder() / facts["name"], facts=facts)
    preview = _run(content, file_name=facts["file"], dry_run=True)
    return preview, _sign(facts | {"digest": preview.digest})


def import_upload(ticket: str, *, user_id: int) -> ImportPreview:
    """Do what the ticket's preview showed, in one transaction, remove the file, and return what was done.

    Raises `OutdatedPreviewError` when that would be something else by now; nothing is written, and the file stays.
    Raises `TicketError`; of several calls with one ticket one gets through.
    """
    facts = _read_ticket(ticket, user_id=user_id)
    path = _make_folder() / facts["name"]
    claimed = path.with_suffix(".claimed")
    try:
        path.rename(claimed)
    except FileNotFoundError as error:
        raise TicketError from error
    try:
        content = _read_upload(claimed, facts=facts)
        with transaction.atomic(), allow_long_statements():
            done = _run(content, file_name=facts["file"], dry_run=False)
            if done.digest != facts["digest"]:
                raise OutdatedPreviewError
    except BaseException:
        claimed.rename(path)
        raise
    claimed.unlink()
    return done


def _run(content: bytes, *, file_name: str, dry_run: bool) -> ImportPreview:
    """Import the content, or only look what that would do, and describe it."""
    format = detect_format(file_name, start=content[:64])
    preview = ImportPreview(file_name=file_name, format=format)
    digest = hashlib.sha256()

    def observe(changes: list[ProductChange]) -> None:
        for change in changes:
            digest.update(repr(_describe(change)).encode("utf-8", "surrogatepass"))
            if len(preview.changes) < SHOWN_CHANGES:
                preview.changes.append(_build_previewed(change))

    stream = cast(io.BufferedReader, io.BufferedReader(io.BytesIO(content)))
    rows = read_records(stream, format=format)
    preview.report = import_catalog(rows, dry_run=dry_run, observe=observe)
    digest.update(repr([(error.line, error.message) for error in preview.report.errors]).encode())
    preview.digest = digest.hexdigest()
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


def _make_folder() -> Path:
    folder = Path(settings.VAR_DIR) / "imports"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _read_upload(path: Path, *, facts: dict[str, Any]) -> bytes:
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise TicketError from error
    if hashlib.sha256(content).hexdigest() != facts["sha256"]:
        raise TicketError
    return content


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
