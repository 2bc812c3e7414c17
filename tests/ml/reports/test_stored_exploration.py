"""The folder of an exploration: whole, or none."""

import pytest

from classifier.ml.reports.stored_documents import StoredDocumentError
from classifier.ml.reports.stored_exploration import (
    COMMITTED_EXPLORATION,
    DOCUMENT_NAME,
    load_exploration,
    save_exploration,
)

PLOTS = {"pixel-mean-light.svg": b"<svg/>", "examples.png": b"png"}


def test_what_is_saved_is_loaded_and_nothing_else_stays_behind(tmp_path):
    save_exploration(tmp_path / "new", document={"seed": 1}, files=PLOTS)

    stored = load_exploration(tmp_path / "new")
    assert stored.document["seed"] == 1
    assert {name: path.read_bytes() for name, path in stored.files.items()} == PLOTS
    assert {path.name for path in (tmp_path / "new").iterdir()} == {*PLOTS, DOCUMENT_NAME}


def test_a_later_exploration_replaces_it_and_leaves_other_files_alone(tmp_path):
    (tmp_path / "notes.md").write_text("mine")
    save_exploration(tmp_path, document={"seed": 1}, files=PLOTS)

    save_exploration(tmp_path, document={"seed": 2}, files={"examples.png": b"other"})

    assert load_exploration(tmp_path).document["seed"] == 2
    assert list(load_exploration(tmp_path).files) == ["examples.png"]
    assert (tmp_path / "notes.md").read_text() == "mine"


@pytest.mark.parametrize("name", ["../evil.svg", "Plot.svg", "plot.html", "a--b.png", ".svg"])
def test_another_name_is_refused_before_anything_is_written(name, tmp_path):
    with pytest.raises(ValueError, match="expected a name such as"):
        save_exploration(tmp_path / "new", document={}, files={"examples.png": b"", name: b""})

    assert not (tmp_path / "new").exists()


def test_a_changed_or_missing_picture_makes_it_none(tmp_path):
    save_exploration(tmp_path, document={}, files=PLOTS)

    (tmp_path / "examples.png").write_bytes(b"another")
    with pytest.raises(StoredDocumentError, match=r"examples\.png with SHA-256"):
        load_exploration(tmp_path)
    (tmp_path / "examples.png").unlink()
    with pytest.raises(StoredDocumentError, match="is no complete document"):
        load_exploration(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 99, "files": {}}', '{"format": 1}'])
def test_another_document_is_none(content, tmp_path):
    (tmp_path / DOCUMENT_NAME).write_text(content)

    with pytest.raises(StoredDocumentError):
        load_exploration(tmp_path)


def test_a_document_cannot_name_a_file_outside(tmp_path):
    save_exploration(tmp_path / "in", document={}, files={})
    document = tmp_path / "in" / DOCUMENT_NAME
    document.write_text(document.read_text().replace('"files": {}', '"files": {"../secret.svg": "00"}'))

    assert dict(load_exploration(tmp_path / "in").files) == {}


def test_the_one_that_comes_with_the_product_has_the_published_figures():
    stored = load_exploration(COMMITTED_EXPLORATION)

    figures = stored.document["figures"]
    assert [(row["train"], row["test"]) for row in figures["labels"]["groups"]] == [
        (24_000, 4_000), (6_000, 1_000), (6_000, 1_000), (18_000, 3_000), (6_000, 1_000),
    ]  # fmt: skip
    assert figures["standardisation"]["mean"] == pytest.approx(72.97, abs=0.1)
    assert figures["standardisation"]["standard_deviation"] == pytest.approx(90.03, abs=0.1)
    sizes = [path.stat().st_size for path in (*stored.files.values(), COMMITTED_EXPLORATION / DOCUMENT_NAME)]
    assert sum(sizes) < 400_000
