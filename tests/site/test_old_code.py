"""The program that runs an earlier commit's tests on this schema: that it passes two modules, and can fail."""

from pathlib import Path

import pytest

from tests.site.old_code import checked_out, migrated, run_old_tests

pytestmark = [pytest.mark.postgresql, pytest.mark.processes]

MODULE = "tests/catalog/test_models.py"
#: Its tests commit, so that what they wrote is emptied out of all tables in the end.
COMMITTING = "tests/config/db/test_commit_order.py"
# As if a migration of this commit had taken a column away.
HARM = """
import pytest

@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session):
    from catalog.models import Product
    Product._meta.get_field("title").column = "heading"
"""


@pytest.mark.timeout(900)
def test_an_earlier_commit_works_on_this_schema_and_one_that_wants_another_does_not(earlier_tree: Path) -> None:
    with migrated():
        result = run_old_tests(earlier_tree, tests=[COMMITTING, MODULE], options=["-k", "not ten_thousand"], forks=True)
        assert (result["status"], result["failed"], result["error"]) == (0, 0, 0), result["said"]
        assert result["passed"] > 5
        (earlier_tree / "harmed.py").write_text(HARM)
        harmed = run_old_tests(earlier_tree, tests=[MODULE], options=["-p", "harmed", "--exitfirst"], forks=True)
        assert harmed["status"] == 1
        assert "heading" in harmed["said"]
        assert harmed["failures"]


def test_a_commit_that_is_not_there_is_named() -> None:
    with (
        pytest.raises(LookupError, match=r"expected the commit v0\.0\.0 in this repository, there is none"),
        checked_out("v0.0.0"),
    ):
        pass
