"""What follows from features: answers that hold together, and files that hold no heads."""

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from classifier.ml.artefacts import DEFAULT_ARTEFACT, load_manifest
from classifier.ml.heads import GroupHead, Heads, NoneHead, SeenPictures, parse_heads, predict, write_heads
from classifier.ml.labels import GROUPS

CALIBRATION = load_manifest(DEFAULT_ARTEFACT).calibration_values()


def test_a_label_is_that_which_is_kept_however_sure_the_base_is_of_another() -> None:
    logits = np.zeros((1, 10), np.float16)
    logits[0, 0] = 45
    nothing = np.zeros(1, dtype=bool)
    seen = SeenPictures(np.zeros((1, 64), np.float16), logits, nothing, nothing, np.ones(1, np.uint8), nothing)
    said = [0.3, 0.05, 0.05, 0.55, 0.05]
    head = GroupHead(np.zeros((64, 5), np.float32), np.log(said).astype(np.float32))
    base = dataclasses.replace(CALIBRATION, photographs=None)
    (prediction,) = predict(seen, heads=Heads(base, photographs=head, threshold=0.5))
    assert (prediction.group, prediction.abstained) == ("Footwear", False)
    assert prediction.group_probabilities == pytest.approx(dict(zip(GROUPS, said, strict=True)))


def test_of_no_pictures_there_are_none() -> None:
    assert SeenPictures.of([]).split() == []


def write(**changed: Any) -> bytes:
    """A file of heads in which these arrays are others; `__` in a name stands for the slash."""
    heads = Heads(
        CALIBRATION,
        photographs=GroupHead(np.zeros((64, 5), np.float32), np.zeros(5, np.float32)),
        none=NoneHead(*np.zeros((2, 64), np.float32), np.zeros((64, 3), np.float32), 0.0),
        threshold=0.8,
    )
    arrays = safetensors.numpy.load(write_heads(heads))
    return safetensors.numpy.save(arrays | {name.replace("__", "/"): value for name, value in changed.items()})


def write_of_unknown_type() -> bytes:
    header = json.dumps({"threshold": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(2)


@pytest.mark.parametrize(
    "content",
    [
        write(threshold=np.zeros(0, np.float32)),
        write(threshold=np.zeros(2, np.float32)),
        write(none__bias=np.zeros(0, np.float32)),
        write(groups__prior=np.zeros(0, np.float32)),
        write(none__roots=np.zeros((), np.float32)),
        write(none__roots=np.zeros(64, np.float32)),
        write(none__mean=np.zeros((), np.float32)),
        write(groups__weights=np.zeros((), np.float32)),
        pytest.param(write_of_unknown_type(), id="a type that NumPy has not"),
    ],
)
def test_arrays_of_another_shape_or_type_are_no_heads(content: bytes) -> None:
    parse_heads(write(), calibration=CALIBRATION)
    with pytest.raises(ValueError):  # noqa: PT011 - some of the words are NumPy's
        parse_heads(content, calibration=CALIBRATION)


def test_a_number_may_have_any_shape() -> None:
    heads = parse_heads(write(threshold=np.array(0.75, np.float32)), calibration=CALIBRATION)
    assert heads.threshold == 0.75
