"""The import in the admin: nothing before the confirmation, and then exactly what was shown."""

import os
import time
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DatabaseError
from django.test import Client

from catalog.interchange import importing
from catalog.interchange.preview import MAX_UPLOAD_BYTES
from catalog.models import Product
from tests.support.factories import create_product
from tests.support.fakes import create_model_version, create_painted_image
from tests.support.importing import is_empty, read_catalogue
from tests.support.labels import label_everything

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

UPLOAD = "/admin/catalog/product/import/"
CONFIRM = f"{UPLOAD}preview/"
LINES = (
    '{"id": 1, "title": "Renamed", "images": ["b.png"], '
    '"descriptions": [{"country_code": "us", "original_text": "x"}]}\n'
    '{"id": 2, "title": "New\u202e one", "images": ["c.png"]}\n'
    '{"id": 3, "title": "Same"}\n'
    '{"id": 4, "price": 5}\n'
)


@pytest.fixture(autouse=True)
def var_folder(settings: Any, tmp_path: Path) -> Path:
    settings.VAR_DIR = tmp_path / "var"
    return settings.VAR_DIR


def sign_in(client: Client, *codenames: str) -> User:
    user = User.objects.create_user(f"member-{User.objects.count()}", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames, content_type__app_label="catalog"))
    client.force_login(user)
    return user


def sign_importer_in(client: Client) -> User:
    return sign_in(client, "view_product", "add_product", "change_product")


def upload(client: Client, content: str | bytes, *, name: str = "catalogue.jsonl") -> Any:
    data = content.encode() if isinstance(content, str) else content
    return client.post(UPLOAD, {"file": SimpleUploadedFile(name, data)}, follow=True)


def confirm(client: Client, page: Any) -> Any:
    return client.post(CONFIRM, {"ticket": page.context["ticket"]}, follow=True)


def list_messages(response: Any) -> list[str]:
    return [str(message) for message in response.context["messages"]]


def fill_catalogue() -> None:
    create_product("Old", id=1, images=["a.png"], descriptions={"us": ("y", None)})
    create_product("Same", id=3)


def test_a_preview_says_what_would_be_done_and_writes_nothing(client: Client, var_folder: Path) -> None:
    sign_importer_in(client)
    fill_catalogue()
    before = read_catalogue()
    page = upload(client, LINES)
    report = page.context["report"]
    assert (report.created, report.changed, report.unchanged, report.refused) == (1, 1, 1, 1)
    shown = [(change.line, change.what, change.product_id, change.title) for change in page.context["changes"]]
    assert shown == [(1, "changed", 1, "Renamed"), (2, "created", 2, "New one")]
    assert page.context["changes"][0].details == [
        "title was Old",
        "other images, 1 before and 1 now",
        "other text for us",
    ]
    assert [(error.line, error.message) for error in page.context["errors"]] == [
        (4, "expected the fields descriptions, id, images, label, title, received 'price'")
    ]
    assert "received &#x27;price&#x27;" in page.text
    assert read_catalogue() == before
    assert not LogEntry.objects.exists()
    (kept,) = (var_folder / "imports").iterdir()
    assert oct(kept.stat().st_mode & 0o777) == "0o600"


def test_a_confirmed_preview_is_done_once_and_logged(client: Client, var_folder: Path) -> None:
    user = sign_importer_in(client)
    fill_catalogue()
    page = upload(client, LINES)
    done = confirm(client, page)
    assert list_messages(done) == ["catalogue.jsonl is imported: 1 created, 1 changed, 1 unchanged, 1 rows refused."]
    assert [(product["id"], product["title"]) for product in read_catalogue()] == [
        (1, "Renamed"),
        (2, "New\u202e one"),
        (3, "Same"),
    ]
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_repr) == (user, "catalogue.jsonl")
    assert entry.change_message == "Imported: 1 created, 1 changed, 1 unchanged, 1 rows refused."
    assert list((var_folder / "imports").iterdir()) == []
    (message,) = list_messages(confirm(client, page))
    assert message.startswith("Expected a preview that is waiting")
    assert LogEntry.objects.count() == 1


def test_a_catalogue_that_changed_meanwhile_is_shown_anew_and_nothing_is_written(client: Client) -> None:
    sign_importer_in(client)
    fill_catalogue()
    page = upload(client, LINES)
    Product.objects.filter(pk=1).update(title="Somebody else's")
    before = read_catalogue()
    again = confirm(client, page)
    assert list_messages(again) == [
        "The catalogue changed since this was shown, so nothing was imported. This is what the file would do now."
    ]
    assert again.context["changes"][0].details[0] == "title was Somebody else's"
    assert read_catalogue() == before
    confirm(client, again)
    assert Product.objects.get(pk=1).title == "Renamed"


def test_labels_follow_the_pictures_that_were_imported(client: Client) -> None:
    sign_importer_in(client)
    create_model_version()
    image = create_painted_image("Bag")
    create_product("Bag", id=1, images=[image])
    label_everything()
    confirm(client, upload(client, f'{{"id": 2, "title": "The same", "images": ["{image.url}"]}}\n'))
    assert Product.objects.get(pk=2).label.group == "Bags"


def test_an_import_whose_labels_cannot_follow_is_not_done(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_product_ids: list[int]) -> int:
        raise DatabaseError("server closed the connection")

    monkeypatch.setattr(importing, "refresh_labels", refuse)
    sign_importer_in(client)
    again = confirm(client, upload(client, LINES))
    assert list_messages(again) == [
        "The database refused the file, nothing was imported: the database cannot be reached"
    ]
    assert again.context["report"].created == 3
    assert not Product.objects.exists()
    assert not LogEntry.objects.exists()


def test_a_file_without_changes_offers_nothing_to_confirm(client: Client) -> None:
    sign_importer_in(client)
    fill_catalogue()
    page = upload(client, '{"id": 3, "title": "Same"}\n')
    assert "There is nothing to import" in page.text
    assert 'value="Import"' not in page.text


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("a.csv", "id,title\n1,T\n", "This file cannot be read: expected a first row with the columns"),
        ("a.csv.gz", b"\x1f\x8b\x08\x00", "a gzip file; unpack it first"),
        ("a.jsonl", b"\xff\xfe{\x00", "UTF-16 text; save it as UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_as_a_whole(
    client: Client, name: str, content: str | bytes, message: str
) -> None:
    sign_importer_in(client)
    page = upload(client, content, name=name)
    assert page.status_code == 400
    assert message in list_messages(page)[0]
    assert is_empty()


def test_a_file_that_is_too_large_is_refused_before_it_is_kept(client: Client, var_folder: Path) -> None:
    sign_importer_in(client)
    page = upload(client, b" " * (MAX_UPLOAD_BYTES + 1))
    assert "Expected a file of at most 5 MB" in page.text
    page = upload(client, b" " * (2 * MAX_UPLOAD_BYTES))
    assert page.status_code == 413
    assert "Expected a file of at most 5 MB; import a larger one by import_catalog." in page.text
    assert not (var_folder / "imports").exists()


def test_a_ticket_is_good_for_one_person_one_hour_and_one_file(
    client: Client, var_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_importer_in(client)
    page = upload(client, LINES)
    ticket = page.context["ticket"]
    for forged in ("", "x", ticket[:-1], f"x{ticket}"):
        assert list_messages(client.post(CONFIRM, {"ticket": forged}, follow=True))[0].startswith("Expected a preview")
    other = Client()
    sign_importer_in(other)
    assert list_messages(confirm(other, page))[0].startswith("Expected a preview")
    (kept,) = (var_folder / "imports").iterdir()
    content = kept.read_bytes()
    kept.write_bytes(content + b"\n")
    assert list_messages(confirm(client, page))[0].startswith("Expected a preview")
    kept.write_bytes(content)
    with monkeypatch.context() as patch:
        patch.setattr("catalog.interchange.preview.TICKET_SECONDS", -1)
        assert list_messages(confirm(client, page))[0].startswith("Expected a preview")
    assert is_empty()
    assert list_messages(confirm(client, page))[0].startswith("catalogue.jsonl is imported: 3 created")


def test_files_that_nobody_confirmed_go_when_the_next_one_comes(client: Client, var_folder: Path) -> None:
    sign_importer_in(client)
    upload(client, LINES)
    (old,) = (var_folder / "imports").iterdir()
    os.utime(old, (time.time() - 4_000,) * 2)
    upload(client, LINES)
    (fresh,) = (var_folder / "imports").iterdir()
    assert fresh != old


@pytest.mark.parametrize("codenames", [(), ("view_product",), ("view_product", "add_product"), ("change_product",)])
def test_only_who_may_add_and_change_products_may_import(client: Client, codenames: tuple[str, ...]) -> None:
    owner = Client()
    sign_importer_in(owner)
    ticket = upload(owner, LINES).context["ticket"]
    sign_in(client, *codenames)
    assert client.get(UPLOAD).status_code == 403
    assert upload(client, LINES).status_code == 403
    assert client.post(CONFIRM, {"ticket": ticket}).status_code == 403
    assert is_empty()
    listing = client.get("/admin/catalog/product/")
    assert listing.status_code == 403 or UPLOAD not in listing.text
    assert UPLOAD in owner.get("/admin/catalog/product/").text


def test_a_forged_request_is_refused(client: Client) -> None:
    strict = Client(enforce_csrf_checks=True)
    user = sign_importer_in(client)
    strict.force_login(user)
    assert strict.post(UPLOAD, {"file": SimpleUploadedFile("a.jsonl", LINES.encode())}).status_code == 403
    ticket = upload(client, LINES).context["ticket"]
    assert strict.post(CONFIRM, {"ticket": ticket}).status_code == 403
    assert is_empty()
