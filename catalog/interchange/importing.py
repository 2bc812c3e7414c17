"""Writes that touch several of the catalogue's tables: the import of a catalogue."""

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Final

from django.db import connection, transaction

from catalog.interchange.changes import ProductChange, find_changes, write_changes
from catalog.interchange.disk_map import DiskMap
from catalog.interchange.records import REFUSED, ProductRecord, RowError, content_digest, content_key
from catalog.interchange.stored import StoredProduct, find_stored_products
from catalog.labels import refresh_labels
from config.ahead import read_ahead

#: What one transaction writes, and the rows that are refused before that.
Batch = tuple[list[ProductRecord], list[RowError]]
#: It closes at whichever comes first, so that its memory is bounded too.
BATCH_PRODUCTS: Final = 1_000
BATCH_ROWS: Final = 10_000
BATCH_CHARACTERS: Final = 8_000_000
#: Beyond these, refused rows are counted but their messages are not kept.
KEPT_ERRORS: Final = 1_000
#: Names the lock that makes two imports at once take turns, batch by batch (PostgreSQL; SQLite has one writer anyway).
_IMPORT_LOCK: Final = 0x696D706F7274


@dataclass
class ImportReport:
    """What an import did, or with `dry_run` would have done, in products; `refused` counts rows.

    `errors` holds the first `KEPT_ERRORS` refused rows; `keep` gets all of them, with their text.
    """

    dry_run: bool = False
    created: int = 0
    changed: int = 0
    unchanged: int = 0
    refused: int = 0
    errors: list[RowError] = field(default_factory=list)
    keep: Callable[[RowError], None] | None = None

    @property
    def products(self) -> int:
        """Return how many products were read so far."""
        return self.created + self.changed + self.unchanged

    def refuse(self, error: RowError) -> None:
        """Count a row that was not imported."""
        self.refused += 1
        if len(self.errors) < KEPT_ERRORS:
            self.errors.append(RowError(error.line, error.message))
        if self.keep:
            self.keep(error)


def import_catalog(
    rows: Iterable[ProductRecord | RowError],
    *,
    dry_run: bool = False,
    progress: Callable[[ImportReport], None] | None = None,
    observe: Callable[[list[ProductChange]], None] | None = None,
    refuse: Callable[[RowError], None] | None = None,
) -> ImportReport:
    """Bring the catalogue to what `rows` say and return what was done; a refused row is reported, the rest imported.

    Each batch is one transaction, so an import that dies leaves whole batches, and running it again ends in the same
    state. Importing the same rows twice changes nothing. With `dry_run` nothing is written and the counts are those
    that the import would have had. `progress` gets the report after every batch, `observe` the
    changes that a batch needs before they are written, and `refuse` every row that is refused.

    Both hold as long as no row names by id what the database drew for a row of the same file without one; in a file
    that mixes the two, ids belong above those that are drawn.
    """
    report = ImportReport(dry_run=dry_run, keep=refuse)
    with DiskMap() as seen:
        for records, refused in _without_old_garbage(read_ahead(_split_batches(rows))):
            for error in refused:
                report.refuse(error)
            if records:
                with nullcontext() if dry_run else transaction.atomic():
                    _import_batch(records, seen=seen, report=report, observe=observe)
            if progress:
                progress(report)
    report.errors.sort(key=lambda error: error.line)
    return report


def _without_old_garbage(batches: Iterator[Batch]) -> Iterator[Batch]:
    """Yield the batches; what was there before is no garbage: to look for it takes a twentieth of an import.

    It is set aside unseen: to look through it once takes 0.1 s, three times what else a small file needs. What the site
    set aside when it started stays so.
    """
    if gc.get_freeze_count():
        yield from batches
        return
    gc.freeze()
    try:
        yield from batches
    finally:
        gc.unfreeze()


def _split_batches(rows: Iterable[ProductRecord | RowError]) -> Iterator[Batch]:
    batch: Batch = ([], [])
    records, refused = batch
    row_count = character_count = 0
    for row in rows:
        if isinstance(row, RowError):
            refused.append(row)
            row_count += 1
        else:
            records.append(row)
            row_count += 1 + len(row.images or ()) + len(row.descriptions)
            character_count += sum(len(text or "") for texts in row.descriptions.values() for text in texts)
        if len(records) >= BATCH_PRODUCTS or row_count >= BATCH_ROWS or character_count >= BATCH_CHARACTERS:
            yield batch
            records, refused = batch = [], []
            row_count = character_count = 0
    if records or refused:
        yield batch


def _import_batch(
    batch: list[ProductRecord],
    *,
    seen: DiskMap,
    report: ImportReport,
    observe: Callable[[list[ProductChange]], None] | None,
) -> None:
    if not report.dry_run:
        _take_turns()
    stored = find_stored_products({record.id for record in batch if record.id is not None})
    records = _leave_out_repeats(batch, stored=stored, seen=seen, report=report)
    changes = find_changes(records, stored=stored, seen=seen)
    needed = [change for change in changes if change.is_needed]
    if observe:
        observe(needed)
    if not report.dry_run:
        created = write_changes(needed)
        refresh_labels([change.product_id for change in needed if change.product_id is not None], created=created)
    # An automatic id counts as named by the file as well, so that no later row with that id takes the product over.
    seen.add((change.product_id, content_digest(change.record)) for change in changes if change.product_id is not None)
    new_count = sum(change.stored is None for change in changes)
    report.created += new_count
    report.changed += len(needed) - new_count
    report.unchanged += len(changes) - len(needed)


def _take_turns() -> None:
    """Wait until no other import is inside a batch, however long that takes; the lock ends with the transaction."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = 0")
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_IMPORT_LOCK])
            cursor.execute("SET LOCAL lock_timeout TO DEFAULT")


def _leave_out_repeats(
    batch: list[ProductRecord], *, stored: Mapping[int, StoredProduct], seen: DiskMap, report: ImportReport
) -> list[ProductRecord]:
    """Return the records whose product the file did not name before, and remember them.

    A row that repeats an earlier one exactly is unchanged. Another is refused, for which of the two should stand? So is
    a row with an id after one without that has the same title and images: the next import could not tell them apart.
    """
    keys = [_build_keys(record, stored=stored) for record in batch]
    digests = seen.find(key for triple in keys for key in triple)
    fresh = []
    added = []
    for record, (id_key, with_id_key, without_id_key) in zip(batch, keys, strict=True):
        digest = content_digest(record)
        if record.id is None:
            first = digests.get(without_id_key, digests.get(with_id_key))
            own_keys = [without_id_key]
        else:
            first = digests.get(id_key, REFUSED if without_id_key in digests else None)
            own_keys = [id_key, with_id_key]
        if first is None:
            added += [(key, digests.setdefault(key, digest)) for key in own_keys]
            fresh.append(record)
        elif first == digest:
            report.unchanged += 1
        else:
            if record.id is not None:
                # No later row gets this id either: which one did must not depend on what is stored today.
                added.append((id_key, digests.setdefault(id_key, REFUSED)))
            message = "expected each product once, received an earlier one with other values"
            report.refuse(RowError(record.line, message, source=record.source))
    seen.add(added)
    return fresh


def _build_keys(record: ProductRecord, *, stored: Mapping[int, StoredProduct]) -> tuple[int, int, int]:
    """Return the keys of the id (again of the content where there is none), and of the content with and without id."""
    images = record.images
    if images is None:
        product = stored.get(record.id) if record.id is not None else None
        images = tuple(product.images) if product else ()
    with_id, without_id = (content_key(record.title, images=images, with_id=with_id) for with_id in (True, False))
    return record.id or without_id, with_id, without_id
