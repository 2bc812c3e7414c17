"""Classifications: written of what a version said just now, or of what follows from features that are known."""

from collections.abc import Collection, Iterable, Mapping

from classifier.features.selectors import find_features, find_seen
from classifier.labels.facts import find_held_hashes
from classifier.labels.services import Why, lock_images, refresh_image_labels
from classifier.ml.heads import SeenPictures, predict
from classifier.ml.labels import GARMENTS
from classifier.ml.types import Prediction
from classifier.models import Classification, LabellingRun
from classifier.registry.services import find_heads
from config.db.bulk import insert_rows

# The others are the database's own: the id, and its time.
_FIELDS = [field.name for field in Classification._meta.concrete_fields if field.name not in ("id", "created_at")]


def record_classifications(rows: Iterable[tuple[int, int, int, str, Prediction]]) -> None:
    """Write what versions said: (image id, version id, run id, hash of the picture, prediction)."""
    insert_rows(
        Classification,
        fields=_FIELDS,
        rows=[
            (
                *whose,
                said.group,
                said.garment,
                said.confidence,
                said.abstained,
                said.garment_unsure,
                [round(said.garment_probabilities[name], 6) for name in GARMENTS],
                said.none_probability or None,
            )
            for *whose, said in rows
        ],
    )


def label_from_features(run: LabellingRun, image_ids: Collection[int]) -> tuple[list[int], set[int]]:
    """Label those of the images whose features are known with the heads of the run's version.

    Returns those that were labelled, and those that another run of the version labelled before we had their lock.
    Classifications, labels and their history are written within the caller's transaction. None is labelled where this
    machine has not the version's heads.
    """
    seen = find_seen_images(run, image_ids)
    heads = find_heads(run.model_version) if seen else None
    if heads is None:
        return [], set()
    lock_images(seen)
    # What we hold, and what was said of it, may have changed before the lock.
    held = find_held_hashes(seen)
    said = find_classified(run, held)
    held = {image_id: sha256 for image_id, sha256 in held.items() if image_id not in said}
    features = find_features(run.model_version.base_id, held.values())
    labelled = [image_id for image_id, sha256 in sorted(held.items()) if sha256 in features]
    if not labelled:
        return [], said
    predictions = predict(SeenPictures.of([features[held[image_id]] for image_id in labelled]), heads=heads)
    record_classifications(
        (image_id, run.model_version_id, run.pk, held[image_id], said)
        for image_id, said in zip(labelled, predictions, strict=True)
    )
    refresh_image_labels(labelled, why=Why.CLASSIFIED)
    return labelled, said


def find_classified(run: LabellingRun, held: Mapping[int, str]) -> set[int]:
    """Return those of the images whose picture, by its hash as given, the run's version has classified."""
    said = Classification.objects.filter(image__in=held, model_version=run.model_version_id)
    return {
        image_id for image_id, sha256 in said.order_by().values_list("image_id", "sha256") if held[image_id] == sha256
    }


def find_seen_images(run: LabellingRun, image_ids: Collection[int]) -> list[int]:
    """Return those of the images in whose picture, as we hold it, the base of the run's version looked."""
    held = find_held_hashes(image_ids)
    seen = find_seen(run.model_version.base_id, held.values())
    return [image_id for image_id, sha256 in held.items() if sha256 in seen]
