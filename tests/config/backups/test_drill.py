"""The restore drill: a backup becomes a site elsewhere, with all that was there, and nothing that was gone."""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import settings
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.db.models.functions import Now
from django.test import Client

from catalog.models import Image, Product
from classifier.labels.walk import refresh_all_labels
from classifier.models import LabelChange, LabellingRun, LabelTask, ModelVersion, PictureFeatures
from classifier.reviews.services import record_review
from config import VERSION
from config.accounts.services import create_token
from tests.support.artefacts import register_active_version
from tests.support.backups import Elsewhere, elsewhere
from tests.support.cleaning import create_shown, list_paths, take_products_away
from tests.support.seen import create_seen
from tests.support.servers import move_redis_url

pytestmark = [pytest.mark.both_databases, pytest.mark.django_db(transaction=True)]

MIGRATION = "SELECT count(*) FROM django_migrations"


@dataclass(slots=True)
class Shop:
    """What a backup is made of: the folder, three images of products, and who gave a label."""

    folder: Path
    gone: Image
    kept: Image
    later: Image
    reviewer: User


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Elsewhere]:
    with elsewhere(tmp_path / "elsewhere") as site:
        yield site


@pytest.fixture
def shop(settings: Any, tmp_path: Path) -> Shop:
    """A labelled shop, from which a product was deleted; then the backup is made."""
    settings.ARTEFACTS_DIR = tmp_path / "artefacts"
    version = register_active_version()
    gone, kept, later = (create_shown() for _ in range(3))
    create_seen(version.base, 90_001, shows=3)
    reviewer = User.objects.create_user("reviewer", password="a long one")
    for image in (gone, kept):
        record_review(image, group="Bags", reviewer=reviewer)
    Client().force_login(reviewer)
    create_token(reviewer, name="import", days=9)
    default_storage.save("explanations/1.png", ContentFile(b"made anew"))
    (settings.MEDIA_ROOT / "pictures" / f".half.{'0' * 16}.part").write_bytes(b"killed")
    take_products_away(gone)
    refresh_all_labels()
    # What a URL would take for something else.
    return Shop(tmp_path / "backup #1? of 100%25", gone, kept, later, reviewer)


def back_up(shop: Shop, capsys: Any, *options: str) -> dict[str, Any]:
    call_command("backup", str(shop.folder), "--json", *options)
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    return report


def restore(other: Elsewhere, shop: Shop, *options: str) -> dict[str, Any]:
    done = other.run("restore", str(shop.folder), "--json", *options)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def hash_all(folder: Path) -> dict[str, str]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def count(model: Any) -> str:
    return f'SELECT count(*) FROM "{model._meta.db_table}"'


def test_a_site_comes_back_as_it_was_and_what_was_gone_stays_gone(shop: Shop, other: Elsewhere, capsys: Any) -> None:
    products, changes = Product.objects.count(), LabelChange.objects.count()
    media, artefacts = hash_all(Path(settings.MEDIA_ROOT)), hash_all(Path(settings.ARTEFACTS_DIR))
    report = back_up(shop, capsys)
    assert (report["version"], report["left_out"]) == (VERSION, ["sessions"])
    # Whoever has it checks it without us.
    for sums, folder in (("SHA256SUMS", shop.folder), ("../media.sha256", shop.folder / "media")):
        checked = subprocess.run(["sha256sum", "--check", "--quiet", sums], cwd=folder, capture_output=True, text=True)
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")

    # After the backup: a product goes with its files, others come, a label is another.
    take_products_away(shop.later)
    for path in list_paths()[:2]:
        path.unlink()
    create_shown()
    record_review(shop.kept, group="Footwear", reviewer=shop.reviewer)
    shutil.rmtree(settings.ARTEFACTS_DIR)

    restored = restore(other, shop)
    assert {name: restored[name] for name in ("tables", "media", "artefacts")} == {
        name: report[name] for name in ("tables", "media", "artefacts")
    }
    assert restored["rows"] == report["rows"] - 1  # the token
    assert shop.folder.stat().st_mode & 0o777 == 0o700
    assert restored["missing_migrations"] == []
    expected = {name: digest for name, digest in media.items() if name.split("/")[0] != "explanations"}
    assert hash_all(other.media) == {name: digest for name, digest in expected.items() if ".part" not in name}
    assert hash_all(other.artefacts) == artefacts
    assert other.ask(count(Product)) == [(products,)]
    assert other.ask(count(LabelChange)) == [(changes,)]
    shown = {url for (url,) in other.ask("SELECT url FROM image JOIN productimages ON imageid = image.id")}
    assert shown & {shop.gone.url, shop.kept.url, shop.later.url} == {shop.kept.url, shop.later.url}
    groups = f'SELECT "group" FROM classifier_review WHERE image_id = {shop.kept.pk}'
    assert other.ask(groups) == [("Bags",)]
    assert other.ask(count(PictureFeatures)) == [(1,)]
    # Whoever was signed in is not, and no token that was revoked meanwhile is good again.
    assert other.ask("SELECT count(*) FROM django_session") == [(0,)]
    assert other.ask("SELECT count(*) FROM accounts_token") == [(0,)]
    # It is a site: it has all migrations, writes, and every label is what its facts say.
    assert other.run("migrate", "--check").returncode == 0
    assert json.loads(other.run("refresh_labels", "--dry-run", "--json").stdout)["changed"] == 0


def test_what_an_option_leaves_out_is_not_there(shop: Shop, other: Elsewhere, capsys: Any) -> None:
    report = back_up(shop, capsys, "--media", "list", "--without-features")
    assert report["left_out"] == ["features", "sessions"]
    assert not (shop.folder / "media").exists()
    call_command("restore", str(shop.folder), "--check", "--json")
    assert json.loads(capsys.readouterr().out) == report | {"left_out": ["features", "sessions", "pictures"]}
    missing = other.run("restore", str(shop.folder))
    assert missing.returncode == 1
    assert "expected media as they were saved" in missing.stderr
    assert not other.media.exists()
    # The operator brings them.
    shutil.copytree(settings.MEDIA_ROOT, other.media)
    restored = restore(other, shop, "--keep-tokens")
    assert restored["media"] == report["media"] > 0
    assert other.ask(count(PictureFeatures)) == [(0,)]
    assert other.ask("SELECT count(*) FROM accounts_token") == [(1,)]


def test_linked_pictures_take_no_room_and_stay_as_they_were(shop: Shop, capsys: Any) -> None:
    back_up(shop, capsys, "--media", "link")
    picture = next(path for path in list_paths() if path.parts[-4] == "pictures")
    linked = shop.folder / "media" / picture.relative_to(settings.MEDIA_ROOT)
    assert linked.samefile(picture)
    default_storage.delete(str(picture.relative_to(settings.MEDIA_ROOT)))
    assert linked.is_file()


def test_a_live_site_is_not_written_over(shop: Shop, other: Elsewhere, capsys: Any) -> None:
    report = back_up(shop, capsys)
    before = Product.objects.count()
    call_command("restore", str(shop.folder), "--check", "--json")
    assert json.loads(capsys.readouterr().out) == report
    with pytest.raises(CommandError, match=r"expected an empty database, this one has \d+ tables"):
        call_command("restore", str(shop.folder))
    assert Product.objects.count() == before
    # One that is empty, on which somebody works.
    somebody = other.connect()
    if connection.vendor == "sqlite":
        somebody.execute("PRAGMA journal_mode = WAL")
        somebody.execute("SELECT 1 FROM sqlite_master").fetchall()
    refused = other.run("restore", str(shop.folder))
    somebody.close()
    assert refused.returncode == 1
    assert "Stop site and workers first" in refused.stderr
    # A media storage of somebody else's.
    (other.media / "pictures").mkdir(parents=True)
    (other.media / "pictures/another.jpg").write_bytes(b"another site's")
    refused = other.run("restore", str(shop.folder))
    assert refused.returncode == 1
    assert "expected no pictures but the backup's, found pictures/another.jpg" in refused.stderr
    assert [path.name for path in other.media.rglob("*") if path.is_file()] == ["another.jpg"]
    (other.media / "pictures/another.jpg").unlink()
    restore(other, shop)
    again = other.run("restore", str(shop.folder))
    assert again.returncode == 1
    assert "expected an empty database" in again.stderr


def test_the_restore_of_an_older_backup_that_was_stopped_goes_on_to_a_site_with_an_empty_broker(
    shop: Shop, other: Elsewhere, capsys: Any
) -> None:
    version = ModelVersion.objects.get()
    run = LabellingRun.objects.create(model_version=version, total=1)
    # Its message lay on the queue, of which a backup has nothing.
    LabelTask.objects.create(image=shop.kept, model_version=version, run=run, sent_at=Now() - timedelta(seconds=10))
    # As a release without the last migration has its database.
    loader = MigrationLoader(connection)
    (last,) = loader.graph.leaf_nodes("classifier")
    with connection.schema_editor() as editor:
        loader.graph.nodes[last].unapply(loader.project_state(last, at_end=False), editor)
    MigrationRecorder(connection).record_unapplied(*last)
    try:
        back_up(shop, capsys)
    finally:
        with connection.schema_editor() as editor:
            loader.graph.nodes[last].apply(loader.project_state(last, at_end=False), editor)
        MigrationRecorder(connection).record_applied(*last)
    # As one that was killed among the files leaves it.
    shutil.copytree(shop.folder / "artefacts", other.artefacts)
    first = min(path for path in (shop.folder / "media").rglob("*") if path.is_file())
    (other.media / first.relative_to(shop.folder / "media")).parent.mkdir(parents=True)
    shutil.copy(first, other.media / first.relative_to(shop.folder / "media"))
    assert restore(other, shop)["missing_migrations"] == [".".join(last)]
    migrated = other.run("migrate", "--verbosity", "0")
    assert migrated.returncode == 0, migrated.stderr
    assert other.run("migrate", "--check").returncode == 0

    redis_url = move_redis_url(settings.REDIS_URL, by=9) if settings.REDIS_URL else ""
    if redis_url:
        redis.Redis.from_url(redis_url).flushdb()
    swept = other.run("shell", "-c", "from classifier.worker.sweep import sweep; sweep()", redis_url=redis_url)
    assert swept.returncode == 0, swept.stderr
    if redis_url:
        messages = redis.Redis.from_url(redis_url).lrange("labelling", 0, -1)
    else:
        messages = [path.read_bytes() for path in (other.folder / "broker").rglob("*.labelling.msg")]
    assert len([message for message in messages if b"label_batch_task" in message]) == 1
