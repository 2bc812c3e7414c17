"""A classifier without a network, and rows for tests of the ledger."""

import itertools
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone
from PIL import Image as PillowImage

from catalog.models import Image, StoredPicture
from classifier.labelling.ledger import Labelled
from classifier.ml.labels import GARMENTS, GROUP_OF_GARMENT, GROUPS
from classifier.ml.types import Features, Picture, Prediction
from classifier.models import Base, ModelVersion

_numbers = itertools.count(1)

# The fake classifier reads the garment from a picture's red: 10 for garment 0, 30 for garment 1, and so on.
RED_STEP, RED_FIRST = 20, 10


class Outbox(list):
    """The first argument of each message that was put on the queue, instead of the broker."""

    def apply_async(self, arguments: tuple, *, retry: bool) -> None:
        """Take the message as a task of Celery does."""
        assert retry is False
        self.append(arguments[0])


class FakeClassifier:
    """Says which garment was painted into a picture; abstains on pictures with green above 128."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def classify(self, pictures: Sequence[Picture]) -> list[Prediction]:
        """One prediction for each picture, in the same order."""
        self.calls.append(len(pictures))
        return [build_prediction(_painted_garment(picture), abstained=_is_green(picture)) for picture in pictures]


def build_prediction(garment: str, *, confidence: float = 0.9, abstained: bool = False) -> Prediction:
    """A prediction of this garment, the rest of the probability spread over the other nine."""
    rest = (1.0 - confidence) / 9
    garments = {name: confidence if name == garment else rest for name in GARMENTS}
    groups = {
        group: sum(value for name, value in garments.items() if GROUP_OF_GARMENT[name] == group) for group in GROUPS
    }
    group = GROUP_OF_GARMENT[garment]
    return Prediction(
        group=group,
        garment=garment,
        confidence=groups[group],
        abstained=abstained,
        group_probabilities=groups,
        garment_probabilities=garments,
        features=build_features(garments),
    )


def build_features(garments: dict[str, float]) -> Features:
    """What a base may have seen in a picture of which its version gives these probabilities."""
    return Features(
        numbers=np.linspace(0.0, 1.0, 64).astype("<f2").tobytes(),
        logits=np.log([garments[name] for name in GARMENTS]).astype("<f2").tobytes(),
        blank=False,
        canonical=False,
        views=1,
    )


def build_outcome(image: Image, garment: str = "Trouser", *, sha256: str = "0" * 64, **options: Any) -> Labelled:
    """What a worker brings back of an image's picture: its row, unsaved, and the prediction of this garment."""
    picture = StoredPicture(
        image=image, url=image.url, sha256=sha256, storage_name="", width=32, height=32, fetched_at=timezone.now()
    )
    return Labelled(picture=picture, prediction=build_prediction(garment, **options))


def create_painted_image(garment: str = "Trouser", *, unsure: bool = False, url: str | None = None) -> Image:
    """Create an image whose picture lies in media storage and shows `garment` to the fake classifier."""
    number = next(_numbers)
    # Green and blue carry the number, so that no two pictures have the same bytes.
    high, low = divmod(number, 256)
    colour = (RED_FIRST + RED_STEP * GARMENTS.index(garment), (200 if unsure else 0) + high, low)
    buffer = BytesIO()
    PillowImage.new("RGB", (32, 32), colour).save(buffer, "PNG")
    return create_stored_image(buffer.getvalue(), url=url)


def create_stored_image(data: bytes, *, url: str | None = None) -> Image:
    """Create an image whose bytes, whatever they are, lie in media storage under its name."""
    name = default_storage.save(url or f"tests/{next(_numbers)}.png", ContentFile(data))
    return Image.objects.create(url=name)


def create_model_version(*, stage: str = ModelVersion.Stage.PRODUCTION, base: Base | None = None) -> ModelVersion:
    """Create a model version without files, on a base of its own unless one is given.

    Tests hand the fake classifier to what would load them.
    """
    number = next(_numbers)
    return ModelVersion.objects.create(
        name=f"fake-{number}",
        folder=f"fake-{number}",
        manifest_sha256=f"{number:064x}",
        base=base or Base.objects.create(digest=number.to_bytes(32), name=f"base-{number}"),
        recipe="fake",
        seed=0,
        stage=stage,
        activated_at=timezone.now() if stage == ModelVersion.Stage.PRODUCTION else None,
        first_activated_at=timezone.now() if stage == ModelVersion.Stage.PRODUCTION else None,
    )


def _painted_garment(picture: Picture) -> str:
    return GARMENTS[(int(picture[0, 0, 0]) - RED_FIRST + RED_STEP // 2) // RED_STEP]


def _is_green(picture: Picture) -> bool:
    return int(picture[0, 0, 1]) > 128
