"""Whatever stands in a manifest, the product reads it or says in words what is wrong with it: never a traceback."""

import hashlib
import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from hypothesis import given, settings
from PIL import Image

from classifier.ml.artefacts import MANIFEST_FILE, ArtefactFormatError, Manifest
from classifier.models import ModelVersion
from classifier.registry.services import get_artefact_folder
from tests.support.artefacts import OWN_NETWORKS, register_active_version
from tests.support.odd_manifests import odd_manifests

pytestmark = pytest.mark.django_db

repeated = settings(deadline=None, derandomize=True, database=None)


@pytest.fixture(autouse=True)
def artefacts_folder(settings: Any, tmp_path: Path) -> None:
    settings.ARTEFACTS_DIR = tmp_path / "artefacts"


@pytest.fixture
def put(tmp_path: Path) -> Callable[[bytes], Path]:
    """Gives the shipped artefact with another manifest, always in one folder."""
    folder = Path(shutil.copytree(OWN_NETWORKS, tmp_path / "odd"))

    def put(manifest: bytes) -> Path:
        (folder / MANIFEST_FILE).write_bytes(manifest)
        return folder

    return put


def run(command: str, *arguments: str | Path) -> str:
    """Return what the command printed, or the words of its error."""
    output = io.StringIO()
    try:
        call_command(command, *map(str, arguments), stdout=output, stderr=io.StringIO())
    except CommandError as error:
        return str(error)[:1000]
    return output.getvalue()


@settings(repeated, max_examples=80)
@given(odd_manifests)
def test_a_manifest_is_refused_or_has_all_that_is_made_of_it(content: bytes) -> None:
    try:
        manifest = Manifest.from_bytes(content)
    except ArtefactFormatError:
        return
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest
    assert manifest.model_card()
    version = ModelVersion(
        name=manifest.version,
        folder="x",
        manifest_sha256="0" * 64,
        recipe=manifest.recipe["name"],
        seed=manifest.seed,
        metrics=manifest.metrics or {"none": True},
    )
    version.full_clean(exclude=["base"])


def test_commands_and_pages_meet_any_manifest_with_words(
    put: Callable[[bytes], Path], tmp_path: Path, admin_client: Client
) -> None:
    # Given a version that is in use,
    used = register_active_version()
    home = get_artefact_folder(used)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    Image.new("RGB", (60, 80), "navy").save(pictures / "1.png")
    (pictures / "labels.csv").write_text("path,group\n1.png,Bags\n")

    @settings(repeated, max_examples=12)
    @given(odd_manifests)
    def meet(content: bytes) -> None:
        ModelVersion.objects.filter(pk=used.pk).update(manifest_sha256="0" * 64)
        # when another such folder is to be registered,
        said = run("register_model_version", put(content))
        registered = ModelVersion.objects.exclude(pk=used.pk).first()
        assert said.startswith(f"Model version {registered.pk}: ") if registered else MANIFEST_FILE in said
        if registered:
            assert admin_client.get(f"/model-versions/{registered.pk}/").status_code == 200
            assert admin_client.get("/admin/classifier/modelversion/").status_code == 200
            registered.delete()
        # or its own manifest is this one, which an earlier release may have taken,
        (home / MANIFEST_FILE).write_bytes(content)
        ModelVersion.objects.filter(pk=used.pk).update(manifest_sha256=hashlib.sha256(content).hexdigest())
        classified = run("classify", pictures / "1.png", "--json")
        measured = run("evaluate_classifier", "--pictures", pictures, "--json")
        # then it is used or refused in words, by both.
        if registered:
            assert json.loads(classified)[0]["path"]
            assert json.loads(measured)["images"] == 1
        else:
            assert MANIFEST_FILE in classified
            assert MANIFEST_FILE in measured
        assert admin_client.get(f"/model-versions/{used.pk}/").status_code == 200

    meet()


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"seed": "abc"}, r"seed: expected a whole number from 0 to \d+, received 'abc'"),
        ({"recipe": []}, r"recipe: \[\] is not of type 'object'"),
        ({"version": "x" * 101}, "version: expected 1 to 100 characters"),
        ({"seed": 2**63}, "seed: expected a whole number"),
        ({"preprocessing": {"size": 28.0}}, "preprocessing"),
        ({"metrics": {"accuracy": float("nan")}}, "to be JSON: .*not JSON compliant"),
        ({"training": {"history": [{"loss": "low"}]}}, r"training.history\[0\].loss: expected a number"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_the_command_says_what_is_wrong(put: Callable[[bytes], Path], changes: dict[str, Any], words: str) -> None:
    manifest = json.loads((OWN_NETWORKS / MANIFEST_FILE).read_text()) | changes
    said = run("register_model_version", put(json.dumps(manifest).encode()))
    assert re.search(words, said), said
    assert not ModelVersion.objects.exists()
