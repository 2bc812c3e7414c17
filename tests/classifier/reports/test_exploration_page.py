"""The page Data understanding: what was found, with its pictures, or the command to run."""

import re
from pathlib import Path

import pytest
from django.test import Client

from classifier.ml.reports.documents import EXPLORATION_NAME, save_document
from tests.support.exploring import explore_drawings, report_drawings
from tests.support.members import sign_in


@pytest.fixture
def folders(settings, tmp_path) -> tuple[Path, Path]:
    """The folder of this installation and that of the product, both empty."""
    settings.EXPLORATION_DIRS = [tmp_path / "own", tmp_path / "committed"]
    return tmp_path / "own", tmp_path / "committed"


@pytest.fixture
def stored(folders) -> Path:
    """An exploration of drawn pictures that comes with the product."""
    report, files = report_drawings()
    head = {"dataset": {"name": "Fashion-MNIST"}, "created_at": "2026-11-24T12:00:00+00:00"}
    document = {**head, "figures": explore_drawings().figures, **report}
    save_document(folders[1] / EXPLORATION_NAME, document=document, files=files)
    return folders[1]


def test_without_an_exploration_the_page_names_the_command(client: Client, folders) -> None:
    response = client.get("/data/")

    assert response.status_code == 200
    assert "python manage.py explore_dataset" in response.text
    assert "<table" not in response.text


def test_every_section_has_its_plot_and_its_table(client: Client, stored) -> None:
    page = client.get("/data/").text

    assert re.findall(r'<h2 id="([a-z-]+)-title">', page) == [
        "pictures", "garments", "groups", "means", "medians", "duplicates", "confusions", "label-errors",
    ]  # fmt: skip
    assert page.count('<picture class="plot">') == 7
    assert page.count('<table class="data">') == 8
    assert "Explored <time" in page
    assert '<a href="/data/" aria-current="page">Data</a>' in page


@pytest.mark.django_db
def test_parts_of_reviewed_pictures_stand_last_for_those_who_may_see_them(client: Client, stored) -> None:
    sign_in(client, "view_splitassignment")
    sections = client.get("/data/").context["sections"]
    assert sections[-1]["title"] == "Reviewed pictures by part"


def test_every_address_of_the_page_answers_with_a_picture(client: Client, stored) -> None:
    page = client.get("/data/").text

    addresses = set(re.findall(r'"(/data/[0-9a-f]{16}/[^"]+)"', page))
    assert len(addresses) == 14 + 3  # drawn pictures have no doubtful label across groups
    for address in addresses:
        response = client.get(address)
        assert response.status_code == 200
        assert response.content == (stored / address.rpartition("/")[2]).read_bytes()
        assert response["Content-Type"] in ("image/svg+xml", "image/png")
        assert response["Content-Security-Policy"].startswith("default-src 'none'")
        assert response["X-Content-Type-Options"] == "nosniff"
        assert "immutable" in response["Cache-Control"]


def test_the_page_keeps_to_the_policy(client: Client, stored) -> None:
    response = client.get("/data/")

    assert "unsafe-inline" not in response["Content-Security-Policy"]
    assert not re.search(r"<script(?! src=./static/)|<style|\sstyle=|\son\w+=", response.text)


@pytest.mark.parametrize(
    "name", ["exploration.json", "notes.svg", "..%2fnotes.svg", "examples.png%00", "%2e%2e/%2e%2e/etc/passwd"]
)
def test_no_other_file_is_served(name, client: Client, stored) -> None:
    (stored / "notes.svg").write_text("<svg/>")

    assert client.get(f"/data/{'0' * 16}/{name}").status_code == 404


def test_the_address_of_an_older_content_is_gone(client: Client, stored) -> None:
    assert client.get(f"/data/{'0' * 16}/examples.png").status_code == 404


def test_what_was_explored_here_goes_before_what_comes_with_the_product(client: Client, folders, stored) -> None:
    document = {
        "dataset": {"name": "My pictures"},
        "created_at": "2026-11-24T13:00:00+00:00",
        "figures": {"seconds": 2.0},
        "sections": [],
        "sheets": {},
    }
    save_document(folders[0] / EXPLORATION_NAME, document=document, files={})
    assert "Nobody has looked" in client.get("/data/").text

    (folders[0] / EXPLORATION_NAME).write_text("{")
    assert "What is in Fashion-MNIST" in client.get("/data/").text


def test_a_hostile_text_is_shown_as_text(client: Client, folders) -> None:
    section = {
        "id": "pictures",
        "title": "<b>Title</b>",
        "text": ["<script>alert(1)</script>"],
        "blocks": [{"table": {"caption": "", "columns": ["<i>"], "rows": [["<u>"]], "words": 1}}],
    }
    head = {"dataset": {"name": "<x>"}, "created_at": "2026-11-24T13:00:00+00:00", "figures": {"seconds": 2.0}}
    document = {**head, "sections": [section], "sheets": {}}
    save_document(folders[0] / EXPLORATION_NAME, document=document, files={})

    page = client.get("/data/").text

    assert "&lt;script&gt;" in page
    assert not re.search(r"<script(?! src=./static/)|<b>|<i>|<u>|<x>", page)


def test_only_reading_is_allowed(client: Client, stored) -> None:
    assert client.post("/data/").status_code == 405
