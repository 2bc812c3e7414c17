"""The import on the site: nothing before the confirmation, then exactly what was shown, and what comes after it."""

import os
import re
import time
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DatabaseError
from django.test import Client
from PIL import Image as PillowImage

from catalog.interchange import importing
from catalog.interchange.import_views import ONE_OF_EACH
from catalog.interchange.preview import MAX_UPLOAD_BYTES, keep_upload, preview_upload
from catalog.models import Product
from catalog.pictures.storage import StorageError, read_media_picture
from classifier.models import LabellingRun
from tests.support.factories import create_product
from tests.support.fakes import create_model_version, create_painted_image
from tests.support.importing import is_empty, read_catalogue
from tests.support.labels import label_everything

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

UPLOAD = "/import/"
CONFIRM = "/import/run/"
LINES = (
    '{"id": 1, "title": "Renamed", "images": ["b.png"], '
    '"descriptions": [{"country_code": "us", "original_text": "x"}]}\n'
    '{"id": 2, "title": "New\u202e one", "images": ["c.png"]}\n'
    '{"id": 3, "title": "Same"}\n'
    '{"id": 4, "price": 5}\n'
)


@pytest.fixture(autouse=True)
def var_folder(settings: Any, tmp_path: Path) -> Path:
    folder = tmp_path / "var"
    imports = settings.STORAGES["imports"]
    options = imports["OPTIONS"] | {"location": str(folder / "imports")}
    settings.STORAGES = settings.STORAGES | {"imports": imports | {"OPTIONS": options}}
    return folder


def sign_in(client: Client, *codenames: str) -> User:
    user = User.objects.create_user(f"member-{User.objects.count()}")
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames, content_type__app_label="catalog"))
    client.force_login(user)
    return user


def sign_importer_in(client: Client) -> User:
    return sign_in(client, "view_product", "add_product", "change_product")


def upload(client: Client, content: str | bytes, *, name: str = "catalogue.jsonl") -> Any:
    data = content.encode() if isinstance(content, str) else content
    return send(client, files=SimpleUploadedFile(name, data))


def send(client: Client, **form: Any) -> Any:
    """Post the form and return the page that it leads to, which is one to come back to."""
    return client.post(UPLOAD, form, follow=True)


def confirm(client: Client, page: Any) -> Any:
    return client.post(CONFIRM, {"ticket": page.context["ticket"]}, follow=True)


def list_messages(response: Any) -> list[str]:
    return [str(message) for message in response.context["messages"]] or [response.context["refusal"]]


def pack_pictures(colours: dict[str, str | None]) -> SimpleUploadedFile:
    """Return a ZIP of pictures by name and colour; of what is no picture where there is no colour."""
    archive = BytesIO()
    with ZipFile(archive, "w") as file:
        for name, colour in colours.items():
            content = BytesIO(b"no picture")
            if colour:
                PillowImage.new("RGB", (32, 32), colour).save(content, "PNG")
            file.writestr(name, content.getvalue())
    return SimpleUploadedFile("pictures.zip", archive.getvalue())


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
    assert page.context["errors"] == [
        (4, "expected the fields descriptions, id, images, label, title, received 'price'")
    ]
    assert "received &#x27;price&#x27;" in page.text
    assert read_catalogue() == before
    assert not LogEntry.objects.exists()
    assert {oct(kept.stat().st_mode & 0o777) for kept in (var_folder / "imports").iterdir()} == {"0o600"}


def test_a_confirmed_preview_is_done_once_and_logged(client: Client, var_folder: Path) -> None:
    user = sign_importer_in(client)
    fill_catalogue()
    page = upload(client, LINES)
    done = confirm(client, page)
    assert done.context["summary"] == "catalogue.jsonl is imported: 1 created, 1 changed, 1 unchanged, 1 row refused."
    assert [(product["id"], product["title"]) for product in read_catalogue()] == [
        (1, "Renamed"),
        (2, "New\u202e one"),
        (3, "Same"),
    ]
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_repr) == (user, "catalogue.jsonl")
    assert entry.change_message == "Imported: 1 created, 1 changed, 1 unchanged, 1 row refused."
    assert {kept.suffix for kept in (var_folder / "imports").iterdir()} == {".done", ".refused"}
    # Sent twice, or come back to, it says what was done.
    assert confirm(client, page).context["summary"] == done.context["summary"]
    back = client.get(page.redirect_chain[0][0], follow=True)
    assert (back.context["summary"], back.context["key"]) == (done.context["summary"], done.context["key"])
    assert LogEntry.objects.count() == 1


def test_a_preview_can_be_come_back_to_and_keeps_how_the_file_is_read(client: Client) -> None:
    sign_importer_in(client)
    page = upload(client, LINES)
    ((address, status),) = page.redirect_chain
    assert (address.partition("?")[0], status) == (UPLOAD, 302)
    assert client.get(address).context["report"].created == page.context["report"].created == 3
    again = send(client, ticket=page.context["ticket"], country="at")
    assert '<input name="country" maxlength="40" value="at"' in client.get(again.redirect_chain[0][0]).text
    assert is_empty()


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
    def refuse(_product_ids: list[int], **_: Any) -> int:
        raise DatabaseError("server closed the connection")

    monkeypatch.setattr(importing, "refresh_labels", refuse)
    sign_importer_in(client)
    again = confirm(client, upload(client, LINES))
    assert list_messages(again) == [
        "The database refused the file, nothing was imported: the database cannot be reached."
    ]
    assert again.context["report"].created == 3
    assert not Product.objects.exists()
    assert not LogEntry.objects.exists()


def test_a_file_without_changes_offers_nothing_to_confirm(client: Client) -> None:
    sign_importer_in(client)
    fill_catalogue()
    page = upload(client, '{"id": 3, "title": "Same"}\n')
    assert "There is nothing to import" in page.text
    assert "<button>Import</button>" not in page.text


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("a.csv", "id,price\n1,5\n", "This file cannot be read: expected a first row with the columns"),
        ("a.csv.gz", b"\x1f\x8b\x08\x00", "a gzip file; unpack it first"),
        ("a.xlsx", b"PK\x03\x04 xl/workbook.xml", "an Excel workbook; in the spreadsheet program save it as CSV UTF-8"),
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


def test_a_column_whose_name_is_no_text_is_shown(client: Client) -> None:
    sign_importer_in(client)
    page = upload(client, b"title,gr\xc3\xb6\xc3\x9fe,pr\xffis\nHat,38,5\n", name="a.csv")
    assert page.status_code == 200
    assert page.context["preview"].notes == ["Columns that are not used: größe, pr?is."]


def test_a_file_that_is_too_large_is_refused_before_it_is_kept(client: Client, var_folder: Path) -> None:
    sign_importer_in(client)
    page = upload(client, b" " * (MAX_UPLOAD_BYTES + 1))
    assert "Expected a catalogue file of at most 5 MB" in page.text
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
    (kept,) = (path for path in (var_folder / "imports").iterdir() if not path.suffix)
    content = kept.read_bytes()
    kept.write_bytes(content + b"\n")
    assert list_messages(confirm(client, page))[0].startswith("Expected a preview")
    kept.write_bytes(content)
    with monkeypatch.context() as patch:
        patch.setattr("catalog.interchange.preview.TICKET_SECONDS", -1)
        assert list_messages(confirm(client, page))[0].startswith("Expected a preview")
    assert is_empty()
    assert confirm(client, page).context["summary"].startswith("catalogue.jsonl is imported: 3 created")


def test_files_that_nobody_confirmed_go_when_the_next_one_comes(client: Client, var_folder: Path) -> None:
    sign_importer_in(client)
    upload(client, LINES)
    old = set((var_folder / "imports").iterdir())
    for path in old:
        os.utime(path, (time.time() - 4_000,) * 2)
    upload(client, LINES)
    assert old.isdisjoint((var_folder / "imports").iterdir())


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
    assert client.get("/import/refused/", {"ticket": ticket}).status_code == 403
    assert UPLOAD not in client.get("/products/").text
    assert UPLOAD in owner.get("/products/").text


def test_a_forged_request_is_refused(client: Client) -> None:
    strict = Client(enforce_csrf_checks=True)
    user = sign_importer_in(client)
    strict.force_login(user)
    assert strict.post(UPLOAD, {"files": SimpleUploadedFile("a.jsonl", LINES.encode())}).status_code == 403
    ticket = upload(client, LINES).context["ticket"]
    assert strict.post(CONFIRM, {"ticket": ticket}).status_code == 403
    assert is_empty()


def test_a_file_is_read_in_another_way_when_a_person_says_so(client: Client) -> None:
    sign_importer_in(client)
    content = "title;image\nPánské tričko;a.png\n".encode("cp1250")
    page = upload(client, content, name="a.csv")
    assert (page.context["preview"].words, page.context["changes"][0].title) == (
        'CSV, Windows-1252, ";"',
        "Pánské trièko",
    )
    assert "does this look right: Pánské, trièko?" in page.text
    choice = {"ticket": page.context["ticket"], "encoding": "cp1250"}
    again = send(client, **choice)
    assert (again.context["preview"].words, again.context["changes"][0].title) == (
        'CSV, Windows-1250, ";"',
        "Pánské tričko",
    )
    assert "Encoding" in send(client, **choice, country="Nowhere").text
    confirm(client, again)
    assert Product.objects.get().title == "Pánské tričko"


def test_a_file_that_cannot_be_read_may_be_read_in_another_way(client: Client) -> None:
    sign_importer_in(client)
    page = upload(client, "title\nシャツ\n".encode("cp932"), name="a.csv")
    assert (page.status_code, "say its encoding" in page.text) == (400, True)
    again = send(client, ticket=page.context["ticket"], encoding="cp932")
    assert again.context["changes"][0].title == "シャツ"


def test_refused_rows_are_downloaded_corrected_and_imported(client: Client) -> None:
    sign_importer_in(client)
    content = (
        "id;title;image;country;text\n1;Shirt;a.png;de;Hemd\n1;;;Nowhere;Größe\n2;Hat;https://a.example/red hat.jpg;;\n"
    )
    page = upload(client, content.encode("cp1252"), name="mine.csv")
    shown = client.get("/import/refused/", {"ticket": page.context["ticket"]})
    done = confirm(client, page)
    assert "Download these rows" in done.text
    refused = client.get("/import/refused/", {"ticket": done.context["ticket"]})
    assert refused.content == shown.content
    assert refused["Content-Disposition"] == 'attachment; filename="refused-mine.csv"'
    # The first row of a product stands before what is refused of it, which alone would not say whose it is.
    expected = (
        "id;title;image;country;text\n1;Shirt;a.png;de;Hemd\n1;;;Nowhere;Größe\n2;Hat;https://a.example/red hat.jpg;;\n"
    )
    assert refused.content.decode("cp1252") == expected
    corrected = refused.content.replace(b"Nowhere", b"at").replace(b"red hat", b"red%20hat")
    confirm(client, upload(client, corrected, name="refused-mine.csv"))
    assert [(product["title"], product["descriptions"]) for product in read_catalogue()] == [
        ("Shirt", [("at", "Größe", None), ("de", "Hemd", None)]),
        ("Hat", []),
    ]


@pytest.mark.parametrize(
    "name, header",
    [
        ("+++", 'attachment; filename="refused-+++"'),
        ('the "best" one.csv', 'attachment; filename="refused-the \\"best\\" one.csv"'),
        ("каталог.csv", "attachment; filename*=utf-8''refused-%D0%BA%D0%B0%D1%82%D0%B0%D0%BB%D0%BE%D0%B3.csv"),
    ],
)
def test_refused_rows_have_the_name_of_their_file(client: Client, name: str, header: str) -> None:
    user = sign_importer_in(client)
    file = SimpleUploadedFile(name, b"id,title\nx,Hat\n")
    _, ticket = preview_upload(keep_upload(file, archive=None, user_id=user.pk), user_id=user.pk)
    assert client.get("/import/refused/", {"ticket": ticket})["Content-Disposition"] == header


def test_a_file_that_cannot_be_read_is_refused_when_it_is_to_be_imported(client: Client) -> None:
    sign_importer_in(client)
    page = upload(client, "id,price\n1,5\n", name="a.csv")
    run = confirm(client, page)
    assert (run.status_code, run.context["refusal"]) == (400, page.context["refusal"])
    files = [SimpleUploadedFile("a.csv", b"title\nHat\n"), SimpleUploadedFile("a.zip", b"no archive")]
    run = confirm(client, send(client, files=files))
    assert run.status_code == 400
    assert "expected a ZIP" in run.context["refusal"]
    assert is_empty()


def test_a_zip_gives_the_pictures_that_the_rows_name(client: Client) -> None:
    sign_importer_in(client)
    archive = pack_pictures({"pictures/front.png": "red", "back.png": "blue", "nobody.png": "green", "notes.txt": None})
    files = [SimpleUploadedFile("a.csv", b"title,image\nShirt,FRONT.png back.png\nHat,gone.png\n"), archive]
    page = send(client, files=files)
    assert page.context["preview"].seen[-1] == "The ZIP has 3 pictures, of which the rows use 2."
    assert page.context["preview"].warnings == [
        "gone.png (line 3) is neither in the ZIP nor in the storage of pictures.",
        "Not taken from the ZIP: 'notes.txt': expected JPEG, PNG, WebP or GIF, received something else.",
    ]
    assert not default_storage.exists("uploads")
    confirm(client, page)
    images = [url for _, url in read_catalogue()[0]["images"]]
    assert [re.fullmatch(r"uploads/[0-9a-f]{16}/(.*)", url)[1] for url in images] == ["front.png", "back.png"]
    assert [read_media_picture(url)[:4] for url in images] == [b"\x89PNG"] * 2
    # The same files again: the same pictures, so the same products.
    for file in files:
        file.seek(0)
    again = send(client, files=files)
    assert again.context["report"].unchanged == 2


@pytest.mark.parametrize("names", [(), ("a.zip",), ("a.csv", "b.csv"), ("a.csv", "a.zip", "b.zip")], ids=" ".join)
def test_one_catalogue_file_and_one_zip_at_most_are_taken(client: Client, names: tuple[str, ...]) -> None:
    sign_importer_in(client)
    content = {"zip": pack_pictures({}).read(), "csv": b"title\nHat\n"}
    page = client.post(UPLOAD, {"files": [SimpleUploadedFile(name, content[name[-3:]]) for name in names]})
    assert (page.status_code, page.context["refusal"]) == (400, ONE_OF_EACH)


def test_a_storage_that_is_away_leaves_the_catalogue_as_it_was(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_name: str, _content: bytes) -> None:
        raise StorageError("away")

    sign_importer_in(client)
    files = [SimpleUploadedFile("a.csv", b"title,image\nHat,a.png\n"), pack_pictures({"a.png": "red"})]
    page = send(client, files=files)
    with monkeypatch.context() as patch:
        patch.setattr("catalog.interchange.picture_archive.write_once", refuse)
        again = confirm(client, page)
    assert again.context["refusal"].startswith("The storage of pictures does not answer")
    assert is_empty()
    confirm(client, again)
    assert Product.objects.get().title == "Hat"


def test_what_came_is_labelled_by_one_click(client: Client) -> None:
    user = sign_importer_in(client)
    done = confirm(client, upload(client, '{"title": "Bag", "images": ["a.png"]}\n'))
    assert "Label what came" not in done.text
    codenames = ("add_labellingrun", "view_labellingrun")
    user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))
    create_model_version()
    done = client.get(done.request["PATH_INFO"], {"ticket": done.context["ticket"]})
    form = {"relabel": "false", "key": done.context["key"]}
    assert "Label what came" in done.text
    for _ in range(2):
        assert client.post("/labelling-runs/", form).status_code == 302
    assert LabellingRun.objects.get().total == 1
