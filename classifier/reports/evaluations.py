"""Evaluations of labelled catalogues: each product is decided as the catalogue's own are, and its label is judged."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings

from catalog.models import ProductLabel
from classifier.labels.decision import Classified, PictureFacts, decide
from classifier.ml.judging.catalogues import Answer
from classifier.ml.reports.documents import save_document
from classifier.ml.types import ImageClassifier, Picture, Prediction

# On what an answer stands that comes of a picture and nothing else.
PICTURE = "picture"


def answer_pictures(pictures: Sequence[Picture], *, classifier: ImageClassifier) -> list[Answer]:
    """Return the answer to each picture, in the same order: the label of a new product that shows it first.

    Nothing is read or written. Pictures and errors are those of `Classifier.classify`.
    """
    return [_decide(prediction) for prediction in classifier.classify(pictures)]


def _decide(said: Prediction) -> Answer:
    classified = Classified(
        id=0,
        model_version_id=0,
        group=said.group,
        garment=said.garment,
        confidence=said.confidence,
        abstained=said.abstained,
        garment_unsure=said.garment_unsure,
        at=datetime.now(UTC),
    )
    label = decide(PictureFacts(image_id=0, classifications=[classified]))
    return Answer(
        group=label.group or None,
        is_sure=label.status == ProductLabel.Status.LABELLED,
        confidence=label.confidence or 0.0,
        evidence=PICTURE,
    )


def save_evaluation(document: Mapping[str, Any], *, folder: Path) -> Path:
    """Store the evaluation of the catalogue in a folder, in the place of one of the same split and version.

    Return its path. Raises `OSError` where nothing can be written.
    """
    key = "\0".join((str(folder.resolve()), document["split"] or "", document["model_version"]))
    path = Path(settings.EVALUATIONS_DIR) / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"
    save_document(path, document=document, files={})
    return path


def list_evaluations() -> list[Path]:
    """Return where the stored evaluations are, complete or not."""
    return sorted(Path(settings.EVALUATIONS_DIR).glob("*.json"))
