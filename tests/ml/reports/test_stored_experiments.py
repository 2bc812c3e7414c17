"""The folder of the experiments: a whole record for each recipe, and what did not help."""

import json
from pathlib import Path
from typing import Any

import pytest

from classifier.ml.reports.stored_documents import StoredDocumentError
from classifier.ml.reports.stored_experiments import (
    TRIED_NAME,
    list_experiment_names,
    load_experiment,
    load_tried,
    save_experiment,
)


def build_record(name: str) -> dict[str, Any]:
    return {"recipe": {"name": name}, "version": f"{name}-1"}


def test_a_record_is_stored_under_its_recipe_and_replaces_the_one_before(tmp_path: Path) -> None:
    save_experiment(tmp_path, record=build_record("frozen"), files={"frozen-training-light.svg": b"<svg/>"})
    save_experiment(tmp_path, record=build_record("frozen") | {"version": "frozen-2"}, files={})

    stored = load_experiment(tmp_path, recipe="frozen")
    assert stored.document["version"] == "frozen-2"
    assert dict(stored.files) == {}


def test_the_products_recipes_come_first_and_other_files_are_none(tmp_path: Path) -> None:
    for name in ("another", "default", "Bad Name"):
        (tmp_path / f"{name}.json").write_text("{}")
    (tmp_path / TRIED_NAME).write_text("[]")

    assert list_experiment_names(tmp_path) == ["default", "another"]
    assert list_experiment_names(tmp_path / "nowhere") == []


@pytest.mark.parametrize("name", ["../default", "Default", "a--b", "", "tried"])
def test_another_recipe_name_is_neither_written_nor_read(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected a recipe name"):
        save_experiment(tmp_path / "new", record=build_record(name), files={})
    with pytest.raises(StoredDocumentError):
        load_experiment(tmp_path, recipe=name)

    assert not (tmp_path / "new").exists()


def test_the_record_of_another_recipe_is_none(tmp_path: Path) -> None:
    save_experiment(tmp_path, record=build_record("frozen"), files={})
    (tmp_path / "frozen.json").rename(tmp_path / "compact.json")

    with pytest.raises(StoredDocumentError, match="expected the record of compact"):
        load_experiment(tmp_path, recipe="compact")


def test_what_was_tried_keeps_its_order(tmp_path: Path) -> None:
    assert load_tried(tmp_path) == []
    (tmp_path / TRIED_NAME).write_text(json.dumps([{"what": "b", "result": "worse"}, {"what": "a", "result": "same"}]))

    assert load_tried(tmp_path) == [("b", "worse"), ("a", "same")]


@pytest.mark.parametrize("content", ["{", "1", "{}x", '[{"what": "a"}]', '[{"what": 1, "result": "b"}]', '["a"]'])
def test_another_file_of_what_was_tried_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / TRIED_NAME).write_text(content)

    with pytest.raises(StoredDocumentError, match=TRIED_NAME):
        load_tried(tmp_path)
