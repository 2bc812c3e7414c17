"""Everything that machines keep together lies in a bucket: pictures, artefacts, imports; and a bucket that fails."""

import hashlib
import json
import shutil
import socket
import time
from collections.abc import Iterator
from datetime import timedelta
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from catalog.fetching.reading import read_pictures
from catalog.models import Product, StoredPicture
from catalog.pictures import storage
from catalog.pictures.decoding import PictureError
from catalog.pictures.storage import StorageError, thumbnail_name
from classifier.cleaning import rules
from classifier.ml.artefacts import ArtefactError, ArtefactMissingError
from classifier.models import ModelVersion
from classifier.monitoring.health import NOT_WRITABLE, check_model_version, check_storage
from classifier.registry import sharing
from classifier.registry.cleaning import clean_artefacts
from classifier.registry.runtime import _load, get_classifier
from classifier.registry.services import get_artefact_folder, register_model_version, verify_registered_artefact
from config.backups.stores import compare_files, get_artefacts, list_names, put_files, save_file
from tests.support.artefacts import OWN_NETWORKS, create_artefact_twin, register_active_version
from tests.support.bucket import BucketServer, running_bucket
from tests.support.cleaning import clean, create_shown, take_products_away
from tests.support.make_images import png

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def server() -> Iterator[BucketServer]:
    with running_bucket() as server:
        yield server


@pytest.fixture(autouse=True)
def bucket(server: BucketServer, settings: Any, tmp_path: Path) -> Iterator[BucketServer]:
    """The empty bucket, in which this machine keeps everything but its own copies of artefacts."""
    settings.STORAGES = server.build_storages(settings.STORAGES)
    settings.ARTEFACTS_DIR = tmp_path / "one"
    settings.MEDIA_ROOT = tmp_path / "unused"
    sharing._failed_at.clear()
    _load.cache_clear()
    server.empty()
    yield server
    if server.server is None:
        server.start()
    assert not (tmp_path / "unused").exists()


def test_a_picture_and_its_thumbnail_lie_in_the_bucket_and_are_streamed_from_there(
    bucket: BucketServer, client: Client
) -> None:
    image = create_shown(data := png())
    picture = StoredPicture.objects.get(image=image)
    assert bucket.list_keys() == sorted(
        f"media/{name}" for name in (picture.storage_name, thumbnail_name(picture.sha256))
    )
    (content,) = read_pictures([image], refetch=[False])
    assert hashlib.sha256(content.data).hexdigest() == picture.sha256  # type: ignore[union-attr]
    assert data in content.data  # type: ignore[union-attr]
    answer = client.get(storage.get_thumbnail_path(picture.sha256))
    # No address of the bucket: the policy of pages lets pictures come from this site alone.
    assert (answer.status_code, answer["Content-Security-Policy"]) == (200, "default-src 'none'; sandbox")
    assert b"".join(answer.streaming_content)[:3] == b"\xff\xd8\xff"  # type: ignore[attr-defined]
    assert "immutable" in answer["Cache-Control"]


def test_what_is_written_again_is_young_again_and_what_has_a_row_is_left(bucket: BucketServer) -> None:
    storage.write_once("pictures/a", b"x")
    before = storage.default_storage.get_modified_time("pictures/a")
    time.sleep(1.1)  # a store tells the time in seconds
    storage.write_once("pictures/a", b"x", is_named=True)
    assert storage.default_storage.get_modified_time("pictures/a") == before
    storage.write_once("pictures/a", b"x")
    assert storage.default_storage.get_modified_time("pictures/a") > before
    assert storage.remove_file("pictures/a", newest=before) is None
    assert storage.remove_file("pictures/a", newest=timezone.now()) == 1


def test_cleaning_takes_what_nothing_shows_out_of_the_bucket(
    bucket: BucketServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A file of this moment is old enough; a bucket tells whole seconds.
    monkeypatch.setattr(rules, "MOMENT", timedelta(days=-1))
    kept, gone = create_shown(), create_shown()
    names = {picture.storage_name for picture in StoredPicture.objects.filter(image=kept)}
    take_products_away(gone)
    figures = clean(days=-1)
    assert (figures["images"], figures["files"]) == (1, 2)
    assert {key for key in bucket.list_keys() if key.startswith("media/pictures/")} == {
        f"media/{name}" for name in names
    }


def test_a_picture_that_is_gone_is_not_found_and_one_that_is_too_large_is_not_read(bucket: BucketServer) -> None:
    with pytest.raises(PictureError) as raised:
        storage.read_media_picture("pictures/none.jpg")
    assert raised.value.code == "not_found"
    storage.write_once("pictures/large.jpg", bytes(storage.MAX_FILE_BYTES + 1))
    with pytest.raises(PictureError) as raised:
        storage.read_media_picture("pictures/large.jpg")
    assert raised.value.code == "too_large"


def test_a_bucket_that_is_away_blames_no_picture_and_readiness_says_so(bucket: BucketServer, client: Client) -> None:
    image = create_shown()
    assert check_storage() == "ok"
    bucket.stop()
    with pytest.raises(StorageError):
        read_pictures([image], refetch=[False])
    assert check_storage() == NOT_WRITABLE
    assert client.get("/healthz/ready").status_code == 503
    sha256 = StoredPicture.objects.get().sha256
    assert client.get(storage.get_thumbnail_path(sha256)).status_code == 503
    bucket.start()
    assert check_storage() == "ok"
    assert client.get(storage.get_thumbnail_path(sha256)).status_code == 200


def test_a_bucket_that_does_not_answer_is_given_up_in_time(
    bucket: BucketServer, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("config.bucket._READ_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        settings.STORAGES = BucketServer(silent.getsockname()[1]).build_storages(settings.STORAGES)
        started = time.monotonic()
        with pytest.raises(StorageError, match=r"Timeout|timed out") as raised:
            storage.read_media_picture("pictures/a.jpg")
    assert time.monotonic() - started < 20
    assert address in str(raised.value)


def test_a_version_that_one_machine_registered_labels_on_another(settings: Any, tmp_path: Path) -> None:
    version = register_model_version(create_artefact_twin(tmp_path / "made"))
    settings.ARTEFACTS_DIR = tmp_path / "two"
    verify_registered_artefact(version)
    assert get_classifier(version).version == "twin-1"
    assert [path.name for path in (tmp_path / "two").iterdir()] == [version.folder]


def test_a_head_is_fetched_with_its_base_and_a_signature_is_checked(settings: Any, tmp_path: Path) -> None:
    settings.ARTEFACT_KEY = "k" * 40
    version = register_model_version(OWN_NETWORKS.parent)
    settings.ARTEFACTS_DIR = tmp_path / "two"
    verify_registered_artefact(version)
    assert len(list((tmp_path / "two").iterdir())) == 2
    settings.ARTEFACTS_DIR, settings.ARTEFACT_KEY = tmp_path / "three", "another" * 6
    with pytest.raises(ArtefactMissingError):
        verify_registered_artefact(version)
    assert not list((tmp_path / "three").glob("*"))


def test_an_exchange_of_keys_reaches_the_bucket(settings: Any, tmp_path: Path) -> None:
    settings.ARTEFACT_KEY = "former"
    version = register_model_version(OWN_NETWORKS.parent)
    settings.ARTEFACT_KEY, settings.ARTEFACT_KEY_FALLBACKS = "present", ["former"]
    call_command("clean_artefacts", "--sign", verbosity=0)
    settings.ARTEFACTS_DIR, settings.ARTEFACT_KEY_FALLBACKS = tmp_path / "two", []
    verify_registered_artefact(version)


def test_an_artefact_that_was_changed_in_the_bucket_never_arrives(
    bucket: BucketServer, settings: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    version = register_active_version()
    key = f"shop/artefacts/{version.folder}/network.tflite"
    bucket.client.put_object(Bucket="bucket", Key=key, Body=b"another network")
    settings.ARTEFACTS_DIR = tmp_path / "two"
    with pytest.raises(ArtefactError):
        get_classifier(version)
    assert check_model_version() == "files missing or changed"
    assert "network.tflite: expected SHA-256" in caplog.text
    assert not list((tmp_path / "two").glob("*"))
    sharing._failed_at.clear()
    register_model_version(OWN_NETWORKS)  # heals it
    assert check_model_version() == "ok"


def test_a_bucket_that_is_away_leaves_no_version_and_its_return_brings_the_artefact(
    bucket: BucketServer, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    monkeypatch.setattr(sharing, "_PAUSES", (1, 2))
    bucket.stop()
    with pytest.raises(StorageError):
        register_model_version(OWN_NETWORKS)
    assert not ModelVersion.objects.exists()
    monkeypatch.setattr(time, "sleep", lambda seconds: bucket.start() if bucket.server is None else None)
    version = register_model_version(OWN_NETWORKS)
    monkeypatch.setattr(time, "sleep", pauses.append)
    settings.ARTEFACTS_DIR = tmp_path / "two"
    bucket.stop()
    with pytest.raises(ArtefactMissingError):
        verify_registered_artefact(version)
    bucket.start()
    sharing._failed_at.clear()
    verify_registered_artefact(version)


def test_artefacts_from_before_the_bucket_are_put_there_and_orphans_leave_it(
    bucket: BucketServer, settings: Any, tmp_path: Path
) -> None:
    version = register_model_version(OWN_NETWORKS)
    bucket.empty()
    orphan = "0" * 64
    sharing._find_storage().save(f"{orphan}/manifest.json", SimpleUploadedFile("x", b"x"))  # type: ignore[union-attr]
    assert clean_artefacts(older_than_seconds=3600).removed == []
    report = clean_artefacts(older_than_seconds=-60)
    assert (report.removed, report.damaged, report.shared) == ([f"{orphan} (bucket)"], {}, [])
    assert not [key for key in bucket.list_keys() if orphan in key]
    shutil.rmtree(get_artefact_folder(version))
    verify_registered_artefact(version)
    output = StringIO()
    call_command("clean_artefacts", json=True, stdout=output)
    assert json.loads(output.getvalue()) == {"removed": [], "damaged": {}, "shared": []}


def test_pictures_from_before_the_bucket_are_copied_there_as_they_lie(
    bucket: BucketServer, client: Client, settings: Any, tmp_path: Path
) -> None:
    in_bucket, settings.MEDIA_ROOT = settings.STORAGES, tmp_path / "var" / "media"
    folder = {"BACKEND": "django.core.files.storage.FileSystemStorage"}
    settings.STORAGES = in_bucket | {"default": folder}
    create_shown(png())
    picture = StoredPicture.objects.get()
    settings.STORAGES = in_bucket
    address = storage.get_thumbnail_path(picture.sha256)
    assert client.get(address).status_code == 404
    # As `aws s3 sync var/media s3://bucket/shop/media` does it.
    for path in settings.MEDIA_ROOT.rglob("*"):
        if path.is_file():
            name = path.relative_to(settings.MEDIA_ROOT)
            bucket.client.upload_file(str(path), Bucket="bucket", Key=f"shop/media/{name}")
    assert f'src="{address}"' in client.get("/products/").text
    assert b"".join(client.get(address).streaming_content)[:3] == b"\xff\xd8\xff"  # type: ignore[attr-defined]
    assert hashlib.sha256(storage.read_media_picture(picture.storage_name)).hexdigest() == picture.sha256


def test_a_backup_has_the_artefacts_of_the_bucket_and_puts_them_back(bucket: BucketServer, tmp_path: Path) -> None:
    folder = register_model_version(create_artefact_twin(tmp_path / "made")).folder
    kept = [name for name in bucket.list_keys() if name.startswith("artefacts/")]
    names = list(list_names(get_artefacts()))
    assert names
    assert {f"artefacts/{name}" for name in names} == set(kept)
    manifest = f"{folder}/manifest.json"
    sha256 = save_file(get_artefacts(), manifest, tmp_path / "backup" / manifest)
    (tmp_path / "sums").write_text(f"{sha256}  {manifest}\n")
    get_artefacts().delete(manifest)
    list(put_files(get_artefacts(), tmp_path / "backup", tmp_path / "sums"))
    assert list(compare_files(get_artefacts(), tmp_path / "sums")) == [(manifest, True)]


def sign_importer_in(client: Client) -> None:
    user = User.objects.create_user("importer")
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_product", "add_product", "change_product"]))
    client.force_login(user)


def test_an_import_waits_in_the_bucket_for_whichever_machine_confirms_it(bucket: BucketServer, client: Client) -> None:
    sign_importer_in(client)
    archive = BytesIO()
    with ZipFile(archive, "w") as file:
        file.writestr("bag.png", png())
    page = client.post(
        "/import/",
        {
            "files": [
                SimpleUploadedFile("a.jsonl", b'{"id": 1, "title": "A bag", "images": ["bag.png"]}\n'),
                SimpleUploadedFile("pictures.zip", archive.getvalue()),
            ]
        },
        follow=True,
    )
    assert len([key for key in bucket.list_keys() if key.startswith("imports/")]) == 3
    done = client.post("/import/run/", {"ticket": page.context["ticket"]}, follow=True)
    assert done.context["summary"].startswith("a.jsonl is imported: 1 created")
    assert [key for key in bucket.list_keys() if key.startswith("media/uploads/")] != []
    assert Product.objects.get().title == "A bag"
    again = client.post("/import/run/", {"ticket": page.context["ticket"]}, follow=True)
    assert again.context["summary"] == done.context["summary"]
    bucket.stop()
    away = client.post("/import/", {"files": [SimpleUploadedFile("a.jsonl", b'{"id": 2, "title": "B"}\n')]})
    assert away.status_code == 503
    assert not Product.objects.filter(pk=2).exists()


def test_pictures_by_group_are_kept_in_the_bucket(bucket: BucketServer) -> None:
    create_shown()
    call_command("update_outputs", filters="status=pending", no_progress=True, verbosity=0)
    assert "outputs/manifest.jsonl" in bucket.list_keys()
    assert len([key for key in bucket.list_keys() if key.startswith("outputs/")]) == 2
