"""The program that runs an earlier commit's tests on this schema: that it can fail, on one module of them."""

import subprocess

import pytest

from tests.site.old_code import BASE, checked_out, migrated, run_old_tests
from tests.support.servers import REPOSITORY

pytestmark = [pytest.mark.postgresql, pytest.mark.processes]

MODULE = "tests/catalog/test_models.py"


@pytest.mark.timeout(900)
def test_an_earlier_commit_works_on_this_schema_and_one_that_wants_another_does_not() -> None:
    if subprocess.run(["git", "cat-file", "-e", BASE], cwd=REPOSITORY, capture_output=True, check=False).returncode:
        pytest.skip(f"needs the history of the repository: commit {BASE}")
    with checked_out(BASE) as tree, migrated():
        result = run_old_tests(tree, tests=[MODULE])
        assert (result["status"], result["failed"], result["error"]) == (0, 0, 0), result["said"]
        assert result["passed"] > 5
        # As if a migration of this commit had taken a column away.
        models = tree / "catalog/models.py"
        text = models.read_text()
        column = "title = RuledTextField(rule=clean_title"
        assert column in text
        models.write_text(text.replace(column, f'{column}, db_column="heading"', 1))
        harmed = run_old_tests(tree, tests=[MODULE], options=["--exitfirst"])
        assert harmed["status"] == 1
        assert harmed["failures"]


def test_a_commit_that_is_not_there_is_named() -> None:
    with (
        pytest.raises(LookupError, match=r"expected the commit v0\.0\.0 in this repository, there is none"),
        checked_out("v0.0.0"),
    ):
        pass
