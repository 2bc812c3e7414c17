"""What is said where only the light packages are installed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core import management

import manage
from classifier.ml.config import ConfigurationError
from config import packages
from tests.support.light import REPOSITORY, list_distributions, make_light_python
from tests.support.servers import get_test_database_url

COMMAND = ".venv/bin/python -m pip install -r requirements.txt"
DRAWING = ("explore_dataset", "report_experiments", "replay_reviews")
# Forks for each command a process that has loaded the product; what they say lies in files.
RUN_COMMANDS = """
import os, sys
import django, manage
django.setup()
import config.urls
folder, *commands = sys.argv[1:]
for number, command in enumerate(commands):
    if not os.fork():
        for stream, name in ((1, "output"), (2, "errors")):
            os.dup2(os.open(f"{folder}/{number}.{name}", os.O_WRONLY | os.O_CREAT), stream)
        sys.argv = ["manage.py", *command.split()]
        sys.exit(manage.main())
    print(os.waitstatus_to_exitcode(os.wait()[1]))
"""


def test_light_leaves_out_what_trains_and_draws() -> None:
    names = {found.name.lower() for found in list_distributions()}
    assert {"django", "celery", "ai-edge-litert"} <= names
    assert not {"tensorflow", "keras", "matplotlib", "h5py", "grpcio"} & names


@pytest.mark.django_db(transaction=True)
def test_what_draws_plots_or_trains_names_the_command_that_installs_what_it_needs(tmp_path: Path) -> None:
    environment = os.environ | {"DATABASE_URL": get_test_database_url(), "VAR_DIR": str(tmp_path), "REDIS_URL": ""}
    environment |= {"DJANGO_SETTINGS_MODULE": "config.settings.base"}
    commands = (*DRAWING, "train_classifier --backbone-weights none")
    done = subprocess.run(
        [make_light_python(tmp_path / "venv"), "-c", RUN_COMMANDS, tmp_path, *commands],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=900,
    )
    assert done.stdout.split() == ["1"] * 4
    said = f"Matplotlib, which draws the plots of reports, is not installed here. Install it: {COMMAND}\n"
    for number in range(len(DRAWING)):
        assert (tmp_path / f"{number}.output").read_text() == ""
        assert (tmp_path / f"{number}.errors").read_text() == said
    (line,) = (tmp_path / f"{len(DRAWING)}.errors").read_text().splitlines()
    assert "TensorFlow, which trains networks, is not installed here." in line
    assert COMMAND in line


def test_another_missing_module_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(argv: list[str]) -> None:
        raise ModuleNotFoundError(name="rich")

    monkeypatch.setattr(management, "execute_from_command_line", fail)
    with pytest.raises(ModuleNotFoundError):
        manage.main()


def test_networks_say_what_they_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "classifier.ml.network.architecture", raising=False)
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(ConfigurationError, match="pip install -r"):
        __import__("classifier.ml.network.architecture")


def test_nothing_is_said_where_tensorflow_is() -> None:
    assert packages.describe_missing_tensorflow() == ""
