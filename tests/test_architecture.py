"""What the design promises of the code as a whole: which part may know which, and what no file may contain."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from django.core.management import call_command
from importlinter.cli import lint_imports

from classifier.ml.artefacts import DEFAULT_ARTEFACT

REPOSITORY = Path(__file__).resolve().parent.parent
PRODUCT = ("catalog", "classifier", "config")
OWN_FILES = (*PRODUCT, "tests", "benchmarks", "templates")
MAXIMUM_LINES = 400

HTTP_CLIENTS = {"aiohttp", "aiohttp.abc", "http.client", "httpx", "requests", "urllib.request", "urllib3"}
ALLOWED_HTTP_CLIENTS = {
    ("catalog/addresses.py", "aiohttp.abc"),  # the resolver that refuses an address before a connection is opened
    ("catalog/fetch_responses.py", "aiohttp"),  # reads the responses that catalog.fetching got
    ("catalog/fetching.py", "aiohttp"),
    ("classifier/ml/dataset.py", "urllib.request"),  # the data set's publisher, an address written in that file
}

BLOCK_AND_IMPORT_ML = """
import importlib, pkgutil, sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"django", "rest_framework", "celery", "redis", "catalog", "config"}:
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocker())
import classifier.ml
names = sorted(module.name for module in pkgutil.iter_modules(classifier.ml.__path__))
for name in names:
    importlib.import_module(f"classifier.ml.{name}")
print(" ".join(names))
"""

LOAD_PAGES_AND_WORKER = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings.test"
import django
django.setup()
from django.urls import get_resolver
get_resolver().url_patterns
import classifier.tasks, classifier.runtime, classifier.dispatch, classifier.ml.inference, classifier.ml.pipeline
print(sorted({name.split(".")[0] for name in sys.modules} & {"tensorflow", "keras"}))
"""

CLASSIFY_ONE_PICTURE = """
import sys
import numpy as np
from classifier.ml.artefacts import DEFAULT_ARTEFACT
from classifier.ml.inference import Classifier
predictions = Classifier.load(DEFAULT_ARTEFACT).classify([np.full((64, 48, 3), 200, dtype=np.uint8)])
print(len(predictions), sorted({name.split(".")[0] for name in sys.modules} & {"django", "tensorflow", "keras"}))
"""


def list_files(*folders: str, suffixes: tuple[str, ...] = (".py",)) -> Iterator[Path]:
    for folder in folders:
        for path in sorted((REPOSITORY / folder).rglob("*")):
            if path.suffix in suffixes:
                yield path


def list_imports(path: Path) -> Iterator[str]:
    """Yield the dotted name of every module that a file imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def run_python(code: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def list_commands() -> list[str]:
    folders = [f"{app}/management/commands" for app in ("catalog", "classifier")]
    return [path.stem for path in list_files(*folders) if not path.stem.startswith("_")]


def test_every_stage_of_the_classifier_imports_with_django_blocked():
    imported = run_python(BLOCK_AND_IMPORT_ML).split()

    assert imported == sorted(path.stem for path in list_files("classifier/ml") if path.stem != "__init__")


def test_urls_tasks_and_inference_load_without_tensorflow():
    assert run_python(LOAD_PAGES_AND_WORKER) == "[]"


def test_classifying_a_picture_loads_neither_tensorflow_nor_django():
    assert DEFAULT_ARTEFACT.is_dir()

    assert run_python(CLASSIFY_ONE_PICTURE) == "1 []"


def test_import_contracts_hold(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    # It would silence every logger there is, for the tests that come after in this process.
    monkeypatch.setattr("logging.config.dictConfig", lambda config: None)

    assert lint_imports(config_filename="pyproject.toml", no_cache=True) == 0


@pytest.mark.parametrize("app", ["catalog", "classifier"])
def test_every_module_has_its_layer(app):
    contracts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layered = set(re.findall(rf"\b{app}\.(\w+)", " ".join(contracts[0]["layers"])))
    modules = {path.stem if path.is_file() else path.name for path in (REPOSITORY / app).iterdir()}
    folders_of_files = {"__pycache__", "artefacts", "static", "templates"}

    assert modules - folders_of_files - {"__init__", "apps", "checks", "migrations", "ml"} == layered


@pytest.mark.django_db
def test_no_migration_is_missing(capsys):
    call_command("makemigrations", check=True, dry_run=True)

    assert capsys.readouterr().out == "No changes detected\n"


@pytest.mark.parametrize("command", list_commands())
def test_command_has_a_test(command):
    tests = [path.read_text() for path in list_files("tests") if path != Path(__file__)]

    assert any(f'"{command}"' in text for text in tests)


def test_http_clients_are_imported_where_they_may_be():
    found = {
        (str(path.relative_to(REPOSITORY)), name)
        for path in list_files(*PRODUCT)
        for name in list_imports(path)
        if name in HTTP_CLIENTS
    }

    assert found <= ALLOWED_HTTP_CLIENTS
    assert ("catalog/fetching.py", "aiohttp") in found


def test_requirements_name_what_is_imported():
    imported = {name.split(".")[0] for path in list_files(*PRODUCT) for name in list_imports(path)}
    distributions = packages_distributions()
    needed = {distributions[name][0].lower() for name in imported - sys.stdlib_module_names - set(PRODUCT)}
    lines = (REPOSITORY / "requirements.txt").read_text().splitlines()

    assert needed <= {line.split("==")[0] for line in lines}


@pytest.mark.parametrize("name", ["pickle", "cPickle", "dill", "joblib", "shelve", "marshal"])
def test_nothing_unpickles(name):
    assert [path for path in list_files(*PRODUCT) if name in list_imports(path)] == []


def test_no_file_is_longer_than_a_person_reads():
    lengths = {
        path.relative_to(REPOSITORY): len(path.read_text().splitlines())
        for path in list_files(*OWN_FILES, suffixes=(".py", ".html", ".css", ".js"))
    }

    assert {path: lines for path, lines in lengths.items() if lines > MAXIMUM_LINES} == {}


def test_no_module_is_a_drawer_for_odds_and_ends():
    drawers = {"utils", "util", "helpers", "common", "misc"}

    assert [path for path in list_files(*OWN_FILES) if path.stem in drawers] == []


def test_nothing_is_left_unfinished():
    marks = re.compile(r"\b(TODO|FIXME|XXX|HACK|raise NotImplementedError)\b")

    assert [path for path in list_files(*OWN_FILES) if path != Path(__file__) and marks.search(path.read_text())] == []
