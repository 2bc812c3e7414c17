"""`classify`: pictures from disk, and which artefact commands use."""

import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError
from PIL import Image

from classifier.management import artefact_choice
from classifier.ml.artefacts import DEFAULT_ARTEFACT
from classifier.ml.labels import GARMENTS, GROUPS
from classifier.models import ModelVersion
from tests.support.artefacts import register_active_version
from tests.support.drawings import draw_dataset, render_for_shop

pytestmark = pytest.mark.django_db
FIELDS = [
    "path",
    "group",
    "garment",
    "confidence",
    "abstained",
    "garment_unsure",
    "group_probabilities",
    "garment_probabilities",
    "error",
]


@pytest.fixture(autouse=True)
def artefacts_folder(settings: Any, tmp_path: Path) -> None:
    settings.ARTEFACTS_DIR = tmp_path / "artefacts"


@pytest.fixture
def pictures(tmp_path: Path) -> dict[str, Path]:
    """A JPEG, a PNG with transparency, a truncated JPEG and a text file."""
    page = Image.fromarray(render_for_shop(draw_dataset(train_per_label=1).train_images[1], side=224, margin=16))
    paths = {name: tmp_path / name for name in ("good.jpg", "clear.png", "cut.jpg", "note.txt")}
    page.save(paths["good.jpg"], quality=90)
    layer = page.convert("RGBA")
    layer.putalpha(Image.fromarray((np.asarray(page.convert("L")) < 250).astype(np.uint8) * 255))
    layer.save(paths["clear.png"])
    content = paths["good.jpg"].read_bytes()
    paths["cut.jpg"].write_bytes(content[: len(content) // 2])
    paths["note.txt"].write_text("no picture at all")
    return paths


def run(command: str, *arguments: str | Path) -> str:
    output = io.StringIO()
    call_command(command, *map(str, arguments), stdout=output, stderr=io.StringIO())
    return output.getvalue()


def test_two_pictures_are_labelled_and_two_files_refused_in_the_order_given(pictures: dict[str, Path]) -> None:
    rows = json.loads(run("classify", "--json", *pictures.values()))
    assert [row["path"] for row in rows] == [str(path) for path in pictures.values()]
    assert [row["error"] for row in rows] == [None, None, "truncated", "not_image"]
    assert [list(row) for row in rows] == [FIELDS] * 4
    for row in rows[:2]:
        assert tuple(row["group_probabilities"]) == GROUPS
        assert tuple(row["garment_probabilities"]) == GARMENTS
        assert row["confidence"] == row["group_probabilities"][row["group"]]
        assert isinstance(row["abstained"], bool)
    for row in rows[2:]:
        assert {row[name] for name in ("group", "garment", "confidence", "abstained")} == {None}
    # Both show the same garment: transparency is laid on white.
    assert rows[0]["group"] == rows[1]["group"]


def test_the_table_names_every_file_and_what_was_wrong(
    pictures: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    lines = run("classify", *pictures.values()).splitlines()
    assert lines[0].split() == ["File", "Group", "Garment", "Confidence", "Remark"]
    assert [Path(line.split()[0]).name for line in lines[1:]] == list(pictures)
    assert "truncated:" in lines[3]
    assert "not_image:" in lines[4]


def test_it_fails_only_when_no_file_could_be_read(pictures: dict[str, Path], tmp_path: Path) -> None:
    output = io.StringIO()
    with pytest.raises(CommandError, match="none of the 2 files could be read") as caught:
        call_command("classify", "--json", str(pictures["note.txt"]), str(tmp_path / "absent.jpg"), stdout=output)
    assert caught.value.returncode == 1
    assert [row["error"] for row in json.loads(output.getvalue())] == ["not_image", "not_found"]


def test_a_file_that_is_too_large_is_not_decoded(pictures: dict[str, Path], tmp_path: Path) -> None:
    large = tmp_path / "large.jpg"
    large.write_bytes(pictures["good.jpg"].read_bytes() + bytes(10 * 1024 * 1024))
    rows = json.loads(run("classify", "--json", large, pictures["good.jpg"]))
    assert [row["error"] for row in rows] == ["too_large", None]


def test_a_pipe_or_a_device_is_no_picture_and_is_not_waited_for(pictures: dict[str, Path], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    rows = json.loads(run("classify", "--json", tmp_path / "pipe.jpg", "/dev/zero", pictures["good.jpg"]))
    assert [row["error"] for row in rows] == ["not_image", "not_image", None]


def test_a_name_moves_no_cursor(pictures: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    odd = tmp_path / "a\x1b[2J\r\n\udcff\u202e.jpg"
    odd.write_bytes(pictures["good.jpg"].read_bytes())
    table = run("classify", odd, pictures["good.jpg"])
    assert r"a\x1b[2J\r\n\udcff\u202e.jpg" in table
    assert not set("\x1b\r\udcff\u202e") & set(table)


def test_more_files_than_a_batch_keep_their_order(pictures: dict[str, Path]) -> None:
    names = ["good.jpg", "note.txt"] * 20
    rows = json.loads(run("classify", "--json", *(pictures[name] for name in names)))
    assert [row["error"] for row in rows] == [None, "not_image"] * 20


def test_silence_is_possible(pictures: dict[str, Path]) -> None:
    assert run("classify", "--verbosity", "0", pictures["good.jpg"]) == ""


def test_without_a_database_the_shipped_artefact_answers(
    pictures: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise DatabaseError("no such table")

    monkeypatch.setattr(artefact_choice, "find_active_model_version", fail)
    assert json.loads(run("classify", "--json", pictures["good.jpg"]))[0]["error"] is None
    assert artefact_choice.choose_artefact().folder == DEFAULT_ARTEFACT


def test_the_active_version_answers_and_is_checked_against_its_row() -> None:
    version = register_active_version()
    chosen = artefact_choice.choose_artefact()
    assert chosen.folder.name == version.manifest_sha256
    assert chosen.manifest_sha256 == version.manifest_sha256
    assert artefact_choice.choose_artefact(version.pk) == chosen


def test_a_version_that_is_not_there_is_named() -> None:
    with pytest.raises(CommandError, match="there is no model version 99"):
        call_command("evaluate_classifier", "--model-version", "99")
    assert not ModelVersion.objects.exists()
