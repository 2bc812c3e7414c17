"""Server processes refuse settings that `manage.py check` refuses, in the same words, before they serve."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings as django_settings

SERVERS = {
    "gunicorn": ["gunicorn", "config.wsgi", "--bind", "127.0.0.1:0"],
    "celery": ["celery", "-A", "config", "worker", "-Q", "labelling"],
}
HEADERS = (
    'FETCH_HOST_HEADERS={"cdn.example": {"Host": "other"}}',
    "a header that is not the fetcher's own affair, got Host",
)
URL = ("REDIS_URL=amqp://guest:secret@h//", "Expected REDIS_URL to be redis://")


@pytest.mark.parametrize("server, variable, words", [("gunicorn", *URL), ("celery", *URL), ("celery", *HEADERS)])
def test_a_server_does_not_start_with_a_bad_setting(server: str, variable: str, words: str, tmp_path: Path) -> None:
    name, _, value = variable.partition("=")
    environment = {**os.environ, "REDIS_URL": "", "DATABASE_URL": "", "VAR_DIR": str(tmp_path), name: value}
    environment.pop("DJANGO_SETTINGS_MODULE")
    ended = subprocess.run(
        [sys.executable, "-m", *SERVERS[server]],
        cwd=django_settings.BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    # Gunicorn's own status of a process that could not begin.
    assert ended.returncode == (3 if server == "gunicorn" else 1)
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "secret" not in ended.stderr
