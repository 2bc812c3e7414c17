"""An import may take its time, and takes turns with others, whatever limits a connection of the site has."""

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, transaction

from catalog.interchange import importing, preview
from catalog.interchange.importing import _IMPORT_LOCK, ImportReport, import_catalog
from catalog.interchange.records import ProductRecord
from catalog.models import Product

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]

LINE = b'{"id": 1, "title": "T", "descriptions": [{"country_code": "us", "original_text": "x"}]}'
WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


def ask(statement: str, *values: object) -> object:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchone()[0]


def upload(content: bytes, *, user_id: int) -> int:
    """Import the file as the page does; how many products that created."""
    ticket = preview.keep_upload(SimpleUploadedFile("a.jsonl", content), archive=None, user_id=user_id)
    _, ticket = preview.preview_upload(ticket, user_id=user_id)
    return preview.import_upload(ticket, user_id=user_id).created


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


def test_an_upload_that_was_confirmed_has_no_limit_and_pages_have_theirs_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: Any
) -> None:
    settings.VAR_DIR = tmp_path
    limits: list[object] = []

    def refresh(product_ids: list[int], **_: Any) -> int:
        limits.append(ask("SHOW statement_timeout"))
        return len(product_ids)

    monkeypatch.setattr(importing, "refresh_labels", refresh)
    user_id = User.objects.create_user("ann").pk
    ask("SELECT set_config('statement_timeout', '2s', false)")
    try:
        assert upload(LINE, user_id=user_id) == 1
        assert limits == ["0"]
        assert ask("SHOW statement_timeout") == "2s"
    finally:
        ask("SELECT set_config('statement_timeout', '0', false)")


@pytest.mark.skipif("CASES_DIR" not in os.environ, reason="needs the folder of cases that CASES_DIR names")
def test_many_long_texts_are_imported_under_the_limit_of_the_site(tmp_path: Path, settings: Any) -> None:
    settings.VAR_DIR = tmp_path
    script = Path(os.environ["CASES_DIR"], "catalogue", "11-admin-import-long-texts.py")
    content = subprocess.run([sys.executable, script], capture_output=True, check=True).stdout
    user_id = User.objects.create_user("ann").pk
    ask("SELECT set_config('statement_timeout', '1s', false)")
    try:
        assert upload(content, user_id=user_id) == 900
    finally:
        ask("SELECT set_config('statement_timeout', '0', false)")
