"""The command that brings every label up to date."""

import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError

from catalog.models import ProductImages, ProductLabel
from classifier.labels import walk
from classifier.management.commands import refresh_labels
from tests.support.factories import create_product
from tests.support.fakes import create_model_version, create_painted_image
from tests.support.labels import label_everything

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _left_behind() -> None:
    """Three products, two of which another program took the first image from."""
    create_model_version()
    for _ in range(3):
        create_product(images=[create_painted_image("Bag")])
    label_everything()
    ProductImages.objects.filter(pk__in=list(ProductImages.objects.values_list("pk", flat=True)[:2])).delete()


def list_statuses() -> list[str]:
    return list(ProductLabel.objects.order_by("pk").values_list("status", flat=True))


def test_it_brings_every_label_up_to_date_once(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("refresh_labels")
    assert capsys.readouterr().out == "Looked at 3 products; 2 labels changed.\n"
    assert list_statuses() == ["no_image", "no_image", "labelled"]
    call_command("refresh_labels")
    assert capsys.readouterr().out == "Looked at 3 products; 0 labels changed.\n"


def test_a_dry_run_counts_and_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("refresh_labels", "--dry-run")
    assert capsys.readouterr().out == "Looked at 3 products; 2 labels would change.\n"
    assert list_statuses() == ["labelled"] * 3


def test_json_is_one_document_and_progress_stays_on_standard_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walk, "STEP_SIZE", 2)
    call_command("refresh_labels", "--json")
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"dry_run": False, "products": 3, "changed": 2}
    assert captured.err == "Refreshing: 3 of 3 products, 2 changed\n"
    call_command("refresh_labels", "--no-progress")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "error, message", [(OperationalError("gone away"), "gone away. "), (KeyboardInterrupt(), "interrupted; ")]
)
def test_what_ends_it_is_said_in_words(monkeypatch: pytest.MonkeyPatch, error: BaseException, message: str) -> None:
    def fail(**_options: Any) -> tuple[int, int]:
        raise error

    monkeypatch.setattr(refresh_labels, "refresh_all_labels", fail)
    with pytest.raises(CommandError) as raised:
        call_command("refresh_labels")
    assert (raised.value.returncode, str(raised.value).startswith(message)) == (1, True)


def test_an_unknown_option_is_bad_usage() -> None:
    with pytest.raises(CommandError, match="unrecognized arguments: --all"):
        call_command("refresh_labels", "--all")
