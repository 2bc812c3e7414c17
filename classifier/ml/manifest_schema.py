"""What a manifest must be for the product to read it, as a JSON Schema: types, bounds, and what may be missing.

An artefact comes from anybody; what has passed here is shown, stored and computed with and is not looked at again.
Objects may say more than the schema names, but for those that a program copies whole.
"""

from functools import cache
from typing import Any, Final

from classifier.ml.labels import GARMENTS, GROUPS
from classifier.ml.types import COLOUR_FEATURES, EMBEDDING_SIZE

_Schema = dict[str, Any]


def _object(properties: _Schema, *, optional: tuple[str, ...] = (), closed: bool = True) -> _Schema:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": not closed}


def _map(values: _Schema) -> _Schema:
    return {"type": "object", "additionalProperties": values}


def _number(minimum: float, maximum: float, *kinds: str) -> _Schema:
    words = " or ".join([f"a number from {minimum:g} to {maximum:g}", *kinds])
    return {"type": ["number", *kinds], "minimum": minimum, "maximum": maximum, "description": words}


def _integer(minimum: int, maximum: int) -> _Schema:
    words = f"a whole number from {minimum} to {maximum}"
    return {"type": "integer", "minimum": minimum, "maximum": maximum, "description": words}


def _text(longest: int, *kinds: str) -> _Schema:
    words = " or ".join([f"a text of at most {longest} characters", *kinds])
    return {"type": ["string", *kinds], "maxLength": longest, "description": words}


def _numbers(count: int) -> _Schema:
    words = f"{count} numbers"
    items = _number(-1e6, 1e6)
    return {"type": "array", "items": items, "minItems": count, "maxItems": count, "description": words}


def _name(longest: int) -> _Schema:
    """One line that people read, and that the database takes."""
    words = f"1 to {longest} characters, no control characters"
    return {"type": "string", "pattern": rf"\A[^\x00-\x1f\x7f]{{1,{longest}}}\Z", "description": words}


_NUMBER: Final = _number(-1e15, 1e15)
_SHARE: Final = _number(0, 1)
# What a measuring has not found out.
_KNOWN_SHARE: Final = _number(0, 1, "null")
_SCORES: Final = _object(
    {
        group: _object(dict.fromkeys(("recall", "precision", "negative_predictive_value"), _KNOWN_SHARE))
        for group in GROUPS
    }
)
_METRICS: Final = _object(
    {
        "images": _integer(0, 10**12),
        "accuracy": _KNOWN_SHARE,
        "balanced_accuracy": _KNOWN_SHARE,
        "macro_f1": _KNOWN_SHARE,
        "garment_accuracy": _KNOWN_SHARE,
        "expected_calibration_error": _SHARE,
        "answered": _SHARE,
        "accuracy_of_answered": _KNOWN_SHARE,
        "groups": _SCORES,
        "operating_points": _object({"argmax": _SCORES, "balanced": _SCORES}),
    }
)
_TRAINING: Final = _object(
    {
        "history": {"type": "array", "items": _map(_NUMBER)},
        "best_epochs": {"type": "array", "items": _integer(0, 10**6)},
        **dict.fromkeys(("seconds", "cpu_seconds", "fit_seconds", "peak_memory_bytes"), _NUMBER),
        "parts": _map(_map(_NUMBER)),
    },
    optional=("history", "best_epochs", "seconds", "cpu_seconds", "fit_seconds", "peak_memory_bytes", "parts"),
    closed=False,
)
_CALIBRATION: Final = {
    "temperature": _number(1e-3, 1e3),
    "evidence_threshold": _number(-1e6, 1e6),
    "balanced_weights": _object({group: _number(1e-6, 1e6) for group in GROUPS}),
    "target_precision": _SHARE,
}
_PHOTOGRAPHS: Final = {
    **_object(
        {
            "temperature": _number(1e-3, 1e3),
            "group_weights": _object({group: _number(1e-6, 1e6) for group in GROUPS}),
            "upright_logits": _numbers(len(GARMENTS)),
            "upright_embedding": _numbers(EMBEDDING_SIZE),
            "upright_bias": _number(-1e6, 1e6),
            "upright_colours": {**_numbers(COLOUR_FEATURES), "type": ["array", "null"]},
            "distance": {
                **_object(
                    {
                        "mean": _numbers(EMBEDDING_SIZE + COLOUR_FEATURES),
                        "directions": {
                            "type": "array",
                            "items": _numbers(EMBEDDING_SIZE + COLOUR_FEATURES),
                            "maxItems": EMBEDDING_SIZE,
                        },
                        "scale": _number(1e-6, 1e6),
                    }
                ),
                "type": ["object", "null"],
            },
        },
        optional=("upright_colours", "distance"),
    ),
    "type": ["object", "null"],
}
_CALIBRATION_1: Final = _object({**_CALIBRATION, "thresholds": _object(dict.fromkeys(GROUPS, _SHARE))})
_CALIBRATION_2: Final = _object(
    {**_CALIBRATION, "threshold": _SHARE, "garment_threshold": _SHARE, "photographs": _PHOTOGRAPHS}
)
_SCHEMA: Final = _object(
    {
        "schema_version": {"enum": [1, 2], "description": "1 or 2"},
        "version": _name(100),
        "created_at": _name(100),
        "command": _text(10_000),
        "seed": _integer(0, 2**63 - 1),
        "recipe": _object(
            {"name": _name(64), "description": _text(1_000), "published_column": _text(100, "null")},
            optional=("description", "published_column"),
            closed=False,
        ),
        "network": {"type": "object"},
        "preprocessing": _object(
            {
                "size": _integer(8, 224),
                "working_size": _integer(8, 1024),
                "distance_floor": _integer(1, 255),
                "object_share": _SHARE,
            }
        ),
        "calibration": {"type": "object"},
        "training": _TRAINING,
        "dataset": _object(
            {
                "pictures": _map(_integer(0, 10**12)),
                "sha256": _map(_text(64)),
                "split_seed": _integer(0, 2**63 - 1),
            },
            optional=("pictures", "sha256", "split_seed"),
            closed=False,
        ),
        "backbone": {
            **_object({"file": _text(255), "sha256": _text(64)}, closed=False),
            "type": ["object", "null"],
        },
        "parameters": _integer(0, 10**12),
        "libraries": _map(_text(100)),
        "metrics": {"if": {"maxProperties": 0}, "then": {"type": "object"}, "else": _METRICS},
        "labels": {
            "const": {"garments": list(GARMENTS), "groups": list(GROUPS)},
            "description": "the labels of this product in their order",
        },
        "base": {"type": ["string", "null"], "pattern": r"\A[0-9a-f]{64}\Z", "description": "a SHA-256 or null"},
        "colour": {
            **_object(
                {
                    "network": _text(100),
                    "size": _integer(32, 224),
                    "features": _integer(1, 4096),
                    "licence": _text(100),
                    "file": _text(255),
                    "sha256": _text(64),
                    "pictures": _integer(0, 10**12),
                }
            ),
            "type": ["object", "null"],
        },
        "files": {
            "type": "object",
            "maxProperties": 20,
            "propertyNames": {
                "pattern": r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z",
                "not": {"enum": ["manifest.json", "manifest.hmac", "MODEL_CARD.md"]},
                "description": "a plain file name",
            },
            "additionalProperties": {"type": "string", "pattern": r"\A[0-9a-f]{64}\Z", "description": "a SHA-256"},
        },
    },
    optional=("base", "colour"),
)
_SCHEMA.update(
    {
        "allOf": [
            {
                "if": {"properties": {"schema_version": {"const": 1}}},
                "then": {"properties": {"calibration": _CALIBRATION_1}},
                "else": {"properties": {"calibration": _CALIBRATION_2}},
            },
            # A head has the networks of its base.
            {
                "if": {"required": ["base"], "properties": {"base": {"type": "string"}}},
                "else": {"properties": {"files": {"required": ["network.tflite", "weights.safetensors"]}}},
            },
        ]
    }
)
_LONGEST: Final = 500


@cache
def _build_validator() -> Any:
    # Loaded with the first manifest: a tenth of the time in which a process of the site starts.
    from jsonschema import Draft202012Validator, validators

    # For JSON Schema 1.0 is an integer; for what counts pixels with it, it is none.
    whole = Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
    return validators.extend(Draft202012Validator, type_checker=whole)(_SCHEMA)


def find_violation(manifest: Any) -> str | None:
    """What in a JSON document keeps it from being a manifest, where and in words, or None when it is one."""
    from jsonschema.exceptions import best_match

    error = best_match(_build_validator().iter_errors(manifest))
    if error is None:
        return None
    expected = error.schema.get("description")
    message = f"expected {expected}, received {error.instance!r}" if expected else error.message
    place = error.json_path.removeprefix("$").removeprefix(".")
    return f"{place or 'all of it'}: {message if len(message) <= _LONGEST else message[:_LONGEST] + ' ...'}"
