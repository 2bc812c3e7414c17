"""The gate: what may be worse than the version in production stays a candidate, or says why not."""

import io
import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from classifier.adoption import gate
from classifier.adoption.gate import examine_artefact, examine_version, record_answers
from classifier.adoption.services import (
    Asker,
    GateNotMetError,
    StaleActivationError,
    ask_for_stage,
    request_stage_change,
)
from classifier.ml import pipeline
from classifier.ml.artefacts import DEFAULT_ARTEFACT, ArtefactError
from classifier.ml.data.dataset import DatasetError
from classifier.models import AdoptionRun, ArtefactAnswers, ModelVersion, StageChange
from classifier.registry import runtime
from classifier.registry.services import get_artefact_folder, register_model_version
from tests.support.artefacts import (
    OWN_NETWORKS,
    answer_alike,
    create_artefact_twin,
    create_broken_artefact,
    register_active_version,
)
from tests.support.members import create_member

pytestmark = pytest.mark.django_db
Stage = ModelVersion.Stage
#: Of so many of the first test pictures the twin says something else, all of them of one group.
WORSE = {"twin-1": 50}


@pytest.fixture(autouse=True)
def artefacts_folder(settings: Any, tmp_path: Path) -> None:
    settings.ARTEFACTS_DIR = tmp_path / "artefacts"


@pytest.fixture
def twin(tmp_path: Path) -> Path:
    return create_artefact_twin(tmp_path / "twin")


def register(*arguments: object) -> str:
    output = io.StringIO()
    call_command("register_model_version", *map(str, arguments), stdout=output)
    return output.getvalue()


def test_what_is_as_good_comes_into_production_with_what_was_found(twin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = register_active_version()
    asked = answer_alike(monkeypatch)
    assert "(production)" in register(twin, "--activate", "--data-dir", "/data")
    assert asked == ["twin-1", before.name]
    run, change = AdoptionRun.objects.first(), StageChange.objects.get()
    assert (run.model_version.name, run.reason, change.way, change.rule) == ("twin-1", "", "command", "one")
    assert run.comparison == change.evidence["gate"]
    found = run.comparison["test_pictures"]
    assert [one["of"] for one in found][:2] == ["all groups", "Upper part"]
    assert (len(found), found[-1]["of"], run.comparison["catalogue"]) == (7, "garments", None)
    assert not change.forced


def test_what_may_be_worse_stays_a_candidate(twin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = register_active_version()
    answer_alike(monkeypatch, wrong=WORSE)
    with pytest.raises(CommandError) as caught:
        register(twin, "--activate", "--json")
    assert caught.value.returncode == 3
    assert str(caught.value).startswith(
        f"It may be worse than {before.name}, which is in production: the lower end of a difference is below its "
        "margin. all groups: -5.00 points (-6.35 to -3.63, margin -2.12) on the same 1,000 pictures; Upper part: -12.50"
    )
    assert "--force --reason TEXT" in str(caught.value)
    assert dict(ModelVersion.objects.values_list("name", "stage")) == {before.name: "production", "twin-1": "candidate"}
    assert not StageChange.objects.exists()


def test_force_needs_a_reason_that_is_kept(twin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register_active_version()
    answer_alike(monkeypatch, wrong=WORSE)
    register(twin, "--activate", "--force", "--reason", "It knows our shop", "--user", create_member().username)
    run, change = AdoptionRun.objects.first(), StageChange.objects.get()
    assert (run.model_version.name, run.reason, change.forced) == ("twin-1", "It knows our shop", True)
    assert change.requested_by == change.decided_by is not None


def test_a_reason_that_was_not_needed_is_none(twin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register_active_version()
    answer_alike(monkeypatch)
    register(twin, "--activate", "--force", "--reason", "To be sure")
    assert (AdoptionRun.objects.first().reason, StageChange.objects.get().forced) == ("", False)


def test_where_two_decide_the_first_version_of_all_serves_at_once(settings: Any) -> None:
    settings.APPROVALS = "two"
    ann = create_member()
    said = register(DEFAULT_ARTEFACT, "--activate", "--user", ann.username)
    version = ModelVersion.objects.get(stage=Stage.PRODUCTION)
    assert said == f"Model version {version.pk}: {version.name} (production)\n"
    change = StageChange.objects.get()
    assert (change.decision, change.rule, change.requested_by) == ("approved", "first", ann)


def test_where_two_decide_a_command_asks_by_name(twin: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.APPROVALS = "two"
    register_active_version()
    answer_alike(monkeypatch)
    for user in ([], ["--user", "nobody"]):
        with pytest.raises(CommandError, match="--user") as caught:
            register(twin, "--activate", *user)
        assert caught.value.returncode == 2
    assert ModelVersion.objects.count() == 1
    ann, bob = create_member(), create_member()
    result = json.loads(register(twin, "--activate", "--user", ann.username, "--json"))
    change = StageChange.objects.get()
    assert (result["stage"], result["stage_change"], change.decision) == ("candidate", change.pk, "open")

    def change_stage(action: str, user: Any, *options: str) -> dict[str, Any]:
        output = io.StringIO()
        call_command(
            "change_stage", action, str(result["id"]), "--reason", "Seen", "--user", user.username, "--json", *options,
            stdout=output,
        )  # fmt: skip
        return json.loads(output.getvalue())

    with pytest.raises(CommandError, match="Another person"):
        change_stage("approve", ann, "--without-catalogue")
    with pytest.raises(CommandError, match="gave no evidence"):
        change_stage("approve", bob)
    assert change_stage("approve", bob, "--without-catalogue")["rule"] == "two"
    assert ModelVersion.objects.get(pk=result["id"]).stage == Stage.PRODUCTION


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

    def miss(_classifier: Any, **_options: Any) -> None:
        raise DatasetError("Fashion-MNIST was not found")

    monkeypatch.setattr(pipeline, "answer_test_pictures", miss)
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
    asked = answer_alike(monkeypatch, wrong=WORSE)
    if there != "nothing":
        active = register_active_version(twin if there == "the same" else OWN_NETWORKS)
        if there == "without its files":
            get_artefact_folder(active).rename(get_artefact_folder(active).with_name("elsewhere"))
            runtime._load.cache_clear()  # as in another process
    assert json.loads(register(twin, "--activate", "--json"))["stage"] == "production"
    assert asked == []


def test_an_activation_since_the_examination_ends_it(twin: Path) -> None:
    examination = examine_artefact(twin)
    register_active_version()
    version = register_model_version(twin)
    with pytest.raises(StaleActivationError):
        request_stage_change(version, to=Stage.PRODUCTION, asker=Asker("command"), examination=examination)
    version.refresh_from_db()
    assert version.stage == Stage.CANDIDATE


def test_people_pass_the_gate_as_commands_do(twin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register_active_version()
    asked = answer_alike(monkeypatch, wrong=WORSE)
    version = register_model_version(twin)
    examine_version(version, ask=True)
    for _ in range(2):
        with pytest.raises(GateNotMetError):
            ask_for_stage(version, to=Stage.PRODUCTION, asker=Asker("page", create_member()))
    assert len(asked) == 2  # each of both was asked once


def test_the_site_asks_no_test_pictures(twin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register_active_version()
    asked = answer_alike(monkeypatch)
    version = register_model_version(twin)
    assert "twin-1 was not asked Fashion-MNIST's test pictures yet" in examine_version(version).problem
    assert asked == []
    examine_version(version, ask=True)
    assert len(asked) == 2
    assert examine_version(version).problem == ""


def test_a_version_answers_when_it_is_registered_where_the_pictures_are(
    twin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = answer_alike(monkeypatch)
    register(twin)
    answers = ArtefactAnswers.objects.get()
    assert (asked, answers.pictures_sha256, len(bytes(answers.golden))) == ([], "", 32 * 10 * 2)
    monkeypatch.setattr(gate, "find_fashion_mnist", lambda: Path("/data"))
    register(twin)
    answers.refresh_from_db()
    assert (asked, len(bytes(answers.said))) == (["twin-1"], 1_000)


@pytest.mark.parametrize("distance, is_another", [(0.01, False), (0.05, True)])
def test_a_network_that_says_something_else_than_at_first_passes_no_gate(
    twin: Path, monkeypatch: pytest.MonkeyPatch, distance: float, is_another: bool
) -> None:
    register_active_version()
    version = register_model_version(twin)
    record_answers(twin)
    answers = ArtefactAnswers.objects.get(pk=version.manifest_sha256)
    moved = np.frombuffer(bytes(answers.golden), np.float16) + np.float16(distance)
    ArtefactAnswers.objects.filter(pk=answers.pk).update(golden=moved.tobytes())
    with pytest.raises(ArtefactError, match="does not say here what it said") if is_another else nullcontext():
        ask_for_stage(version, to=Stage.PRODUCTION, asker=Asker("page"), force=True, reason="So")
