"""Texts that others wrote, as our pages show them."""

import html
import re
from html.entities import html5
from typing import Final

_BLOCKS: Final = (
    "address article aside blockquote body br caption center dd details dir div dl dt fieldset figcaption figure "
    "footer form h[1-6] head header hr html legend li main menu nav ol option p pre section summary table tbody "
    "td tfoot th thead tr ul"
).replace(" ", "|")
_ELEMENTS: Final = (
    "a abbr acronym b bdi bdo big button cite code col colgroup del dfn em font i iframe img input ins kbd label "
    "link mark meta picture q s samp script select small source span strike strong style sub sup svg template "
    "time tt u var video wbr"
).replace(" ", "|")
#: No further than the next angle bracket, so that whatever is written takes time in proportion to its length.
_BLOCK: Final = re.compile(rf"</?(?:{_BLOCKS})(?:[\s/][^<>]*)?>", re.IGNORECASE)
_TAG: Final = re.compile(rf"</?(?:{_ELEMENTS})(?:[\s/][^<>]*)?>|<!--[^<>]*-->", re.IGNORECASE)
_ENTITY: Final = re.compile(r"&(?:[a-z][a-z0-9]{1,30}|#[0-9]{1,7}|#x[0-9a-f]{1,6});", re.IGNORECASE)

# Characters that turn the direction of what follows them, on our page as well: U+061C, U+200E to U+2069.
_BIDI_CONTROLS = dict.fromkeys([0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)])


def remove_bidi_controls(text: str) -> str:
    """Return the text without the characters that would turn the line around in which it is shown."""
    return text.translate(_BIDI_CONTROLS)


def extract_text(markup: str) -> str:
    """Return the text of HTML as a person reads it, a line for each block; what holds no HTML stays as it is.

    HTML are tags of known elements, comments and entities with their semicolon: "a < b" and "size <M>" are text.
    """
    text = _TAG.sub("", _BLOCK.sub("\n", markup))
    if text != markup:
        lines = (" ".join(line.split()) for line in _decode(text).splitlines())
        return "\n".join(filter(None, lines))
    return _decode(text)


def _decode(text: str) -> str:
    return _ENTITY.sub(lambda entity: _decode_entity(entity[0]), text)


def _decode_entity(entity: str) -> str:
    # By its whole name: browsers would read "&notepad;" as one that begins so.
    return html.unescape(entity) if entity[1] == "#" else html5.get(entity[1:], entity)


def format_duration(seconds: float) -> str:
    """Return a length of time in its two largest units: 4000 becomes "1 h 06 min", 75 becomes "1 min 15 s"."""
    whole = max(0, round(seconds))
    minutes, hours, days = whole // 60, whole // 3600, whole // 86_400
    if days:
        return f"{days} d {hours % 24:02} h"
    if hours:
        return f"{hours} h {minutes % 60:02} min"
    if minutes:
        return f"{minutes} min {whole % 60:02} s"
    return f"{whole} s"
