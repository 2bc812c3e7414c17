"""What the shipped artefact says of a shop's pictures, where SHOP_DIR names some; of the part that chose nothing.

The folder has labels.csv with path, group and split; a group that is none of the five is a thing of another kind.
"""

import csv
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from classifier.ml.artefacts import DEFAULT_ARTEFACT
from classifier.ml.inference import Classifier
from classifier.ml.labels import GROUPS
from classifier.ml.types import Picture, Prediction

pytestmark = pytest.mark.skipif("SHOP_DIR" not in os.environ, reason="needs the folder of pictures that SHOP_DIR names")


@dataclass(frozen=True)
class Shop:
    """Pictures, and the group of each; empty for a thing of another kind."""

    pictures: list[Picture]
    groups: list[str]


@cache
def read_shop() -> Shop:
    """Every second picture of the validation part."""
    folder = Path(os.environ["SHOP_DIR"])
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "validation"][::2]
    return Shop(
        pictures=[np.asarray(Image.open(folder / row["path"]).convert("RGB")) for row in rows],
        groups=[row["group"] if row["group"] in GROUPS else "" for row in rows],
    )


@cache
def load_classifier() -> Classifier:
    """The shipped artefact."""
    return Classifier.load(DEFAULT_ARTEFACT)


@cache
def classify_shop() -> list[Prediction]:
    """What is said of the pictures as they are."""
    return load_classifier().classify(read_shop().pictures)


def test_most_are_right_whatever_the_group() -> None:
    groups, said = np.array(read_shop().groups), np.array([said.group for said in classify_shop()])
    assert np.mean([(said[groups == group] == group).mean() for group in GROUPS]) > 0.87


def test_what_is_answered_is_right_and_most_of_other_things_are_not_answered() -> None:
    groups, answers = np.array(read_shop().groups), classify_shop()
    right = np.array([said.group for said in answers]) == groups
    answered = np.array([not said.abstained for said in answers])
    confidences = np.array([said.confidence for said in answers])
    of_five = groups != ""
    assert answered[of_five].mean() > 0.7
    assert right[of_five & answered].mean() > 0.95
    # Where 78 % of the garments are answered.
    assert (confidences[~of_five] >= np.quantile(confidences[of_five], 0.22)).mean() < 0.5


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_turned_pictures_are_seldom_answered_wrongly(turns: int) -> None:
    shop = read_shop()
    chosen = [index for index, group in enumerate(shop.groups) if group][::2]
    turned = [np.ascontiguousarray(np.rot90(shop.pictures[index], turns)) for index in chosen]
    said = load_classifier().classify(turned)
    wrong = [one.group != shop.groups[index] for one, index in zip(said, chosen, strict=True) if not one.abstained]
    assert sum(wrong) / len(chosen) <= 0.1
