"""From an artefact that is its own head to a base with a second branch, and a head on it that says the same.

The head is as sure as the artefact was but of photographs: the branch knows more of those that may be turned, and how
far one is from usual ones.
"""

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from classifier.ml.artefacts import (
    BASE_FOLDER,
    COLOUR_FILE,
    NETWORK_FILE,
    SCHEMA_VERSION,
    SigningKey,
    VerifiedArtefact,
    build_file_hashes,
    save_artefact,
    verify_artefact,
)
from classifier.ml.data.forms import find_test_forms
from classifier.ml.inference import Classifier
from classifier.ml.judging.calibration import Calibration
from classifier.ml.judging.photographs import UPRIGHT_ODDS_BY_COLOURS, fit_distance, fit_upright
from classifier.ml.preprocessing import COLOUR_SIZE, canonical_pictures, colour_views
from classifier.ml.types import COLOUR_FEATURES, Picture

#: Of the weights that the second branch has, wherever they were had from.
LICENCE: Final = "Apache-2.0"
_BASE: Final = "base-"


def build_base(
    source: Path, *, pictures: Sequence[Picture], output: Path, weights: str, key: SigningKey | None = None
) -> VerifiedArtefact:
    """Write a head into ``output``, and within it the base that it names; return it verified.

    The networks of ``source`` are the base's, with the second branch beside them, whose components ``pictures`` choose;
    ``weights`` is what ``find_backbone_weights`` takes. A base as the source keeps the branch that it has, and needs no
    weights. The head gives each picture the group and garment that the source did; how far a photograph is from usual
    ones is fitted on ``pictures``, and how likely it stands upright on them in four ways of standing. Of none a label
    is known, and test pictures among them count for nothing. The same source, pictures and weights give the same files.
    Raises ``ArtefactError``, and ``ValueError`` for pictures or weights that do not serve.
    """
    artefact = verify_artefact(source)
    if artefact.base is not None:
        raise ValueError(f"expected an artefact with its own networks at {source}, received a head on another base")
    forms = canonical_pictures(pictures, spec=artefact.manifest.preprocessing_spec())
    pictures = [pictures[index] for index in np.flatnonzero(~find_test_forms(forms)).tolist()]
    branch, described = artefact.contents.get(COLOUR_FILE), artefact.manifest.colour
    if branch is None or described is None:
        branch, described = _build_branch(pictures, weights=weights)
    contents = {**artefact.contents, COLOUR_FILE: branch}
    former = dataclasses.replace(artefact.manifest, version=artefact.manifest.version.removeprefix(_BASE))
    calibration = _fit_photographs(
        Classifier(network=contents[NETWORK_FILE], manifest=former, colour=branch), pictures=pictures
    )
    base = dataclasses.replace(
        former,
        version=_BASE + former.version,
        colour=described,
        files=build_file_hashes(contents),
    )
    sha256 = hashlib.sha256(base.to_bytes()).hexdigest()
    head = dataclasses.replace(
        former,
        colour=described,
        files={},
        base=sha256,
        calibration=calibration.to_json(),
        schema_version=SCHEMA_VERSION,
    )
    save_artefact(output, manifest=head, contents={}, key=key)
    save_artefact(output / BASE_FOLDER, manifest=base, contents=contents, key=key)
    return verify_artefact(output)


def _build_branch(pictures: Sequence[Picture], *, weights: str) -> tuple[bytes, dict[str, Any]]:
    """The second branch, and what a manifest says of it."""
    # Here and not above: TensorFlow takes seconds and hundreds of megabytes.
    from classifier.ml.network import architecture, colour

    try:
        found = architecture.find_backbone_weights(weights, alpha=colour.COLOUR_ALPHA)
        if found is None:
            raise ValueError("expected ImageNet's weights for the second branch, received none")
        branch = colour.build_colour_network(colour_views(pictures), weights=found)
    except architecture.BackboneWeightsError as error:
        raise ValueError(str(error)) from error
    return branch, {
        "network": f"MobileNetV2 {colour.COLOUR_ALPHA}",
        "size": COLOUR_SIZE,
        "features": COLOUR_FEATURES,
        "licence": LICENCE,
        "file": found.path.name,
        "sha256": found.sha256,
        "pictures": len(pictures),
    }


def _fit_photographs(classifier: Classifier, *, pictures: Sequence[Picture]) -> Calibration:
    """The classifier's calibration, which knows usual photographs, and by colours as well how likely one is turned."""
    calibration = classifier.manifest.calibration_values()
    if calibration.photographs is None:
        return calibration
    ways = [classifier.look([np.rot90(picture, turns) for picture in pictures]) for turns in range(4)]
    photograph = ~ways[0].canonical
    features = np.stack([seen.features[photograph] for seen in ways]).astype(np.float32)
    return dataclasses.replace(
        calibration,
        photographs=fit_upright(
            dataclasses.replace(calibration.photographs, distance=fit_distance(features[0])),
            np.stack([seen.logits[photograph] for seen in ways]).astype(np.float32),
            features=features,
            threshold=max(calibration.thresholds.values()),
            odds=UPRIGHT_ODDS_BY_COLOURS,
        ),
    )
