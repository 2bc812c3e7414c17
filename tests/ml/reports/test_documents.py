"""Stored reports: whole, or none."""

import json
import os
from pathlib import Path

import pytest

from classifier.ml.artefacts import DEFAULT_ARTEFACT
from classifier.ml.reports.documents import (
    EXPLORATION_NAME,
    FORMAT,
    TRIED_NAME,
    StoredDocumentError,
    is_recipe_name,
    list_records,
    load_document,
    load_tried,
    save_document,
)

FILES = {"pixel-mean-light.svg": b"<svg/>", "examples.png": b"png"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a document may be stored; its folder is not made yet."""
    return tmp_path / "reports" / EXPLORATION_NAME


def test_what_is_saved_is_loaded_and_nothing_else_stays_behind(path: Path) -> None:
    save_document(path, document={"seed": 1}, files=FILES)

    stored = load_document(path)
    assert (stored["format"], stored["seed"], set(stored["files"])) == (FORMAT, 1, set(FILES))
    assert {file.name: file.read_bytes() for file in path.parent.iterdir() if file != path} == FILES


def test_a_later_document_replaces_it_and_leaves_other_files_alone(path: Path) -> None:
    save_document(path, document={"seed": 1}, files=FILES)
    (path.parent / "notes.md").write_text("mine")

    save_document(path, document={"seed": 2}, files={"examples.png": b"other"})

    assert load_document(path)["seed"] == 2
    assert list(load_document(path)["files"]) == ["examples.png"]
    assert (path.parent / "notes.md").read_text() == "mine"


@pytest.mark.parametrize("name", ["../evil.svg", "Plot.svg", "plot.html", "a--b.png", ".svg"])
def test_another_name_is_refused_before_anything_is_written(name: str, path: Path) -> None:
    with pytest.raises(ValueError, match="expected a name such as"):
        save_document(path, document={}, files={"examples.png": b"", name: b""})

    assert not path.parent.exists()


def test_a_changed_or_missing_file_makes_it_none(path: Path) -> None:
    save_document(path, document={}, files=FILES)

    (path.parent / "examples.png").write_bytes(b"another")
    with pytest.raises(StoredDocumentError, match=r"examples\.png with SHA-256"):
        load_document(path)
    (path.parent / "examples.png").unlink()
    with pytest.raises(StoredDocumentError, match="is no complete document"):
        load_document(path)


def test_a_pipe_is_no_document_and_is_not_waited_for(path: Path) -> None:
    path.parent.mkdir()
    os.mkfifo(path)
    with pytest.raises(StoredDocumentError, match="received a pipe"):
        load_document(path)


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"format": 1, "files": {}}', '{"format": 2}', '{"format": 2, "files": {"../secret.svg": "00"}}'],
)
def test_another_document_is_none(content: str, path: Path) -> None:
    path.parent.mkdir()
    (path.parent.parent / "secret.svg").write_text("secret")
    path.write_text(content)

    with pytest.raises(StoredDocumentError):
        load_document(path)


def test_the_products_recipes_come_first_and_other_files_are_none(tmp_path: Path) -> None:
    for name in ("another", "frozen", "default", "Bad Name"):
        (tmp_path / f"{name}.json").write_text("{}")
    (tmp_path / TRIED_NAME).write_text("[]")

    assert [record.stem for record in list_records(tmp_path)] == ["default", "frozen", "another"]
    assert list_records(tmp_path / "nowhere") == []


@pytest.mark.parametrize("name", ["../default", "Default", "a--b", "", "tried"])
def test_another_name_is_no_recipe(name: str) -> None:
    assert not is_recipe_name(name)


def test_what_was_tried_keeps_its_order(tmp_path: Path) -> None:
    assert load_tried(tmp_path) == []
    (tmp_path / TRIED_NAME).write_text(json.dumps([{"what": "b", "result": "worse"}, {"what": "a", "result": "same"}]))

    assert load_tried(tmp_path) == [("b", "worse"), ("a", "same")]


@pytest.mark.parametrize("content", ["{", "1", "{}x", '[{"what": "a"}]', '["a"]'])
def test_another_file_of_what_was_tried_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / TRIED_NAME).write_text(content)

    with pytest.raises(StoredDocumentError, match=TRIED_NAME):
        load_tried(tmp_path)


def test_the_exploration_that_comes_with_the_product_has_the_published_figures() -> None:
    path = DEFAULT_ARTEFACT.parent / "reports" / "exploration" / EXPLORATION_NAME
    stored = load_document(path)

    figures = stored["figures"]
    assert [(row["train"], row["test"]) for row in figures["labels"]["groups"]] == [
        (24_000, 4_000), (6_000, 1_000), (6_000, 1_000), (18_000, 3_000), (6_000, 1_000),
    ]  # fmt: skip
    assert figures["standardisation"]["mean"] == pytest.approx(72.97, abs=0.1)
    assert figures["standardisation"]["standard_deviation"] == pytest.approx(90.03, abs=0.1)
    assert sum(file.stat().st_size for file in path.parent.iterdir()) < 400_000
