"""Request bodies: JSON that has one meaning, and no more of it than a program can read."""

import codecs
import json
import math
from collections.abc import Mapping
from typing import IO, Any

from django.utils.http import parse_header_parameters
from rest_framework.exceptions import ParseError, UnsupportedMediaType
from rest_framework.parsers import JSONParser, MultiPartParser
from rest_framework.utils.json import strict_constant

UTF8 = codecs.lookup("utf-8")


class BoundedJSONParser(JSONParser):
    """JSON in UTF-8, without NaN and Infinity, in which no key stands twice.

    A document nested too deeply is a refused one and no fault of ours.
    """

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """Return the document; raise `ParseError` for what is none, `UnsupportedMediaType` for another charset."""
        check_charset(media_type)
        try:
            return json.loads(
                stream.read().decode("utf-8"),
                parse_constant=strict_constant,
                parse_float=_build_number,
                object_pairs_hook=_build_object,
            )
        except RecursionError as error:
            raise ParseError("Expected JSON of a moderate depth; received one nested too deeply.") from error
        except ValueError as error:
            raise ParseError(f"Expected JSON; {error}.") from error


class FormParser(MultiPartParser):
    """A form with files, in UTF-8."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """Return the form; raise `ParseError` for what is none, `UnsupportedMediaType` for another charset."""
        check_charset(media_type)
        return super().parse(stream, media_type, parser_context)


def check_charset(media_type: str | None) -> None:
    """Raise `UnsupportedMediaType` if the media type names a charset and it is not UTF-8."""
    charset = parse_header_parameters(media_type or "")[1].get("charset", "utf-8")
    try:
        if codecs.lookup(charset) == UTF8:
            return
    except (LookupError, ValueError):
        pass
    raise UnsupportedMediaType(str(media_type), detail="Expected a body in UTF-8; received one in another charset.")


def _build_number(text: str) -> float:
    """Return the number; one too large for a float would be infinite."""
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"received a number that is too large: {text[:20]}")
    return number


def _build_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object; two readers may take different ones of two equal keys, so none is taken."""
    built = dict(pairs)
    if len(built) != len(pairs):
        raise ValueError("received an object in which a key stands twice")
    return built
