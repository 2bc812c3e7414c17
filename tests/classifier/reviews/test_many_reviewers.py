"""The proof with many reviewers, small: the site is killed once while four people and programs label."""

import json
import os
import subprocess
import sys

import pytest

from tests.classifier.reviews.many_reviewers import REPOSITORY

pytestmark = pytest.mark.long
FOREIGN_VARIABLES = ("DATABASE_URL", "REDIS_URL", "MEDIA_ROOT", "DJANGO_SETTINGS_MODULE", "SECRET_KEY", "VAR_DIR")


def test_no_review_is_lost_or_written_over_when_the_site_is_killed() -> None:
    environment = {name: value for name, value in os.environ.items() if name not in FOREIGN_VARIABLES}
    options = ["--reviews", "150", "--reviewers", "4", "--kills", "1", "--embedded", "--json"]
    result = subprocess.run(
        [sys.executable, "-m", "tests.classifier.reviews.many_reviewers", *options],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    report = json.loads(result.stdout or "{}")
    assert result.returncode == 0, (report, result.stderr)
    assert report["kills"] == 1
    assert report["refused"]
