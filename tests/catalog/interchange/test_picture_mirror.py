"""Pictures by group that are kept up to date: what an update adds, moves and removes, and what it never leaves."""

import hashlib
import json
from pathlib import Path
from typing import IO, Any

import pytest
from django.core.files.storage import FileSystemStorage, InMemoryStorage, Storage
from django.core.management import CommandError, call_command

from catalog.interchange import picture_mirror
from catalog.interchange.exporting import list_exported_pictures
from catalog.interchange.picture_mirror import MirrorReport, update_pictures
from catalog.models import Product, ProductLabel
from catalog.pictures.storage import StorageError
from tests.catalog.interchange.test_picture_files import create_held_image
from tests.support.factories import create_product

pytestmark = pytest.mark.django_db


@pytest.fixture(params=["folder", "bucket"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    return FileSystemStorage(location=tmp_path / "outputs") if request.param == "folder" else InMemoryStorage()


def create_pictured(group: str, garment: str = "Bag") -> Product:
    product = create_product(images=[create_held_image(garment)])
    label(product, group)
    return product


def label(product: Product, group: str) -> None:
    ProductLabel.objects.filter(product=product).update(group=group, status="labelled")


def update(target: Storage) -> tuple[int, int, int, int, int]:
    """How many were added, moved, removed, kept and missing."""
    report = MirrorReport()
    for _ in update_pictures(list_exported_pictures(Product.objects.all()), target=target, report=report):
        pass
    return report.added, report.moved, report.removed, report.kept, report.missing


def list_files(target: Storage) -> dict[str, bytes]:
    folders, files = target.listdir("")
    names = [*files, *(f"{folder}/{name}" for folder in folders for name in target.listdir(folder)[1])]
    found = {}
    for name in names:
        with target.open(name) as file:
            found[name] = file.read()
    return found


def check(target: Storage) -> list[dict[str, Any]]:
    """Compare the files with the manifest and return its lines."""
    files = list_files(target)
    lines = [json.loads(line) for line in files.pop("manifest.jsonl").splitlines()]
    assert set(files) == {line["path"] for line in lines if not line["missing"]}
    assert all(hashlib.sha256(content).hexdigest() in name for name, content in files.items())
    return lines


def test_pictures_come_move_and_go(target: Storage) -> None:
    bag, shoe, gone = (create_pictured(group) for group in ("Bags", "Footwear", "Bags"))
    twin = create_product(images=[bag.product_images.get().image])
    label(twin, "Bags")
    assert update(target) == (3, 0, 0, 0, 0)
    assert update(target) == (0, 0, 0, 3, 0)
    label(shoe, "One piece")
    gone.product_images.all().delete()
    create_pictured("Bags")
    create_product(images=["https://shop.example/never-fetched.jpg"])
    assert update(target) == (1, 1, 1, 1, 1)

    lines = check(target)
    assert [line["path"].partition("/")[0] if line["path"] else None for line in lines] == [
        "bags",
        "one-piece",
        "bags",
        "bags",
        None,
    ]


def test_a_picture_of_two_groups_lies_in_both(target: Storage) -> None:
    bag = create_pictured("Bags")
    other = create_product(images=[bag.product_images.get().image])
    label(other, "Footwear")
    update(target)
    assert {line["path"].partition("/")[0] for line in check(target)} == {"bags", "footwear"}
    label(other, "Bags")
    assert update(target) == (0, 0, 0, 1, 0)
    assert {line["path"].partition("/")[0] for line in check(target)} == {"bags"}


def test_an_update_that_breaks_off_leaves_what_was_and_the_next_one_ends_it(
    target: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = create_pictured("Bags"), create_pictured("Bags")
    update(target)
    before = list_files(target)
    label(first, "Footwear")
    label(second, "Footwear")
    put, written = picture_mirror._put, []

    def fail_at_the_second(*arguments: Any) -> None:
        if written:
            raise StorageError("the bucket is away")
        written.append(arguments[1])
        put(*arguments)

    monkeypatch.setattr(picture_mirror, "_put", fail_at_the_second)
    with pytest.raises(StorageError):
        update(target)
    files = list_files(target)
    assert files.items() >= before.items()
    monkeypatch.undo()
    assert update(target)[2:] == (0, 1, 0)
    assert len(check(target)) == 2


def test_what_others_put_there_stays(target: Storage) -> None:
    from django.core.files.base import ContentFile

    target.save("bags/notes.txt", ContentFile(b"ours"))
    target.save("other/1.jpg", ContentFile(b"ours"))
    create_pictured("Bags")
    update(target)
    update(target)
    assert {"bags/notes.txt", "other/1.jpg"} < set(list_files(target))


def test_the_command_updates_a_folder_of_its_own_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    create_pictured("Bags")
    options = {"format": "pictures", "update": True, "json": True}
    for number in (1, 0):
        call_command("export_catalog", **options, output=str(tmp_path / "outputs"))
        document = json.loads(capsys.readouterr().out)
        assert (document["added"], document["kept"]) == (number, 1 - number)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("mine")
    with pytest.raises(CommandError, match=r"manifest.jsonl"):
        call_command("export_catalog", **options, output=str(tmp_path / "mine"))
    with pytest.raises(CommandError, match="--format pictures"):
        call_command("export_catalog", update=True, format="csv")


def test_the_first_update_of_a_folder_that_breaks_off_is_ended_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    create_pictured("Bags")
    create_pictured("Footwear")
    options = {"format": "pictures", "update": True, "json": True, "output": str(tmp_path / "outputs")}
    put = picture_mirror._put

    def fail_at_shoes(target: Storage, path: str, content: IO[bytes]) -> None:
        if path.startswith("footwear/"):
            raise StorageError("the disk is full")
        put(target, path, content)

    with monkeypatch.context() as patch:
        patch.setattr(picture_mirror, "_put", fail_at_shoes)
        with pytest.raises(CommandError, match="the next update goes on from here"):
            call_command("export_catalog", **options)
    # What a process that is killed leaves.
    (tmp_path / "outputs" / "bags" / f".{'a' * 64}.png.{'0' * 16}.part").write_bytes(b"x")
    call_command("export_catalog", **options)
    document = json.loads(capsys.readouterr().out)
    assert (document["added"], document["kept"]) == (1, 1)


@pytest.mark.parametrize("name", ["bags", "bags/holiday.jpg", "holiday/a.jpg"])
def test_a_folder_with_anything_of_others_is_not_begun(tmp_path: Path, name: str) -> None:
    (tmp_path / "unlabelled").mkdir()
    assert picture_mirror.is_begun(tmp_path)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"x")
    assert not picture_mirror.is_begun(tmp_path)
