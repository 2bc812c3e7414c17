"""What is said of pictures outside the catalogue: the JSON of the command `classify` and of the API's call."""

from dataclasses import dataclass
from typing import Any

from catalog.pictures import decoding
from catalog.pictures.formats import MAX_FILE_BYTES
from classifier.ml.types import ImageClassifier, Picture, Prediction


@dataclass(frozen=True, slots=True)
class PictureAnswer:
    """What was said of one picture: a prediction, or the code and text of what was wrong with its file."""

    path: str
    prediction: Prediction | None
    error: str | None = None
    message: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return one entry of the JSON of classify."""
        said = self.prediction
        return {
            "path": self.path,
            "group": said.group if said else None,
            "garment": said.garment if said else None,
            "confidence": said.confidence if said else None,
            "abstained": said.abstained if said else None,
            "garment_unsure": said.garment_unsure if said else None,
            "group_probabilities": dict(said.group_probabilities) if said else None,
            "garment_probabilities": dict(said.garment_probabilities) if said else None,
            "error": self.error,
        }


def decode_picture(path: str, data: bytes) -> tuple[PictureAnswer, Picture | None]:
    """Return the picture in a file's bytes as the classifier takes it, or None and an answer that says what is wrong.

    Of a file that may be too large, hand over one byte more than `MAX_FILE_BYTES`; it is not decoded.
    """
    if len(data) > MAX_FILE_BYTES:
        return PictureAnswer(path, None, "too_large", f"expected at most {MAX_FILE_BYTES:,} bytes"), None
    try:
        return PictureAnswer(path, None), decoding.decode_picture(data, target_size=decoding.DECODED_SIZE).pixels
    except decoding.PictureError as error:
        return PictureAnswer(path, None, error.code, error.message), None


def classify_picture(path: str, data: bytes, *, classifier: ImageClassifier) -> PictureAnswer:
    """Return what the classifier says of the picture in these bytes, or what is wrong with them."""
    answer, picture = decode_picture(path, data)
    if picture is None:
        return answer
    (prediction,) = classifier.classify([picture])
    return PictureAnswer(path, prediction)
