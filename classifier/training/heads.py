"""Heads that a catalogue taught, as an artefact on the base of the version in production."""

import dataclasses
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from classifier.ml.artefacts import BASE_FOLDER, HEADS_FILE, build_file_hashes, save_artefact, write_artefact
from classifier.ml.heads import Heads, read_heads, write_heads
from classifier.ml.pipeline import TrainedArtefact, TrainingRequest
from classifier.models import ModelVersion
from classifier.registry.services import verify_registered_artefact


def get_heads(version: ModelVersion) -> Heads:
    """Return what answers for the version from features. Raises `ArtefactError` where this machine has it not."""
    return read_heads(verify_registered_artefact(version))


def save_heads(
    version: ModelVersion, heads: Heads, *, request: TrainingRequest, output: Path, figures: Mapping[str, Any]
) -> TrainedArtefact:
    """Write the heads and the base of the version into `output`; `figures` is what its manifest says of the training.

    Its figures of Fashion-MNIST are the version's: heads for photographs change none of them.
    """
    former = verify_registered_artefact(version)
    base = former.base or former
    contents = {HEADS_FILE: write_heads(heads)}
    created_at, files = datetime.now(UTC), build_file_hashes(contents)
    manifest = dataclasses.replace(
        former.manifest,
        version=f"{request.recipe.name}-{created_at:%Y%m%d}-{files[HEADS_FILE][:8]}",
        created_at=created_at.isoformat(timespec="seconds"),
        command=request.command,
        seed=request.seed,
        recipe=dataclasses.asdict(request.recipe),
        training=figures,
        files=files,
        base=base.sha256,
    )
    save_artefact(output, manifest=manifest, contents=contents)
    write_artefact(output / BASE_FOLDER, base, key=None)
    return TrainedArtefact(folder=output, manifest=manifest)
