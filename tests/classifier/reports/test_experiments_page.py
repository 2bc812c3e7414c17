"""The page Experiments: every stored record with its pictures, or the command to run."""

import json
import re
from pathlib import Path

import pytest
from django.conf import settings as project_settings
from django.test import Client

from classifier.management.commands.report_experiments import HEAD
from classifier.ml.artefacts import DEFAULT_ARTEFACT, load_manifest
from classifier.ml.reports.documents import TRIED_NAME, list_records, load_document, load_tried, save_document
from classifier.ml.reports.experiments_report import build_sections
from classifier.ml.reports.sections import write_markdown
from tests.support.measuring import MAX_EXPERIMENT_BYTES, measure_drawings

COMMITTED = DEFAULT_ARTEFACT.parent / "reports" / "experiments"


@pytest.fixture
def folder(settings, tmp_path: Path) -> Path:
    """The folder of the records, not made yet."""
    settings.EXPERIMENTS_DIR = tmp_path / "experiments"
    return tmp_path / "experiments"


@pytest.fixture
def stored(folder: Path) -> Path:
    """The records of two recipes, and what was tried."""
    for name in ("default", "frozen"):
        experiment = measure_drawings(name)
        save_document(folder / f"{name}.json", document=experiment.record, files=experiment.files)
    (folder / TRIED_NAME).write_text(json.dumps([{"what": "larger pictures", "result": "<b>slower</b>"}]))
    return folder


def test_without_a_record_the_page_names_the_command(client: Client, folder: Path) -> None:
    response = client.get("/experiments/")

    assert response.status_code == 200
    assert "python manage.py report_experiments classifier/artefacts/default" in response.text
    assert "<table" not in response.text


def test_every_recipe_has_its_section_plots_and_tables(client: Client, stored: Path) -> None:
    page = client.get("/experiments/").text

    assert re.findall(r'<h2 id="([a-z-]+)-title">', page) == ["summary", "default", "frozen", "tried"]
    assert page.count('<picture class="plot">') == 2 * 5
    assert page.count('<table class="data">') == 3 + 2 * 6 + 1
    assert '<a href="/experiments/" aria-current="page">Experiments</a>' in page
    assert "<strong>" in page
    shown = re.findall(r'<svg class="tile"', page)
    assert len(shown) == sum(len(measure_drawings(name).record["mistakes"]) for name in ("default", "frozen")) > 0


def test_every_address_of_the_page_answers_with_a_picture(client: Client, stored: Path) -> None:
    page = client.get("/experiments/").text

    addresses = set(re.findall(r'"(/experiments/[a-z-]+/[0-9a-f]{16}/[^"]+)"', page))
    assert len(addresses) == 2 * (2 * 5 + 1)
    for address in addresses:
        response = client.get(address)
        assert response.status_code == 200
        assert response.content == (stored / address.rpartition("/")[2]).read_bytes()
        assert response["Content-Type"] in ("image/svg+xml", "image/png")
        assert response["Content-Security-Policy"].startswith("default-src 'none'")
        assert "immutable" in response["Cache-Control"]


def test_the_page_keeps_to_the_policy_and_shows_text_as_text(client: Client, stored: Path) -> None:
    response = client.get("/experiments/")

    assert "unsafe-inline" not in response["Content-Security-Policy"]
    assert not re.search(r"<script(?! src=./static/)|<style|\sstyle=|\son\w+=", response.text)
    assert "&lt;b&gt;slower&lt;/b&gt;" in response.text


@pytest.mark.parametrize("name", ["default.json", "notes.svg", "tried.json", "..%2fnotes.svg", "frozen-mistakes.png"])
def test_no_other_file_is_served(name: str, client: Client, stored: Path) -> None:
    (stored / "notes.svg").write_text("<svg/>")

    assert client.get(f"/experiments/default/{'0' * 16}/{name}").status_code == 404


def test_the_address_of_an_older_content_or_of_no_recipe_is_gone(client: Client, stored: Path) -> None:
    version = json.loads((stored / "default.json").read_bytes())["files"]["default-mistakes.png"][:16]

    assert client.get(f"/experiments/default/{version}/default-mistakes.png").status_code == 200
    assert client.get(f"/experiments/default/{'0' * 16}/default-mistakes.png").status_code == 404
    assert client.get(f"/experiments/compact/{version}/default-mistakes.png").status_code == 404


def test_a_damaged_record_is_left_out_and_the_others_stay(client: Client, stored: Path) -> None:
    (stored / "default-mistakes.png").write_bytes(b"other")
    (stored / TRIED_NAME).write_text("{")

    page = client.get("/experiments/").text

    assert re.findall(r'<h2 id="([a-z-]+)-title">', page) == ["summary", "frozen"]


def test_only_reading_is_allowed(client: Client, stored: Path) -> None:
    assert client.post("/experiments/").status_code == 405


def test_the_committed_report_is_that_of_the_committed_records() -> None:
    records = {path.stem: load_document(path) for path in list_records(COMMITTED)}
    place = "../classifier/artefacts/reports/experiments"

    sections = build_sections(list(records.values()), tried=load_tried(COMMITTED))

    report = write_markdown(HEAD.format(folder=place), sections, folder=place)
    assert (Path(project_settings.BASE_DIR) / "docs" / "experiments.md").read_text() == report
    assert "default" in records
    for name, record in records.items():
        assert record["recipe"]["name"] == name
        sizes = [(COMMITTED / file).stat().st_size for file in record["files"]]
        assert sum(sizes) + len(json.dumps(record)) < MAX_EXPERIMENT_BYTES


def test_the_committed_record_is_that_of_the_shipped_artefact() -> None:
    manifest = load_manifest(DEFAULT_ARTEFACT)
    record = load_document(COMMITTED / f"{manifest.recipe['name']}.json")

    assert record["version"] == manifest.version
    assert record["metrics"]["accuracy"] == pytest.approx(manifest.metrics["accuracy"], abs=2e-4)
