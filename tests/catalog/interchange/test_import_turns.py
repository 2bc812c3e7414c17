"""Imports at the same time take turns, whatever limits the connection has for everything else."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from catalog.interchange.importing import _IMPORT_LOCK, ImportReport, import_catalog
from catalog.interchange.records import ProductRecord
from catalog.models import Product

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]

WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


def ask(statement: str, *values: object) -> object:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchone()[0]


def test_an_import_waits_for_another_longer_than_for_any_other_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "options", "-c lock_timeout=50")
    taken, released = threading.Event(), threading.Event()
    limits: list[object] = []

    def hold() -> None:
        with transaction.atomic():
            ask("SELECT pg_advisory_xact_lock(%s)", _IMPORT_LOCK)
            taken.set()
            released.wait(20)
        connection.close()

    def run() -> ImportReport:
        try:
            record = ProductRecord(line=1, id=None, title="Late", images=None, descriptions={})
            return import_catalog([record], observe=lambda _changes: limits.append(ask("SHOW lock_timeout")))
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        holder = pool.submit(hold)
        assert taken.wait(20)
        importer = pool.submit(run)
        try:
            while not importer.done() and not ask(WAITING):
                time.sleep(0.01)
            time.sleep(0.2)
            assert ask(WAITING) == 1, "expected an import that waits"
        finally:
            released.set()
        assert importer.result(20).created == 1
        holder.result(20)
    assert Product.objects.get().title == "Late"
    assert limits == ["50ms"]
