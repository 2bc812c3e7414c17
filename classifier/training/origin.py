"""What a training was made from: known from its row when the artefact is gone."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import classifier.ml
from classifier.ml.artefacts import Manifest


def describe_origin(manifest: Manifest) -> dict[str, Any]:
    """Return what a training was made from, as plain JSON: it stays known when the artefact is gone."""
    files = manifest.dataset.get("sha256", {})
    return {
        "dataset": manifest.dataset.get("name", ""),
        "dataset_sha256": hashlib.sha256(
            "".join(f"{name}{files[name]}" for name in sorted(files)).encode()
        ).hexdigest(),
        "pictures": manifest.dataset.get("pictures", {}),
        "code_sha256": find_code_hash(),
        "libraries": dict(manifest.libraries),
    }


@cache
def find_code_hash() -> str:
    """Return the SHA-256 of the code that trains, as it lies on this machine."""
    root = Path(classifier.ml.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()
