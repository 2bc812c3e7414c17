"""`replay_reviews`: the loop of reviews and trainings on a labelled folder, as figures, a document and plots."""

import csv
import io
import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from catalog.demo.rendering import render_picture
from catalog.demo.sample import read_pictures, read_true_garments
from classifier.ml.labels import GROUP_OF_GARMENT
from classifier.ml.reports.documents import load_document

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """90 garments of the demo as shops show them, two of three to be reviewed, and a file that is no picture."""
    folder = tmp_path_factory.mktemp("shop")
    true = read_true_garments()
    names = [(name, picture) for name, picture in read_pictures().items() if name in true][:90]
    rows = []
    for number, (name, picture) in enumerate(names):
        (folder / Path(name).name).write_bytes(render_picture(picture, name=name))
        split = "validation" if number % 3 == 0 else "train"
        rows.append([Path(name).name, GROUP_OF_GARMENT[true[name]], f"Acme {number}", split])
    (folder / "note.jpg").write_text("no picture at all")
    write_labels(folder, [*rows, ["note.jpg", "Bags", "", "train"]])
    return folder


def write_labels(folder: Path, rows: list[list[str]]) -> None:
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "group", "title", "split"])
        writer.writerows(rows)


def run(*arguments: str | Path) -> tuple[str, str]:
    output, errors = io.StringIO(), io.StringIO()
    call_command("replay_reviews", *map(str, arguments), stdout=output, stderr=errors)
    return output.getvalue(), errors.getvalue()


def test_a_replay_says_what_so_many_reviews_are_worth(shop: Path, tmp_path: Path) -> None:
    output, errors = run(shop, "--seeds", "2", "--reviews", "0", "40", "1000", "--json", "--output", tmp_path / "out")
    document = json.loads(output)
    assert "note.jpg" in errors
    assert document["pictures"] == {"reviewed": 60, "held_out": 30}
    assert list(document["curves"]) == ["queue", "random"]
    # There are no thousand pictures to review.
    assert [step["reviews"] for step in document["curves"]["queue"]] == [0, 40]
    before, after = document["curves"]["random"]
    assert list(before["ways"]) == ["pictures", "titles"]
    assert before["ways"]["pictures"]["balanced_accuracy"]["standard_error"] == 0
    figure = after["ways"]["pictures"]["accuracy"]
    assert figure["low"] <= figure["mean"] <= figure["high"]
    # Another seed reviews others.
    assert any(found["standard_error"] > 0 for found in after["ways"]["pictures"].values()), after["ways"]["pictures"]
    assert after["ways"]["pictures"]["unsure"]["mean"] < 1
    assert set(document["random_as_good_as_queue"]["pictures"]) == {"40"}
    stored = load_document(tmp_path / "out" / "replay.json")
    assert stored["curves"] == document["curves"]
    assert {"pictures-balanced-accuracy-light.svg", "titles-unsure-dark.svg"} <= set(stored["files"])


def test_the_same_seed_replays_the_same(shop: Path) -> None:
    first, again = (
        json.loads(run(shop, "--seeds", "1", "--seed", "1", "--reviews", "40", "--json")[0])["curves"] for _ in range(2)
    )
    assert first == again


def test_people_read_a_table(shop: Path) -> None:
    output, _ = run(shop, "--seeds", "1", "--reviews", "0")
    assert "Means over 1 replays with standard errors; 60 pictures are reviewed, 30 held out" in " ".join(
        output.split()
    )


@pytest.mark.parametrize(
    "rows, message",
    [
        ([["a.jpg", "Bags", "", "train"]], "and others, which are held out; received 1 and 0"),
        ([["a.jpg", "Bags", "", "train"], ["b.jpg", "Hats", "", "test"]], "line 3: expected a group out of"),
        ([["a.jpg", "Bags", "", "train"], ["b.jpg", "Bags", "", "test"]], "none of the 1 pictures in"),
    ],
)
def test_folders_that_cannot_be_replayed_are_refused_in_words(
    tmp_path: Path, rows: list[list[str]], message: str
) -> None:
    write_labels(tmp_path, rows)
    with pytest.raises(CommandError, match=message):
        run(tmp_path)


@pytest.mark.parametrize("arguments", [["--seeds", "0"], ["--reviews", "-1"]])
def test_bad_usage_is_refused(shop: Path, arguments: list[str]) -> None:
    with pytest.raises(CommandError, match="expected"):
        run(shop, *arguments)
