"""The proof with many reviewers, small: the site is killed once while four people and programs label."""

import json

import pytest
from django.db import connection

from tests.support.forks import run_forked

pytestmark = [pytest.mark.long, pytest.mark.both_databases]


def test_no_review_is_lost_or_written_over_when_the_site_is_killed() -> None:
    options = ["--reviews", "150", "--reviewers", "4", "--kills", "1", "--forks", "--json"]
    options += ["--embedded"] if connection.vendor == "sqlite" else []
    result = run_forked("-m", "tests.classifier.reviews.many_reviewers", *options)
    report = json.loads(result.stdout or "{}")
    assert result.returncode == 0, (report, result.stderr)
    assert report["kills"] == 1
    assert report["refused"]
