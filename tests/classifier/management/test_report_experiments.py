"""The command that measures artefacts and writes the report on all records."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from classifier.management.commands import report_experiments
from classifier.ml.artefacts import MANIFEST_FILE, MODEL_CARD_FILE, NETWORK_FILE, load_manifest
from classifier.ml.data.dataset import DatasetError
from classifier.ml.reports.documents import load_document, save_document
from classifier.ml.reports.experiments import Experiment
from tests.support.artefacts import OWN_NETWORKS
from tests.support.drawings import draw_dataset
from tests.support.measuring import measure_drawings

RECIPE = str(load_manifest(OWN_NETWORKS).recipe["name"])


@pytest.fixture
def docs(settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the report, not made yet; measuring an artefact answers with the experiment of its recipe."""
    settings.BASE_DIR, settings.EXPERIMENTS_DIR = tmp_path, tmp_path / "records"

    def measure(folder: Path, **options: Any) -> Experiment:
        options["progress"](5, 5, note="done")
        return measure_drawings(load_manifest(folder).recipe["name"])

    monkeypatch.setattr(report_experiments, "load_fashion_mnist", lambda data_dir: draw_dataset())
    monkeypatch.setattr(report_experiments, "measure_experiment", measure)
    return tmp_path / "docs"


def make_artefact(folder: Path, *, recipe: str) -> Path:
    """A copy of the shipped artefact, under the name of another recipe."""
    shutil.copytree(OWN_NETWORKS, folder)
    manifest = json.loads((folder / MANIFEST_FILE).read_bytes())
    manifest["recipe"]["name"] = recipe
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest))
    return folder


def run(*arguments: str) -> tuple[str, str]:
    output, errors = io.StringIO(), io.StringIO()
    call_command("report_experiments", *arguments, stdout=output, stderr=errors)
    return output.getvalue(), errors.getvalue()


def list_files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_artefact_is_measured_stored_and_reported(docs: Path) -> None:
    output, errors = run(str(OWN_NETWORKS))

    assert load_document(docs.parent / "records" / f"{RECIPE}.json")["version"] == f"{RECIPE}-1"
    report = (docs / "experiments.md").read_text()
    assert f"## Recipe {RECIPE}" in report
    assert f"(../records/{RECIPE}-reliability-light.svg)" in report
    assert "1 measured, 1 in the report" in output
    assert "Measuring base: 5 of 5 steps" in errors


def test_without_folders_the_same_records_give_the_same_bytes(docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(str(OWN_NETWORKS))
    before = list_files(docs.parent)
    (docs / "experiments.md").unlink()
    monkeypatch.setattr(report_experiments, "measure_experiment", None)

    run()

    assert list_files(docs.parent) == before


def test_json_is_one_document_with_every_record(docs: Path, tmp_path: Path) -> None:
    record = measure_drawings(RECIPE).record
    compact = record | {"recipe": record["recipe"] | {"name": "compact"}}
    save_document(tmp_path / "out/experiments/compact.json", document=compact, files={})

    output, _ = run(str(OWN_NETWORKS), "--json", f"--output={tmp_path / 'out'}")

    result = json.loads(output)
    assert result["report"] == str(tmp_path / "out" / "experiments.md")
    assert result["measured"] == [RECIPE]
    assert [record["recipe"]["name"] for record in result["experiments"]] == [RECIPE, "compact"]
    assert f"(experiments/{RECIPE}-reliability-light.svg)" in (tmp_path / "out" / "experiments.md").read_text()
    assert not docs.exists()


def test_without_any_record_the_report_says_so(docs: Path) -> None:
    output, _ = run()

    assert "There is no record yet" in (docs / "experiments.md").read_text()
    assert "0 measured, 0 in the report" in output


def test_verbosity_0_is_silent(docs: Path) -> None:
    assert run(str(OWN_NETWORKS), "--verbosity=0") == ("", "")


def test_the_model_card_is_written_anew_when_asked_for(docs: Path, tmp_path: Path) -> None:
    artefact = Path(shutil.copytree(OWN_NETWORKS, tmp_path / "copy"))
    (artefact / MODEL_CARD_FILE).write_text("old")

    run(str(artefact))
    assert (artefact / MODEL_CARD_FILE).read_text() == "old"
    run(str(artefact), "--model-card")

    assert (artefact / MODEL_CARD_FILE).read_bytes() == load_manifest(artefact).model_card()


@pytest.mark.parametrize(
    "arguments,message",
    [
        (["nowhere"], "expected the folder of an artefact, found none at nowhere"),
        (["--data-dir=nowhere"], "need an ARTEFACT_DIR"),
        (["--model-card"], "need an ARTEFACT_DIR"),
        ([str(OWN_NETWORKS), str(OWN_NETWORKS)], "expected one artefact of each recipe"),
    ],
)
def test_bad_usage_writes_nothing(arguments: list[str], message: str, docs: Path) -> None:
    with pytest.raises(CommandError, match=message) as raised:
        run(*arguments)

    assert raised.value.returncode == 2
    assert not docs.exists()


def test_a_recipe_that_cannot_name_a_file_is_refused(docs: Path, tmp_path: Path) -> None:
    artefact = make_artefact(tmp_path / "artefact", recipe="../evil")

    with pytest.raises(CommandError, match="expected a recipe name of lower case letters") as raised:
        run(str(artefact))

    assert raised.value.returncode == 2
    assert not docs.exists()


def test_a_file_as_output_is_bad_usage(docs: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")

    with pytest.raises(CommandError, match="expected a folder for --output") as raised:
        run(f"--output={tmp_path / 'file'}")

    assert raised.value.returncode == 2
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    "error", [DatasetError("expected t10k-images in nowhere"), KeyboardInterrupt(), OSError("full")]
)
def test_a_failure_or_an_interruption_stores_nothing_of_any_artefact(
    error: BaseException, docs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_artefact(tmp_path / "other", recipe="compact")

    def measure(folder: Path, **options: Any) -> Experiment:
        if folder == other:
            raise error
        return measure_drawings(RECIPE)

    monkeypatch.setattr(report_experiments, "measure_experiment", measure)

    with pytest.raises(CommandError, match=r"[Nn]o report was written") as raised:
        run(str(OWN_NETWORKS), str(other))

    assert raised.value.returncode == 1
    assert not docs.exists()


def test_a_folder_without_a_manifest_is_named(docs: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    with pytest.raises(CommandError, match=MANIFEST_FILE) as raised:
        run(str(tmp_path / "empty"))

    assert raised.value.returncode == 1
    assert not docs.exists()


def test_a_damaged_record_ends_before_the_report_is_touched(docs: Path) -> None:
    run(str(OWN_NETWORKS))
    before = (docs / "experiments.md").read_bytes()
    (docs.parent / "records" / f"{RECIPE}-mistakes.png").write_bytes(b"other")

    with pytest.raises(
        CommandError, match=rf"{RECIPE}-mistakes\.png with SHA-256.*Measure its artefact again"
    ) as raised:
        run()

    assert raised.value.returncode == 1
    assert (docs / "experiments.md").read_bytes() == before


def test_a_damaged_artefact_is_no_experiment(docs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    artefact = Path(shutil.copytree(OWN_NETWORKS, tmp_path / "copy"))
    (artefact / NETWORK_FILE).write_bytes(b"other")
    monkeypatch.undo()

    with pytest.raises(CommandError, match=NETWORK_FILE):
        run(str(artefact), f"--output={tmp_path / 'out'}")

    assert not (tmp_path / "out").exists()
