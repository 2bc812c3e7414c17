"""What is said where only the light packages are installed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from classifier.ml.config import ConfigurationError
from config import packages
from tests.support.light import REPOSITORY, list_distributions, make_light_python

COMMAND = ".venv/bin/python -m pip install -r requirements.txt"


@pytest.fixture(scope="module")
def light_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_light_python(tmp_path_factory.mktemp("light") / "venv")


@pytest.fixture
def run(light_python: Path, tmp_path: Path):
    environment = os.environ | {"VAR_DIR": str(tmp_path), "DATABASE_URL": "", "REDIS_URL": ""}
    environment |= {"DJANGO_SETTINGS_MODULE": "config.settings.base"}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [light_python, *arguments]
        return subprocess.run(
            command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False, timeout=900
        )

    return run


def test_light_leaves_out_what_trains_and_draws() -> None:
    names = {found.name.lower() for found in list_distributions()}
    assert {"django", "celery", "ai-edge-litert"} <= names
    assert not {"tensorflow", "keras", "matplotlib", "h5py", "grpcio"} & names


@pytest.mark.parametrize("command", ["explore_dataset", "report_experiments", "replay_reviews"])
def test_what_draws_plots_names_the_command_that_installs_it(run, command: str) -> None:
    result = run("manage.py", command)
    assert result.returncode == 1
    assert result.stdout == ""
    assert (
        result.stderr == f"Matplotlib, which draws the plots of reports, is not installed here. Install it: {COMMAND}\n"
    )


def test_a_training_names_the_command_that_installs_tensorflow(run) -> None:
    assert run("manage.py", "migrate", "-v0").returncode == 0
    result = run("manage.py", "train_classifier", "--backbone-weights", "none")
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert "TensorFlow, which trains networks, is not installed here." in line
    assert COMMAND in line


def test_another_missing_module_is_an_error_of_ours(run) -> None:
    result = run("-c", "import sys, manage; sys.modules['rich'] = None; sys.argv = ['', 'classify']; manage.main()")
    assert "Traceback" in result.stderr


def test_networks_say_what_they_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "classifier.ml.network.architecture", raising=False)
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(ConfigurationError, match="pip install -r"):
        __import__("classifier.ml.network.architecture")


def test_nothing_is_said_where_tensorflow_is() -> None:
    assert packages.describe_missing_tensorflow() == ""
