"""`evaluate_classifier`: figures on test pictures, on labelled pictures from disk, and on a labelled catalogue."""

import csv
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from PIL import Image

from catalog.demo.rendering import render_picture
from catalog.demo.sample import read_pictures, read_true_garments
from classifier.ml import pipeline
from classifier.ml.artefacts import DEFAULT_ARTEFACT, load_manifest, verify_artefact
from classifier.ml.heads import CLASSES, Heads, TitleHead, read_heads
from classifier.ml.labels import GROUP_OF_GARMENT, GROUPS
from classifier.ml.reports.documents import load_document
from classifier.ml.text.ngrams import BUCKETS
from classifier.reports.evaluations import learn_titles, list_evaluations
from tests.support.drawings import draw_dataset, render_for_shop

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folders(settings: Any, tmp_path: Path) -> None:
    settings.ARTEFACTS_DIR, settings.EVALUATIONS_DIR = tmp_path / "artefacts", tmp_path / "evaluations"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder with a garment, a note, and no table."""
    folder = tmp_path / "shop"
    folder.mkdir()
    page = Image.fromarray(render_for_shop(draw_dataset(train_per_label=1).train_images[1], side=224, margin=16))
    page.save(folder / "good.png")
    (folder / "note.txt").write_text("no picture at all")
    return folder


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    """40 garments of the demo as shops show them, and 30 noisy pictures of no group; one row is of another split."""
    folder = tmp_path / "demo"
    folder.mkdir()
    rows = []
    true = read_true_garments()
    for name, picture in [(name, picture) for name, picture in read_pictures().items() if name in true][:40]:
        (folder / Path(name).name).write_bytes(render_picture(picture, name=name))
        rows.append([Path(name).name, GROUP_OF_GARMENT[true[name]], "Linen, of a kind", "Germany", "b"])
    for number in range(30):
        Image.effect_noise((60, 80), 90).save(folder / f"noise-{number}.png")
        rows.append([f"noise-{number}.png", "none", "", "", "b"])
    write_labels(folder, [*rows, ["nowhere.png", "Hats", "", "", "a"]])
    return folder


def write_labels(folder: Path, rows: Sequence[Sequence[str]]) -> None:
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "group", "title", "country", "split"])
        writer.writerows(rows)


def run(*arguments: str | Path) -> str:
    output = io.StringIO()
    call_command("evaluate_classifier", *map(str, arguments), stdout=output, stderr=io.StringIO())
    return output.getvalue()


def test_evaluation_prints_the_documented_json(monkeypatch: pytest.MonkeyPatch) -> None:
    data = draw_dataset(test_per_label=2)
    monkeypatch.setattr(pipeline, "load_fashion_mnist", lambda folder: data)
    report = json.loads(run("--json"))
    assert report["model_version"] == load_manifest(DEFAULT_ARTEFACT).version
    assert report["images"] == 20
    assert list(report["groups"]) == list(GROUPS)
    assert list(report["operating_points"]) == ["argmax", "balanced"]
    assert report["artefact_bytes"] < 10_000_000
    text = run()
    assert "20 pictures: accuracy over groups" in text
    assert all(group in text for group in GROUPS)


def test_labelled_pictures_are_measured_by_split(shop: Path) -> None:
    write_labels(
        shop,
        [
            ["good.png", "Bottom part", "", "", "b"],
            ["note.txt", "Bags", "", "", "b"],
            ["good.png", "Bags", "", "", "a"],
        ],
    )
    report = json.loads(run("--json", "--pictures", shop, "--split", "b"))
    # The text file is left out, the other split is not read.
    assert report["images"] == 1
    assert {"balanced_accuracy", "answered", "accuracy_of_answered"} <= set(report)
    assert report["garment_accuracy"] is None


@pytest.mark.parametrize("option", ["--pictures", "--catalogue"])
@pytest.mark.parametrize(
    "content, message",
    [
        (None, "labels.csv cannot be read"),
        ("path,label\n", "expected the columns group, path"),
        ("path,group\ngood.png,Hats\n", "line 2: expected a group out of Upper part, .*, received 'Hats'"),
        ("path,group\n../../etc/passwd,Bags\n", "line 2: expected a path in the folder"),
        ("path,group\n/etc/passwd,Bags\n", "line 2: expected a path in the folder"),
        ("path,group\n,Bags\n", "line 2: expected a path in the folder"),
        ("path,group\na\0b,Bags\n", "line 2: expected a path in the folder|line contains NUL"),
        ("path,group\ngood.png\n", "line 2: expected as many cells"),
        ("path,group,title\ngood.png,Bags,A bag, red\n", "line 2: expected as many cells"),
        ("path,group,country\ngood.png,Bags,Atlantis\n", "line 2: expected a country code"),
        (f"path,group,title\ngood.png,Bags,{'a' * 1001}\n", "line 2: expected at most 1,000 characters in title"),
        ("path,group\n", "at least one picture"),
        ("path,group\nnote.txt,Bags\n", "none of the 1 pictures"),
    ],
)
def test_a_list_of_pictures_that_cannot_be_used_says_why(
    shop: Path, option: str, content: str | None, message: str
) -> None:
    if content is not None:
        (shop / "labels.csv").write_text(content)
    with pytest.raises(CommandError, match=message):
        run("--json", option, shop)
    assert list_evaluations() == []


def test_a_pipe_is_no_list_and_is_not_waited_for(shop: Path) -> None:
    (shop / "labels.csv").unlink(missing_ok=True)
    os.mkfifo(shop / "labels.csv")
    with pytest.raises(CommandError, match=r"labels\.csv cannot be read: .* received a pipe"):
        run("--pictures", shop)


def test_bad_rows_are_told_together(shop: Path) -> None:
    (shop / "labels.csv").write_text("path,group\n" + "good.png,Bags\n" + "good.png,Hats\n" * 12)
    with pytest.raises(CommandError) as caught:
        run("--catalogue", shop)
    lines = str(caught.value).splitlines()
    assert lines[0].startswith(f"{shop}/labels.csv, line 3: expected a group")
    assert [line.partition(":")[0] for line in lines[1:]] == [
        *(f"line {number}" for number in range(4, 13)),
        "and 2 more",
    ]


def test_things_of_no_group_are_for_catalogues_alone(shop: Path) -> None:
    write_labels(shop, [["good.png", "none", "", "", ""]])
    with pytest.raises(CommandError, match=r"expected a group out of .* received 'none'"):
        run("--pictures", shop)
    assert json.loads(run("--catalogue", shop, "--json"))["ways"]["pictures"]["none"] == 1


def test_a_catalogue_is_measured_by_its_labels_and_stored(demo: Path) -> None:
    printed = json.loads(run("--catalogue", demo, "--split", "b", "--json"))
    (path,) = list_evaluations()
    stored = load_document(path)
    assert {name: stored[name] for name in printed} == printed
    assert (printed["catalogue"], printed["split"], printed["unreadable"]) == ("demo", "b", 0)
    figures = printed["ways"]["pictures"]
    assert (figures["garments"], figures["none"]) == (40, 30)
    assert figures["accuracy"]["value"] > 0.8
    assert figures["accuracy"]["low"] < figures["accuracy"]["value"] <= figures["accuracy"]["high"]
    assert sum(map(sum, figures["confusion"]["counts"])) == 70
    assert list(figures["evidence"]) == ["picture"]
    # Measured again, it takes the place of the one before; of another version or split it would not.
    assert "Balanced accuracy over groups" in run("--catalogue", demo, "--split", "b")
    assert list_evaluations() == [path]


def test_titles_are_judged_beside_the_pictures_alone(demo: Path) -> None:
    with (demo / "labels.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    names = {"Upper part": "Shirt", "Bottom part": "Hose", "One piece": "Dress", "Footwear": "Shoes", "Bags": "Bag"}
    titled = [
        [row["path"], row["group"], f"{names.get(row['group'], 'Umbrella')} {number}", "de", row["split"]]
        for number, row in enumerate(rows)
    ]
    write_labels(demo, titled)

    ways = json.loads(run("--catalogue", demo, "--split", "b", "--json"))["ways"]

    assert ways["titles"]["accuracy"]["value"] >= ways["pictures"]["accuracy"]["value"]
    assert ways["titles"]["none_answered"]["value"] == 0
    assert set(ways["titles"]["evidence"]) <= {"picture", "text", "both"}


def test_wrong_titles_are_of_other_groups_and_end_wrong_or_as_none_or_unsure(demo: Path) -> None:
    with (demo / "labels.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "b"]
    write_labels(demo, [[row["path"], row["group"], "Umbrella" * (row["group"] == "none"), "", "b"] for row in rows])

    # Of other groups only things of none have words: garments keep their labels, or are said to be none.
    found = json.loads(run("--catalogue", demo, "--wrong-titles", "3", "--json"))["wrong_titles"]
    assert (found["turns"], found["garments"]) == (3, 40)
    assert 0 < found["none"] < 0.8
    assert found["wrong"] < 0.05
    assert "of another group (3 turns)" in run("--catalogue", demo, "--wrong-titles", "3")
    with pytest.raises(CommandError, match="at least one turn"):
        run("--catalogue", demo, "--wrong-titles", "0")
    with pytest.raises(CommandError, match="needs --catalogue"):
        run("--wrong-titles", "3")


def test_without_a_title_the_picture_decides_alone() -> None:
    taught = TitleHead(np.zeros((BUCKETS, CLASSES), np.float32), np.zeros(CLASSES, np.float32))
    heads = Heads(read_heads(verify_artefact(DEFAULT_ARTEFACT)).calibration, titles=taught)
    assert learn_titles(["", "Linen"], heads=heads) == [(), pytest.approx([1 / CLASSES] * CLASSES)]


def test_a_picture_that_cannot_be_read_is_left_out_and_counted(shop: Path) -> None:
    write_labels(shop, [["good.png", "Bottom part", "", "", ""], ["note.txt", "Bags", "", "", ""]])
    printed = json.loads(run("--catalogue", shop, "--json"))
    assert (printed["unreadable"], printed["ways"]["pictures"]["garments"]) == (1, 1)
    # Of one product no share is told.
    assert printed["ways"]["pictures"]["accuracy"]["value"] is None


def test_what_cannot_be_stored_is_printed_all_the_same(
    shop: Path, settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    write_labels(shop, [["good.png", "Bottom part", "", "", ""]])
    settings.EVALUATIONS_DIR = shop / "note.txt" / "below"
    with pytest.raises(CommandError, match="the evaluation could not be stored"):
        call_command("evaluate_classifier", "--catalogue", str(shop), "--json")
    assert '"garments": 1' in capsys.readouterr().out


@pytest.mark.parametrize("others", [["--pictures", "x"], ["--data-dir", "x"]])
def test_one_thing_is_measured_at_a_time(others: list[str], shop: Path) -> None:
    with pytest.raises(CommandError, match="not allowed with argument"):
        run("--catalogue", shop, *others)
    with pytest.raises(CommandError, match="--split needs"):
        run("--split", "b")


def test_a_data_set_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=rf"expected train-images-idx3-ubyte .* in {tmp_path}"):
        run("--data-dir", tmp_path)


@pytest.mark.skipif("SHOP_DIR" not in os.environ, reason="needs a labelled shop: SHOP_DIR")
def test_a_shop_of_studio_pictures() -> None:
    figures = json.loads(run("--catalogue", os.environ["SHOP_DIR"], "--split", "validation", "--json"))["ways"]
    assert figures["pictures"]["none"] >= 100
    assert figures["pictures"]["balanced_accuracy"]["value"] > 0.78
    assert figures["titles"]["balanced_accuracy"]["value"] > 0.98
    assert figures["titles"]["none_answered"]["value"] < 0.06
