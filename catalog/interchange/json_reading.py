"""Products of JSON Lines, and of an array or other JSON that spreads over lines."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from catalog.interchange.columns import LABEL_FIELD, REFUSED_FIELD
from catalog.interchange.records import Description, ProductRecord, RowError, SourceRows, add_description, build_record
from catalog.interchange.text_source import MAX_LINE_CHARACTERS, Lines, expect_bounded
from catalog.values import RecordError, shorten

_REFUSED_LINE: Final = re.compile(rf'\s*\{{\s*"{REFUSED_FIELD}"\s*:')
_FIELDS: Final = {"id", "title", "images", "descriptions", LABEL_FIELD}
_DESCRIPTION_FIELDS: Final = {"country_code", "original_text", "translated_text"}
_STRUCTURE: Final = re.compile(r'\\.|["\[\]{}]', re.DOTALL)
_BETWEEN: Final = ", \t\r\n\ufeff"


def read_lines(lines: Lines) -> Iterator[tuple[int, str]]:
    """Yield (line, text) of every line that is not blank."""
    for text in lines:
        if not text.isspace():
            yield lines.number, text


def read_values(lines: Lines, *, is_array: bool) -> Iterator[tuple[int, str]]:
    """Yield (line, text) of every value in an array, or of values one after the other, whatever lines they take.

    What stands between values is given as one as well, and so is the rest of a file that ends too early. A text ends at
    `MAX_LINE_CHARACTERS`.
    """
    outside = 1 if is_array else 0
    depth, is_quoted = 0, False
    line, dropped_lines = 1, 0
    parts: list[str] = []
    for chunk in _complete_escapes(lines.read_chunks()):
        begin = 0
        for token in _STRUCTURE.finditer(chunk):
            is_quoted ^= token[0] == '"'
            if is_quoted or token[0] not in "[{]}":
                continue
            opens = token[0] in "[{"
            depth += 1 if opens else -1
            if is_array and depth == opens:  # the array itself
                end, following = token.start(), token.end()
            elif depth == outside + opens:
                end = following = token.start() if opens else token.end()
            else:
                continue
            text = "".join([*parts, chunk[begin:end]])
            if value := text.strip(_BETWEEN):
                yield line + text[: text.index(value)].count("\n"), value[:MAX_LINE_CHARACTERS]
            line += text.count("\n") + dropped_lines
            begin, dropped_lines = following, 0
            parts.clear()
        if sum(map(len, parts)) < MAX_LINE_CHARACTERS:
            parts.append(chunk[begin:])
        else:
            dropped_lines += chunk.count("\n")
    rest = "".join(parts).strip(_BETWEEN)
    if rest or depth > 0:
        yield line, rest or "["


def _complete_escapes(chunks: Iterable[str]) -> Iterator[str]:
    """Yield the chunks cut so that no backslash is parted from what it escapes."""
    begun = ""
    for chunk in chunks:
        text = begun + chunk
        is_cut = (len(text) - len(text.rstrip("\\"))) % 2 == 1
        begun = "\\" if is_cut else ""
        yield text[:-1] if is_cut else text
    yield begun


def read_products(texts: Iterable[tuple[int, str]]) -> Iterator[ProductRecord | RowError]:
    """Yield the product of each text, or why it is refused."""
    for line, text in texts:
        if _REFUSED_LINE.match(text):
            continue
        source = ((line, text),)
        try:
            yield _parse(text, line=line, source=source)
        except RecordError as error:
            yield RowError(line, str(error), source=source)


def _parse(text: str, *, line: int, source: SourceRows) -> ProductRecord:
    expect_bounded(len(text))
    try:
        product = _decoder.decode(text.lstrip("\ufeff"))
    except RecursionError:
        raise RecordError("expected a JSON object, received one nested too deep") from None
    except RecordError:
        raise
    except ValueError as error:
        raise RecordError(f"expected a JSON object, received {shorten(text.strip())}: {error}") from None
    _expect_fields(product, names=_FIELDS)
    identity = product.get("id")
    if identity is not None and type(identity) is not int:
        raise RecordError(f"expected a whole number as id, received {shorten(identity)}")
    descriptions: dict[str, Description] = {}
    for item in _expect_list(product.get("descriptions"), field="descriptions") or []:
        _expect_fields(item, names=_DESCRIPTION_FIELDS)
        add_description(descriptions, item.get("country_code"), item.get("original_text"), item.get("translated_text"))
    return build_record(
        line=line,
        id=identity,
        title=product.get("title"),
        images=_expect_list(product.get("images"), field="images"),
        descriptions=descriptions,
        source=source,
    )


def _expect_fields(value: Any, *, names: set[str]) -> None:
    if type(value) is not dict:
        raise RecordError(f"expected a JSON object, received {shorten(value)}")
    if not value.keys() <= names:
        unknown = ", ".join(shorten(name) for name in sorted(value.keys() - names)[:3])
        raise RecordError(f"expected the fields {', '.join(sorted(names))}, received {unknown}")


def _expect_list(value: Any, *, field: str) -> list[Any] | None:
    if value is not None and type(value) is not list:
        raise RecordError(f"expected a list of {field}, received {shorten(value)}")
    return value


def _refuse_constant(name: str) -> None:
    raise RecordError(f"expected a JSON object, received the constant {name}")


def _build_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise RecordError("expected every field of a JSON object once, received one twice")
    return result


_decoder: Final = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_build_object)
