"""Rows of drift checks, and classifications of pictures that a version may have labelled."""

from typing import Any

import numpy as np
from django.utils import timezone

from catalog.models import Image
from classifier.ml.labels import GARMENTS, GROUP_OF_GARMENT
from classifier.models import Alarm, Classification, DriftCheck, LabellingRun, ModelVersion, PictureFeatures

SIZE = 16


def create_drift_check(version: ModelVersion, **fields: Any) -> DriftCheck:
    """Create a check that found no difference."""
    values: dict[str, Any] = {
        "reference_until": 1,
        "window_from": 2,
        "window_until": 3,
        "window_since": timezone.now(),
        "reference_pictures": 1_000,
        "window_pictures": 500,
        "is_different": False,
        "permuted": "pictures",
        "level": 0.05,
        "false_alarm_rate": 0.04,
        "tests": [],
        "findings": {
            "reference_mix": dict.fromkeys(GARMENTS, 0.1),
            "window_mix": dict.fromkeys(GARMENTS, 0.1),
            "another_mix": False,
            "left_by_mix": 1.0,
            "driver": None,
            "images": [],
        },
    }
    return DriftCheck.objects.create(model_version=version, **(values | fields))


def create_alarm(check: DriftCheck, *, signal: str = "features", state: str = "alarm", **fields: Any) -> Alarm:
    """Create an alarm that this check began."""
    return Alarm.objects.create(
        signal=signal, state=state, model_version=check.model_version, first_check=check, last_check=check, **fields
    )


def create_classified(
    version: ModelVersion,
    *,
    number: int,
    seed: int,
    moved: float = 0.0,
    light: float | None = None,
    host: str = "shop.example",
    state: str = "done",
) -> LabellingRun:
    """Create a run that labelled so many pictures of a host, whose features are random and moved all the same way.

    With `light` their statistics are random too, about that brightness.
    """
    chance = np.random.default_rng(seed)
    run = LabellingRun.objects.create(model_version=version, state=state)
    images = Image.objects.bulk_create([Image(url=f"https://{host}/{run.pk}-{place}.jpg") for place in range(number)])
    features = (chance.normal(size=(number, SIZE)) + moved).astype("<f2")
    garments = chance.integers(len(GARMENTS), size=number).tolist()
    hashes = [f"{run.pk:032x}{place:032x}" for place in range(number)]
    PictureFeatures.objects.bulk_create(
        [
            PictureFeatures(
                base=version.base,
                sha256=bytes.fromhex(sha256),
                features=row.tobytes(),
                logits=bytes(20),
                blank=False,
                canonical=False,
                views=1,
                statistics=None if light is None else (row[:6] + light).astype("<f2").tobytes(),
            )
            for sha256, row in zip(hashes, features, strict=True)
        ]
    )
    Classification.objects.bulk_create(
        [
            Classification(
                image=image,
                model_version=version,
                run=run,
                sha256=sha256,
                group=GROUP_OF_GARMENT[GARMENTS[garment]],
                garment=GARMENTS[garment],
                confidence=0.91,
                abstained=False,
                garment_probabilities=[0.91 if place == garment else 0.01 for place in range(len(GARMENTS))],
            )
            for image, sha256, garment in zip(images, hashes, garments, strict=True)
        ]
    )
    return run
