"""Making a backup, and a site of one."""

import json
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

from django.core.files.storage import Storage, default_storage
from django.db import connection

from config import VERSION
from config.backups import BackupError
from config.backups.databases import (
    DUMP_FILES,
    EMPTY,
    Tables,
    check_target,
    dump_database,
    list_applied,
    restore_database,
)
from config.backups.stores import (
    check_empty,
    compare_files,
    get_artefacts,
    list_names,
    put_files,
    save_file,
)
from config.backups.sums import hash_file, read_sums, write_sums
from config.db.newer import list_known_migrations
from config.files import new_folder

FORM: Final = 1
MANIFEST_FILE: Final = "manifest.json"
#: Of the manifest, the database and the two lists, which have the hashes of all other files.
SUMS_FILE: Final = "SHA256SUMS"
MEDIA, ARTEFACTS = "media", "artefacts"
#: Made anew when somebody asks.
DERIVED_FOLDERS: Final = frozenset({"explanations"})
_KEYS: Final = frozenset({"form", "version", "made_at", "database", "migrations", "tables", "left_out", "media"})


class Told(Protocol):
    """Who is told how far a phase is."""

    def __call__(self, phase: str, done: int, total: int | None, /) -> None:
        """Take note of it."""


@dataclass(slots=True)
class Report:
    """What a backup holds, or a restored site."""

    folder: str
    version: str
    tables: int = 0
    rows: int = 0
    media: int = 0
    artefacts: int = 0
    left_out: list[str] = field(default_factory=list)
    #: Migrations of this code that the restored database does not have yet.
    missing_migrations: list[str] = field(default_factory=list)


def create_backup(
    folder: Path, *, media: str, without: Collection[str], left_out: Collection[str], tell: Told
) -> Report:
    """Write the folder, whole or not at all; rows of the tables `without` are left out, in words `left_out`.

    `media` says what becomes of pictures: `copy`, `link` (a second name of the same file, on the same disk), or `list`
    (their hashes, for whoever copies them otherwise). Raises `BackupError` and `OSError`.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BackupError(f"expected no {folder}, or an empty folder; it is there and is not empty")
    folder.parent.mkdir(parents=True, exist_ok=True)
    # What people signed in with is in it, as hashes: nobody else on this machine reads that.
    with new_folder(folder, mode=0o700) as partial:
        migrations = list_applied()
        tell("database", 0, None)
        # Before the files: each file is written before its row, and what comes meanwhile does no harm.
        tables = dump_database(partial, without=without)
        manifest: dict[str, Any] = {
            "form": FORM,
            "version": VERSION,
            "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "database": connection.vendor,
            "migrations": migrations,
            "tables": tables,
            "left_out": sorted(left_out),
            "media": media,
        }
        (partial / MANIFEST_FILE).write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")
        saved = {
            ARTEFACTS: _save_all(partial, ARTEFACTS, get_artefacts(), tell=tell),
            MEDIA: _save_all(partial, MEDIA, default_storage, how=media, without=DERIVED_FOLDERS, tell=tell),
        }
        write_sums(partial / SUMS_FILE, [(name, hash_file(partial / name)) for name in _list_own(connection.vendor)])
        os.sync()  # one for all, where each file by itself would take hours
    os.sync()  # and its name
    return Report(
        str(folder),
        VERSION,
        tables=len(tables),
        rows=_count_rows(tables),
        media=saved[MEDIA],
        artefacts=saved[ARTEFACTS],
        left_out=manifest["left_out"],
    )


def _list_own(vendor: str) -> list[str]:
    return [MANIFEST_FILE, DUMP_FILES[vendor], _list_of(ARTEFACTS), _list_of(MEDIA)]


def _list_of(what: str) -> str:
    return f"{what}.sha256"


def _count_rows(tables: Tables) -> int:
    return sum(table["rows"] for table in tables.values())


def _save_all(
    partial: Path, what: str, store: Storage, *, tell: Told, how: str = "copy", without: Collection[str] = ()
) -> int:
    """Save the files of a store and their list; return how many there are. What goes away meanwhile is nobody's."""

    def save() -> Iterator[tuple[str, str]]:
        for number, name in enumerate(list_names(store, without=without), start=1):
            target = None if how == "list" else partial / what / name
            try:
                digest = save_file(store, name, target, link=how == "link")
            except NotImplementedError as error:
                raise BackupError("expected files on a disk, which --media link needs: use copy or list") from error
            if digest is not None:
                yield name, digest
            tell(what, number, None)

    return write_sums(partial / _list_of(what), save())


def check_backup(folder: Path, *, tell: Told) -> dict[str, Any]:
    """Return the manifest of a backup of which every byte is as it was written. Raises `BackupError` and `OSError`."""
    if not (folder / SUMS_FILE).is_file():
        raise BackupError(f"expected a folder that `backup` wrote, {folder} has no {SUMS_FILE}")
    _check_files(folder, folder / SUMS_FILE, what="backup", tell=tell)
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST_FILE).read_bytes())
    except ValueError as error:
        raise BackupError(f"expected {folder / MANIFEST_FILE} to be JSON: {error}") from error
    if manifest.get("form") != FORM or _KEYS - manifest.keys():
        raise BackupError(f"expected a backup of form {FORM}, received form {manifest.get('form')!r}")
    if sorted(_list_own(manifest["database"])) != sorted(name for name, _ in read_sums(folder / SUMS_FILE)):
        raise BackupError(
            f"{folder / SUMS_FILE}: expected {', '.join(_list_own(manifest['database']))}, and nothing else"
        )
    for what in (ARTEFACTS, MEDIA) if manifest["media"] != "list" else (ARTEFACTS,):
        _check_files(folder / what, folder / _list_of(what), what=what, tell=tell)
    return manifest


def _check_files(folder: Path, sums: Path, *, what: str, tell: Told) -> None:
    for number, (name, digest) in enumerate(read_sums(sums), start=1):
        path = folder / name
        if not path.is_file():
            raise BackupError(f"expected the backup to be whole, {path} is missing")
        if (actual := hash_file(path)) != digest:
            raise BackupError(f"{path}: expected SHA-256 {digest}, received {actual}; it was altered or cut off")
        tell(f"check of {what}", number, None)


def describe_backup(folder: Path, *, tell: Told) -> Report:
    """Return what a backup has that this code could restore; nothing is written, no database and no storage is asked.

    Pictures of which it has the hashes alone are among those left out. Raises `BackupError` and `OSError`.
    """
    manifest = check_backup(folder, tell=tell)
    known = _check_migrations(manifest)
    tables = manifest["tables"]
    media, artefacts = (sum(1 for _ in read_sums(folder / _list_of(what))) for what in (MEDIA, ARTEFACTS))
    return Report(
        str(folder),
        manifest["version"],
        tables=len(tables),
        rows=_count_rows(tables),
        media=media,
        artefacts=artefacts,
        left_out=manifest["left_out"] + (["pictures"] if manifest["media"] == "list" else []),
        missing_migrations=sorted(known - set(manifest["migrations"])),
    )


def restore_backup(folder: Path, *, sign_ins: Collection[str], tell: Told) -> Report:
    """Make a site of the backup on an empty database, and compare it with the backup.

    Every hash is checked before anything is written. Files come first and the database last, in one transaction: what
    was stopped before that is called again. The tables `sign_ins` come empty. Raises `BackupError` and `OSError`.
    """
    manifest = check_backup(folder, tell=tell)
    known = _check_migrations(manifest)
    if manifest["database"] != connection.vendor:
        raise BackupError(
            f"expected a backup of {connection.vendor}, which DATABASE_URL names; it is one of {manifest['database']}"
        )
    check_target()
    media, artefacts = default_storage, get_artefacts()
    check_empty(artefacts, folder / ARTEFACTS, folder / _list_of(ARTEFACTS), what="artefacts")
    if manifest["media"] != "list":
        check_empty(media, folder / MEDIA, folder / _list_of(MEDIA), without=DERIVED_FOLDERS, what="pictures")
        for number in put_files(media, folder / MEDIA, folder / _list_of(MEDIA)):
            tell(MEDIA, number, None)
    for number in put_files(artefacts, folder / ARTEFACTS, folder / _list_of(ARTEFACTS)):
        tell(ARTEFACTS, number, None)
    report = Report(str(folder), manifest["version"], left_out=manifest["left_out"])
    report.artefacts = _compare_files(artefacts, folder, ARTEFACTS, tell=tell)
    report.media = _compare_files(media, folder, MEDIA, tell=tell)
    tell("database", 0, None)
    os.sync()  # no row without its files
    tables = restore_database(folder, emptied=sign_ins)
    for name in set(sign_ins) & set(manifest["tables"]):
        manifest["tables"][name] = EMPTY
    differing = [name for name in manifest["tables"] | tables if manifest["tables"].get(name) != tables.get(name)]
    if differing:
        raise BackupError(
            f"the database is not what was saved, use it for nothing: {', '.join(sorted(differing))} differ"
        )
    report.tables, report.rows = len(tables), _count_rows(tables)
    report.missing_migrations = sorted(known - set(manifest["migrations"]))
    return report


def _check_migrations(manifest: dict[str, Any]) -> set[str]:
    """Return the migrations that this code knows; raise `BackupError` if the backup has others."""
    known = list_known_migrations()
    if newer := sorted(set(manifest["migrations"]) - known):
        others = f" and {len(newer) - 1} others" if len(newer) > 1 else ""
        raise BackupError(
            f"expected a backup of version {VERSION} or an older one; it is of {manifest['version']}, with the "
            f"migration {newer[0]}{others}, which this code does not know. Restore it with that version"
        )
    return known


def _compare_files(store: Storage, folder: Path, what: str, *, tell: Told) -> int:
    number = 0
    for number, (name, is_same) in enumerate(compare_files(store, folder / _list_of(what)), start=1):
        if not is_same:
            raise BackupError(f"expected {what} as they were saved, {name} is missing or is another file")
        tell(f"comparison of {what}", number, None)
    return number
