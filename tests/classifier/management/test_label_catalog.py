"""The command that starts a labelling run; `test_worker` sees it through with a real worker."""

import json

import pytest
from django.core.management import CommandError, call_command

from classifier.models import LabellingRun
from tests.support.factories import create_product
from tests.support.fakes import create_model_version, create_painted_image

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def test_it_starts_a_run_and_says_which(capsys: pytest.CaptureFixture[str]) -> None:
    create_model_version()
    for _ in range(3):
        create_product(images=[create_painted_image()])
    call_command("label_catalog", "--limit", "2")
    run = LabellingRun.objects.get()
    assert capsys.readouterr().out == (
        f"Labelling run {run.pk} is running: 2 pictures, 0 labelled, 0 failed, 0 waiting for another try.\n"
    )


def test_json_is_one_document_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    create_model_version()
    create_product(images=[create_painted_image()])
    call_command("label_catalog", "--json")
    result = json.loads(capsys.readouterr().out)
    assert (result["state"], result["total"], result["new"], result["errors"]) == ("running", 1, 1, {})


def test_without_an_active_version_it_names_the_command_to_run() -> None:
    with pytest.raises(CommandError, match=r"manage\.py register_model_version .* --activate"):
        call_command("label_catalog")
    assert not LabellingRun.objects.exists()


@pytest.mark.parametrize("limit", ["0", "-1", "many"])
def test_a_limit_that_is_no_number_from_one_is_bad_usage(limit: str) -> None:
    with pytest.raises(CommandError, match=f"expected a whole number of at least 1, received '{limit}'"):
        call_command("label_catalog", f"--limit={limit}")
    assert not LabellingRun.objects.exists()
