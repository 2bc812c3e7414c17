"""The command that explores the data set."""

import io
import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from classifier.management.commands import explore_dataset
from classifier.ml.data.dataset import DatasetError
from classifier.ml.reports.documents import EXPLORATION_NAME, load_document
from tests.support.drawings import draw_dataset
from tests.support.exploring import explore_quickly, report_drawings


@pytest.fixture
def folder(settings, tmp_path, monkeypatch) -> Path:
    """The default folder, not made yet; the data set is a small drawn one."""
    settings.EXPLORATION_DIRS = [tmp_path / "exploration", tmp_path / "shipped"]
    monkeypatch.setattr(explore_dataset, "load_fashion_mnist", lambda data_dir: draw_dataset())
    monkeypatch.setattr(explore_dataset, "explore", explore_quickly)
    monkeypatch.setattr(explore_dataset, "build_report", lambda dataset, exploration: report_drawings())
    return tmp_path / "exploration"


def test_it_writes_where_the_page_looks_and_prints_the_main_figures(folder):
    output = io.StringIO()

    call_command("explore_dataset", stdout=output, stderr=io.StringIO())

    assert load_document(folder / EXPLORATION_NAME)["figures"]["parts"]["train"]["images"] == 200
    assert "Footwear" in output.getvalue()
    assert str(folder / "exploration.json") in output.getvalue().replace("\n", "")


def test_json_is_one_document_on_standard_output_with_every_file(folder, tmp_path):
    output, errors = io.StringIO(), io.StringIO()

    call_command("explore_dataset", "--json", "--seed=3", f"--output={tmp_path / 'docs'}", stdout=output, stderr=errors)

    result = json.loads(output.getvalue())
    assert result["output"] == str(tmp_path / "docs")
    assert result["seed"] == 3
    assert result["files"] == sorted(path.name for path in (tmp_path / "docs").iterdir())
    assert result["figures"] == load_document(tmp_path / "docs" / EXPLORATION_NAME)["figures"]
    assert "Exploring" in errors.getvalue()
    assert not folder.exists()


def test_verbosity_0_is_silent(folder):
    output, errors = io.StringIO(), io.StringIO()

    call_command("explore_dataset", "--verbosity=0", stdout=output, stderr=errors)

    assert (output.getvalue(), errors.getvalue()) == ("", "")


@pytest.mark.parametrize("error", [DatasetError("expected train-images in nowhere"), KeyboardInterrupt()])
def test_without_a_data_set_or_interrupted_nothing_is_written(error, folder, monkeypatch):
    def fail(data_dir: Path | None) -> None:
        raise error

    monkeypatch.setattr(explore_dataset, "load_fashion_mnist", fail)

    with pytest.raises(CommandError, match=r"[Nn]o exploration was written") as raised:
        call_command("explore_dataset", "--data-dir=nowhere")

    assert raised.value.returncode == 1
    assert not folder.exists()


def test_a_file_as_output_is_bad_usage(folder, tmp_path):
    (tmp_path / "file").write_text("mine")

    with pytest.raises(CommandError, match="expected a folder for --output") as raised:
        call_command("explore_dataset", f"--output={tmp_path / 'file'}")

    assert raised.value.returncode == 2
    assert (tmp_path / "file").read_text() == "mine"
