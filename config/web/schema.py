"""What the OpenAPI schema says of every operation: the problems that all have in common, and examples."""

from http import HTTPStatus
from typing import Any

from config.web.problems import PROBLEM_MEDIA_TYPE, build_problem

#: What any call may be answered with.
COMMON_PROBLEMS = {
    HTTPStatus.BAD_REQUEST: "A parameter is unknown or its value is not accepted, or the request cannot be read.",
    HTTPStatus.NOT_ACCEPTABLE: "The header Accept leaves out what this call answers in.",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many calls, or too many wrong tokens from this address; see Retry-After.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The database cannot be reached or takes too long; try again after Retry-After.",
}
#: What a call with a body may be answered with besides.
BODY_PROBLEMS = {
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body is of another content type or charset.",
}
EXAMPLES: dict[str, dict[str, Any]] = {
    "Label": {
        "group": "Footwear",
        "garment": "Sneaker",
        "garment_unsure": False,
        "confidence": 0.97,
        "status": "labelled",
        "source": "machine",
        "reason": "",
        "evidence": "picture",
        "model_version": "default-20261124-1d187a19",
        "labelled_at": "2026-11-24T09:30:00Z",
    },
    "Problem": build_problem(
        HTTPStatus.BAD_REQUEST,
        detail="Some of what was sent is not accepted; see errors.",
        errors={"group": ['"Hats" is not a valid choice.']},
    ),
    "ReviewRequest": {"image": 7, "group": "Bags", "garment": "Bag", "note": "A rucksack."},
    "LabellingRunRequest": {"relabel": False, "limit": 1000},
    "TrainingRunRequest": {"recipe": "default", "seed": 1, "epochs": None, "limit": None},
}


def complete_schema(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """Return the schema with a summary and the common problems in every operation, and examples."""
    simplify_enums(result["components"]["schemas"])
    content = {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for operations in result["paths"].values():
        for operation in operations.values():
            # The first sentence of what the code says of it, whose first paragraph has more of them perhaps.
            paragraph, _, others = operation["description"].partition("\n\n")
            summary, _, rest = " ".join(paragraph.split()).partition(". ")
            operation |= {"summary": summary.removesuffix("."), "description": f"{rest}\n\n{others}".strip()}
            problems = COMMON_PROBLEMS | (BODY_PROBLEMS if "requestBody" in operation else {})
            for status, description in problems.items():
                response = operation["responses"].setdefault(str(status.value), {"content": content, "description": ""})
                response["description"] = response["description"] or description
            operation["responses"] = dict(sorted(operation["responses"].items()))
    for name, example in EXAMPLES.items():
        result["components"]["schemas"][name]["example"] = example
    return result


def simplify_enums(schemas: dict[str, Any]) -> None:
    """Let fields say themselves that they may be null or empty: generated clients choke on enumerations of nothing."""
    for schema in schemas.values():
        for field in schema.get("properties", {}).values():
            names = [option["$ref"].rpartition("/")[2] for option in field.get("oneOf", ())]
            if "BlankEnum" in names:
                field |= {"type": "string", "enum": [*schemas[names[0]]["enum"], ""]}
            elif "NullEnum" in names:
                field["allOf"] = field["oneOf"][:1]
            else:
                continue
            del field["oneOf"]
    for name in ("BlankEnum", "NullEnum"):
        schemas.pop(name, None)
