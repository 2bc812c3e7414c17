"""Rows that no import would write: their export says what an import refuses, and importing it changes nothing."""

from typing import Any

import hypothesis
import pytest
from hypothesis import strategies

from tests.catalog.interchange.legacy_rows import PRODUCTS, check_rows, write_rows

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def test_importing_an_export_of_any_rows_changes_nothing():
    @hypothesis.settings(max_examples=6, database=None, derandomize=True)
    @hypothesis.given(strategies.lists(PRODUCTS, min_size=10, max_size=10))
    def check(products: list[dict[str, Any]]) -> None:
        write_rows(products)
        check_rows(products)

    check()
