"""Artefacts for tests: a second one that differs from the shipped one in its name and hash only."""

import json
import shutil
from pathlib import Path

from classifier.ml.artefacts import DEFAULT_ARTEFACT, MANIFEST_FILE


def create_artefact_twin(folder: Path, *, version: str = "twin-1") -> Path:
    """Copy the shipped artefact into a new folder, under another version name; return the folder."""
    shutil.copytree(DEFAULT_ARTEFACT, folder)
    manifest = folder / MANIFEST_FILE
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"version": version}))
    return folder
