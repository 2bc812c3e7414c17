"""The import of a catalogue file beside COPY of the same rows into the same tables."""

import io
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class ImportMeasurement:
    """Seconds that the same rows took both ways, and how many rows each table got.

    `index_seconds` is what the word index of the copied rows took.
    """

    import_seconds: float
    copy_seconds: float
    index_seconds: float
    rows: dict[str, int]

    @property
    def ratio(self) -> float:
        """The import's rate against that of COPY and of the word index."""
        return (self.copy_seconds + self.index_seconds) / self.import_seconds

    @property
    def copy_ratio(self) -> float:
        """The import's rate, word index included, against that of COPY without one."""
        return self.copy_seconds / self.import_seconds


def measure_import(path: Path, *, products: int, report: Callable[[str], None]) -> ImportMeasurement:
    """Import the file by the product's command, then empty the tables and COPY into them what the import had put there.

    Both start on empty tables with all their indexes and after a checkpoint, and end with the same rows committed. The
    import keeps the word index as it goes. COPY leaves it to what `rebuild_search` does, as whoever copies a catalogue
    would: the triggers are not made for a statement of a million rows.
    """
    from django.core.management import call_command
    from django.db import connection

    from catalog.search.index import build_search_index

    _start_afresh()
    report("importing")
    output = io.StringIO()
    started = time.perf_counter()
    call_command("import_catalog", str(path), json=True, no_progress=True, stdout=output)
    import_seconds = time.perf_counter() - started
    if json.loads(output.getvalue())["created"] != products:
        raise RuntimeError(f"expected {products:,} products created, the import said {output.getvalue()}")
    report("writing the rows for COPY")
    tables = [_save_table(table, columns=columns, folder=path.parent) for table, columns in _tables()]
    _start_afresh()
    report("copying")
    started = time.perf_counter()
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"ALTER TABLE {table.name} DISABLE TRIGGER USER")
            with table.path.open(encoding="utf-8") as rows:
                cursor.copy_expert(f"COPY {table.name} ({table.columns}) FROM STDIN", rows)
            cursor.execute(f"ALTER TABLE {table.name} ENABLE TRIGGER USER")
    copy_seconds = time.perf_counter() - started
    report("writing the word index")
    started = time.perf_counter()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    build_search_index(connection)
    index_seconds = time.perf_counter() - started
    for table in tables:
        table.path.unlink()
    return ImportMeasurement(
        import_seconds=import_seconds,
        copy_seconds=copy_seconds,
        index_seconds=index_seconds,
        rows={table.name: table.rows for table in tables},
    )


@dataclass(frozen=True, slots=True)
class _SavedTable:
    """A table's rows in a file, in COPY's format."""

    name: str
    columns: str
    path: Path
    rows: int


def _tables() -> list[tuple[str, Sequence[str]]]:
    """Return the tables that an import fills, with all their columns, a table after those that it refers to."""
    from catalog.models import Image, Product, ProductDescription, ProductImages, ProductLabel
    from classifier.models import TextEvidence

    return [
        (model._meta.db_table, [f'"{field.column}"' for field in model._meta.concrete_fields])
        for model in (Product, Image, ProductImages, ProductDescription, ProductLabel, TextEvidence)
    ]


def _save_table(name: str, *, columns: Sequence[str], folder: Path) -> _SavedTable:
    from django.db import connection

    path, listed = folder / f"{name}.copy", ", ".join(columns)
    with connection.cursor() as cursor, path.open("w", encoding="utf-8") as rows:
        cursor.copy_expert(f"COPY (SELECT {listed} FROM {name} ORDER BY 1) TO STDOUT", rows)  # noqa: S608
        count: Any = cursor.rowcount
    return _SavedTable(name=name, columns=listed, path=path, rows=count)


def _start_afresh() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        # No VACUUM: it would tell the planner for good that the tables are empty, which no new table says of itself.
        cursor.execute("TRUNCATE product, image CASCADE")
        cursor.execute("CHECKPOINT")
