"""Files that no row names: found by their hashes, whatever else lies there; shared, young and foreign ones stay."""

import uuid
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from catalog.models import Image, StoredPicture
from catalog.pictures import storage
from catalog.pictures.replacing import store_upload
from catalog.pictures.storage import StorageError, former_thumbnail_name, thumbnail_name
from classifier.labelling.starting import start_labelling_run
from classifier.models import LabelTask
from tests.support.cleaning import (
    clean,
    clean_twice,
    create_shown,
    hash_of,
    let_pass,
    list_names_of,
    list_paths,
    store_picture,
    take_products_away,
)
from tests.support.factories import create_image, create_product
from tests.support.fakes import create_model_version
from tests.support.faulty_store import BACKEND, VARIABLE, Faults, FaultyStore
from tests.support.make_images import jpeg, png

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


class ListingStore(FaultyStore):
    """The same store, which can list its files and say how old they are."""

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        self._fail(path)
        return self._files.listdir(path) if self._files.exists(path) else ([], [])

    def get_modified_time(self, name: str) -> Any:
        self._fail(name)
        return self._files.get_modified_time(name)


@pytest.fixture(params=["file system", "listing store", "plain store"])
def faults(request: pytest.FixtureRequest, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Faults:
    """Each kind of storage, and what makes the stores fail."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "fault"))
    backend = {"listing store": f"{__name__}.ListingStore", "plain store": BACKEND}.get(request.param)
    if backend:
        settings.STORAGES = settings.STORAGES | {"default": {"BACKEND": backend}}
    return Faults(tmp_path / "fault")


def forget_row(image: Image) -> Image:
    """Return the image as if its picture's row had not been committed."""
    StoredPicture.objects.all().delete()
    return Image.objects.get(pk=image.pk)


def test_a_file_stays_while_one_image_has_its_bytes(faults: Faults) -> None:
    images = [create_shown(png()) for _ in range(3)]
    (name,) = StoredPicture.objects.values_list("storage_name", flat=True).distinct()
    let_pass(1)
    for number, image in enumerate(images, 1):
        take_products_away(image)
        figures = clean_twice(days=0)
        assert (figures["images"], figures.get("files", 0)) == (1, 2 if number == 3 else 0)
        assert default_storage.exists(name) == (number < 3)
    assert list_paths() == []


def test_a_replaced_picture_goes_when_it_is_old_enough() -> None:
    image = create_shown(png())
    former = list_names_of(image.stored_picture)
    store_picture(image, jpeg())
    assert clean_twice() == {}
    let_pass(31)
    assert clean_twice()["files"] == 2
    assert list_paths() == list_names_of(StoredPicture.objects.get())
    assert not set(former) & set(list_paths())


def test_what_the_product_did_not_name_stays(media_folder: Path) -> None:
    stays = ["pictures/notes.txt", "pictures/ab/README", "demo/1.png", f"{'a' * 64}.jpg", f"other/aa/{'a' * 64}.jpg"]
    named = f"pictures/cc/{'c' * 64}.png"
    goes = [
        f"pictures/ab/ab/{'ab' * 32}.jpg",
        f"pictures/ab/{'ab' * 32}.jpg",
        f"thumbnails/ff/{'f' * 64}.jpg",
        f"explanations/00/{'0' * 64}-0123456789abcdef-1.json",
        f"pictures/ab/cd/.{'ab' * 32}.jpg.0123456789abcdef.part",
    ]
    for name in (*stays, named, *goes):
        default_storage.save(name, ContentFile(b"1234"))
    create_image(named)  # not fetched yet, but an image
    let_pass(31)
    assert clean_twice() == {"files": 5, "bytes": 20, "unshown": 1}
    assert [str(path.relative_to(media_folder)) for path in list_paths()] == sorted([*stays, named])


def test_an_upload_goes_with_its_image_and_waits_for_one_an_hour() -> None:
    kept, gone, _ = (store_upload(name, png()) for name in ("kept.png", "gone.png", "never-used.png"))
    create_product(images=[kept])
    create_product(images=[gone])
    take_products_away(Image.objects.get(url=gone))
    let_pass(0.9 / 24)
    assert clean(days=0, dry_run=True)["images"] == 1
    assert "files" not in clean(days=0, dry_run=True)
    let_pass(0.2 / 24)
    assert clean_twice(days=0)["files"] == 2
    assert [path.name for path in list_paths()] == ["kept.png"]


def test_while_a_batch_is_in_hand_files_of_the_last_hour_stay() -> None:
    create_product(images=[create_image()])
    create_model_version()
    run = start_labelling_run()
    default_storage.save(f"pictures/ab/ab/{'ab' * 32}.jpg", ContentFile(b"1234"))
    let_pass(0.5 / 24)
    run.tasks.update(state="running", lease_token=uuid.uuid4())
    assert clean_twice(days=0) == {}
    let_pass(1.1 / 24)
    assert clean(days=0, dry_run=True) == {"files": 1, "bytes": 4}
    let_pass(0.5 / 24)
    LabelTask.objects.update(state="new", lease_token=None)
    assert clean_twice(days=0) == {"files": 1, "bytes": 4}


def test_a_file_that_a_worker_relies_on_now_is_young_again(faults: Faults) -> None:
    image = forget_row(create_shown(png()))
    let_pass(31)
    # The row is not committed yet.
    storage.build_stored_picture(image, png())
    assert clean_twice() == {}
    assert len(list_paths()) == 2


def test_a_file_that_is_relied_on_in_the_moment_of_its_removal_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    image = forget_row(create_shown(png()))
    let_pass(31)
    rename, is_first = Path.rename, True

    def rename_late(path: Path, target: Path) -> Path:
        nonlocal is_first
        if is_first:
            is_first = False
            store_picture(image, png())
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", rename_late)
    assert clean() == {}
    assert storage.find_picture_bytes(Image.objects.get()) == png()
    assert list_paths() == list_names_of(StoredPicture.objects.get())


def test_names_from_before_the_second_level_are_read_and_kept(client: Any, media_folder: Path) -> None:
    image = create_shown(png())
    row, sha256 = StoredPicture.objects.get(), hash_of(png())
    for former, name in (
        (f"pictures/{sha256[:2]}/{sha256}.png", row.storage_name),
        (former_thumbnail_name(sha256), thumbnail_name(sha256)),
    ):
        (media_folder / name).rename(media_folder / former)
        StoredPicture.objects.filter(storage_name=name).update(storage_name=former)
    let_pass(31)
    paths, image = list_paths(), Image.objects.get()
    assert client.get(storage.get_thumbnail_path(sha256)).status_code == 200
    assert storage.find_picture_bytes(image) == png()
    # Fetched again with the same bytes, nothing is written elsewhere.
    store_picture(image, png())
    assert clean_twice() == {}
    assert list_paths() == paths
    take_products_away()
    assert clean_twice(days=0)["files"] == 2


def test_a_folder_that_is_none_is_said_before_anything_goes(media_folder: Path, tmp_path: Path) -> None:
    create_shown()
    take_products_away()
    media_folder.rename(tmp_path / "aside")
    media_folder.touch()
    with pytest.raises(StorageError, match="Not a directory"):
        clean(days=0)
    assert Image.objects.count() == 1
    media_folder.unlink()
    (tmp_path / "aside").rename(media_folder)
    let_pass(1)
    assert clean_twice(days=0)["files"] == 2


@pytest.mark.parametrize("faults", ["listing store", "plain store"], indirect=True)
def test_a_storage_that_is_away_is_said_and_the_next_run_finishes(faults: Faults) -> None:
    for _ in range(2):
        create_shown()
    take_products_away()
    let_pass(1)
    faults.set("away")
    with pytest.raises(StorageError, match="could not connect"):
        clean(days=0)
    assert Image.objects.count() == StoredPicture.objects.count() == 2
    faults.clear()
    # One file alone cannot be removed: where the store can list, the rows are gone by then.
    faults.set("eio", StoredPicture.objects.order_by("-pk")[0].storage_name)
    with pytest.raises(StorageError, match="Input/output"):
        clean(days=0)
    assert len(list_paths()) >= 1
    faults.clear()
    clean(days=0)
    assert (Image.objects.count(), list_paths()) == (0, [])
