"""What the design promises of the code as a whole: which part may know which, and what no file may contain."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from classifier.ml.artefacts import DEFAULT_ARTEFACT

REPOSITORY = Path(__file__).resolve().parents[2]
PRODUCT = ("catalog", "classifier", "config")
OWN_FILES = (*PRODUCT, "tests", "benchmarks", "templates")

HTTP_CLIENTS = {"aiohttp", "aiohttp.abc", "http.client", "httpx", "requests", "urllib.request", "urllib3"}
ALLOWED_HTTP_CLIENTS = {
    ("catalog/fetching/resolver.py", "aiohttp.abc"),  # the resolver that refuses an address before a connection
    ("catalog/fetching/fetcher.py", "aiohttp"),
    ("catalog/fetching/responses.py", "aiohttp"),  # reads the responses that the fetcher got
    ("classifier/ml/data/dataset.py", "urllib.request"),  # the data set's publisher, an address written in that file
}

CLASSIFY_AND_IMPORT_ML_WITHOUT_DJANGO = """
import importlib, pkgutil, sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("config.") and name not in {"config.ahead", "config.files", "config.packages"}:
            raise ImportError(f"{name} is blocked")
        if name.split(".")[0] in {"django", "rest_framework", "celery", "redis", "catalog"}:
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocker())
import numpy as np
from classifier.ml.artefacts import DEFAULT_ARTEFACT
from classifier.ml.inference import Classifier
predictions = Classifier.load(DEFAULT_ARTEFACT).classify([np.full((64, 48, 3), 200, dtype=np.uint8)])
print(len(predictions), sorted({name.split(".")[0] for name in sys.modules} & {"tensorflow", "keras"}))
import classifier.ml
names = sorted(module.name for module in pkgutil.walk_packages(classifier.ml.__path__, "classifier.ml."))
for name in names:
    importlib.import_module(name)
print(" ".join(names))
"""

LOAD_PAGES_AND_WORKER = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings.test"
import django
django.setup()
from django.urls import get_resolver
get_resolver().url_patterns
from config.celery import app
app.loader.import_default_modules()
assert "classifier.tasks.label_batch_task" in app.tasks, sorted(app.tasks)
import classifier.registry.runtime, classifier.ml.inference, classifier.ml.pipeline
print(sorted({name.split(".")[0] for name in sys.modules} & {"tensorflow", "keras"}))
"""


def list_files(*folders: str, suffixes: tuple[str, ...] = (".py",)) -> Iterator[Path]:
    for folder in folders:
        for path in sorted((REPOSITORY / folder).rglob("*")):
            if path.suffix in suffixes:
                yield path


@cache
def list_imports(path: Path) -> set[str]:
    """Return the dotted name of every module that a file imports, at its top or inside a function."""
    nodes = list(ast.walk(ast.parse(path.read_text(), str(path))))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def name_module(path: Path) -> str:
    return ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")


def run_python(code: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_a_picture_is_classified_and_every_stage_imports_with_django_blocked():
    assert DEFAULT_ARTEFACT.is_dir()

    classified, imported = run_python(CLASSIFY_AND_IMPORT_ML_WITHOUT_DJANGO).splitlines()

    assert classified == "1 []"  # and TensorFlow was not loaded
    assert imported.split() == sorted(name_module(path) for path in list_files("classifier/ml"))[1:]


def test_urls_tasks_and_inference_load_without_tensorflow():
    assert run_python(LOAD_PAGES_AND_WORKER) == "[]"


def test_http_clients_are_imported_where_they_may_be():
    found = {
        (str(path.relative_to(REPOSITORY)), name)
        for path in list_files(*PRODUCT)
        for name in list_imports(path)
        if name in HTTP_CLIENTS
    }

    assert found <= ALLOWED_HTTP_CLIENTS
    assert ("catalog/fetching/fetcher.py", "aiohttp") in found


def test_requirements_name_what_is_imported():
    imported = {name.split(".")[0] for path in list_files(*PRODUCT) for name in list_imports(path)}
    distributions = packages_distributions()
    needed = {distributions[name][0].lower() for name in imported - sys.stdlib_module_names - set(PRODUCT)}
    lines = [
        line
        for name in ("requirements-light.txt", "requirements.txt")
        for line in (REPOSITORY / name).read_text().splitlines()
    ]

    assert needed <= {line.split("==")[0] for line in lines}


@pytest.mark.parametrize("name", ["pickle", "dill", "joblib", "shelve", "marshal"])
def test_nothing_unpickles(name):
    assert [path for path in list_files(*PRODUCT) if name in list_imports(path)] == []


def test_no_module_is_a_drawer_for_odds_and_ends():
    drawers = {"utils", "util", "helpers", "common", "misc"}

    assert [path for path in list_files(*OWN_FILES, suffixes=(".py", ".html")) if path.stem in drawers] == []


def test_nothing_is_left_unfinished():
    marks = re.compile(r"\b(TODO|FIXME|XXX|HACK|raise NotImplementedError)\b")

    files = [path for path in list_files(*OWN_FILES, suffixes=(".py", ".html")) if path != Path(__file__)]

    assert {path.suffix for path in files} == {".py", ".html"}
    assert [path for path in files if marks.search(path.read_text())] == []


def test_every_package_says_what_lives_there():
    packages = [path for path in list_files(*PRODUCT, "benchmarks") if path.name == "__init__.py"]
    silent = [path.relative_to(REPOSITORY) for path in packages if not ast.get_docstring(ast.parse(path.read_text()))]

    assert [path for path in silent if path.parent.name != "migrations"] == []


def test_stages_change_by_requests_alone():
    """Only the service writes a stage."""
    writers = [str(path.relative_to(REPOSITORY)) for path in list_files(*PRODUCT) if ".stage = " in path.read_text()]

    assert writers == ["classifier/adoption/services.py"]
