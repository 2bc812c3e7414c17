"""`check_drift`, as it is called."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from classifier.models import Alarm, DriftCheck
from tests.support.drifting import create_classified
from tests.support.fakes import create_model_version

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> str:
    output = StringIO()
    call_command("check_drift", *arguments, stdout=output)
    return output.getvalue()


def test_no_drift_is_said_and_exits_with_0() -> None:
    version = create_model_version()
    create_classified(version, number=1_000, seed=1)
    create_classified(version, number=200, seed=2)

    text = " ".join(run("--window", "150").split())

    assert "No difference: 150 pictures beside 1,000 of the reference." in text
    assert "What networks see in pictures No difference" in text


def test_drift_is_a_document_and_exits_with_3() -> None:
    version = create_model_version()
    create_classified(version, number=1_000, seed=1)
    create_classified(version, number=200, seed=2, moved=0.6)
    output = StringIO()

    with pytest.raises(CommandError, match="the pictures of late are different") as ended:
        call_command("check_drift", "--json", "--since", "2020-01-01", stdout=output)

    assert ended.value.returncode == 3
    document = json.loads(output.getvalue())
    assert document["is_different"]
    assert document["id"] == DriftCheck.objects.get().pk
    assert {test["name"] for test in document["tests"] if test["is_different"]} == {"features"}
    assert Alarm.objects.get().state == "suspected"


def test_nothing_to_compare_exits_with_1() -> None:
    create_model_version()

    with pytest.raises(CommandError, match=r"expected pictures that .* labelled, found none") as ended:
        run()

    assert ended.value.returncode == 1


@pytest.mark.parametrize("arguments", [("--window", "5"), ("--window", "many"), ("--since", "yesterday")])
def test_bad_usage_is_refused(arguments: tuple[str, str]) -> None:
    with pytest.raises(CommandError, match="argument --"):
        run(*arguments)
