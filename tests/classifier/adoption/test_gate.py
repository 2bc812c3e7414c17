"""The gate of `--activate`: what may be worse than the version in production stays a candidate, or says why not."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from classifier.adoption.gate import GateNotMetError, activate_examined_version, examine_artefact
from classifier.adoption.services import StaleActivationError, activate_model_version
from classifier.ml import pipeline
from classifier.ml.data.dataset import DatasetError
from classifier.ml.judging.gate import Comparison
from classifier.models import AdoptionRun, ModelVersion
from classifier.registry import runtime
from classifier.registry.services import get_artefact_folder, register_model_version
from tests.support.artefacts import OWN_NETWORKS, create_artefact_twin, create_broken_artefact, register_active_version

pytestmark = pytest.mark.django_db
Stage = ModelVersion.Stage
WORSE = Comparison(images=6000, difference=-0.01, low=-0.02, high=0.0, margin=0.005)
AS_GOOD = Comparison(images=6000, difference=0.0, low=-0.001, high=0.001, margin=0.005)


@pytest.fixture(autouse=True)
def artefacts_folder(settings: Any, tmp_path: Path) -> None:
    settings.ARTEFACTS_DIR = tmp_path / "artefacts"


@pytest.fixture
def twin(tmp_path: Path) -> Path:
    return create_artefact_twin(tmp_path / "twin")


def find(monkeypatch: pytest.MonkeyPatch, found: Comparison | Exception) -> list[tuple[str, str, Path | None]]:
    """Have versions compare so; the candidate, the other and the data set's folder of each call."""
    calls = []

    def compare(candidate: Any, *, other: Any, data_dir: Path | None) -> Comparison:
        calls.append((candidate.version, other.version, data_dir))
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(pipeline, "compare_classifiers", compare)
    return calls


def register(*arguments: object) -> str:
    output = io.StringIO()
    call_command("register_model_version", *map(str, arguments), stdout=output)
    return output.getvalue()


def test_what_is_as_good_comes_into_production_with_what_was_found(twin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = register_active_version()
    calls = find(monkeypatch, AS_GOOD)
    assert "(active)" in register(twin, "--activate", "--data-dir", "/data")
    assert calls == [("twin-1", before.name, Path("/data"))]
    run = AdoptionRun.objects.first()
    assert (run.model_version.name, run.comparison, run.reason) == ("twin-1", AS_GOOD.to_json(), "")


def test_what_may_be_worse_stays_a_candidate(twin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = register_active_version()
    find(monkeypatch, WORSE)
    with pytest.raises(CommandError) as caught:
        register(twin, "--activate", "--json")
    assert caught.value.returncode == 3
    assert str(caught.value).startswith(
        f"It may be worse than {before.name}, which is in production: -1.00 points of accuracy over groups "
        "(-2.00 to +0.00) on the same 6,000 pictures."
    )
    assert "--force --reason TEXT" in str(caught.value)
    assert dict(ModelVersion.objects.values_list("name", "stage")) == {before.name: "active", "twin-1": "candidate"}


def test_force_needs_a_reason_that_is_kept(twin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register_active_version()
    find(monkeypatch, WORSE)
    register(twin, "--activate", "--force", "--reason", "It knows our shop")
    run = AdoptionRun.objects.first()
    assert (run.model_version.name, run.comparison, run.reason) == ("twin-1", WORSE.to_json(), "It knows our shop")


def test_a_reason_that_was_not_needed_is_none(twin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register_active_version()
    find(monkeypatch, AS_GOOD)
    register(twin, "--activate", "--force", "--reason", "To be sure")
    assert AdoptionRun.objects.first().reason == ""


@pytest.mark.parametrize(
    "options", [["--activate", "--force"], ["--activate", "--reason", "So"], ["--force", "--reason", "So"],
                ["--activate", "--force", "--reason", " "]], ids=" ".join
)  # fmt: skip
def test_half_of_a_force_is_bad_usage(twin: Path, options: list[str]) -> None:
    with pytest.raises(CommandError, match="--force needs --activate and --reason") as caught:
        register(twin, *options)
    assert caught.value.returncode == 2
    assert not ModelVersion.objects.exists()


def test_what_cannot_be_compared_needs_a_reason_too(twin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register_active_version()
    find(monkeypatch, DatasetError("Fashion-MNIST was not found"))
    with pytest.raises(CommandError, match=r"cannot be compared with .*: Fashion-MNIST was not found") as caught:
        register(twin, "--activate")
    assert caught.value.returncode == 3
    register(twin, "--activate", "--force", "--reason", "No data set here")
    assert AdoptionRun.objects.first().reason == "No data set here"


def test_what_labels_nothing_is_refused_by_force_as_well(tmp_path: Path) -> None:
    broken = create_broken_artefact(tmp_path / "broken")
    with pytest.raises(CommandError, match=r"^network\.tflite of broken-1 is not a serving network") as caught:
        register(broken, "--activate", "--force", "--reason", "So")
    assert caught.value.returncode == 3
    assert ModelVersion.objects.get().stage == Stage.CANDIDATE


@pytest.mark.parametrize("there", ["nothing", "the same", "without its files"])
def test_where_there_is_nothing_to_compare_with_no_picture_is_looked_at(
    there: str, twin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = find(monkeypatch, WORSE)
    if there != "nothing":
        active = register_active_version(twin if there == "the same" else OWN_NETWORKS)
        if there == "without its files":
            get_artefact_folder(active).rename(get_artefact_folder(active).with_name("elsewhere"))
            runtime._load.cache_clear()  # as in another process
    assert json.loads(register(twin, "--activate", "--json"))["stage"] == "active"
    assert calls == []


def test_an_activation_since_the_examination_ends_it(twin: Path, tmp_path: Path) -> None:
    examination = examine_artefact(twin)
    register_active_version()
    version = register_model_version(twin)
    with pytest.raises(StaleActivationError):
        activate_examined_version(version, examination)
    version.refresh_from_db()
    assert version.stage == Stage.CANDIDATE


def test_people_who_see_the_figures_need_no_gate(twin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register_active_version()
    find(monkeypatch, WORSE)
    version = register_model_version(twin)
    examination = examine_artefact(twin)
    with pytest.raises(GateNotMetError):
        activate_examined_version(version, examination)
    assert activate_model_version(version).stage == Stage.ACTIVE
    assert AdoptionRun.objects.first().comparison == {}
