"""The command that removes what nothing shows."""

import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError

from catalog.models import Image
from catalog.pictures.storage import StorageError
from classifier.cleaning import images as cleaning_images
from classifier.management.commands import clean_catalog
from tests.support.cleaning import NOTHING, create_shown, let_pass, list_paths, take_products_away

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _unshown() -> None:
    """Three images, two of which no product shows."""
    images = [create_shown() for _ in range(3)]
    take_products_away(*images[:2])
    let_pass(1)


def test_a_dry_run_says_what_the_same_without_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    size = sum(path.stat().st_size for path in list_paths())
    call_command("clean_catalog", "--older-than", "0", "--dry-run", "--json")
    expected = json.loads(capsys.readouterr().out)
    assert len(list_paths()) == 6
    call_command("clean_catalog", "--older-than", "0", "--json")
    assert json.loads(capsys.readouterr().out) == expected | {"dry_run": False}
    size -= sum(path.stat().st_size for path in list_paths())
    figures = NOTHING | {"unshown": 2, "images": 2, "pictures": 2, "files": 4, "bytes": size}
    assert expected == {"dry_run": True, "older_than_days": 0.0} | figures
    call_command("clean_catalog")
    assert capsys.readouterr().out == (
        "Images that no product shows: 0. Removed what is at least 30 days old: images 0, pictures 0, label tasks 0, "
        "classifications 0, features 0, files 0 (0\xa0bytes), ended sessions 0.\n"
    )


def test_the_age_is_the_settings_unless_it_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("clean_catalog", "--json")
    assert json.loads(capsys.readouterr().out)["older_than_days"] == 30.0
    let_pass(7.5)
    call_command("clean_catalog", "--older-than", "7", "--verbosity", "0")
    assert Image.objects.count() == 1


def test_progress_is_said_phase_by_phase(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleaning_images, "STEP_SIZE", 2)
    call_command("clean_catalog", "--older-than", "0")
    lines = capsys.readouterr().err.splitlines()
    last = Image.objects.get().pk
    assert lines[0] == f"Cleaning images: {last} of {last} ids, 2 images, 0 files"
    assert lines[-1] == "Cleaning files: 768 of 1024 folders, 2 images, 4 files"


@pytest.mark.parametrize(
    "error, message",
    [
        (OperationalError("gone away"), "gone away. The database cannot be reached"),
        (StorageError("the media storage failed: away"), "the media storage failed: away."),
        (KeyboardInterrupt(), "interrupted."),
    ],
)
def test_what_ends_it_is_said_in_words_with_what_is_done(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, message: str
) -> None:
    monkeypatch.setattr(cleaning_images, "STEP_SIZE", 1)
    look, steps = clean_catalog.clean_catalog, []

    def stop(*arguments: Any, **options: Any) -> Any:
        for place in look(*arguments, **options):
            steps.append(place)
            if len(steps) == 2:
                raise error
            yield place

    monkeypatch.setattr(clean_catalog, "clean_catalog", stop)
    with pytest.raises(CommandError) as raised:
        call_command("clean_catalog", "--older-than", "0")
    assert raised.value.returncode == 1
    assert str(raised.value).startswith(message)
    assert "Removed so far: images 1, pictures 1, " in str(raised.value)
    assert str(raised.value).endswith("Run the command again for the rest")


def test_what_ends_it_before_anything_is_done_is_said_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: Any, **_options: Any) -> Any:
        raise StorageError("the media storage failed: away")

    monkeypatch.setattr(clean_catalog, "clean_catalog", fail)
    with pytest.raises(CommandError, match=r"^the media storage failed: away$"):
        call_command("clean_catalog")


@pytest.mark.parametrize("days", ["-1", "nan", "x", "1e9"])
def test_an_age_that_is_none_is_bad_usage(days: str) -> None:
    with pytest.raises(CommandError, match="older-than"):
        call_command("clean_catalog", f"--older-than={days}")
