"""The model card: everything that the manifest knows, and nothing where it does not."""

import json
from typing import Any

import pytest

from classifier.ml.artefacts import MANIFEST_FILE
from classifier.ml.labels import GROUPS
from classifier.ml.model_card import REPRODUCTION_TOLERANCE, build_model_card
from tests.support.artefacts import OWN_NETWORKS


@pytest.fixture
def manifest() -> dict[str, Any]:
    """The manifest that comes with the product, as plain JSON."""
    values: dict[str, Any] = json.loads((OWN_NETWORKS / MANIFEST_FILE).read_bytes())
    return values


def test_it_names_data_licences_command_and_tolerance(manifest: dict[str, Any]) -> None:
    card = build_model_card(manifest)

    assert card.startswith(f"# Model card: {manifest['version']}\n")
    assert "Fashion-MNIST" in card
    assert "MIT licence" in card
    assert "Apache-2.0 licence" in card
    assert f"    {manifest['command']}\n" in card
    assert f"within {REPRODUCTION_TOLERANCE} of those below" in card
    assert f"| `network.tflite` | `{manifest['files']['network.tflite']}` |" in card
    assert f"| `t10k-labels-idx1-ubyte` | `{manifest['dataset']['sha256']['t10k-labels-idx1-ubyte']}` |" in card


def test_it_has_the_figures_of_both_operating_points(manifest: dict[str, Any]) -> None:
    card = build_model_card(manifest)

    for point in ("argmax", "balanced"):
        scores = manifest["metrics"]["operating_points"][point]["One piece"]
        row = f"| {scores['recall']:.4f} | {scores['precision']:.4f} | {scores['negative_predictive_value']:.4f} |"
        assert f"| {point} | One piece {row}" in card
    assert f"expected calibration error {manifest['metrics']['expected_calibration_error']:.4f}" in card
    assert f"are right, {manifest['calibration']['threshold']:.3f}." in card


def test_it_has_the_factors_of_photographs(manifest: dict[str, Any]) -> None:
    factor = manifest["calibration"]["photographs"]["group_weights"]["One piece"]
    assert f"| One piece | {factor:.3f} |" in build_model_card(manifest)
    manifest["calibration"]["photographs"] = None
    assert "photograph" not in build_model_card(manifest).partition("## Calibration")[2]


def test_an_artefact_of_the_first_schema_has_a_threshold_for_each_group(manifest: dict[str, Any]) -> None:
    calibration = manifest["calibration"]
    for name in ("threshold", "garment_threshold", "photographs"):
        del calibration[name]
    calibration["thresholds"] = dict.fromkeys(GROUPS, 0.5) | {"Bags": 0.75}

    assert f"| Bags | 0.750 | {calibration['balanced_weights']['Bags']:.3f} |" in build_model_card(manifest)


def test_accuracies_have_intervals_and_shares_of_nothing_are_dashes(manifest: dict[str, Any]) -> None:
    metrics = manifest["metrics"] | {"images": 100, "accuracy": 0.9, "answered": 0.2, "accuracy_of_answered": 1.0}
    metrics["operating_points"]["argmax"]["Bags"] |= {"recall": None}
    card = build_model_card(manifest | {"metrics": metrics})

    assert "| Accuracy over five groups | 0.9000 (0.8256 to 0.9448) |" in card
    assert "| argmax | Bags | - |" in card
    # Of twenty answers it is not told how many are right.
    assert "20.0 % answered, \N{EN DASH} of the answers right." in card


def test_it_says_what_it_is_not_for(manifest: dict[str, Any]) -> None:
    card = build_model_card(manifest)

    assert "## What it is not for" in card
    assert "Photographs are harder than its test" in card
    assert "evaluate_classifier --pictures DIR" in card


@pytest.mark.parametrize(
    "changed, fitted, said",
    [
        ({"colour": None}, None, "Colour, material, size"),
        ({}, None, "changes no answer by itself"),
        ({"base": "0" * 64, "files": {}}, [0.5] * 64, "changes no group by itself"),
        ({"base": "0" * 64}, [0.5] * 64, "tell the groups of photographs by it as well"),
    ],
)
def test_it_says_what_colours_do(
    manifest: dict[str, Any], changed: dict[str, Any], fitted: list[float] | None, said: str
) -> None:
    manifest["calibration"]["photographs"]["upright_colours"] = fitted
    card = build_model_card(manifest | changed)
    sayings = ("Colour, material", "no answer by itself", "no group by itself", "groups of photographs by it")
    assert [saying for saying in sayings if saying in card] == [saying for saying in sayings if saying in said]
    assert said in card


def test_heads_that_a_catalogue_taught_are_not_made_again(manifest: dict[str, Any]) -> None:
    assert "makes its networks again" in build_model_card(manifest)
    taught = build_model_card(manifest | {"base": "0" * 64, "files": {"heads.safetensors": "1" * 64}})
    assert "the same command learns from the catalogue as it is" in taught
    assert "makes its networks again" not in taught


def test_costs_are_shown_where_the_manifest_has_them(manifest: dict[str, Any]) -> None:
    manifest["training"] = {"seconds": 1234.5}
    older = build_model_card(manifest)
    manifest["training"] |= {"cpu_seconds": 2345.6, "peak_memory_bytes": 3_456_000_000}
    newer = build_model_card(manifest)

    assert "| Training and evaluation | 1,234 s |" in older
    assert "Peak memory" not in older
    assert "| Processor time | 2,346 s |" in newer
    assert "| Peak memory | 3.5 GB |" in newer


def test_an_artefact_from_random_weights_without_figures(manifest: dict[str, Any]) -> None:
    manifest |= {"backbone": None, "metrics": {}, "calibration": {}, "training": {}, "libraries": {}, "dataset": {}}
    manifest["colour"] = None

    card = build_model_card(manifest)

    assert "started from random weights" in card
    assert "Apache" not in card
    assert "## Results" not in card
    assert "## Calibration" not in card


def test_a_bar_in_a_value_does_not_break_the_table(manifest: dict[str, Any]) -> None:
    manifest["recipe"] = {"name": "a|b", "published_column": None}

    card = build_model_card(manifest)

    assert "| name | a\\|b |\n| published column | - |" in card


def test_the_same_manifest_makes_the_same_card(manifest: dict[str, Any]) -> None:
    assert build_model_card(manifest) == build_model_card(json.loads(json.dumps(manifest)))
