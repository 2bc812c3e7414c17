"""Why a picture got its label: the occlusion map of the version that gave it, computed once and kept."""

import base64
import json
import logging
import posixpath
import random
from dataclasses import asdict, dataclass, replace
from functools import partial
from io import BytesIO

import numpy as np
from django.core.files.storage import default_storage
from django.utils.html import format_html
from PIL import Image as PillowImage

from catalog.models import Image
from catalog.pictures.decoding import DECODED_SIZE, PictureError, decode_picture
from catalog.pictures.storage import find_picture_bytes, reaching_storage, read_media_picture, write_once
from classifier.ml.occlusion import NOTABLE_CHANGE, CoveredPart, OcclusionMap, build_occlusion_map
from classifier.ml.preprocessing import CanonicalView
from classifier.ml.words import percent
from classifier.models import Classification
from classifier.registry.runtime import get_classifier

logger = logging.getLogger(__name__)

#: Part of the stored name: what another form of explanation would change.
_FORM = 2
#: Explanations that are kept in one folder; there are 256 folders, so all of them take about 200 MB at most.
MAXIMUM_KEPT = 400
#: Pixels of the canonical form along each side of a cell of the map.
_CELL_PIXELS = 2
#: A cell fainter than so many hundredths of the strongest is left out.
_FAINT = 4
#: A change below this is none in the digits that a page shows.
_VISIBLE_CHANGE = 0.0005


class NotExplainableError(Exception):
    """There is nothing to explain: no label by a machine, or not the picture that it was given for."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A square of the map: its left and top edge in the picture's pixels, and its strength.

    That lies in -1..1 of the strongest square, and is negative where covering raises the probability.
    """

    left: float
    top: float
    strength: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a picture got its label. Lengths are pixels of the picture as it was decoded, `width` x `height`.

    The network saw the square at `left`, `top` with this `side` (0: nothing stood out, and there is no map), as
    `canonical_png`: a grey picture of `canonical_size` pixels a side, in base64. `largest` is the largest change of the
    group's probability that any cover makes. `strengths` are the rows of the map, cell by cell, in hundredths of the
    strongest cell, or of a change that is worth a sentence where none is as strong.
    """

    group: str
    probability: float
    width: int
    height: int
    left: float
    top: float
    side: float
    cell_side: float
    largest: float
    strengths: list[list[int]]
    parts: list[CoveredPart]
    canonical_size: int
    canonical_png: str

    @property
    def cells(self) -> list[Cell]:
        """The squares of the map that are not too faint to be seen."""
        return [
            Cell(left=self.left + column * self.cell_side, top=self.top + row * self.cell_side, strength=strength / 100)
            for row, strengths in enumerate(self.strengths)
            for column, strength in enumerate(strengths)
            if abs(strength) >= _FAINT
        ]

    @property
    def caption(self) -> str:
        """What the colours of the map mean."""
        cells = self.cells
        if not cells:
            return "No part is tinted"
        green = f"Green: covering it lowers {self.group}, the more the stronger"
        return f"{green}; amber: it raises it" if any(cell.strength < 0 for cell in cells) else green

    @property
    def reasons(self) -> list[str]:
        """A sentence of HTML for each part that the label hangs on; none where no part decides."""
        return [self._describe(part) for part in self.parts] if self.side else []

    @property
    def no_reason(self) -> str:
        """Why there is no part that decides, for where `reasons` is empty."""
        if not self.side:
            return (
                "Nothing stands out from the background of this picture, so the network saw only black. "
                "Its label says nothing, and a person decides."
            )
        bound = f"within {_points(self.largest)} of" if self.largest >= _VISIBLE_CHANGE else "at"
        return (
            f"No part decides alone: wherever an eighth of it is covered, {self.group} stays {bound} "
            f"{percent(self.probability)}."
        )

    def _describe(self, part: CoveredPart) -> str:
        return format_html(
            "Covering the <b>{}</b> {} {} by <b>{}</b>, to {}{}.",
            part.place,
            "lowers" if part.decrease > 0 else "raises",
            self.group,
            _points(abs(part.decrease)),
            percent(part.probability),
            f"; {part.likeliest} is likelier then" if part.likeliest != self.group else "",
        )


def _points(change: float) -> str:
    return f"{percent(change).removesuffix(' %')} points"


def explanation_name(classification: Classification) -> str:
    """Return the name in the media storage of the explanation of this picture's label by this version."""
    sha256, version = classification.sha256, classification.model_version.manifest_sha256
    return f"explanations/{sha256[:2]}/{sha256}-{version[:16]}-{_FORM}.json"


def find_explanation(classification: Classification) -> Explanation | None:
    """Return the explanation that is stored for the picture and the version, or None; a damaged one counts as none.

    Raises StorageError.
    """
    try:
        value = json.loads(read_media_picture(explanation_name(classification)))
        return Explanation(**value | {"parts": [CoveredPart(**part) for part in value["parts"]]})
    except PictureError:
        return None
    except (KeyError, TypeError, ValueError) as error:
        logger.warning("explanation of classification %s is damaged: %s", classification.pk, error)
        return None


def create_explanation(image: Image, *, classification: Classification) -> Explanation:
    """Compute the explanation of the image's label and store it: about 15 ms of the network, and the decoding.

    Raises `NotExplainableError` when the picture is not held any more or has changed since, `ArtefactError` when this
    machine has not the version's files, and `StorageError`.
    """
    picture, data = image.picture, find_picture_bytes(image)
    if picture is None or data is None or picture.sha256 != classification.sha256:
        raise NotExplainableError("The picture that got this label is not held any more.")
    classifier = get_classifier(classification.model_version)
    try:
        pixels = decode_picture(data, target_size=DECODED_SIZE).pixels
    except PictureError as error:
        raise NotExplainableError("The picture cannot be read any more.") from error
    view = classifier.view(pixels)
    found = build_occlusion_map(
        view.pixels,
        group=classification.group,
        group_probabilities=partial(classifier.group_probabilities, photograph=view.inner if view.photograph else None),
    )
    explanation = _build_explanation(found, view=view, width=pixels.shape[1], height=pixels.shape[0])
    try:
        write_once(explanation_name(classification), json.dumps(asdict(explanation)).encode())
        _remove_surplus(explanation_name(classification))
    except OSError as error:
        logger.warning("explanation of classification %s is not kept: %s", classification.pk, error)
    return explanation


def _remove_surplus(kept_name: str) -> None:
    """Remove explanations from the folder of this one, never this one, until it holds no more than it may.

    Chance says which; what is removed is computed again when somebody asks for it.
    """
    folder, kept = posixpath.split(kept_name)
    with reaching_storage():
        names = [name for name in default_storage.listdir(folder)[1] if name.endswith(".json")]
        surplus = len(names) - MAXIMUM_KEPT
        if surplus > 0:
            others = [name for name in names if name != kept]
            for name in random.sample(others, surplus):
                default_storage.delete(posixpath.join(folder, name))


def _build_explanation(found: OcclusionMap, *, view: CanonicalView, width: int, height: int) -> Explanation:
    size = len(view.pixels)
    count = size // _CELL_PIXELS
    blocks = found.decreases[: count * _CELL_PIXELS, : count * _CELL_PIXELS]
    means = blocks.reshape(count, _CELL_PIXELS, count, _CELL_PIXELS).mean(axis=(1, 3))
    strongest = max(float(np.abs(means).max()), NOTABLE_CHANGE)
    strengths = means / strongest if view.side else np.zeros_like(means)
    encoded = BytesIO()
    PillowImage.fromarray(view.pixels).save(encoded, "PNG")
    return Explanation(
        group=found.group,
        probability=round(found.probability, 6),
        width=width,
        height=height,
        left=round(view.left, 2),
        top=round(view.top, 2),
        side=round(view.side, 2),
        cell_side=round(view.side * _CELL_PIXELS / size, 2),
        largest=round(found.largest, 6),
        strengths=np.rint(100 * strengths).astype(int).tolist(),
        parts=[
            replace(part, decrease=round(part.decrease, 6), probability=round(part.probability, 6))
            for part in found.parts
        ],
        canonical_size=size,
        canonical_png=base64.b64encode(encoded.getvalue()).decode(),
    )
