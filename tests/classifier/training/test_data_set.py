"""Reviewed pictures as a data set, by the parts that they fell into."""

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from classifier.management.labelled_products import read_labels
from classifier.ml.judging.catalogues import TRUE
from classifier.models import Review, SplitPicture
from classifier.reviews.services import record_review, withdraw_reviews
from tests.catalog.interchange.test_picture_files import create_held_image
from tests.support.factories import create_product
from tests.support.faulty_store import BACKEND, VARIABLE, Faults

pytestmark = pytest.mark.django_db


def test_each_reviewed_picture_lies_in_its_part_and_group(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reviewer = User.objects.create_user("reviewer")
    images = [create_held_image(garment) for garment in ("Bag", "Sandal", "Coat", "Dress", "Trouser")]
    for number, image in enumerate(images):
        create_product(f"Product\n{number}", images=[image], descriptions={"DE": ("Text", None)})
    said: list[dict[str, str]] = [
        {"group": "Bags", "garment": "Bag"},
        {"verdict": "none_of_these"},
        {"verdict": "unusable"},
        {"group": "Footwear"},
    ]
    for image, verdict in zip(images, said, strict=False):
        record_review(image, reviewer=reviewer, **verdict)
    withdraw_reviews(Review.objects.filter(image=images[3]))
    record_review(images[3], group="One piece", reviewer=reviewer)

    call_command("export_reviewed", str(tmp_path / "set"), json=True)
    document = json.loads(capsys.readouterr().out)
    rows = list(csv.DictReader((tmp_path / "set" / "labels.csv").open(encoding="utf-8", newline="")))
    assert [(row["group"], row["garment"], row["title"]) for row in rows] == [
        ("Bags", "Bag", "Product 0"),
        ("none", "", "Product 1"),
        ("One piece", "", "Product 3"),
    ]
    for row in rows:
        part = SplitPicture.objects.get(sha256=bytes.fromhex(row["sha256"])).assignment.part
        assert (row["split"], row["country"]) == (part, "de")
        assert row["path"].startswith(f"{part}/")
        assert hashlib.sha256((tmp_path / "set" / row["path"]).read_bytes()).hexdigest() == row["sha256"]
    assert (document["pictures"], sum(document["parts"].values())) == (3, 3)
    assert len(read_labels(tmp_path / "set", groups=TRUE, split=None)) == 3
    with pytest.raises(CommandError, match="new or empty"):
        call_command("export_reviewed", str(tmp_path / "set"))


def test_a_picture_that_cannot_be_read_is_left_out(
    tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.STORAGES = settings.STORAGES | {"default": {"BACKEND": BACKEND}}
    monkeypatch.setenv(VARIABLE, str(tmp_path / "fault"))
    images = [create_held_image(garment) for garment in ("Bag", "Sandal")]
    for image in images:
        record_review(image, group="Bags", reviewer=User.objects.get_or_create(username="reviewer")[0])
    Faults(tmp_path / "fault").set("eacces", images[0].stored_picture.storage_name)
    call_command("export_reviewed", str(tmp_path / "set"), json=True)
    assert json.loads(capsys.readouterr().out)["pictures"] == 1
    Faults(tmp_path / "fault").set("eacces")
    with pytest.raises(CommandError, match="nothing is left behind: the media storage failed"):
        call_command("export_reviewed", str(tmp_path / "other"))
