"""Bad folders, altered backups, missing programs, full disks: an error that says what was expected; nothing is left."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command

from config.backups import BackupError, databases
from config.backups.sums import hash_file, read_sums, write_sums
from tests.support.factories import create_product
from tests.support.servers import REPOSITORY, get_test_database_url

pytestmark = [pytest.mark.both_databases, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def backup(settings: Any, tmp_path: Path) -> Path:
    settings.ARTEFACTS_DIR = tmp_path / "artefacts"
    settings.ARTEFACTS_DIR.mkdir()
    (settings.ARTEFACTS_DIR / "manifest.json").write_text("{}")
    create_product()
    default_storage.save("pictures/one.jpg", ContentFile(b"a picture"))
    call_command("backup", str(tmp_path / "backup"), verbosity=0)
    return tmp_path / "backup"


def find_dump(folder: Path) -> Path:
    return next(folder.glob("database.*"))


def change_manifest(folder: Path, **values: Any) -> None:
    """Write another manifest, with the hashes that it has."""
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    sums = {name: hash_file(folder / name) for name, _ in read_sums(folder / "SHA256SUMS")}
    write_sums(folder / "SHA256SUMS", sums.items())


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def alter(path: Path, *, at: int = -50) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def change_digit(path: Path, *, at: int = 5) -> None:
    """Put another hexadecimal digit, so that the line stays one of a hash and a name."""
    text = path.read_text()
    path.write_text(text[:at] + ("1" if text[at] == "0" else "0") + text[at + 1 :])


HARMS: dict[str, tuple[Callable[[Path], object], str]] = {
    "the database is cut off": (lambda folder: cut_off(find_dump(folder)), "database.*it was altered or cut off"),
    "a byte of the database is another": (lambda folder: alter(find_dump(folder)), "database.*altered or cut off"),
    "a byte of the manifest is another": (lambda folder: alter(folder / "manifest.json"), "manifest.json: expected"),
    "a byte of a picture is another": (
        lambda folder: alter(folder / "media/pictures/one.jpg", at=0),
        "one.jpg: expected",
    ),
    "a byte of the list is another": (lambda folder: change_digit(folder / "media.sha256"), "media.sha256: expected"),
    "a byte of the sums is another": (lambda folder: change_digit(folder / "SHA256SUMS"), "expected SHA-256"),
    "a line of the sums is half": (
        lambda folder: cut_off(folder / "SHA256SUMS"),
        "expected a SHA-256 and a name in line",
    ),
    "a picture is missing": (lambda folder: (folder / "media/pictures/one.jpg").unlink(), "one.jpg is missing"),
    "an artefact is missing": (
        lambda folder: (folder / "artefacts/manifest.json").unlink(),
        "manifest.json is missing",
    ),
    "the sums are missing": (lambda folder: (folder / "SHA256SUMS").unlink(), "expected a folder that `backup` wrote"),
    "the sums name less": (
        lambda folder: write_sums(folder / "SHA256SUMS", list(read_sums(folder / "SHA256SUMS"))[:1]),
        "SHA256SUMS: expected manifest.json, database",
    ),
    "a name leads elsewhere": (
        lambda folder: write_sums(folder / "SHA256SUMS", [("../other", "0" * 64)]),
        "expected a name within the folder in line 1, received '../other'",
    ),
    "another form": (lambda folder: change_manifest(folder, form=2), "expected a backup of form 1, received form 2"),
    "a newer schema": (
        lambda folder: change_manifest(folder, version="9.0.0", migrations=["classifier.9000_later"]),
        "expected a backup of version .* or an older one; it is of 9.0.0, with the migration classifier.9000_later",
    ),
}


def test_what_is_not_as_it_was_written_is_refused(backup: Path) -> None:
    others = {}
    for number, (harm, (do, expected)) in enumerate(HARMS.items()):
        harmed = shutil.copytree(backup, backup.with_name(f"harmed-{number}"))
        do(harmed)
        for options in ([], ["--check"]):
            said = "nothing"
            try:
                call_command("restore", str(harmed), *options)
            except CommandError as error:
                said = str(error)
            if not re.search(expected, said):
                others[harm, *options] = (said, expected)
    assert others == {}, "said, expected"


def test_no_folder_is_written_over(backup: Path) -> None:
    before = sorted(backup.rglob("*"))
    with pytest.raises(CommandError, match="or an empty folder; it is there and is not empty"):
        call_command("backup", str(backup))
    with pytest.raises(CommandError, match="or an empty folder"):
        call_command("backup", str(backup / "SHA256SUMS"))
    assert sorted(backup.rglob("*")) == before


@pytest.mark.postgresql
def test_a_client_program_that_is_too_old_is_named(
    backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "bin"
    old.mkdir()
    (old / "pg_dump").write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.1'\n")
    (old / "pg_dump").chmod(0o755)
    monkeypatch.setenv("PATH", str(old))
    monkeypatch.setattr(databases, "INSTALLED", tmp_path / "none")
    monkeypatch.setattr(databases.importlib.util, "find_spec", lambda name: None)
    expected = rf"expected pg_dump of PostgreSQL \d+ or newer, found {re.escape(str(old))}/pg_dump .*apt-get install"
    with pytest.raises(CommandError, match=expected):
        call_command("backup", str(tmp_path / "another"))
    (old / "pg_dump").unlink()
    with pytest.raises(CommandError, match=r"or newer, found none\. On Debian"):
        call_command("backup", str(tmp_path / "another"))
    assert not (tmp_path / "another").exists()
    assert not list(tmp_path.glob(".*.part"))


# On the first disk there is not even room for the database, on the second none for the picture.
SMALL_DISKS = """
import os, subprocess, sys
import django, manage
django.setup()
import config.urls
for size in ("64k", "16m"):
    folder = f"{sys.argv[1]}/{size}"
    os.mkdir(folder)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    if not os.fork():
        sys.argv = ["manage.py", "backup", f"{folder}/backup"]
        sys.exit(manage.main())
    print(os.waitstatus_to_exitcode(os.wait()[1]), os.listdir(folder), flush=True)
"""


def test_a_full_disk_leaves_nothing(tmp_path: Path, settings: Any) -> None:
    default_storage.save("pictures/large.jpg", ContentFile(os.urandom(20_000_000)))
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "config.settings.base",
        "DATABASE_URL": get_test_database_url(),
        "MEDIA_ROOT": str(settings.MEDIA_ROOT),
        "ARTEFACTS_DIR": str(tmp_path / "artefacts"),
    }
    command = ["unshare", "--mount", "--", sys.executable, "-c", SMALL_DISKS, str(tmp_path)]
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip(f"no small disk can be made here: {done.stderr.splitlines()[-1]}")
    assert done.stdout == "1 []\n1 []\n", done.stderr
    assert done.stderr.count("No space left on device") == 2


def test_sums_keep_any_name(tmp_path: Path) -> None:
    names = ["plain", "with space", "new\nline", "back\\slash", "re\rturn", "ümlaut", "half\udc80"]
    write_sums(tmp_path / "sums", [(name, "a" * 64) for name in names])
    assert [name for name, _ in read_sums(tmp_path / "sums")] == names


def test_sums_are_those_that_sha256sum_reads(tmp_path: Path) -> None:
    for name in ("plain", "new\nline", "back\\slash"):
        (tmp_path / name).write_text(name)
    names = sorted(path.name for path in tmp_path.iterdir())
    write_sums(tmp_path / "sums", [(name, hash_file(tmp_path / name)) for name in names])
    assert subprocess.run(["sha256sum", "--check", "--quiet", "sums"], cwd=tmp_path, check=False).returncode == 0


def test_folders_in_a_circle_are_named(backup: Path, settings: Any) -> None:
    (Path(settings.MEDIA_ROOT) / "pictures/circle").symlink_to(settings.MEDIA_ROOT)
    with pytest.raises(CommandError, match="links in a circle"):
        call_command("backup", str(backup.with_name("second")))
    with pytest.raises(BackupError, match="expected the tables nothing, the database has none"):
        databases.dump_database(backup, without=["nothing"])
