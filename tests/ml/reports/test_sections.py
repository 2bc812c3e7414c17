"""Sheets of pictures, and sections as Markdown."""

import io

import numpy as np
from PIL import Image

from classifier.ml.reports.sections import ReportFiles, build_table, write_markdown


def test_a_sheet_says_where_its_pictures_are() -> None:
    files = ReportFiles(prefix="mine-")
    pictures = [np.full((2, 2), value, dtype=np.uint8) for value in range(14)]

    tiles = [files.add_tile("examples", picture, text=f"Training {index}") for index, picture in enumerate(pictures)]

    assert files.write_sheets() == {"mine-examples.png": {"width": 24, "height": 4}}
    assert tiles[13] == {"sheet": "mine-examples.png", "x": 2, "y": 2, "size": 2, "text": "Training 13"}
    whole = np.asarray(Image.open(io.BytesIO(files.contents["mine-examples.png"])))
    assert (whole[2:4, 2:4] == 13).all()
    assert (whole[2:4, 4:] == 0).all()


def test_a_sheet_of_few_pictures_is_as_wide_as_they_are_enlarged() -> None:
    files = ReportFiles(columns=8, scale=3)

    tiles = [files.add_tile("pair", np.full((2, 2), value, dtype=np.uint8), text="") for value in (1, 2)]

    assert files.write_sheets() == {"pair.png": {"width": 12, "height": 6}}
    assert (tiles[1]["x"], tiles[1]["size"]) == (6, 6)
    whole = np.asarray(Image.open(io.BytesIO(files.contents["pair.png"])))
    assert whole[0].tolist() == [1] * 6 + [2] * 6


def test_a_plot_is_a_file_for_each_theme() -> None:
    files = ReportFiles(prefix="mine-")

    plot = files.add_plot("pixels", {"light": b"<svg/>", "dark": b"<svg />"}, text="Bars")

    assert plot == {"light": "mine-pixels-light.svg", "dark": "mine-pixels-dark.svg", "text": "Bars"}
    assert files.contents == {"mine-pixels-light.svg": b"<svg/>", "mine-pixels-dark.svg": b"<svg />"}


def test_a_section_becomes_markdown_with_all_that_a_block_can_hold() -> None:
    tile = {"sheet": "sheet.png", "x": 0, "y": 0, "size": 2, "text": "Test 1"}
    blocks = [
        {
            "title": "Block",
            "text": ["Words."],
            "plot": {"light": "a-light.svg", "dark": "a-dark.svg", "text": "Bars"},
            "table": build_table(
                "Pictures", ("", "Tile", "n"), [("a|b", tile, {"text": "1", "strong": True})], words=2
            ),
        },
        {"gallery": {"kind": "pictures", "entries": [{"tiles": [tile], "lines": ["Dress", "99 %"]}]}},
        {"gallery": {"kind": "pictures", "entries": []}},
    ]
    section = {"id": "s", "title": "Section", "text": ["More."], "command": "train", "blocks": blocks}

    assert write_markdown("# Report", [section], folder="files") == (
        "# Report\n\n## Section\n\nMore.\n\n    train\n\n### Block\n\nWords.\n\n![Bars](files/a-light.svg)\n\n"
        "Pictures:\n\n|  | Tile | n |\n| --- | --- | ---: |\n| a\\|b | Test 1 | **1** |\n\n"
        "![The pictures of the table below, row by row](files/sheet.png)\n\n"
        "| Number | Picture | Garment, said, group and confidence |\n| --- | --- | --- |\n"
        "| 1 | Test 1 | Dress; 99 % |\n\nNone.\n"
    )
