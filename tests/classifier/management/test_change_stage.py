"""`change_stage`: who asks, decides and goes back on the command line, and how that ends."""

import io
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from classifier.adoption import services
from classifier.adoption.gate import Examination
from classifier.ml.artefacts import ArtefactMissingError
from classifier.models import ModelVersion, StageChange
from tests.support.artefacts import vouch_for_files
from tests.support.fakes import create_model_version
from tests.support.members import create_member

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _without_files(monkeypatch: pytest.MonkeyPatch) -> None:
    vouch_for_files(monkeypatch)


def change_stage(*arguments: object) -> dict[str, Any]:
    output = io.StringIO()
    call_command("change_stage", *map(str, arguments), "--reason", "So", "--json", stdout=output)
    return json.loads(output.getvalue())


def fail(*arguments: object) -> tuple[str, int]:
    with pytest.raises(CommandError) as caught:
        change_stage(*arguments)
    return str(caught.value), caught.value.returncode


def test_one_person_asks_and_goes_back_where_one_is_enough() -> None:
    before, version = create_model_version(), create_model_version(stage="candidate")
    asked = change_stage("request", version.pk)
    assert (asked["decision"], asked["rule"], asked["way"], asked["requested_by"]) == (
        "approved",
        "one",
        "command",
        None,
    )
    back = change_stage("rollback", "--user", create_member().username)
    assert (back["model_version"], back["rule"]) == (before.pk, "rollback")


def test_another_stage_is_asked_for_by_name() -> None:
    version = create_model_version(stage="candidate")
    assert change_stage("request", version.pk, "--to", "preproduction")["rule"] == "free"
    assert ModelVersion.objects.get().stage == "preproduction"


def test_a_request_is_rejected_or_withdrawn_by_name(settings: Any) -> None:
    settings.APPROVALS = "two"
    create_model_version()
    version, ann, bob = create_model_version(stage="candidate"), create_member().username, create_member().username
    assert change_stage("request", version.pk, "--user", ann)["decision"] == "open"
    assert change_stage("reject", version.pk, "--user", bob)["decided_by"] == bob
    change_stage("request", version.pk, "--user", ann)
    assert change_stage("withdraw", version.pk, "--user", ann)["decision"] == "withdrawn"


def test_what_does_not_fit_says_so_and_writes_nothing(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.APPROVALS = "two"
    create_model_version()
    version, ann = create_model_version(stage="candidate"), create_member().username
    assert fail("request") == ("expected the id of a VERSION, but for rollback, which has none", 2)
    assert fail("approve", version.pk, "--user", "nobody")[1] == 2
    with pytest.raises(CommandError, match="argument --to: invalid choice: 'active'"):
        change_stage("request", version.pk, "--user", ann, "--to", "active")
    assert fail("request", 999_999, "--user", ann) == ("There is no model version 999999.", 1)
    assert fail("approve", version.pk, "--user", ann)[0] == f"There is no open request for model version {version.pk}."
    assert "expected the name of the user" in fail("request", version.pk)[0]
    found = Examination(services.get_activation_tag(), problem="It may be worse.")
    monkeypatch.setattr(services, "examine_version", lambda _version, **_options: found)
    assert fail("request", version.pk, "--user", ann) == (
        "It may be worse. To activate it all the same: --force --reason TEXT",
        3,
    )
    assert not StageChange.objects.exists()
    assert change_stage("request", version.pk, "--user", ann, "--force")["forced"]
    assert fail("approve", version.pk)[1] == 2
    assert fail("request", version.pk, "--user", ann, "--force") == (
        f"Request {StageChange.objects.get().pk} for version {version.pk} is open: expected it to be decided before "
        "another one.",
        1,
    )
    assert StageChange.objects.get().is_open


def test_a_version_without_files_exits_with_3_and_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def miss(_version: ModelVersion) -> None:
        raise ArtefactMissingError("expected a file")

    create_model_version()
    version = create_model_version(stage="candidate")
    monkeypatch.setattr(services, "verify_version", miss)
    assert fail("request", version.pk, "--force") == ("expected a file", 3)
    assert not StageChange.objects.exists()
